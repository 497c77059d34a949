import { nowMs } from './clock.ts';

/** The value, or the error that `late` makes when it takes longer than that. Leaves no timer behind. */
export function timeLimit<T>(promise: Promise<T>, limitMs: number, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(late()), limitMs);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** Lets time pass, without keeping the process for it. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds).unref();
  });
}

/** Lets ports, sockets and timers have their turn. */
export function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
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
  readonly #wake: () => void;
  #timer: NodeJS.Timeout | undefined;
  #atMs = Number.POSITIVE_INFINITY;

  constructor(wake: () => void) {
    this.#wake = wake;
  }

  set(atMs: number): void {
    if (atMs >= this.#atMs) return;
    clearTimeout(this.#timer);
    this.#atMs = atMs;
    // A timer may be early by a part of a millisecond.
    const delayMs = Math.max(0, Math.ceil(atMs - nowMs()) + 1);
    this.#timer = setTimeout(() => {
      this.#atMs = Number.POSITIVE_INFINITY;
      this.#wake();
    }, delayMs);
    this.#timer.unref();
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#atMs = Number.POSITIVE_INFINITY;
  }
}

/** From 0 up to 1, to spread out what would otherwise happen at the same moment. */
export function randomFraction(): number {
  return Math.random();
}
