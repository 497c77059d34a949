import { requireInteger, show, TidemarkError } from '../../errors.ts';
import type {
  AnswerTo,
  DecisionContext,
  EndReassignments,
  Outcome,
  Reassign,
  ReassignTarget,
} from './commands.ts';
import { Electorate } from './election.ts';
import type { MetadataImage, MetadataPartition } from './image.ts';
import { existingPartition } from './lookups.ts';
import type { PartitionChangeRecord } from './records.ts';
import type { PartitionStanding } from './standing.ts';

export function reassign(
  image: MetadataImage,
  { targets, throttle }: Reassign,
  context: DecisionContext,
): Outcome<AnswerTo<Reassign>> {
  if (!Array.isArray(targets)) {
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      `A reassignment takes a list of partitions and their replicas; got ${show(targets)}.`,
    );
  }
  if (throttle !== undefined) requireInteger('the throttle of a reassignment', throttle, 1);
  const electorate = new Electorate(image, context);
  const records = new Map<number, PartitionChangeRecord | undefined>();
  for (const target of targets) {
    const partition = existingPartition(image, target?.topic, target?.partition);
    if (records.has(partition.id))
      refuse(partition, `it is named twice; name it once, with the replicas it is to have`);
    const settled = settledFirst(electorate, partition);
    const known = { ...partition, ...settled };
    const standing =
      target.replicas === null
        ? cancelled(electorate, known)
        : directed(image, electorate, known, target, throttle ?? null);
    records.set(partition.id, electorate.change(partition, { ...settled, ...standing }));
  }
  const present = [...records.values()].filter((record) => record !== undefined);
  return { records: present, answer: { partitions: present.map(({ id }) => id) } };
}

export function endReassignments(
  image: MetadataImage,
  _: EndReassignments,
  context: DecisionContext,
): Outcome<AnswerTo<EndReassignments>> {
  const electorate = new Electorate(image, context);
  const records = image
    .partitions()
    // What follows from a leader's death comes first.
    .filter((partition) => isMoving(partition) && !isUnled(electorate, partition))
    .flatMap((partition) => electorate.change(partition, {}) ?? [])
    .filter(({ adding, removing }) => adding !== undefined || removing !== undefined);
  return { records, answer: { ended: records.map(({ id }) => id) } };
}

/**
 * Of a leader that has just died nobody may have heard: others lead first, and then it is decided who goes. Where nobody led
 * before, nothing has changed that would cost records: only somebody who has them all comes to lead.
 */
function settledFirst(electorate: Electorate, partition: MetadataPartition): PartitionStanding {
  if (!isUnled(electorate, partition)) return {};
  if (partition.leader !== -1) return electorate.settle(partition);
  const leader = electorate.elect(partition);
  return leader === -1 ? {} : electorate.under(leader, partition);
}

/** Whether it is on its way to other replicas. */
export function isMoving({ adding, removing }: MetadataPartition): boolean {
  return adding.length > 0 || removing.length > 0;
}

function isUnled(electorate: Electorate, { leader }: MetadataPartition): boolean {
  return leader === -1 || !electorate.isUp(leader);
}

/** On the way to other replicas. Where all of these are in sync already, the change to it is the last one too. */
function directed(
  image: MetadataImage,
  electorate: Electorate,
  partition: MetadataPartition,
  { replicas: wanted }: ReassignTarget,
  throttle: number | null,
): PartitionStanding {
  checkReplicas(image, electorate, partition, wanted);
  const { replicas, isr, eligible, adding: before, leader } = partition;
  const original = replicas.filter((id) => !before.includes(id));
  // Who was to come and is not wanted any more goes at once, unless it may be the only one that has everything.
  const left = replicas.filter((id) => original.includes(id) || isr.includes(id) || eligible.includes(id));
  const merged = [...wanted, ...left.filter((id) => !wanted.includes(id))];
  const adding = merged.filter((id) => !original.includes(id));
  const removing = merged.filter((id) => !wanted.includes(id));
  return {
    replicas: merged,
    isr: merged.filter((id) => isr.includes(id)),
    leader,
    adding,
    removing,
    throttle: adding.length === 0 ? null : throttle,
  };
}

/** Back to what it was, at once. Those who were to come go, also if they are in sync: others have all that they have. */
function cancelled(electorate: Electorate, partition: MetadataPartition): PartitionStanding {
  const { topic, partition: index, replicas, isr, adding, leader } = partition;
  if (!isMoving(partition)) {
    throw new TidemarkError(
      'NO_REASSIGNMENT_IN_PROGRESS',
      `Partition ${index} of '${topic}' is not being reassigned.`,
    );
  }
  const original = replicas.filter((id) => !adding.includes(id));
  const inSync = original.filter((id) => isr.includes(id));
  const heir = original.includes(leader) ? leader : inSync.find((id) => electorate.canLead(id, partition));
  // Those who were to come may be the only ones that live and have everything.
  if (heir === undefined) {
    refuse(
      partition,
      `the reassignment is not cancelled, because none of its replicas of before (${original.join(', ')}) is running and in sync; start one of these brokers, and wait until it is`,
    );
  }
  return { replicas: original, isr: inSync, leader: heir, adding: [], removing: [], throttle: null };
}

function checkReplicas(
  image: MetadataImage,
  electorate: Electorate,
  partition: MetadataPartition,
  wanted: unknown,
): asserts wanted is readonly number[] {
  if (!Array.isArray(wanted) || wanted.length === 0)
    return refuse(partition, `replicas must be a list of one broker at least; got ${show(wanted)}`);
  if (new Set(wanted).size !== wanted.length)
    return refuse(partition, `a broker is named twice: ${wanted.map(show).join(', ')}`);
  for (const id of wanted) {
    if (typeof id !== 'number' || image.broker(id) === undefined)
      refuse(partition, `broker ${show(id)} is not registered`);
    if (!partition.replicas.includes(id) && !electorate.isActive(id))
      refuse(
        partition,
        `broker ${id} is not running, and could not get its records; start it, or choose another`,
      );
  }
}

function refuse({ topic, partition }: MetadataPartition, why: string): never {
  throw new TidemarkError('INVALID_REPLICA_ASSIGNMENT', `Partition ${partition} of '${topic}': ${why}.`);
}
