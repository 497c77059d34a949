import type { Percentiles } from '../src/runtime/histogram.ts';

/** Percentiles of samples in milliseconds, to a microsecond. */
export function percentilesOf(samples: readonly number[]): Percentiles {
  const sorted = Float64Array.from(samples).sort();
  const at = (share: number): number => {
    const index = Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1);
    return Math.round(sorted[Math.max(0, index)] * 1000) / 1000;
  };
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), p999: at(0.999), max: at(1) };
}
