import { show, TidemarkError } from '../../errors.ts';
import type { BrokerRegistration, MetadataImage, MetadataPartition, MetadataTopic } from './image.ts';
import { checkTopicName } from './topic-name.ts';

export function registeredBroker(image: MetadataImage, id: number): BrokerRegistration {
  const registration = typeof id === 'number' ? image.broker(id) : undefined;
  if (registration !== undefined) return registration;
  throw new TidemarkError(
    'BROKER_ID_NOT_REGISTERED',
    `No broker ${show(id)} is registered; check the id, or let that broker register.`,
  );
}

/** The registration with this epoch, which is the one that counts. */
export function registrationOf(image: MetadataImage, id: number, epoch: number): BrokerRegistration {
  const registration = registeredBroker(image, id);
  if (registration.epoch === epoch) return registration;
  throw new TidemarkError(
    'STALE_BROKER_EPOCH',
    `Broker ${id} is registered with epoch ${registration.epoch}, and this came with epoch ${show(epoch)}; it has to register again.`,
  );
}

export function existingTopic(image: MetadataImage, name: string): MetadataTopic {
  // What is no name at all will be none later either, which the code below would say of it.
  if (typeof name !== 'string') checkTopicName(name);
  const topic = image.topic(name);
  if (topic !== undefined) return topic;
  throw new TidemarkError(
    'UNKNOWN_TOPIC_OR_PARTITION',
    `There is no topic ${show(name)}; check the name, or create it.`,
  );
}

export function existingPartition(image: MetadataImage, topic: string, index: number): MetadataPartition {
  const { partitions } = existingTopic(image, topic);
  const partition = typeof index === 'number' ? image.partitionOf(topic, index) : undefined;
  if (partition !== undefined) return partition;
  throw new TidemarkError(
    'UNKNOWN_TOPIC_OR_PARTITION',
    `Topic '${topic}' has the partitions 0 to ${partitions.length - 1}, and not ${show(index)}.`,
  );
}
