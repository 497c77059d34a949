import { once } from 'node:events';
import { TidemarkError } from '../errors.ts';
import {
  BROKER_START_TIMEOUT_MS,
  BROKER_STOP_TIMEOUT_MS,
  BROKER_STORE_TIMEOUT_MS,
  CONTROL_TIMEOUT_MS,
} from '../limits.ts';
import type { BrokerState } from '../types.ts';
import type { Background } from './background.ts';
import type { TaskMessage, TaskReply } from './background-tasks.ts';
import type { BrokerNotice, BrokerThreadData, ControlReply, ControlRequest } from './directory.ts';
import { HeldMessages } from './held-messages.ts';
import type { BrokerThread, Clock } from './surroundings.ts';
import { timeLimit } from './timers.ts';

/** What does not come from the coordinator, but from clients and from whoever looks after the host. */
const UNHELD = new Set<ControlRequest['type']>(['attach', 'detach', 'inspect', 'afflict', 'close']);

interface PendingControl {
  resolve(value: unknown): void;
  reject(error: Error): void;
  /** Whether the answer comes through though the broker is cut off from the coordinator. */
  readonly isUnheld: boolean;
  /** Whether whoever has asked goes on without an answer when the broker is fenced. */
  readonly isLimited: boolean;
}

/** What a broker's handle tells its owner. */
export interface HandleOwner {
  /** The thread has died by itself. */
  failed(broker: BrokerHandle, cause: Error): void;
  noticed(broker: BrokerHandle, notice: BrokerNotice): void;
}

/** What a handle goes about with. */
export interface HandleTools {
  readonly clock: Clock;
  readonly owner: HandleOwner;
  readonly background: Background;
}

/** The main thread's side of one broker thread: talks to it, notices its death, ends it. */
export class BrokerHandle {
  readonly id: number;
  /** No two lives of brokers have the same number; later ones have larger ones. */
  readonly life: number;
  /** Resolves when nothing of the thread is left. */
  readonly exited: Promise<void>;
  /** Held back while the broker is cut off from the coordinator. */
  readonly messages = new HeldMessages();
  readonly #thread: BrokerThread;
  readonly #clock: Clock;
  readonly #pending = new Map<number, PendingControl>();
  readonly #owner: HandleOwner;
  readonly #background: Background;
  /** By number: the tasks that it has given to the pool. */
  readonly #tasks = new Map<number, AbortController>();
  readonly #serving = new Set<Promise<void>>();
  readonly #stopLimitMs: number;
  #state: BrokerState = 'starting';
  #error: string | undefined;
  #hasDisk = true;
  #killed: Promise<unknown> | undefined;
  #sequence = 0;

  constructor(thread: BrokerThread, data: BrokerThreadData, life: number, tools: HandleTools) {
    this.id = data.id;
    this.life = life;
    this.#thread = thread;
    this.#clock = tools.clock;
    this.#owner = tools.owner;
    this.#background = tools.background;
    this.#stopLimitMs = data.home?.isTemporary === false ? BROKER_STORE_TIMEOUT_MS : BROKER_STOP_TIMEOUT_MS;
    this.exited = new Promise((resolve) => {
      this.#thread.once('exit', () => {
        // What the pool still does for it ends before another life opens the same files.
        Promise.allSettled(this.#serving).then(() => resolve());
      });
    });
    this.#thread.on('message', (message: ControlReply | BrokerNotice | TaskMessage) => {
      if ('notice' in message) this.messages.pass(() => this.#take(message));
      else if ('task' in message) this.#work(message);
      else this.#settle(message);
    });
    this.#thread.on('error', (cause) => this.#ended(cause));
    this.#thread.on('exit', (code) => this.#ended(new Error(`the thread ended with code ${code}`)));
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

  /** Whether its thread has ended, in whatever way. */
  get hasEnded(): boolean {
    return this.#state === 'failed' || this.#state === 'closed';
  }

  /** It has its logs, unless its disk has failed meanwhile, and knows who leads. */
  ready(): void {
    if (this.#state === 'starting') this.#state = this.#hasDisk ? 'running' : 'offline';
  }

  /** It has given no sign of life for a while: nothing is asked of it, and what it was asked is not waited for. */
  fence(error: string): void {
    if (this.#state !== 'running') return;
    this.#state = 'fenced';
    this.#error = error;
    for (const { reject, isUnheld, isLimited } of this.#pending.values()) {
      const isOnItsWay = isUnheld && this.messages.areHeld;
      if (isLimited && !isOnItsWay) reject(new TidemarkError('BROKER_FAILED', error));
    }
  }

  /** It has given a sign of life again. */
  unfence(): void {
    if (this.#state !== 'fenced') return;
    this.#state = 'running';
    this.#error = undefined;
  }

  /** Resolves when the thread is up. */
  async started(): Promise<void> {
    await timeLimit(
      this.#clock,
      once(this.#thread, 'online'),
      BROKER_START_TIMEOUT_MS,
      () =>
        new TidemarkError(
          'BROKER_FAILED',
          `Broker ${this.id} did not start in ${BROKER_START_TIMEOUT_MS} ms.`,
        ),
    );
  }

  /** With an infinite limit, what ends the wait is the answer or the thread's death, and not that it is fenced. */
  request(request: ControlRequest, limitMs = CONTROL_TIMEOUT_MS): Promise<unknown> {
    if (this.hasEnded) {
      return Promise.reject(new TidemarkError('BROKER_FAILED', `Broker ${this.id} is not running.`));
    }
    const sequence = ++this.#sequence;
    const isUnheld = UNHELD.has(request.type);
    const isLimited = limitMs < Number.POSITIVE_INFINITY;
    const answered = new Promise<unknown>((resolve, reject) => {
      this.#pending.set(sequence, { resolve, reject, isUnheld, isLimited });
    });
    const post = (): void => this.#post(sequence, request);
    if (isUnheld) post();
    else this.messages.pass(post);
    const tooLate = () =>
      new TidemarkError('REQUEST_TIMED_OUT', `Broker ${this.id} did not answer in ${limitMs} ms.`);
    const limited = isLimited ? timeLimit(this.#clock, answered, limitMs, tooLate) : answered;
    return limited.finally(() => this.#pending.delete(sequence));
  }

  /** Lets the thread end by itself, or ends it. */
  async close(): Promise<void> {
    if (this.hasEnded) return;
    const doesHang = this.#state === 'fenced' && !this.messages.areHeld;
    this.#state = 'closing';
    this.#thread.postMessage({ sequence: 0, request: { type: 'close' } });
    try {
      if (doesHang) await this.#thread.terminate();
      await timeLimit(this.#clock, this.exited, this.#stopLimitMs, () => new Error('slow'));
    } catch {
      await this.#thread.terminate();
    }
    this.#state = 'closed';
  }

  /** Ends the thread in the midst of whatever it does, as a crash would. */
  async kill(): Promise<void> {
    this.#killed ??= this.#thread.terminate();
    await this.#killed;
    await this.exited;
  }

  #post(sequence: number, request: ControlRequest): void {
    if (request.type !== 'welcome' || request.port === undefined) {
      this.#thread.postMessage({ sequence, request });
      return;
    }
    try {
      this.#thread.postMessage({ sequence, request }, [request.port]);
    } catch {
      // The newcomer has ended while this was held back, and with it the port, which nobody can take now.
      this.#thread.postMessage({ sequence, request: { ...request, port: undefined } });
    }
  }

  #take(notice: BrokerNotice): void {
    if (notice.notice === 'disk-failed') {
      this.#error = notice.message;
      this.#hasDisk = false;
      if (this.isAlive || this.#state === 'fenced') this.#state = 'offline';
    }
    this.#owner.noticed(this, notice);
  }

  /** A thread that has ended meanwhile hears nothing of it. */
  #work(message: TaskMessage): void {
    const post = (reply: TaskReply): void => this.#thread.postMessage(reply);
    const serving: Promise<void> = this.#background
      .serve(message, this.#tasks, post)
      .finally(() => this.#serving.delete(serving));
    this.#serving.add(serving);
  }

  #settle(reply: ControlReply): void {
    const pending = this.#pending.get(reply.sequence);
    if (pending === undefined || pending.isUnheld) this.#answer(pending, reply);
    else this.messages.pass(() => this.#answer(this.#pending.get(reply.sequence), reply));
  }

  #answer(pending: PendingControl | undefined, reply: ControlReply): void {
    if (reply.error !== undefined) {
      const { code = 'BROKER_FAILED', error } = reply;
      pending?.reject(new TidemarkError(code, `Broker ${this.id}: ${error}`));
    } else {
      pending?.resolve(reply.value);
    }
  }

  #ended(cause: Error): void {
    for (const task of this.#tasks.values()) task.abort();
    this.messages.drop();
    if (this.hasEnded) return;
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
