import { availableParallelism } from 'node:os';
import { MessageChannel } from 'node:worker_threads';
import type { Piscina } from 'piscina';
import { TidemarkError } from '../errors.ts';
import { errorOf, failureOf } from './background-client.ts';
import type {
  BackgroundAnswer,
  BackgroundProgress,
  BackgroundRequest,
  BackgroundResult,
  TaskMessage,
  TaskReply,
} from './background-tasks.ts';
import type { run } from './background-worker.ts';
import { systemClock } from './clock.ts';
import { endingThreads } from './thread-end.ts';
import { timeLimit } from './timers.ts';

/** The pool calls this function by its name. */
type Pool = Piscina<Parameters<typeof run>[0], BackgroundAnswer>;

/** A thread costs a few megabytes, and tens of milliseconds to start: it is kept for the next task of a burst. */
const IDLE_MS = 5000;
/** Most of the time a task that is held to a rate sleeps: others run beside it, and above all a scan that is waited for. */
const TASKS_A_THREAD = 8;
/** Steps of a task take a few milliseconds, a scan of the largest segment half a second. */
const CLOSE_LIMIT_MS = 2000;

export interface BackgroundOptions {
  readonly signal?: AbortSignal | undefined;
  readonly progress?: BackgroundProgress | undefined;
}

interface RunningTask {
  /** Asks the thread to end it. */
  abort(): void;
  /** Ends it without the thread. */
  fail(error: Error): void;
  readonly ended: Promise<unknown>;
}

/**
 * The pool of a cluster for work that would keep broker threads from their own: scans, compaction, scrubbing. It lives on
 * the main thread, and costs nothing before the first task: not even its code is loaded.
 */
export class Background {
  readonly #worker: URL;
  #pool: Promise<Pool> | undefined;
  /** The same, once it is there. */
  #current: Pool | undefined;
  #isClosed = false;
  readonly #running = new Set<RunningTask>();

  constructor(worker = new URL('./background-worker.js', import.meta.url)) {
    this.#worker = worker;
  }

  /**
   * Rejects with a DiskError where the disk refuses, with an AbortError once the task has ended because of the signal,
   * and with CLOSED. A scan that has begun is not ended by a signal.
   */
  async run<Request extends BackgroundRequest>(
    request: Request,
    { signal, progress }: BackgroundOptions = {},
  ): Promise<BackgroundResult<Request>> {
    this.#requireOpen();
    this.#pool ??= this.#openPool();
    const pool = await this.#pool;
    this.#requireOpen();
    const { port1: port, port2 } = new MessageChannel();
    // While a task is under way, its port keeps the process alive: the pool's threads do not.
    port.on('message', (doneBytes: number) => progress?.(doneBytes));
    const abort = (): void => port.postMessage('abort');
    let fail: (error: Error) => void = () => {};
    const ended = new Promise<BackgroundAnswer>((resolve, reject) => {
      fail = reject;
      pool.run({ request, port: port2 }, { transferList: [port2] }).then(resolve, (cause: Error) => {
        // A thread answers whatever goes wrong in a task, so it has died.
        this.#break(pool, cause);
      });
    });
    const task: RunningTask = { abort, fail, ended };
    this.#running.add(task);
    if (signal?.aborted) abort();
    else signal?.addEventListener('abort', abort, { once: true });
    try {
      const answer = await ended;
      if ('failure' in answer) throw errorOf(request.kind, answer.failure);
      return answer.result as BackgroundResult<Request>;
    } catch (error) {
      this.#requireOpen(error);
      throw error;
    } finally {
      this.#running.delete(task);
      signal?.removeEventListener('abort', abort);
      port.close();
    }
  }

  /** For a broker thread that has nothing to ask but through its port. `aborts` are those of its tasks under way. */
  async serve(
    message: TaskMessage,
    aborts: Map<number, AbortController>,
    post: (reply: TaskReply) => void,
  ): Promise<void> {
    const { task } = message;
    if ('abort' in message) {
      aborts.get(task)?.abort();
      return;
    }
    const abort = new AbortController();
    aborts.set(task, abort);
    try {
      const progress = (doneBytes: number): void => post({ task, doneBytes });
      post({ task, result: await this.run(message.request, { signal: abort.signal, progress }) });
    } catch (error) {
      post({ task, failure: failureOf(error) });
    } finally {
      aborts.delete(task);
    }
  }

  /** Ends what is under way, and resolves when no thread is left. */
  async close(): Promise<void> {
    this.#isClosed = true;
    // A pool that could not be made has said so to whoever asked for it.
    const pool = await this.#pool?.catch(() => undefined);
    if (pool === undefined) return;
    const tasks = [...this.#running];
    for (const { abort } of tasks) abort();
    const ended = Promise.allSettled(tasks.map((task) => task.ended));
    // What does not end by itself leaves files that the next start drops.
    await timeLimit(systemClock, ended, CLOSE_LIMIT_MS, () => new Error('slow')).catch(() => {});
    for (const { fail } of tasks) fail(new Error('The thread was ended.'));
    await endingThreads(() => pool.destroy());
  }

  async #openPool(): Promise<Pool> {
    const { Piscina } = await import('piscina');
    const pool: Pool = new Piscina({
      filename: this.#worker.href,
      name: 'run',
      minThreads: 0,
      maxThreads: Math.max(1, Math.floor(availableParallelism() / 2)),
      idleTimeout: IDLE_MS,
      concurrentTasksPerWorker: TASKS_A_THREAD,
      // Loader and inspector flags of the caller are not for the pool.
      execArgv: [],
    });
    // A thread that could not even start.
    pool.on('error', (cause: Error) => this.#break(pool, cause));
    this.#current = pool;
    return pool;
  }

  /**
   * When a thread has died, the pool may leave tasks waiting for ever: a pool without a minimum of threads starts one
   * only for a task that is new. So all tasks fail, and the next one has a new pool.
   */
  #break(pool: Pool, cause: Error): void {
    if (this.#current !== pool) return;
    this.#current = undefined;
    this.#pool = undefined;
    const error = new Error(`A thread for background work has failed: ${cause.message}`, { cause });
    for (const { fail } of this.#running) fail(error);
    void endingThreads(() => pool.destroy());
  }

  #requireOpen(cause?: unknown): void {
    if (this.#isClosed)
      throw new TidemarkError('CLOSED', 'The cluster is closing, and background work with it.', { cause });
  }
}
