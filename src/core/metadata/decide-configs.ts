import type { TopicConfig } from '../../config.ts';
import { TidemarkError } from '../../errors.ts';
import { apply } from './apply.ts';
import type { AlterBrokerConfig, AlterTopicConfig, AnswerTo, DecisionContext, Outcome } from './commands.ts';
import { Electorate } from './election.ts';
import type { MetadataImage, MetadataPartition } from './image.ts';
import { existingTopic, registeredBroker } from './lookups.ts';
import { ALL_BROKERS, type ConfigValues, type MetadataRecord } from './records.ts';
import { acceptConfig, alterConfig, clusterDefaults } from './topic-config.ts';

export function alterTopicConfig(
  image: MetadataImage,
  { topic, set, remove, validateOnly }: AlterTopicConfig,
  context: DecisionContext,
): Outcome<AnswerTo<AlterTopicConfig>> {
  const { topicId, config: before } = existingTopic(image, topic);
  const config = alterConfig(before, set, remove, clusterDefaults(image, context.defaults));
  if (validateOnly === true || isSame(before, config)) return { records: [], answer: { config } };
  const of = ({ topicId: id }: MetadataPartition): boolean => id === topicId;
  return {
    records: withConsequences(image, { type: 'topic-config', topicId, config }, context, of),
    answer: { config },
  };
}

export function alterBrokerConfig(
  image: MetadataImage,
  { broker, set, remove, validateOnly }: AlterBrokerConfig,
  context: DecisionContext,
): Outcome<AnswerTo<AlterBrokerConfig>> {
  const { defaults } = context;
  const isForAll = broker === ALL_BROKERS;
  if (!isForAll) registeredBroker(image, broker);
  const before = image.brokerConfig(broker);
  const base = isForAll ? defaults : clusterDefaults(image, defaults);
  const config = alterConfig(before, set, remove, base);
  if (isSame(before, config)) return { records: [], answer: { config } };
  if (isForAll) checkTopics(image, config, defaults);
  if (validateOnly === true) return { records: [], answer: { config } };
  const record = { type: 'broker-config', id: broker, config } as const;
  return { records: withConsequences(image, record, context, () => isForAll), answer: { config } };
}

/**
 * Where fewer have to be in sync than before, things are committed again of which those know nothing who were eligible;
 * and where anybody may lead now, somebody does.
 */
function withConsequences(
  image: MetadataImage,
  record: MetadataRecord,
  context: DecisionContext,
  concerns: (partition: MetadataPartition) => boolean,
): MetadataRecord[] {
  const electorate = new Electorate(apply(image, [record], image.offset, image.term), context);
  const records: MetadataRecord[] = [record];
  for (const partition of image.partitions()) {
    const { leader, eligible } = partition;
    if ((leader !== -1 && eligible.length === 0) || !concerns(partition)) continue;
    const change = electorate.change(partition, leader === -1 ? electorate.settle(partition) : {});
    if (change !== undefined) records.push(change);
  }
  return records;
}

/** What holds for all may not go with what some topic was given. */
function checkTopics(image: MetadataImage, config: ConfigValues, defaults: TopicConfig): void {
  const base = { ...defaults, ...config } as TopicConfig;
  for (const topic of image.topics()) {
    if (Object.keys(topic.config).length === 0) continue;
    try {
      acceptConfig(topic.config, base);
    } catch (cause) {
      throw new TidemarkError(
        'INVALID_CONFIG',
        `This does not go with the configuration of topic '${topic.name}'; change that first. ${(cause as Error).message}`,
        { cause },
      );
    }
  }
}

function isSame(one: ConfigValues, other: ConfigValues): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
