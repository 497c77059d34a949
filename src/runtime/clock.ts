import type { Clock } from './surroundings.ts';

/** Milliseconds that agree between the threads of one process, with sub-microsecond steps. */
const [seconds, nanoseconds] = process.hrtime();
const threadOriginMs = seconds * 1000 + nanoseconds / 1e6 - performance.now();

export function nowMs(): number {
  return performance.now() + threadOriginMs;
}

/** Milliseconds since 1970, for record timestamps. */
export function wallClockMs(): number {
  return Date.now();
}

/** Lets ports, sockets and timers have their turn. */
export function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

export const systemClock: Clock = {
  nowMs,
  wallClockMs,
  schedule: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
  scheduleKept: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
  every: (periodMs, callback) => {
    const timer = setInterval(callback, periodMs);
    timer.unref();
    return () => clearInterval(timer);
  },
  turn: yieldToEventLoop,
};
