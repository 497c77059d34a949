import { DiskError } from '../log/disk.ts';
import type { BackgroundFailure, BackgroundRequest } from './background-tasks.ts';

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
