import { DiskError } from '../log/disk.ts';
import type {
  BackgroundFailure,
  BackgroundProgress,
  BackgroundRequest,
  BackgroundResult,
  TaskMessage,
  TaskReply,
} from './background-tasks.ts';

interface PendingTask {
  readonly kind: BackgroundRequest['kind'];
  readonly progress: BackgroundProgress | undefined;
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** A broker thread's way to the pool, which the main thread owns. */
export class BackgroundClient {
  readonly #post: (message: TaskMessage) => void;
  readonly #pending = new Map<number, PendingTask>();
  #sequence = 0;

  constructor(post: (message: TaskMessage) => void) {
    this.#post = post;
  }

  /** Rejects with a DiskError where the disk refuses, and with an Error where the task was aborted. */
  run<Request extends BackgroundRequest>(
    request: Request,
    { signal, progress }: { signal?: AbortSignal; progress?: BackgroundProgress } = {},
  ): Promise<BackgroundResult<Request>> {
    this.#sequence += 1;
    const task = this.#sequence;
    const abort = (): void => this.#post({ task, abort: true });
    const done = new Promise<unknown>((resolve, reject) => {
      this.#pending.set(task, { kind: request.kind, progress, resolve, reject });
    });
    this.#post({ task, request });
    if (signal?.aborted === true) abort();
    else signal?.addEventListener('abort', abort, { once: true });
    return done.finally(() => signal?.removeEventListener('abort', abort)) as Promise<
      BackgroundResult<Request>
    >;
  }

  /** What the main thread has answered. */
  settle(reply: TaskReply): void {
    const pending = this.#pending.get(reply.task);
    if (pending === undefined) return;
    if ('doneBytes' in reply) {
      pending.progress?.(reply.doneBytes);
      return;
    }
    this.#pending.delete(reply.task);
    if ('failure' in reply) pending.reject(errorOf(pending.kind, reply.failure));
    else pending.resolve(reply.result);
  }
}

// Errors lose their class on the way from one thread to another; what the owner of a log has to tell apart travels as
// plain data.

/** Somebody no longer wants the result. Named as Node names such errors. */
export class AbortError extends Error {
  override readonly name = 'AbortError';
}

export function failureOf(error: unknown): BackgroundFailure {
  const { message } = error as Error;
  if (error instanceof AbortError) return { message, isAborted: true };
  return error instanceof DiskError ? { message, code: error.code, path: error.path } : { message };
}

export function errorOf(
  kind: BackgroundRequest['kind'],
  { message, isAborted, code, path }: BackgroundFailure,
): Error {
  if (isAborted) return new AbortError(message);
  if (code === undefined || path === undefined) return new Error(message);
  return new DiskError(kind, path, code, new Error(message));
}
