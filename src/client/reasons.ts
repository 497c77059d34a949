import { join } from 'node:path';
import { partitionDirectory } from '../log/file-names.ts';
import { systemClock } from '../runtime/clock.ts';
import type { Coordinator } from '../runtime/coordinator.ts';
import { pause } from '../runtime/timers.ts';
import type { PartitionInfo, RecoveryReport } from '../types.ts';

/** What a client asks of the coordinator when a broker has refused it without a word. */
export interface ReasonRequest {
  readonly broker: number;
  /** Whose bytes are damaged; otherwise the broker's disk is meant. */
  readonly damaged?: Pick<PartitionInfo, 'topic' | 'partition' | 'replicas'>;
}

/** A broker's own word takes another way than its answers, and may come later. */
const REASON_WAIT_MS = 500;
const REASON_LOOK_MS = 10;

/** What was found, and what helps, in sentences; undefined where nobody knows more. */
export async function reasonFor(
  coordinator: Coordinator,
  { broker, damaged }: ReasonRequest,
): Promise<string | undefined> {
  const look = (): string | undefined =>
    damaged === undefined
      ? coordinator.members.find(broker)?.handle.error
      : damageOf(coordinator, broker, damaged);
  for (let waitedMs = 0; waitedMs < REASON_WAIT_MS; waitedMs += REASON_LOOK_MS) {
    const reason = look();
    if (reason !== undefined) return reason;
    await pause(systemClock, REASON_LOOK_MS);
  }
  return damaged === undefined ? undefined : adviceOn(coordinator, broker, damaged, []);
}

type Damaged = NonNullable<ReasonRequest['damaged']>;

function damageOf(coordinator: Coordinator, broker: number, damaged: Damaged): string | undefined {
  const reports = coordinator.recovery.filter(
    ({ topic, partition, action }) =>
      action === 'reported' && topic === damaged.topic && partition === damaged.partition,
  );
  return reports.some((report) => report.broker === broker)
    ? adviceOn(coordinator, broker, damaged, reports)
    : undefined;
}

function adviceOn(
  coordinator: Coordinator,
  broker: number,
  { topic, partition, replicas }: Damaged,
  reports: readonly RecoveryReport[],
): string {
  const others = replicas.filter((id) => id !== broker && !reports.some((report) => report.broker === id));
  const other =
    others.length === 0
      ? ' Every replica is damaged.'
      : ` Read it from another replica, such as \`broker: ${others[0]}\`.`;
  const home = coordinator.homeOf(broker);
  if (home === '') return other.trimStart();
  const directory = join(home, partitionDirectory(topic, partition));
  const file = reports.find((report) => report.broker === broker)?.file ?? directory;
  const verify = `\`npx tidemark log verify ${file}\` shows what is damaged.`;
  const repair = ` With the cluster closed, \`npx tidemark log repair ${directory}\` shows what a repair would drop.`;
  return `${verify}${other}${others.length === 0 ? repair : ''}`;
}
