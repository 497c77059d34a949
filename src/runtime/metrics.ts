import { BROKERS_MAX } from '../limits.ts';
import type { BrokerMetrics, CounterName, FollowerLag } from '../types.ts';
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
  'readsRefused',
  'requestsFenced',
  'requestsTimedOut',
  'isrShrinks',
  'isrExpansions',
  'corruptRequests',
  'unfitFrames',
  'wishesRefused',
  'wishesFenced',
  'sequencesRefused',
];

const COUNTERS_BYTES = 128;
/** Of each follower: one more than for how long it is behind, so that 0 is none, and by how many records. */
const LAG_BYTES = 8;
const LAGS_AT = COUNTERS_BYTES + 2 * HISTOGRAM_BYTES;
export const METRICS_BYTES = LAGS_AT + BROKERS_MAX * LAG_BYTES;

const INT32_MAX = 0x7fff_ffff;

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

  storeLag(follower: number, behindMs: number, records: number): void {
    const index = this.#base + (LAGS_AT + follower * LAG_BYTES) / 4;
    Atomics.store(this.#int32, index + 1, Math.min(records, INT32_MAX));
    Atomics.store(this.#int32, index, Math.min(Math.round(behindMs) + 1, INT32_MAX));
  }

  #loadLags(): FollowerLag[] {
    const lags: FollowerLag[] = [];
    for (let follower = 0; follower < BROKERS_MAX; follower++) {
      const index = this.#base + (LAGS_AT + follower * LAG_BYTES) / 4;
      const behindMs = Atomics.load(this.#int32, index) - 1;
      if (behindMs >= 0) lags.push({ follower, behindMs, records: Atomics.load(this.#int32, index + 1) });
    }
    return lags;
  }

  read(broker: number): BrokerMetrics {
    const values = counters.map((name, index) => [name, Atomics.load(this.#int32, this.#base + index) >>> 0]);
    return {
      broker,
      counters: Object.fromEntries(values) as Record<CounterName, number>,
      lagHwm: this.lagHwm.snapshot(),
      lagFollower: this.lagFollower.snapshot(),
      followers: this.#loadLags(),
    };
  }
}
