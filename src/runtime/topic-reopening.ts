import type { AnswerTo, BrokerIntroduction, Command } from '../core/metadata/commands.ts';
import type { FoundReplica } from '../core/reopening.ts';
import type { PartitionInfo, RecoveryReport } from '../types.ts';
import type { OpenedReplica, PartitionAssignment, Reign } from './directory.ts';
import type { Members } from './members.ts';
import { type Findings, reasonFor, reignOf, reportsOf } from './reopening.ts';
import type { Topics } from './topics.ts';

interface ReopenedCluster {
  readonly topics: Topics;
  readonly members: Members;
  readonly recovery: RecoveryReport[];
  /** As which the brokers register. */
  readonly introductions: readonly BrokerIntroduction[];
  /** Whether brokers may have files of an earlier run. */
  readonly hasRunBefore: boolean;
  homeOf(broker: number): string;
  submit<Each extends Command>(command: Each): Promise<AnswerTo<Each>>;
  /** Every broker is registered, with its epoch, and may be given something. */
  registered(epochs: ReadonlyMap<number, number>, findings: Findings): void;
  /** Logs that a broker had to bring into order first, since others have what is missing there. */
  mended(broker: number, opened: readonly OpenedReplica[]): void;
}

/** Brings back the topics of the last run: opens all logs, elects, writes it down, and lets leaders lead. */
export async function reopenTopics(cluster: ReopenedCluster): Promise<void> {
  const { topics, members, introductions, recovery, homeOf } = cluster;
  const before = new Map<number, PartitionInfo>();
  const assignments: PartitionAssignment[] = [];
  for (const { topicId, config, partitions } of topics.written) {
    for (const info of partitions) {
      before.set(info.id, info);
      assignments.push({ info: { ...info, leader: -1 }, config, topicId, isKept: true });
    }
  }
  // Whatever the last run has not told brokers about replicas that left them.
  for (const { handle } of members.alive) {
    const directories = topics.foreignTo(handle.id);
    if (directories.size > 0) handle.request({ type: 'discard', directories }).catch(() => undefined);
  }
  // Where there are no topics any more, brokers may have written something down of those that they had.
  const findings: Findings =
    before.size === 0 && !cluster.hasRunBefore
      ? new Map()
      : await members.assign(assignments, Number.POSITIVE_INFINITY, { areAll: true });
  const found = foundIn(findings);
  const { epochs, leaderless } = await cluster.submit({
    type: 'start-cluster',
    brokers: introductions,
    found,
  });
  cluster.registered(epochs, findings);
  if (before.size === 0) return;
  for (const id of leaderless) {
    const info = before.get(id) as PartitionInfo;
    // Nothing is wrong with the logs, but with whose they are: the metadata say that.
    if (info.isr.every((broker) => findings.get(broker)?.get(id)?.state === 'online')) continue;
    topics.explain(id, reasonFor(info, findings, homeOf));
  }
  for (const [broker, opened] of findings)
    recovery.push(...reportsOf(broker, opened.values(), before, homeOf(broker)));
  const infos = topics.written.flatMap(({ partitions }) => partitions);
  const reigns = infos.filter(({ leader }) => leader !== -1).map((info) => reignOf(info, findings));
  // Before the brokers rule and follow: what becomes of them meanwhile changes what is seen.
  for (const { name } of topics.written) topics.show(name);
  await rule(cluster, infos, reigns);
}

/** By partition: the replicas whose logs could be opened. */
function foundIn(findings: Findings): Map<number, FoundReplica[]> {
  const found = new Map<number, FoundReplica[]>();
  for (const [broker, opened] of findings) {
    for (const { id, state, leo, lastEpoch, hwm } of opened.values()) {
      if (state !== 'online') continue;
      const replica = { broker, leo, lastEpoch, hwm };
      const others = found.get(id);
      if (others === undefined) found.set(id, [replica]);
      else others.push(replica);
    }
  }
  return found;
}

/** Leaders first: a follower finds its leader ready. */
async function rule(
  cluster: ReopenedCluster,
  infos: readonly PartitionInfo[],
  reigns: readonly Reign[],
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
    cluster.mended(handle.id, opened as OpenedReplica[]);
  });
  await Promise.all(mended);
}
