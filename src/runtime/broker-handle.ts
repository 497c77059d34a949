import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { TidemarkError } from '../errors.ts';
import {
  BROKER_START_TIMEOUT_MS,
  BROKER_STOP_TIMEOUT_MS,
  BROKER_STORE_TIMEOUT_MS,
  CONTROL_TIMEOUT_MS,
} from '../limits.ts';
import type { BrokerState } from '../types.ts';
import type { Background } from './background.ts';
import type { TaskMessage } from './background-tasks.ts';
import type {
  BrokerAddresses,
  BrokerNotice,
  BrokerThreadData,
  ControlReply,
  ControlRequest,
} from './directory.ts';
import { timeLimit } from './timers.ts';

interface PendingControl {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** What a broker's handle tells its owner. */
export interface HandleOwner {
  /** The thread has died by itself. */
  failed(broker: BrokerHandle, cause: Error): void;
  noticed(broker: BrokerHandle, notice: BrokerNotice): void;
}

/** The main thread's side of one broker thread: starts it, talks to it, notices its death, ends it. */
export class BrokerHandle {
  readonly id: number;
  readonly addresses: BrokerAddresses;
  readonly #worker: Worker;
  readonly #pending = new Map<number, PendingControl>();
  readonly #owner: HandleOwner;
  readonly #background: Background;
  /** By number: the tasks that it has given to the pool. */
  readonly #tasks = new Map<number, AbortController>();
  readonly #stopLimitMs: number;
  #state: BrokerState = 'starting';
  #error: string | undefined;
  #sequence = 0;

  constructor(
    data: BrokerThreadData,
    addresses: BrokerAddresses,
    owner: HandleOwner,
    background: Background,
  ) {
    this.id = data.id;
    this.addresses = addresses;
    this.#owner = owner;
    this.#background = background;
    this.#stopLimitMs = data.home?.isTemporary === false ? BROKER_STORE_TIMEOUT_MS : BROKER_STOP_TIMEOUT_MS;
    this.#worker = new Worker(new URL('./broker-thread.js', import.meta.url), {
      name: `tidemark broker ${data.id}`,
      workerData: data,
      transferList: [...data.peers.values()],
      // Loader and inspector flags of the caller are not for a broker.
      execArgv: [],
    });
    this.#worker.on('message', (message: ControlReply | BrokerNotice | TaskMessage) => {
      if ('notice' in message) this.#take(message);
      else if ('task' in message) this.#work(message);
      else this.#settle(message);
    });
    this.#worker.on('error', (cause) => this.#ended(cause));
    this.#worker.on('exit', (code) => this.#ended(new Error(`the thread ended with code ${code}`)));
  }

  get state(): BrokerState {
    return this.#state;
  }

  /** Why it has failed, or is offline. */
  get error(): string | undefined {
    return this.#error;
  }

  /** Whether its thread takes requests, also where its disk has failed. */
  get isAlive(): boolean {
    return this.#state === 'running' || this.#state === 'offline';
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

  /** With an infinite limit, what ends the wait is the answer or the thread's death. */
  request(request: ControlRequest, limitMs = CONTROL_TIMEOUT_MS): Promise<unknown> {
    if (this.#state === 'failed' || this.#state === 'closed') {
      return Promise.reject(new TidemarkError('BROKER_FAILED', `Broker ${this.id} is not running.`));
    }
    const sequence = ++this.#sequence;
    const answered = new Promise<unknown>((resolve, reject) => {
      this.#pending.set(sequence, { resolve, reject });
    });
    this.#worker.postMessage({ sequence, request });
    const tooLate = () =>
      new TidemarkError('REQUEST_TIMED_OUT', `Broker ${this.id} did not answer in ${limitMs} ms.`);
    const limited = limitMs === Number.POSITIVE_INFINITY ? answered : timeLimit(answered, limitMs, tooLate);
    return limited.finally(() => this.#pending.delete(sequence));
  }

  /** Lets the thread end by itself, or ends it. */
  async close(): Promise<void> {
    if (this.#state === 'failed' || this.#state === 'closed') return;
    const exited = once(this.#worker, 'exit');
    this.#state = 'closing';
    this.#worker.postMessage({ sequence: 0, request: { type: 'close' } });
    try {
      await timeLimit(exited, this.#stopLimitMs, () => new Error('slow'));
    } catch {
      await this.#worker.terminate();
    }
    this.#state = 'closed';
  }

  #take(notice: BrokerNotice): void {
    if (notice.notice === 'disk-failed') {
      this.#error = notice.message;
      if (this.#state === 'running') this.#state = 'offline';
    }
    this.#owner.noticed(this, notice);
  }

  /** A thread that has ended meanwhile hears nothing of it. */
  #work(message: TaskMessage): void {
    void this.#background.serve(message, this.#tasks, (reply) => this.#worker.postMessage(reply));
  }

  #settle(reply: ControlReply): void {
    const pending = this.#pending.get(reply.sequence);
    if (reply.error !== undefined) {
      const { code = 'BROKER_FAILED', error } = reply;
      pending?.reject(new TidemarkError(code, `Broker ${this.id}: ${error}`));
    } else {
      pending?.resolve(reply.value);
    }
  }

  #ended(cause: Error): void {
    for (const task of this.#tasks.values()) task.abort();
    if (this.#state === 'failed' || this.#state === 'closed') return;
    const expected = this.#state === 'closing';
    this.#state = expected ? 'closed' : 'failed';
    const error = new TidemarkError('BROKER_FAILED', `Broker ${this.id} has ended: ${cause.message}`, {
      cause,
    });
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
    if (expected) return;
    this.#error = error.message;
    this.#owner.failed(this, error);
  }
}
