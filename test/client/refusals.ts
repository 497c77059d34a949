// How the tests look at an error that a user is meant to meet.
import * as assert from 'uvu/assert';
import { type ErrorCode, TidemarkError } from '../../src/errors.ts';

/** A call that hangs must not hang the test: it is told apart from one that is refused. */
const PATIENCE_MS = 10_000;

/** For assert.throws: a TidemarkError with this code, and a sentence that matches. */
export function refusal(code: ErrorCode, sentence?: RegExp): (error: unknown) => boolean {
  return (error) => {
    if (!(error instanceof TidemarkError)) return false;
    // Every refusal is a whole sentence.
    if (!/^[A-Za-z'].*[.?]$/s.test(error.message)) return false;
    return error.name === 'TidemarkError' && error.code === code && (sentence?.test(error.message) ?? true);
  };
}

/** What became of a promise, however long it might have taken. */
export async function outcomeOf(promise: Promise<unknown>): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => {
    timer = setTimeout(() => resolve('still pending'), PATIENCE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } catch (error) {
    return error;
  } finally {
    clearTimeout(timer);
  }
}

/** The call must be refused with this code, by a rejected promise and not by a throw. */
export async function assertRefused(
  promise: Promise<unknown>,
  code: ErrorCode,
  sentence?: RegExp,
): Promise<TidemarkError> {
  const outcome = await outcomeOf(promise);
  assert.ok(
    refusal(code, sentence)(outcome),
    `expected ${code} ${sentence ?? ''}, got ${(outcome as TidemarkError)?.code ?? ''} ${outcome}`,
  );
  return outcome as TidemarkError;
}
