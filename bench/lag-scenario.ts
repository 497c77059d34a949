import { percentiles } from '../src/runtime/histogram.ts';
import type { BrokerMetrics } from '../src/types.ts';
import { ClusterScenario } from './cluster-scenario.ts';
import { pacedLoad } from './load.ts';
import type { Lags, RoundResult, Scenario, ScenarioLags } from './scenario.ts';

/** Replication lag at a given rate: half of what the same cluster shape was measured to do at most, in this run. */
export class LagScenario implements Scenario {
  readonly name: string;
  readonly #cluster: ClusterScenario;
  #hwm: Uint32Array | undefined;
  #follower: Uint32Array | undefined;

  constructor(name: string) {
    this.name = name;
    this.#cluster = new ClusterScenario(name, { brokers: 3, acks: 'all', load: pacedLoad });
  }

  start(): Promise<void> {
    return this.#cluster.start();
  }

  async round(durationMs: number, recordsPerSecond: number): Promise<RoundResult> {
    const before = this.#cluster.cluster.metrics();
    const result = await this.#cluster.round(durationMs, recordsPerSecond);
    const after = this.#cluster.cluster.metrics();
    this.#hwm = gained(before, after, (metrics) => metrics.lagHwm, this.#hwm);
    this.#follower = gained(before, after, (metrics) => metrics.lagFollower, this.#follower);
    return result;
  }

  forget(): void {
    this.#hwm = undefined;
    this.#follower = undefined;
  }

  get lags(): ScenarioLags {
    return { lagMs: lagsOf(this.#hwm), followerLagMs: lagsOf(this.#follower) };
  }

  verify(): Promise<boolean> {
    return this.#cluster.verify();
  }

  close(): Promise<void> {
    return this.#cluster.close();
  }
}

function lagsOf(counts: Uint32Array | undefined): Lags {
  const { p50, p99, max } = percentiles(counts ?? new Uint32Array(1));
  return { p50, p99, max };
}

/** What the brokers counted in between, added to `sum`. */
function gained(
  before: readonly BrokerMetrics[],
  after: readonly BrokerMetrics[],
  counts: (metrics: BrokerMetrics) => Uint32Array,
  sum: Uint32Array | undefined,
): Uint32Array {
  const total = sum ?? new Uint32Array(counts(after[0]).length);
  after.forEach((metrics, broker) => {
    const earlier = counts(before[broker]);
    counts(metrics).forEach((count, bucket) => {
      total[bucket] += count - earlier[bucket];
    });
  });
  return total;
}
