// What can be done to a broker, and how often it is chosen among the others.
import type { Cluster, DiskFault } from '../../src/index.ts';
import { TOPIC } from './clients.ts';

export type Undo = () => Promise<void>;

export interface Fault {
  readonly name: string;
  readonly weight: number;
  /** Whether the broker may have lost records: then all others need to have them, before and afterwards. */
  readonly isLossy: boolean;
  /** Resolves when it has happened, to what ends it; undefined if that is over with it. */
  begin(broker: number): Promise<Undo | undefined>;
}

/** In how many milliseconds a change of replicas or leaders has to begin; without a quorum it never does. */
const ADMIN_LIMIT_MS = 2_000;
const REPLICAS = 3;

export interface FaultPlan {
  readonly brokers: number;
  readonly partitions: number;
  /** A broker that ends has lost all it had, since that was in memory. */
  readonly losesAll: boolean;
}

/** Moves a partition to any three brokers, or lets another of the same three be preferred. */
async function reassign(cluster: Cluster, plan: FaultPlan, random: (below: number) => number): Promise<void> {
  const ids = Array.from({ length: plan.brokers }, (_, n) => n + 1);
  const replicas = Array.from({ length: REPLICAS }, () => ids.splice(random(ids.length), 1)[0]);
  const target = { topic: TOPIC, partition: random(plan.partitions), replicas };
  const throttleBytesPerSecond = 1 << 20;
  const options = random(3) === 0 ? { throttleBytesPerSecond } : {};
  await cluster.admin.reassign([target], { ...options, timeoutMs: ADMIN_LIMIT_MS });
}

/** What moves slowly, and under load perhaps never arrives, moves as fast as it can. */
export async function unthrottle(cluster: Cluster): Promise<void> {
  const targets = [];
  for (const { topic, partition, replicas, removing } of await cluster.admin.listReassignments())
    targets.push({ topic, partition, replicas: replicas.filter((id) => !removing.includes(id)) });
  if (targets.length > 0) await cluster.admin.reassign(targets);
}

export function faultsOf(
  cluster: Cluster,
  plan: FaultPlan,
  random: (below: number) => number,
): readonly Fault[] {
  const { brokers, losesAll } = plan;
  const { faults } = cluster;
  const start = (broker: number): Promise<void> => cluster.startBroker(broker);
  const fault = (
    name: string,
    weight: number,
    isLossy: boolean,
    act: (broker: number) => Promise<void>,
    undo?: (broker: number) => Promise<void>,
  ): Fault => ({
    ...{ name, weight, isLossy },
    async begin(broker) {
      await act(broker);
      return undo === undefined ? undefined : () => undo(broker);
    },
  });
  const breakDisk = (how: DiskFault) => (broker: number) => faults.disk(broker, how);
  // Whether it has met the fault or not: one that has went offline.
  const mendDisk = async (broker: number): Promise<void> => {
    await faults.disk(broker, 'sound');
    await faults.restart(broker);
  };
  return [
    fault('kill', 30, losesAll, (broker) => faults.kill(broker), start),
    fault('restart', 10, losesAll, (broker) => faults.restart(broker)),
    fault('stop', 10, losesAll, (broker) => cluster.stopBroker(broker), start),
    fault(
      'pause',
      25,
      false,
      (broker) => faults.pause(broker),
      (broker) => faults.resume(broker),
    ),
    fault(
      'isolate',
      25,
      false,
      (broker) => faults.isolate([broker]),
      () => faults.heal(),
    ),
    fault(
      'isolate-two',
      5,
      false,
      (broker) => faults.isolate([broker, (broker % brokers) + 1]),
      () => faults.heal(),
    ),
    fault('slow', 8, false, breakDisk('slow'), breakDisk('sound')),
    fault('full', 3, losesAll, breakDisk('full'), mendDisk),
    fault('failing', 3, losesAll, breakDisk('failing'), mendDisk),
    fault('wipe', 4, true, breakDisk('wiped')),
    fault('reassign', brokers > REPLICAS ? 20 : 8, false, () => reassign(cluster, plan, random)),
    fault('cancel', 2, false, () =>
      cluster.admin.cancelReassignments(undefined, { timeoutMs: ADMIN_LIMIT_MS }),
    ),
    fault('elect', 8, false, async () => {
      await cluster.admin.electLeaders({ timeoutMs: ADMIN_LIMIT_MS });
    }),
  ];
}
