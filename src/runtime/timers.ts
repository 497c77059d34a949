import type { Clock } from './surroundings.ts';

/** The value, or the error that `late` makes when it takes longer than that. Leaves no timer behind. */
export function timeLimit<T>(
  clock: Clock,
  promise: Promise<T>,
  limitMs: number,
  late: () => Error,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.scheduleKept(limitMs, () => reject(late()));
    promise.then(resolve, reject).finally(cancel);
  });
}

/** Lets time pass, without keeping the process for it. */
export function pause(clock: Clock, milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    clock.schedule(milliseconds, resolve);
  });
}

/** A coarse clock tick that keeps the event loop alive only while it is held. One timer, however often it is held. */
export class KeepAlive {
  readonly #timer: NodeJS.Timeout;
  readonly #tick: () => void;
  #held = false;

  constructor(everyMs: number, tick: () => void) {
    this.#tick = tick;
    this.#timer = setInterval(() => {
      if (this.#held) this.#tick();
    }, everyMs);
    this.#timer.unref();
  }

  hold(held: boolean): void {
    if (held === this.#held) return;
    this.#held = held;
    if (held) this.#timer.ref();
    else this.#timer.unref();
  }

  end(): void {
    clearInterval(this.#timer);
  }
}

/** One timer for the earliest of the times it is set to. It does not keep the event loop alive. */
export class Alarm {
  readonly #clock: Clock;
  readonly #wake: () => void;
  #callOff: () => void = () => undefined;
  #atMs = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, wake: () => void) {
    this.#clock = clock;
    this.#wake = wake;
  }

  set(atMs: number): void {
    if (atMs >= this.#atMs) return;
    this.clear();
    this.#atMs = atMs;
    // A timer may be early by a part of a millisecond.
    const delayMs = Math.max(0, Math.ceil(atMs - this.#clock.nowMs()) + 1);
    this.#callOff = this.#clock.schedule(delayMs, () => {
      this.#atMs = Number.POSITIVE_INFINITY;
      this.#wake();
    });
  }

  clear(): void {
    this.#callOff();
    this.#atMs = Number.POSITIVE_INFINITY;
  }
}

/** From 0 up to 1, to spread out what would otherwise happen at the same moment. */
export function randomFraction(): number {
  return Math.random();
}
