import { writeFileSync } from 'node:fs';
import { ClusterScenario } from './cluster-scenario.ts';
import { LagScenario } from './lag-scenario.ts';
import { LimitScenario } from './limit.ts';
import { batchLoad, singleLoad } from './load.ts';
import { benchOptions } from './options.ts';
import { hostFacts, printReport, type Report } from './report.ts';
import { median, type RoundResult, rateOf, type Scenario, summarise } from './scenario.ts';

// All scenarios are started first and then run in turn, round by round: on a noisy machine only rates that were
// taken next to each other can be compared, so a ratio is the median of the ratios within the rounds.

const rounds = new Map<string, RoundResult[]>();

const DURABILITIES = ['memory', 'os', 'fsync'] as const;
const MIB = 1 << 20;

/** Segments large enough that beginning one is rare, as they are on a disk, and few enough to be recycled soon. */
const durable = {
  brokers: 3,
  acks: 'all',
  config: { 'retention.bytes': 8 * MIB, 'segment.bytes': 4 * MIB },
} as const;

/** A thousand partitions are to fit the page cache, and to be recycled within a round or two. */
const many = {
  brokers: 3,
  acks: 'all',
  durability: 'os',
  config: { 'retention.bytes': MIB / 4, 'segment.bytes': MIB / 4 },
} as const;

const scenarios: Scenario[] = [
  new LimitScenario(1),
  new LimitScenario(3),
  new LimitScenario(3, true),
  new ClusterScenario('standalone.acks1', { brokers: 1, acks: 1, load: batchLoad }),
  new ClusterScenario('cluster.acks0', { brokers: 3, acks: 0, load: batchLoad }),
  new ClusterScenario('cluster.acks1', { brokers: 3, acks: 1, load: batchLoad }),
  new ClusterScenario('cluster.acksAll', { brokers: 3, acks: 'all', load: batchLoad }),
  new ClusterScenario('cluster.acksAll.single', { brokers: 3, acks: 'all', load: singleLoad(4096) }),
  ...DURABILITIES.map(
    (durability) =>
      new ClusterScenario(`durability.${durability}`, { ...durable, durability, load: batchLoad }),
  ),
  new ClusterScenario('fsync.one', { ...durable, durability: 'fsync', load: singleLoad(1) }),
  new ClusterScenario('fsync.1024', { ...durable, durability: 'fsync', load: singleLoad(1024) }),
  ...[3, 1000].map(
    (partitions) => new ClusterScenario(`partitions.${partitions}`, { ...many, partitions, load: batchLoad }),
  ),
];
const lag = new LagScenario(() => median((rounds.get('cluster.acksAll') ?? []).map(rateOf)));

const RATIOS: readonly (readonly [string, string])[] = [
  ['cluster.acksAll', 'limit.3'],
  ['cluster.acksAll', 'limit.3.whole'],
  ['cluster.acksAll.single', 'limit.3'],
  ['cluster.acksAll', 'standalone.acks1'],
  ['standalone.acks1', 'limit.1'],
  ['durability.os', 'limit.3'],
  ['durability.os', 'durability.memory'],
  ['durability.fsync', 'durability.memory'],
  ['fsync.1024', 'fsync.one'],
  ['partitions.1000', 'partitions.3'],
];

function ratios(): Record<string, number> {
  const found: Record<string, number> = {};
  for (const [one, other] of RATIOS) {
    const mine = rounds.get(one);
    const theirs = rounds.get(other);
    if (mine === undefined || theirs === undefined) continue;
    const each = mine.map((round, index) => rateOf(round) / rateOf(theirs[index]));
    found[`${one} / ${other}`] = Math.round(median(each) * 1000) / 1000;
  }
  return found;
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
  else process.stderr.write(`${text}\n`);
}

async function run(chosen: readonly Scenario[], count: number, roundMs: number): Promise<void> {
  for (let round = 0; round < count; round++) {
    for (const scenario of chosen) {
      const result = await scenario.round(roundMs);
      const all = rounds.get(scenario.name) ?? [];
      rounds.set(scenario.name, [...all, result]);
      progress(
        `round ${round + 1}/${count}  ${scenario.name}  ${Math.round(rateOf(result)).toLocaleString('en-US')} records/s`,
      );
    }
  }
}

async function main(): Promise<void> {
  const names = [...scenarios.map(({ name }) => name), lag.name];
  const options = benchOptions(process.argv.slice(2), names);
  if (options === undefined) return;
  const { quick } = options;
  // Refused now rather than after minutes.
  if (options.json !== undefined) writeFileSync(options.json, '');
  const count = quick ? 3 : 9;
  const roundMs = quick ? 250 : 1200;
  // The lag is taken at half of what the cluster does at most, which has to be measured first.
  const wantsLag = options.only.includes(lag.name);
  const chosen = scenarios.filter(
    ({ name }) => options.only.includes(name) || (wantsLag && name === 'cluster.acksAll'),
  );
  const started: Scenario[] = [];
  try {
    for (const scenario of chosen) {
      progress(`start and warm up  ${scenario.name}`);
      started.push(scenario);
      await scenario.start();
      await scenario.round(quick ? 300 : 2000);
    }
    await run(chosen, count, roundMs);
    if (wantsLag) {
      started.push(lag);
      await lag.start();
      await lag.round(roundMs);
      lag.forget();
      await run([lag], count, roundMs);
    }
    const results = [];
    for (const scenario of started) {
      progress(`compare replicas  ${scenario.name}`);
      const summary = summarise(scenario.name, rounds.get(scenario.name) ?? [], await scenario.verify());
      results.push(scenario === lag ? { ...summary, ...lag.lags } : summary);
    }
    progress('');
    const config = { quick, rounds: count, roundMs };
    const report: Report = { schema: 1, host: hostFacts(), config, results, ratios: ratios() };
    printReport(report);
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
    if (results.some(({ verified }) => !verified)) {
      console.error(
        'bench: replicas differ, or acknowledged records are missing: no figure of these rows counts.',
      );
      process.exitCode = 1;
    }
  } finally {
    await Promise.all(started.map((scenario) => scenario.close()));
  }
}

await main();
