import type { BrokerMetrics, CounterName } from '../types.ts';
import type { ArenaView } from './arena.ts';
import { HISTOGRAM_BYTES, Histogram } from './histogram.ts';

const counters: readonly CounterName[] = [
  'batchesAppended',
  'batchesRefused',
  'duplicateBatches',
  'corruptFrames',
  'laps',
  'catchUps',
  'damagedSegments',
];

const COUNTERS_BYTES = 128;
export const METRICS_BYTES = COUNTERS_BYTES + 2 * HISTOGRAM_BYTES;

/** One broker's counters and replication lags, in shared memory, so that reading them disturbs nobody. */
export class Metrics {
  /** From the leader's append to the HWM that commits it, written by the leader. */
  readonly lagHwm: Histogram;
  /** From the leader's append to this follower's LEO, written by the follower. */
  readonly lagFollower: Histogram;
  readonly #int32: Int32Array;
  readonly #base: number;

  constructor(arena: ArenaView, address: number) {
    arena.reach(address + METRICS_BYTES);
    this.#int32 = arena.int32;
    this.#base = address / 4;
    this.lagHwm = new Histogram(this.#int32, address + COUNTERS_BYTES);
    this.lagFollower = new Histogram(this.#int32, address + COUNTERS_BYTES + HISTOGRAM_BYTES);
  }

  count(name: CounterName): void {
    this.#int32[this.#base + counters.indexOf(name)]++;
  }

  read(broker: number): BrokerMetrics {
    const values = counters.map((name, index) => [name, Atomics.load(this.#int32, this.#base + index) >>> 0]);
    return {
      broker,
      counters: Object.fromEntries(values) as Record<CounterName, number>,
      lagHwm: this.lagHwm.snapshot(),
      lagFollower: this.lagFollower.snapshot(),
    };
  }
}
