import { show, TidemarkError } from '../../errors.ts';
import { PARTITIONS_A_TOPIC_MAX, PARTITIONS_MAX } from '../../limits.ts';
import type {
  AnswerTo,
  CreatePartitions,
  CreateTopic,
  DecisionContext,
  DeleteTopic,
  Outcome,
} from './commands.ts';
import { Electorate } from './election.ts';
import type { MetadataImage, MetadataPartition } from './image.ts';
import { existingTopic } from './lookups.ts';
import type { PartitionRecord } from './records.ts';
import { spreadReplicas } from './spread-replicas.ts';
import { acceptConfig, clusterDefaults } from './topic-config.ts';
import { checkNewTopicName } from './topic-name.ts';

type Assignments = readonly (readonly number[])[];

const DEFAULT_REPLICAS_MAX = 3;

export function createTopic(
  image: MetadataImage,
  command: CreateTopic,
  context: DecisionContext,
): Outcome<AnswerTo<CreateTopic>> {
  const { name, validateOnly } = command;
  checkNewTopicName(name);
  if (image.topic(name) !== undefined) {
    throw new TidemarkError('TOPIC_ALREADY_EXISTS', `Topic '${name}' exists already.`);
  }
  const config = acceptConfig(command.config, clusterDefaults(image, context.defaults));
  const electorate = new Electorate(image, context);
  const assignments = assignmentsOf(image, command, electorate);
  checkRoom(image, assignments.length);
  const topicId = context.newUuid();
  const partitions = partitionRecords(image, topicId, 0, assignments, electorate);
  return {
    records: validateOnly === true ? [] : [{ type: 'topic', name, topicId, config }, ...partitions],
    answer: { name, topicId, config, assignments },
  };
}

export function deleteTopic(image: MetadataImage, { name }: DeleteTopic): Outcome<AnswerTo<DeleteTopic>> {
  const { topicId, partitions } = existingTopic(image, name);
  return { records: [{ type: 'topic-removed', topicId }], answer: { topicId, partitions } };
}

export function createPartitions(
  image: MetadataImage,
  { topic: name, count, assignments: given, validateOnly }: CreatePartitions,
  context: DecisionContext,
): Outcome<AnswerTo<CreatePartitions>> {
  const { topicId, partitions } = existingTopic(image, name);
  const before = partitions.length;
  checkPartitions(count);
  if (count <= before) {
    throw new TidemarkError(
      'INVALID_PARTITIONS',
      `Topic '${name}' has ${before} partitions and cannot get ${count}: their number only grows.`,
    );
  }
  const electorate = new Electorate(image, context);
  // One that is being reassigned has more than it will have.
  const { replicas, removing } = image.partitionOf(name, 0) as MetadataPartition;
  const replicationFactor = replicas.length - removing.length;
  if (given !== undefined) {
    checkAssignments(image, given);
    if (given.length !== count - before || given.some(({ length }) => length !== replicationFactor)) {
      throw new TidemarkError(
        'INVALID_REPLICA_ASSIGNMENT',
        `The ${count - before} new partitions of '${name}' need a list of ${replicationFactor} brokers each, as its other partitions have.`,
      );
    }
  }
  const assignments = given ?? place(image, count - before, replicationFactor, electorate);
  checkRoom(image, assignments.length);
  const records = partitionRecords(image, topicId, before, assignments, electorate);
  return { records: validateOnly === true ? [] : records, answer: { assignments } };
}

function assignmentsOf(image: MetadataImage, command: CreateTopic, electorate: Electorate): Assignments {
  const { assignments, partitions, replicationFactor } = command;
  if (assignments === undefined) {
    const factor = replicationFactor ?? Math.min(DEFAULT_REPLICAS_MAX, image.fields.brokers.size);
    checkPartitions(partitions ?? 1);
    return place(image, partitions ?? 1, factor, electorate);
  }
  if (partitions !== undefined || replicationFactor !== undefined) {
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      'Assignments say how many partitions and replicas there are; leave partitions and replicationFactor out.',
    );
  }
  checkAssignments(image, assignments);
  checkPartitions(assignments.length);
  return assignments;
}

function place(
  image: MetadataImage,
  partitions: number,
  replicationFactor: number,
  electorate: Electorate,
): Assignments {
  const active = image.brokers().filter(({ id }) => electorate.isActive(id));
  const free = active.filter(({ id }) => !electorate.isEmptied(id));
  const emptied = active.length - free.length;
  const isSound = Number.isInteger(replicationFactor) && replicationFactor >= 1;
  if (!isSound || replicationFactor > free.length) {
    throw new TidemarkError(
      'INVALID_REPLICATION_FACTOR',
      isSound
        ? `A replication factor of ${replicationFactor} needs as many brokers; ${free.length} are running${emptied === 0 ? '' : `, besides ${emptied} that everything is moved from`}.`
        : `The replication factor must be a whole number of at least 1; got ${show(replicationFactor)}.`,
    );
  }
  return spreadReplicas(free, partitions, replicationFactor, image.fields.nextPartition);
}

function checkPartitions(count: number): void {
  if (Number.isInteger(count) && count >= 1 && count <= PARTITIONS_A_TOPIC_MAX) return;
  throw new TidemarkError(
    'INVALID_PARTITIONS',
    `A topic has 1 to ${PARTITIONS_A_TOPIC_MAX} partitions; got ${show(count)}.`,
  );
}

/** Ids of partitions are not used again, so that what is left of a deleted one is never taken for another. */
function checkRoom(image: MetadataImage, partitions: number): void {
  if (image.fields.nextPartition + partitions <= PARTITIONS_MAX) return;
  throw new TidemarkError(
    'INVALID_PARTITIONS',
    `A cluster gives out ${PARTITIONS_MAX} ids for partitions, those of deleted ones included, and ${PARTITIONS_MAX - image.fields.nextPartition} are left.`,
  );
}

function checkAssignments(image: MetadataImage, assignments: Assignments): void {
  const refuse = (what: string): never => {
    throw new TidemarkError('INVALID_REPLICA_ASSIGNMENT', what);
  };
  if (!Array.isArray(assignments) || ![...assignments].every((replicas) => Array.isArray(replicas))) {
    refuse(`Assignments must be a list of brokers for each partition; got ${show(assignments)}.`);
  }
  for (const [partition, replicas] of assignments.entries()) {
    const which = `The assignment of partition ${partition}`;
    if (replicas.length === 0) refuse(`${which} is empty; it needs one broker at least.`);
    if (new Set(replicas).size !== replicas.length) {
      refuse(`${which} names a broker twice: ${replicas.map(show).join(', ')}.`);
    }
    for (const id of replicas) {
      if (typeof id !== 'number' || image.broker(id) === undefined)
        refuse(`${which} names broker ${show(id)}, which is not registered.`);
    }
    if (replicas.length !== assignments[0].length) {
      refuse(
        `${which} has ${replicas.length} replicas, and that of partition 0 ${assignments[0].length}; all need as many.`,
      );
    }
  }
}

/** New partitions are empty everywhere, so that whoever takes part is in sync. */
function partitionRecords(
  image: MetadataImage,
  topicId: string,
  first: number,
  assignments: Assignments,
  electorate: Electorate,
): PartitionRecord[] {
  return assignments.map((replicas, n): PartitionRecord => {
    const partition = first + n;
    const isr = replicas.filter((id) => electorate.isActive(id));
    if (isr.length === 0) {
      throw new TidemarkError(
        'INVALID_REPLICA_ASSIGNMENT',
        `None of the brokers of partition ${partition} is running (${replicas.join(', ')}); start one, or choose others.`,
      );
    }
    const id = image.fields.nextPartition + n;
    const epochs = { leaderEpoch: 0, partitionEpoch: 0 };
    return { type: 'partition', id, topicId, partition, replicas, isr, leader: isr[0], ...epochs };
  });
}
