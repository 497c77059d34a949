import { nowMs, systemClock } from '../runtime/clock.ts';
import { Alarm, randomFraction } from '../runtime/timers.ts';
import { backoffMs } from './backoff.ts';

interface Retried {
  resume(): void;
}

/** Who waits before another try, and until when. */
export class Retries {
  readonly #waiting = new Map<Retried, number>();
  readonly #alarm = new Alarm(systemClock, () => this.#resumeDue());

  /** Resumes it once, after a while that grows with its failures, unless `goOn` was called before. */
  waitAfter(failures: number, retried: Retried): void {
    const atMs = nowMs() + backoffMs(failures, randomFraction());
    this.#waiting.set(retried, atMs);
    this.#alarm.set(atMs);
  }

  goOn(retried: Retried): void {
    this.#waiting.delete(retried);
  }

  resumeAll(): void {
    this.#resume([...this.#waiting.keys()]);
  }

  end(): void {
    this.#waiting.clear();
    this.#alarm.clear();
  }

  #resumeDue(): void {
    const now = nowMs();
    const due: Retried[] = [];
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [retried, atMs] of this.#waiting) {
      if (atMs <= now) due.push(retried);
      else nextMs = Math.min(nextMs, atMs);
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#alarm.set(nextMs);
    this.#resume(due);
  }

  #resume(due: readonly Retried[]): void {
    for (const retried of due) if (this.#waiting.delete(retried)) retried.resume();
  }
}
