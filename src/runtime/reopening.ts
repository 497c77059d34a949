import { join } from 'node:path';
import type { LogEnd } from '../core/reopening.ts';
import { partitionDirectory } from '../log/file-names.ts';
import type { PartitionInfo, RecoveryReport } from '../types.ts';
import type { OpenedReplica, Reign } from './directory.ts';

/** What each broker found of its replicas: by broker, by partition id. */
export type Findings = ReadonlyMap<number, ReadonlyMap<number, OpenedReplica>>;

/** What a leader has to know of the others in the ISR. */
export function reignOf(info: PartitionInfo, findings: Findings): Reign {
  const others = info.isr.filter((broker) => broker !== info.leader);
  return { info, followers: others.map((broker) => findings.get(broker)?.get(info.id) as LogEnd) };
}

/** Why nobody can lead a partition, and what helps. */
export function reasonFor(
  info: PartitionInfo,
  findings: Findings,
  homeOf: (broker: number) => string,
): string {
  const reasons: string[] = [];
  let repair = '';
  for (const broker of info.isr) {
    const opened = findings.get(broker)?.get(info.id);
    reasons.push(`broker ${broker}: ${whyNot(opened)}`);
    if (opened?.state !== 'damaged') continue;
    const path = join(homeOf(broker), partitionDirectory(info.topic, info.partition));
    repair ||= ` Restore the files, or see with \`npx tidemark log repair ${path}\` what a repair would drop; then start again.`;
  }
  const advice = repair === '' ? ' Mend that, and start again.' : repair;
  return `Partition ${info.partition} of '${info.topic}' has no leader, because no replica that was in sync could be opened: ${reasons.join(' ')}${advice}`;
}

/** Why a broker that was in sync cannot lead, in a sentence. */
function whyNot(opened: OpenedReplica | undefined): string {
  if (opened === undefined) return 'it is not running.';
  // One that could be opened would lead, if that had been in sync.
  const { error = 'it came with another directory than the one that was in sync' } = opened;
  return error.replace(/\.?$/, '.');
}

/** What a broker had to take out of its files, for people. */
export function reportsOf(
  broker: number,
  opened: Iterable<OpenedReplica>,
  infos: ReadonlyMap<number, PartitionInfo>,
  home: string,
): RecoveryReport[] {
  const reports: RecoveryReport[] = [];
  for (const { id, cuts } of opened) {
    const { topic, partition } = infos.get(id) as PartitionInfo;
    for (const cut of cuts) reports.push({ broker, topic, partition, ...cut, file: join(home, cut.file) });
  }
  return reports;
}
