import type { TopicConfig } from '../../config.ts';
import { TidemarkError } from '../../errors.ts';
import type { AlterBrokerConfig, AlterTopicConfig, AnswerTo, DecisionContext, Outcome } from './commands.ts';
import type { MetadataImage } from './image.ts';
import { existingTopic, registeredBroker } from './lookups.ts';
import { ALL_BROKERS, type ConfigValues } from './records.ts';
import { acceptConfig, alterConfig, clusterDefaults } from './topic-config.ts';

export function alterTopicConfig(
  image: MetadataImage,
  { topic, set, remove, validateOnly }: AlterTopicConfig,
  { defaults }: DecisionContext,
): Outcome<AnswerTo<AlterTopicConfig>> {
  const { topicId, config: before } = existingTopic(image, topic);
  const config = alterConfig(before, set, remove, clusterDefaults(image, defaults));
  const isChange = validateOnly !== true && !isSame(before, config);
  return { records: isChange ? [{ type: 'topic-config', topicId, config }] : [], answer: { config } };
}

export function alterBrokerConfig(
  image: MetadataImage,
  { broker, set, remove, validateOnly }: AlterBrokerConfig,
  { defaults }: DecisionContext,
): Outcome<AnswerTo<AlterBrokerConfig>> {
  const isForAll = broker === ALL_BROKERS;
  if (!isForAll) registeredBroker(image, broker);
  const before = image.brokerConfig(broker);
  const base = isForAll ? defaults : clusterDefaults(image, defaults);
  const config = alterConfig(before, set, remove, base);
  if (isSame(before, config)) return { records: [], answer: { config } };
  if (isForAll) checkTopics(image, config, defaults);
  return {
    records: validateOnly === true ? [] : [{ type: 'broker-config', id: broker, config }],
    answer: { config },
  };
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
