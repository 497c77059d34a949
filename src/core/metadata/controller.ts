import { show, TidemarkError } from '../../errors.ts';
import { apply } from './apply.ts';
import type {
  Answers,
  AnswerTo,
  Command,
  CreateCluster,
  Decided,
  Decision,
  DecisionContext,
  Outcome,
} from './commands.ts';
import {
  allocateProducerIds,
  fenceBroker,
  registerBroker,
  removeBroker,
  shutDownBroker,
  startCluster,
  unfenceBroker,
} from './decide-brokers.ts';
import { alterBrokerConfig, alterTopicConfig } from './decide-configs.ts';
import { alterIsr, balanceLeaders, electLeader } from './decide-partitions.ts';
import { endReassignments, reassign } from './decide-reassignment.ts';
import { createPartitions, createTopic, deleteTopic } from './decide-topics.ts';
import type { MetadataImage } from './image.ts';
import { CLUSTER_ID } from './patterns.ts';
import { METADATA_VERSION, type MetadataRecord } from './records.ts';

type Deciders = {
  readonly [Type in Command['type']]: (
    image: MetadataImage,
    command: Extract<Command, { readonly type: Type }>,
    context: DecisionContext,
  ) => Outcome<Answers[Type]>;
};

const deciders: Deciders = {
  'create-cluster': createCluster,
  'register-broker': registerBroker,
  'start-cluster': startCluster,
  'fence-broker': fenceBroker,
  'unfence-broker': unfenceBroker,
  'shut-down-broker': shutDownBroker,
  'remove-broker': removeBroker,
  'create-topic': createTopic,
  'delete-topic': deleteTopic,
  'create-partitions': createPartitions,
  'alter-topic-config': alterTopicConfig,
  'alter-broker-config': alterBrokerConfig,
  'alter-isr': alterIsr,
  'elect-leader': electLeader,
  reassign,
  'end-reassignments': endReassignments,
  'balance-leaders': balanceLeaders,
  'allocate-producer-ids': allocateProducerIds,
};

/**
 * What a command comes to on an image: records that fit it, to be written down in one entry, or a refusal with Kafka's
 * code, and then there are none. Nothing changes before apply(): a controller that decides on the next command before
 * the entry is committed applies the records to an image of its own, and gives that up when it leads no more.
 */
export function decide<Each extends Command>(
  image: MetadataImage,
  command: Each,
  context: DecisionContext,
): Decision<AnswerTo<Each>> {
  try {
    if (!Object.hasOwn(deciders, (command as Command | null)?.type ?? '')) throw noCommand(command);
    if (image.clusterId === undefined && command.type !== 'create-cluster') throw noCluster();
    // The table has the right function for each type, which its own type has checked.
    const decider = deciders[command.type] as (...args: unknown[]) => Outcome<AnswerTo<Each>>;
    return decider(image, command, context);
  } catch (error) {
    if (error instanceof TidemarkError) return { records: [], refusal: error };
    throw error;
  }
}

/** Several commands one after the other, each on what those before have left: their records go into one entry. */
export function decideAll(
  image: MetadataImage,
  commands: readonly Command[],
  context: DecisionContext,
): { readonly records: readonly MetadataRecord[]; readonly decisions: readonly Decided[] } {
  const records: MetadataRecord[] = [];
  const decisions: Decided[] = [];
  let next = image;
  for (const command of commands) {
    try {
      const decision = decide(next, command, context);
      if (decision.records.length > 0) next = apply(next, decision.records, image.offset, image.term);
      decisions.push(decision);
      for (const record of decision.records) records.push(record);
    } catch (refusal) {
      decisions.push({ records: [], refusal });
    }
  }
  return { records, decisions };
}

function createCluster(image: MetadataImage, { clusterId }: CreateCluster): Outcome<undefined> {
  if (typeof clusterId !== 'string' || !CLUSTER_ID.test(clusterId)) {
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      `The id of a cluster must have 1 to 64 letters, digits, '_' or '-'; got ${show(clusterId)}.`,
    );
  }
  if (image.clusterId === clusterId) return { records: [], answer: undefined };
  if (image.clusterId !== undefined) {
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      `These are the metadata of cluster ${image.clusterId}, and not of ${clusterId}; use a directory of its own for each.`,
    );
  }
  return { records: [{ type: 'cluster', clusterId, version: METADATA_VERSION }], answer: undefined };
}

function noCommand(command: unknown): TidemarkError {
  const type = (command as { type?: unknown } | null)?.type;
  const known = Object.keys(deciders).join(', ');
  return new TidemarkError('INVALID_ARGUMENT', `There is no command ${show(type)}. Known: ${known}.`);
}

function noCluster(): TidemarkError {
  return new TidemarkError('INVALID_ARGUMENT', 'There is no cluster yet; create it before all else.');
}
