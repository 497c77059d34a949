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
