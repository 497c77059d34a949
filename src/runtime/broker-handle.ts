import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { TidemarkError } from '../errors.ts';
import { BROKER_START_TIMEOUT_MS, BROKER_STOP_TIMEOUT_MS, CONTROL_TIMEOUT_MS } from '../limits.ts';
import type { BrokerState } from '../types.ts';
import type { BrokerAddresses, BrokerThreadData, ControlReply, ControlRequest } from './directory.ts';
import { timeLimit } from './timers.ts';

interface PendingControl {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** The main thread's side of one broker thread: starts it, talks to it, notices its death, ends it. */
export class BrokerHandle {
  readonly id: number;
  readonly addresses: BrokerAddresses;
  readonly #worker: Worker;
  readonly #pending = new Map<number, PendingControl>();
  readonly #onFailure: (broker: BrokerHandle, cause: Error) => void;
  #state: BrokerState = 'starting';
  #sequence = 0;

  constructor(
    data: BrokerThreadData,
    addresses: BrokerAddresses,
    onFailure: (broker: BrokerHandle, cause: Error) => void,
  ) {
    this.id = data.id;
    this.addresses = addresses;
    this.#onFailure = onFailure;
    this.#worker = new Worker(new URL('./broker-thread.js', import.meta.url), {
      name: `tidemark broker ${data.id}`,
      workerData: data,
      transferList: [...data.peers.values()],
      // Loader and inspector flags of the caller are not for a broker.
      execArgv: [],
    });
    this.#worker.on('message', (reply: ControlReply) => this.#settle(reply));
    this.#worker.on('error', (cause) => this.#ended(cause));
    this.#worker.on('exit', (code) => this.#ended(new Error(`the thread ended with code ${code}`)));
  }

  get state(): BrokerState {
    return this.#state;
  }

  /** Resolves when the thread serves. */
  async started(): Promise<void> {
    await timeLimit(
      once(this.#worker, 'online'),
      BROKER_START_TIMEOUT_MS,
      () =>
        new TidemarkError(
          'BROKER_FAILED',
          `Broker ${this.id} did not start in ${BROKER_START_TIMEOUT_MS} ms.`,
        ),
    );
    if (this.#state === 'starting') this.#state = 'running';
  }

  request(request: ControlRequest): Promise<unknown> {
    if (this.#state === 'failed' || this.#state === 'closed') {
      return Promise.reject(new TidemarkError('BROKER_FAILED', `Broker ${this.id} is not running.`));
    }
    const sequence = ++this.#sequence;
    const answered = new Promise<unknown>((resolve, reject) => {
      this.#pending.set(sequence, { resolve, reject });
    });
    this.#worker.postMessage({ sequence, request });
    const tooLate = () =>
      new TidemarkError('REQUEST_TIMED_OUT', `Broker ${this.id} did not answer in ${CONTROL_TIMEOUT_MS} ms.`);
    return timeLimit(answered, CONTROL_TIMEOUT_MS, tooLate).finally(() => this.#pending.delete(sequence));
  }

  /** Lets the thread end by itself, or ends it. */
  async close(): Promise<void> {
    if (this.#state === 'failed' || this.#state === 'closed') return;
    const exited = once(this.#worker, 'exit');
    this.#state = 'closing';
    this.#worker.postMessage({ sequence: 0, request: { type: 'close' } });
    try {
      await timeLimit(exited, BROKER_STOP_TIMEOUT_MS, () => new Error('slow'));
    } catch {
      await this.#worker.terminate();
    }
    this.#state = 'closed';
  }

  #settle(reply: ControlReply): void {
    const pending = this.#pending.get(reply.sequence);
    if (reply.error !== undefined) {
      pending?.reject(new TidemarkError('BROKER_FAILED', `Broker ${this.id}: ${reply.error}`));
    } else {
      pending?.resolve(reply.value);
    }
  }

  #ended(cause: Error): void {
    if (this.#state === 'failed' || this.#state === 'closed') return;
    const expected = this.#state === 'closing';
    this.#state = expected ? 'closed' : 'failed';
    const error = new TidemarkError('BROKER_FAILED', `Broker ${this.id} has ended: ${cause.message}`, {
      cause,
    });
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
    if (!expected) this.#onFailure(this, error);
  }
}
