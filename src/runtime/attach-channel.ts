import { randomUUID } from 'node:crypto';
import { BroadcastChannel, threadId } from 'node:worker_threads';
import { TidemarkError } from '../errors.ts';
import { CONTROL_TIMEOUT_MS } from '../limits.ts';
import { systemClock } from './clock.ts';
import { timeLimit } from './timers.ts';

/**
 * How another thread finds a cluster: a broadcast channel named after it. A handle stays plain data that can be
 * handed on to any number of threads, which a port could not be.
 */
export interface ClusterHandle {
  readonly kind: 'tidemark-cluster';
  readonly clusterId: string;
  /** One word of shared memory that says whether the cluster is open: nobody would answer for a closed one. */
  readonly state: Int32Array;
}

const OPEN = 1;

interface Question {
  readonly type: 'question';
  readonly from: string;
  readonly sequence: number;
  readonly name: string;
  readonly argument: unknown;
}

interface Answer {
  readonly type: 'answer';
  readonly to: string;
  readonly sequence: number;
  readonly value?: unknown;
  readonly error?: { readonly code: TidemarkError['code']; readonly message: string };
}

interface Notice {
  readonly type: 'notice';
  readonly name: string;
  readonly argument: unknown;
}

type Message = Question | Answer | Notice;

function channelName(clusterId: string): string {
  return `tidemark ${clusterId}`;
}

/** The cluster's side: answers questions, and tells everybody what they ought to know. */
export class AttachServer {
  readonly handle: ClusterHandle;
  readonly #channel: BroadcastChannel;

  constructor(clusterId: string, answer: (name: string, argument: unknown) => unknown) {
    this.handle = {
      kind: 'tidemark-cluster',
      clusterId,
      state: new Int32Array(new SharedArrayBuffer(4)).fill(OPEN),
    };
    this.#channel = new BroadcastChannel(channelName(clusterId));
    this.#channel.unref();
    this.#channel.onmessage = async (event) => {
      const message = (event as { data: Message }).data;
      if (message.type !== 'question') return;
      const { from: to, sequence } = message;
      try {
        const value = await answer(message.name, message.argument);
        this.#channel.postMessage({ type: 'answer', to, sequence, value } satisfies Answer);
      } catch (cause) {
        const { code = 'BROKER_FAILED', message: sentence } = cause as TidemarkError;
        const error = { code, message: sentence };
        this.#channel.postMessage({ type: 'answer', to, sequence, error } satisfies Answer);
      }
    };
  }

  tell(name: string, argument: unknown): void {
    this.#channel.postMessage({ type: 'notice', name, argument } satisfies Notice);
  }

  /** From here on nobody new can attach; those who are attached are told. */
  announceEnd(): void {
    Atomics.store(this.handle.state, 0, 0);
    this.tell('closing', undefined);
  }

  close(): void {
    this.#channel.close();
  }
}

/** Another thread's side. It keeps that thread's event loop alive until it is closed. */
export class AttachClient {
  /** The thread that this client lives in. */
  readonly threadId = threadId;
  readonly #handle: ClusterHandle;
  readonly #channel: BroadcastChannel;
  readonly #self = randomUUID();
  readonly #asked = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  #sequence = 0;
  #isClosed = false;

  constructor(handle: ClusterHandle, notice: (name: string, argument: unknown) => void) {
    if (!isOpen(handle)) throw endedError(handle);
    this.#handle = handle;
    this.#channel = new BroadcastChannel(channelName(handle.clusterId));
    this.#channel.onmessage = (event) => {
      const message = (event as { data: Message }).data;
      if (message.type === 'notice') notice(message.name, message.argument);
      if (message.type !== 'answer' || message.to !== this.#self) return;
      const asked = this.#asked.get(message.sequence);
      if (message.error === undefined) asked?.resolve(message.value);
      else asked?.reject(new TidemarkError(message.error.code, message.error.message));
    };
  }

  ask(name: string, argument: unknown): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(endedError(this.#handle));
    const sequence = ++this.#sequence;
    const answered = new Promise((resolve, reject) => {
      this.#asked.set(sequence, { resolve, reject });
    });
    this.#channel.postMessage({
      type: 'question',
      from: this.#self,
      sequence,
      name,
      argument,
    } satisfies Question);
    const late = () =>
      new TidemarkError(
        'REQUEST_TIMED_OUT',
        `The cluster did not answer in ${CONTROL_TIMEOUT_MS} ms: is it closed?`,
      );
    return timeLimit(systemClock, answered, CONTROL_TIMEOUT_MS, late).finally(() =>
      this.#asked.delete(sequence),
    );
  }

  /** Nothing is answered any more. */
  close(): void {
    this.#isClosed = true;
    this.#channel.close();
    for (const { reject } of this.#asked.values()) reject(endedError(this.#handle));
  }
}

function isOpen({ state }: ClusterHandle): boolean {
  return Atomics.load(state, 0) === OPEN;
}

function endedError(handle: ClusterHandle): TidemarkError {
  return new TidemarkError(
    'CLOSED',
    isOpen(handle)
      ? 'The client is closed; connect again.'
      : 'The cluster is closed; start another one, and connect to that.',
  );
}
