import { requireInteger, show, TidemarkError } from '../../errors.ts';
import { apply } from './apply.ts';
import type {
  AlterIsr,
  AnswerTo,
  BalanceLeaders,
  DecisionContext,
  ElectLeader,
  Outcome,
} from './commands.ts';
import { Electorate } from './election.ts';
import type { MetadataImage, MetadataPartition } from './image.ts';
import { existingPartition, registrationOf } from './lookups.ts';
import type { MetadataRecord } from './records.ts';

export function alterIsr(
  image: MetadataImage,
  command: AlterIsr,
  context: DecisionContext,
): Outcome<AnswerTo<AlterIsr>> {
  registrationOf(image, command.broker, command.epoch);
  const partition = typeof command.partition === 'number' ? image.partition(command.partition) : undefined;
  if (partition === undefined) {
    throw new TidemarkError(
      'UNKNOWN_TOPIC_OR_PARTITION',
      `There is no partition with the id ${show(command.partition)}; its topic may have been deleted.`,
    );
  }
  checkEpochs(partition, command);
  checkMembers(partition, command);
  for (const { broker, epoch } of command.isr) {
    if (broker !== partition.leader) checkEligible(image, partition, broker, epoch, context);
  }
  const isr = partition.replicas.filter((id) => command.isr.some(({ broker }) => broker === id));
  const lost = command.losing === undefined ? [] : [command.losing];
  const record = new Electorate(image, context).change(partition, { isr, lost });
  if (record === undefined) return { records: [], answer: partition };
  const answer = apply(image, [record], image.offset, image.term).partition(partition.id);
  return { records: [record], answer: answer as MetadataPartition };
}

/** A leader that knows less is told so; one that knows more has it from a newer controller than this one. */
function checkEpochs(partition: MetadataPartition, command: AlterIsr): void {
  const { broker } = command;
  const leaderEpoch = requireInteger('a leader epoch', command.leaderEpoch, 0);
  const partitionEpoch = requireInteger('a partition epoch', command.partitionEpoch, 0);
  const which = `partition ${partition.partition} of '${partition.topic}'`;
  if (leaderEpoch > partition.epoch || partitionEpoch > partition.partitionEpoch) {
    throw new TidemarkError(
      'NOT_CONTROLLER',
      `Broker ${broker} knows of a later epoch of ${which} than this controller; ask the one that leads now.`,
    );
  }
  if (leaderEpoch !== partition.epoch) {
    throw new TidemarkError(
      'FENCED_LEADER_EPOCH',
      `Broker ${broker} has led ${which} in epoch ${show(leaderEpoch)}, and now it is epoch ${partition.epoch}; wait for the newer metadata.`,
    );
  }
  if (partition.leader !== broker) {
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      `Broker ${broker} does not lead ${which}; only its leader ${partition.leader} says who is in sync.`,
    );
  }
  if (partitionEpoch !== partition.partitionEpoch) {
    throw new TidemarkError(
      'INVALID_UPDATE_VERSION',
      `Broker ${broker} has judged ${which} in its epoch ${show(partitionEpoch)}, and now it is ${partition.partitionEpoch}; judge again by the newer metadata.`,
    );
  }
}

function checkMembers({ partition, topic, replicas, leader }: MetadataPartition, { isr }: AlterIsr): void {
  const ids = Array.isArray(isr) ? [...isr].map((member) => member?.broker) : [];
  const isSound =
    new Set(ids).size === ids.length && ids.includes(leader) && ids.every((id) => replicas.includes(id));
  if (isSound) return;
  throw new TidemarkError(
    'INVALID_ARGUMENT',
    `The ISR of partition ${partition} of '${topic}' must have its leader ${leader}, and different ones of its replicas ${replicas.join(', ')}; got ${ids.map(show).join(', ')}.`,
  );
}

function checkEligible(
  image: MetadataImage,
  { partition, topic }: MetadataPartition,
  id: number,
  epoch: number,
  context: DecisionContext,
): void {
  const isCurrent = image.broker(id)?.epoch === epoch;
  if (isCurrent && new Electorate(image, context).isActive(id)) return;
  const reason = isCurrent
    ? 'it is fenced, shutting down or dead'
    : 'it has registered anew since the leader heard from it';
  throw new TidemarkError(
    'INELIGIBLE_REPLICA',
    `Broker ${id} cannot be in sync with partition ${partition} of '${topic}': ${reason}.`,
  );
}

export function electLeader(
  image: MetadataImage,
  { topic, partition: index, election = 'preferred' }: ElectLeader,
  context: DecisionContext,
): Outcome<AnswerTo<ElectLeader>> {
  const partition = existingPartition(image, topic, index);
  const electorate = new Electorate(image, context);
  if (election === 'unclean') return electUncleanly(partition, electorate);
  if (election !== 'preferred') {
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      `An election is 'preferred' or 'unclean'; got ${show(election)}.`,
    );
  }
  const [preferred] = partition.replicas;
  const which = `partition ${index} of '${topic}'`;
  if (partition.leader === preferred) {
    throw new TidemarkError('ELECTION_NOT_NEEDED', `Broker ${preferred} leads ${which} already.`);
  }
  const record = preferredElection(partition, electorate);
  if (record === undefined) throw unavailable(partition, election);
  return { records: [record], answer: { leader: preferred } };
}

/** Nobody can lead a partition who would in an election of that kind. */
export function unavailable(
  { topic, partition, replicas }: MetadataPartition,
  election: 'preferred' | 'unclean',
): TidemarkError {
  const which = `partition ${partition} of '${topic}'`;
  return election === 'preferred'
    ? new TidemarkError(
        'PREFERRED_LEADER_NOT_AVAILABLE',
        `Broker ${replicas[0]} cannot lead ${which}, because it is not running or not in sync; try again when it is.`,
      )
    : new TidemarkError(
        'ELIGIBLE_LEADERS_NOT_AVAILABLE',
        `None of the brokers ${replicas.join(', ')} that have ${which} is running with its log; start one, and try again.`,
      );
}

function electUncleanly(
  partition: MetadataPartition,
  electorate: Electorate,
): Outcome<AnswerTo<ElectLeader>> {
  const { leader: before, topic, partition: index } = partition;
  const which = `partition ${index} of '${topic}'`;
  if (before !== -1) {
    throw new TidemarkError('ELECTION_NOT_NEEDED', `Broker ${before} leads ${which}, and no record is lost.`);
  }
  // Whoever can lead without a loss does so already.
  const standing = electorate.uncleanly(partition);
  const record = standing && electorate.change(partition, standing);
  if (standing?.leader === undefined || record === undefined) throw unavailable(partition, 'unclean');
  return { records: [record], answer: { leader: record.leader ?? standing.leader } };
}

export function balanceLeaders(
  image: MetadataImage,
  _: BalanceLeaders,
  context: DecisionContext,
): Outcome<AnswerTo<BalanceLeaders>> {
  const electorate = new Electorate(image, context);
  const records: MetadataRecord[] = [];
  const moved: number[] = [];
  for (const partition of image.partitions()) {
    if (partition.leader === partition.replicas[0]) continue;
    const record = preferredElection(partition, electorate);
    if (record === undefined) continue;
    records.push(record);
    moved.push(partition.id);
  }
  return { records, answer: { moved } };
}

/** The first of the replicas leads, if it is in sync. */
function preferredElection(partition: MetadataPartition, electorate: Electorate): MetadataRecord | undefined {
  const [preferred] = partition.replicas;
  const isAble = partition.isr.includes(preferred) && electorate.canLead(preferred, partition);
  return isAble ? electorate.change(partition, electorate.under(preferred, partition)) : undefined;
}
