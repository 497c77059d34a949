import { AbortError } from './background-client.ts';
import type { Clock } from './surroundings.ts';
import { pause } from './timers.ts';

/** Shorter pauses would cost more than they spare. */
const PAUSE_MIN_MS = 5;

/**
 * Runs steps that yield how many bytes they took on this thread, no faster than so many a second; whatever else the
 * thread has to do comes between any two of them.
 */
export async function inSlices<T>(
  clock: Clock,
  steps: Generator<number, T>,
  bytesPerSecond: number,
  signal: AbortSignal,
): Promise<T> {
  const startMs = clock.nowMs();
  let doneBytes = 0;
  try {
    for (;;) {
      if (signal.aborted) throw new AbortError('The task was aborted.');
      const step = steps.next();
      if (step.done) return step.value;
      doneBytes += step.value;
      const aheadMs = (doneBytes / bytesPerSecond) * 1000 - (clock.nowMs() - startMs);
      await (aheadMs >= PAUSE_MIN_MS ? pause(clock, aheadMs) : clock.turn());
    }
  } finally {
    // One that is ended in the midst of it removes what it has written; this does nothing to one that is done.
    steps.return(undefined as never);
  }
}
