import type { MetadataPartition } from './image.ts';
import type { PartitionChangeRecord } from './records.ts';

/** What of a partition a decision wants to be otherwise. */
export interface PartitionStanding {
  readonly replicas?: readonly number[] | undefined;
  readonly isr?: readonly number[] | undefined;
  readonly leader?: number | undefined;
  readonly adding?: readonly number[] | undefined;
  readonly removing?: readonly number[] | undefined;
  readonly throttle?: number | null | undefined;
  readonly lostDirectory?: string | null | undefined;
  /** Who has no longer what it had as a member of the ISR, or never had what counts by now. */
  readonly lost?: readonly number[] | undefined;
}

/**
 * A record of what differs from what is, or undefined. `least` is how many have to be in sync for anything to be
 * committed, and `hasLog` tells whose log is there to lead with: one that is not will be made anew once somebody leads.
 */
export function changeOf(
  before: MetadataPartition,
  next: PartitionStanding,
  least: number,
  hasLog: (broker: number) => boolean,
  beginsEpoch = false,
): PartitionChangeRecord | undefined {
  const { leader = before.leader } = next;
  const eligible = eligibleAfter(before, next, least, hasLog);
  const record: Draft = {
    type: 'partition-change',
    id: before.id,
    partitionEpoch: before.partitionEpoch + 1,
  };
  for (const name of ['replicas', 'isr', 'adding', 'removing'] as const) {
    const list = next[name];
    if (list !== undefined && !isSame(list, before[name])) record[name] = list;
  }
  if (!isSame(eligible, before.eligible)) record.eligible = eligible;
  if (leader !== before.leader || beginsEpoch) record.leader = leader;
  if (next.throttle !== undefined && next.throttle !== before.throttle) record.throttle = next.throttle;
  const { lostDirectory } = next;
  if (lostDirectory !== undefined && lostDirectory !== before.lostDirectory)
    record.lostDirectory = lostDirectory;
  return Object.keys(record).length === IDENTITY ? undefined : record;
}

/** What is wanted of a partition. Where all that are to stay are in sync by then, and one of them can lead, the others go. */
export function reassigned(
  before: MetadataPartition,
  next: PartitionStanding,
  canLead: (broker: number) => boolean,
): PartitionStanding {
  const { adding = before.adding, removing = before.removing } = next;
  if (adding.length === 0 && removing.length === 0) return next;
  const { replicas = before.replicas, isr = before.isr, leader = before.leader } = next;
  const wanted = replicas.filter((id) => !removing.includes(id));
  if (leader === -1 || !wanted.every((id) => isr.includes(id))) return next;
  const heir = wanted.includes(leader) ? leader : wanted.find(canLead);
  if (heir === undefined) return next;
  return { ...next, replicas: wanted, isr: wanted, leader: heir, adding: [], removing: [], throttle: null };
}

type Draft = { -readonly [name in keyof PartitionChangeRecord]: PartitionChangeRecord[name] };

/** Fields of a record that changes nothing. */
const IDENTITY = 3;

/**
 * Who left the ISR when it became too small, or while it was: nothing was committed since, so that they have all that was
 * (KIP-966). The leader is told of them, and commits nothing while there are any.
 */
function eligibleAfter(
  before: MetadataPartition,
  { replicas = before.replicas, isr = before.isr, leader = before.leader, lost = [] }: PartitionStanding,
  least: number,
  hasLog: (broker: number) => boolean,
): readonly number[] {
  if (isr.length >= least) return [];
  const had = (id: number): boolean => before.isr.includes(id) || before.eligible.includes(id);
  return replicas.filter(
    (id) => had(id) && !isr.includes(id) && !lost.includes(id) && (leader === -1 || hasLog(id)),
  );
}

function isSame(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((id, n) => id === other[n]);
}
