import { ClusterScenario } from './cluster-scenario.ts';
import { FailoverScenario } from './failover-scenario.ts';
import { LagScenario } from './lag-scenario.ts';
import { LimitScenario } from './limit.ts';
import { batchLoad, singleLoad } from './load.ts';
import { RECORD_BYTES, type Scenario } from './scenario.ts';

const MIB = 1 << 20;

/** Beginning a segment is rare, as it is with segments as large as on a disk, and all files are recycled in a round. */
const durable = {
  brokers: 3,
  acks: 'all',
  load: batchLoad,
  config: { 'retention.bytes': 16 * MIB, 'segment.bytes': 16 * MIB },
} as const;

/** A thousand partitions are to fit the page cache, and to be recycled within a round or two. */
const many = {
  brokers: 3,
  acks: 'all',
  durability: 'os',
  load: batchLoad,
  config: { 'retention.bytes': MIB / 4, 'segment.bytes': MIB / 4 },
} as const;

const three = { brokers: 3, load: batchLoad } as const;

/** Everything that can be measured, in the order in which it is. */
export const SCENARIOS: Readonly<Record<string, (name: string) => Scenario>> = {
  'limit.1': (name) => new LimitScenario(name, 1),
  'limit.3': (name) => new LimitScenario(name, 3),
  'limit.3.whole': (name) => new LimitScenario(name, 3, true),
  'standalone.acks1': (name) => new ClusterScenario(name, { brokers: 1, acks: 1, load: batchLoad }),
  'cluster.acks0': (name) => new ClusterScenario(name, { ...three, acks: 0 }),
  'cluster.acks1': (name) => new ClusterScenario(name, { ...three, acks: 1 }),
  'cluster.acksAll': (name) => new ClusterScenario(name, { ...three, acks: 'all' }),
  'cluster.acksAll.single': (name) =>
    new ClusterScenario(name, { ...three, acks: 'all', load: singleLoad(4096) }),
  'durability.memory': (name) => new ClusterScenario(name, { ...durable, durability: 'memory' }),
  'durability.os': (name) => new ClusterScenario(name, { ...durable, durability: 'os' }),
  'durability.fsync': (name) => new ClusterScenario(name, { ...durable, durability: 'fsync' }),
  'fsync.one': (name) => new ClusterScenario(name, { ...durable, durability: 'fsync', load: singleLoad(1) }),
  'fsync.1024': (name) =>
    new ClusterScenario(name, { ...durable, durability: 'fsync', load: singleLoad(1024) }),
  'partitions.3': (name) => new ClusterScenario(name, { ...many, partitions: 3 }),
  'partitions.1000': (name) => new ClusterScenario(name, { ...many, partitions: 1000 }),
  'failover.kill': (name) => new FailoverScenario(name, 'kill'),
  'failover.hang': (name) => new FailoverScenario(name, 'hang'),
  'lag.half': (name) => new LagScenario(name),
};

/**
 * How much is written, beyond the usual warm-up, before anything counts: until every log of these takes recycled files,
 * as it does from then on. Making files is dear, and dearest soon after many were removed.
 */
export const WARM_UP_RECORDS: Readonly<Record<string, number>> = {
  'partitions.3': 400_000,
  'partitions.1000': (5 * 1000 * many.config['segment.bytes']) / RECORD_BYTES,
};

/** Its rate is half of what the other one does at most, which therefore is measured first. */
export const LAG = 'lag.half';
export const LAG_OF = 'cluster.acksAll';

/** Which rates are told as parts of which others. */
export const RATIOS: readonly (readonly [string, string])[] = [
  ['cluster.acksAll', 'limit.3'],
  ['cluster.acksAll', 'limit.3.whole'],
  ['cluster.acksAll.single', 'limit.3'],
  ['cluster.acksAll', 'cluster.acks0'],
  ['cluster.acksAll', 'cluster.acks1'],
  ['cluster.acksAll', 'standalone.acks1'],
  ['standalone.acks1', 'limit.1'],
  ['durability.os', 'limit.3'],
  ['durability.os', 'durability.memory'],
  ['durability.fsync', 'durability.memory'],
  ['fsync.1024', 'fsync.one'],
  ['partitions.1000', 'partitions.3'],
];

/** Those of these that are compared with each other, directly or by way of others; what is compared with none comes last. */
export function groupsOf(names: readonly string[]): string[][] {
  const groups: string[][] = [];
  const alone: string[] = [];
  const left = new Set(names);
  for (const first of names) {
    if (!left.delete(first)) continue;
    const group = [first];
    for (const name of group) {
      for (const pair of RATIOS) {
        const other = pair[0] === name ? pair[1] : pair[0];
        if (pair.includes(name) && left.delete(other)) group.push(other);
      }
    }
    if (group.length === 1) alone.push(first);
    else groups.push(names.filter((name) => group.includes(name)));
  }
  return alone.length === 0 ? groups : [...groups, alone];
}
