import type { PartitionInfo, RecoveryReport } from '../types.ts';
import type { DataDirectory } from './data-directory.ts';
import type { OpenedReplica, PartitionAssignment, Reign } from './directory.ts';
import type { Members } from './members.ts';
import { reignOf, reopened, reportsOf } from './reopening.ts';
import type { Topics } from './topics.ts';

interface ReopenedCluster {
  readonly topics: Topics;
  readonly members: Members;
  readonly directory: DataDirectory;
  readonly recovery: RecoveryReport[];
}

/** Brings back the topics of the last run: opens all logs, elects, writes it down, and lets leaders lead. */
export async function reopenTopics(cluster: ReopenedCluster): Promise<void> {
  const { topics, members, directory } = cluster;
  const before = new Map<number, PartitionInfo>();
  const assignments: PartitionAssignment[] = [];
  for (const { topicId, config, partitions } of topics.written) {
    for (const info of partitions) {
      before.set(info.id, info);
      assignments.push({ info: { ...info, leader: -1 }, config, topicId, isKept: true });
    }
  }
  if (before.size > 0) {
    const findings = await members.assign(assignments, Number.POSITIVE_INFINITY);
    const pathOf = (broker: number): string => directory.home(broker)?.path ?? '';
    const infos = topics.plan((info) => reopened(info, findings, pathOf));
    const reigns = infos.filter(({ leader }) => leader !== -1).map((info) => reignOf(info, findings));
    for (const [broker, found] of findings) report(cluster, broker, found.values(), before);
    await topics.commit();
    // Before the brokers rule and follow: what becomes of them meanwhile changes what is seen.
    for (const { name } of topics.written) topics.show(name);
    await rule(cluster, infos, reigns, before);
  }
  if (members.all.every(({ handle }) => handle.state === 'running')) directory.recovered();
}

/** Leaders first: a follower finds its leader ready. */
async function rule(
  cluster: ReopenedCluster,
  infos: readonly PartitionInfo[],
  reigns: readonly Reign[],
  before: ReadonlyMap<number, PartitionInfo>,
): Promise<void> {
  const { alive } = cluster.members;
  await Promise.all(
    alive.map(({ handle }) => {
      const own = reigns.filter(({ info }) => info.leader === handle.id);
      return own.length === 0 ? undefined : handle.request({ type: 'lead', reigns: own });
    }),
  );
  const mended = alive.map(async ({ handle }) => {
    const limitMs = Number.POSITIVE_INFINITY;
    const opened = await handle.request({ type: 'reform', partitions: infos }, limitMs);
    report(cluster, handle.id, opened as OpenedReplica[], before);
  });
  await Promise.all(mended);
}

function report(
  { recovery, directory }: ReopenedCluster,
  broker: number,
  opened: Iterable<OpenedReplica>,
  infos: ReadonlyMap<number, PartitionInfo>,
): void {
  recovery.push(...reportsOf(broker, opened, infos, directory.home(broker)?.path ?? ''));
}
