/**
 * A histogram of times in shared memory, for one writing thread and any readers. Buckets are log-linear over
 * whole microseconds: 16 to each power of two, so that a percentile is exact to 6 %.
 *
 *   0..15 µs one bucket each | 16..31 µs 16 buckets of 1 | 32..63 µs 16 buckets of 2 | ... up to 2^31 µs
 */
const SUB_BUCKET_BITS = 4;
const SUB_BUCKETS = 1 << SUB_BUCKET_BITS;
const BUCKETS = (31 - SUB_BUCKET_BITS + 1) * SUB_BUCKETS;
const MICROSECONDS_MAX = 2 ** 31 - 1;

export const HISTOGRAM_BYTES = BUCKETS * 4;

export function bucketOf(microseconds: number): number {
  if (microseconds < SUB_BUCKETS) return microseconds;
  const exponent = 31 - Math.clz32(microseconds);
  return ((exponent - SUB_BUCKET_BITS) << SUB_BUCKET_BITS) + (microseconds >>> (exponent - SUB_BUCKET_BITS));
}

/** The largest time that falls into a bucket, in microseconds. */
export function bucketEnd(bucket: number): number {
  if (bucket < SUB_BUCKETS) return bucket;
  const shift = (bucket >>> SUB_BUCKET_BITS) - 1;
  return ((bucket & (SUB_BUCKETS - 1)) + SUB_BUCKETS + 1) * 2 ** shift - 1;
}

export class Histogram {
  readonly #counts: Int32Array;
  readonly #base: number;

  constructor(int32: Int32Array, address: number) {
    this.#counts = int32;
    this.#base = address / 4;
  }

  record(milliseconds: number): void {
    const microseconds = Math.min(Math.max(Math.round(milliseconds * 1000), 0), MICROSECONDS_MAX);
    // One writer: a plain increment loses nothing. Readers may see it a little later.
    this.#counts[this.#base + bucketOf(microseconds)]++;
  }

  /** The counts as they stand, to be subtracted from later ones or added to other threads'. */
  snapshot(): Uint32Array {
    return new Uint32Array(this.#counts.slice(this.#base, this.#base + BUCKETS).buffer);
  }
}

export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** Percentiles in milliseconds over counts from `snapshot`; each is the upper end of its bucket. */
export function percentiles(counts: Uint32Array): Percentiles {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const at = (share: number): number => {
    let left = Math.max(1, Math.ceil(total * share));
    for (let bucket = 0; bucket < counts.length; bucket++) {
      left -= counts[bucket];
      if (left <= 0) return bucketEnd(bucket) / 1000;
    }
    return 0;
  };
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), p999: at(0.999), max: at(1) };
}
