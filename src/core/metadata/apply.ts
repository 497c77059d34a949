import { IdSet } from './id-set.ts';
import {
  type BrokerRegistration,
  type ImageFields,
  inOrder,
  MetadataImage,
  type MetadataPartition,
  type MetadataTopic,
} from './image.ts';
import type { Owner, PersistentMap } from './persistent-map.ts';
import type {
  BrokerConfigRecord,
  BrokerRecord,
  ClusterRecord,
  IdsRecord,
  MetadataRecord,
  PartitionChangeRecord,
  PartitionRecord,
  ProducerIdsRecord,
  TopicRecord,
} from './records.ts';
import { ALL_BROKERS } from './records.ts';

const NONE: readonly number[] = [];

/**
 * The image after the records of one entry of the log, which have all to fit: what does not was decided on another image
 * than this one, and nothing that follows could be trusted.
 */
export function apply(
  image: MetadataImage,
  records: readonly MetadataRecord[],
  offset: number,
  term: number,
): MetadataImage {
  must(offset >= image.offset, `offset ${offset} comes after offset ${image.offset}`);
  must(term >= image.term, `term ${term} comes after term ${image.term}`);
  const draft = new Draft(image.fields);
  for (const record of records) draft.apply(record);
  return new MetadataImage({ ...draft.fields, offset, term });
}

function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`metadata: a record does not fit: ${what} does not hold`);
}

/** An image while it is being changed. Nobody sees it before it is one again. */
class Draft {
  readonly fields: { -readonly [name in keyof ImageFields]: ImageFields[name] };
  readonly #owner: Owner = {};
  /** Lists of partitions that were made here, and can grow in place: a large topic is not copied for each partition. */
  readonly #ownLists = new Set<readonly number[]>();

  constructor(fields: ImageFields) {
    this.fields = { ...fields };
  }

  apply(record: MetadataRecord): void {
    must(
      record.type === 'cluster' || this.fields.clusterId !== undefined,
      `${record.type} comes after the cluster`,
    );
    switch (record.type) {
      case 'cluster':
        this.#beginCluster(record);
        break;
      case 'broker':
        this.#register(record);
        break;
      case 'broker-state':
        this.#setBroker({ ...this.#broker(record), state: record.state });
        break;
      case 'broker-removed':
        this.#removeBroker(this.#broker(record));
        break;
      case 'broker-config':
        this.#setBrokerConfig(record);
        break;
      case 'topic':
        this.#addTopic(record);
        break;
      case 'topic-config':
        this.#setTopic({ ...this.#topic(record.topicId), config: inOrder(record.config) });
        break;
      case 'topic-removed':
        this.#removeTopic(this.#topic(record.topicId));
        break;
      case 'partition':
        this.#addPartition(record);
        break;
      case 'partition-change':
        this.#changePartition(record);
        break;
      case 'producer-ids':
        this.#giveProducerIds(record);
        break;
      case 'ids':
        this.#setCounters(record);
        break;
    }
  }

  #beginCluster({ clusterId, version }: ClusterRecord): void {
    must(this.fields.clusterId === undefined, `that cluster ${clusterId} is the first`);
    this.fields.clusterId = clusterId;
    this.fields.version = version;
  }

  #register({ id, epoch, directoryId, rack, state }: BrokerRecord): void {
    must(epoch >= this.fields.nextBrokerEpoch, `that epoch ${epoch} of broker ${id} is a new one`);
    this.fields.nextBrokerEpoch = epoch + 1;
    this.#setBroker({ id, epoch, directoryId, rack, state });
  }

  #setBroker(broker: BrokerRegistration): void {
    this.fields.brokers = this.fields.brokers.set(broker.id, broker, this.#owner);
  }

  #broker({ id, epoch }: { readonly id: number; readonly epoch: number }): BrokerRegistration {
    const broker = this.fields.brokers.get(id);
    must(broker?.epoch === epoch, `that broker ${id} is registered with epoch ${epoch}`);
    return broker;
  }

  #removeBroker({ id }: BrokerRegistration): void {
    must(!this.fields.held.has(id), `that broker ${id} has no replicas`);
    this.fields.brokers = this.fields.brokers.delete(id, this.#owner);
    this.fields.brokerConfigs = this.fields.brokerConfigs.delete(id, this.#owner);
  }

  #setBrokerConfig({ id, config }: BrokerConfigRecord): void {
    must(id === ALL_BROKERS || this.fields.brokers.has(id), `that broker ${id} is registered`);
    const { brokerConfigs } = this.fields;
    this.fields.brokerConfigs =
      Object.keys(config).length === 0
        ? brokerConfigs.delete(id, this.#owner)
        : brokerConfigs.set(id, inOrder(config), this.#owner);
  }

  #addTopic({ name, topicId, config }: TopicRecord): void {
    must(!this.fields.topics.has(name), `that topic '${name}' is new`);
    must(!this.fields.namesById.has(topicId), `that topic id ${topicId} is new`);
    this.fields.namesById = this.fields.namesById.set(topicId, name, this.#owner);
    this.#setTopic({ name, topicId, config: inOrder(config), partitions: NONE });
  }

  #setTopic(topic: MetadataTopic): void {
    this.fields.topics = this.fields.topics.set(topic.name, topic, this.#owner);
  }

  #topic(topicId: string): MetadataTopic {
    const name = this.fields.namesById.get(topicId);
    const topic = name === undefined ? undefined : this.fields.topics.get(name);
    must(topic !== undefined, `that there is a topic ${topicId}`);
    return topic;
  }

  #removeTopic({ name, topicId, partitions }: MetadataTopic): void {
    for (const id of partitions) {
      const partition = this.#partition(id);
      for (const broker of partition.replicas) this.fields.held = this.#drop(this.fields.held, broker, id);
      this.fields.led = this.#drop(this.fields.led, partition.leader, id);
      this.fields.partitions = this.fields.partitions.delete(id, this.#owner);
    }
    this.fields.topics = this.fields.topics.delete(name, this.#owner);
    this.fields.namesById = this.fields.namesById.delete(topicId, this.#owner);
  }

  #addPartition(record: PartitionRecord): void {
    const { id, topicId, partition, replicas, isr, leader, leaderEpoch, partitionEpoch } = record;
    const topic = this.#topic(topicId);
    must(id >= this.fields.nextPartition, `that partition id ${id} is a new one`);
    must(partition === topic.partitions.length, `that ${partition} is the next partition of '${topic.name}'`);
    this.fields.nextPartition = id + 1;
    const isOwn = this.#ownLists.has(topic.partitions);
    const partitions = isOwn ? (topic.partitions as number[]) : [...topic.partitions];
    partitions.push(id);
    this.#ownLists.add(partitions);
    if (!isOwn) this.#setTopic({ ...topic, partitions });
    const { adding = NONE, removing = NONE, lostDirectory = null } = record;
    const whole = { id, topic: topic.name, topicId, partition, replicas, isr, leader, epoch: leaderEpoch };
    this.#setPartition({ ...whole, partitionEpoch, adding, removing, lostDirectory }, undefined);
  }

  #changePartition(record: PartitionChangeRecord): void {
    const before = this.#partition(record.id);
    must(
      record.partitionEpoch === before.partitionEpoch + 1,
      `that partition ${record.id} goes from epoch ${before.partitionEpoch} to ${record.partitionEpoch}`,
    );
    const { type: _, leader = before.leader, ...changed } = record;
    const epoch = record.leader === undefined ? before.epoch : before.epoch + 1;
    this.#setPartition({ ...before, ...changed, leader, epoch }, before);
  }

  #partition(id: number): MetadataPartition {
    const partition = this.fields.partitions.get(id);
    must(partition !== undefined, `that there is a partition ${id}`);
    return partition;
  }

  #setPartition(partition: MetadataPartition, before: MetadataPartition | undefined): void {
    const { id, isr, replicas, leader } = partition;
    must(isr.length > 0, `that somebody is in sync with partition ${id}`);
    must(
      isr.every((broker) => replicas.includes(broker)),
      `that the ISR of partition ${id} are replicas of it`,
    );
    must(leader === -1 || isr.includes(leader), `that the leader of partition ${id} is in its ISR`);
    must(leader === -1 || partition.lostDirectory === null, `that partition ${id} with a leader is not lost`);
    for (const broker of replicas) {
      must(this.fields.brokers.has(broker), `that broker ${broker}, which gets a replica, is registered`);
    }
    if (replicas !== before?.replicas) {
      for (const broker of before?.replicas ?? NONE)
        this.fields.held = this.#drop(this.fields.held, broker, id);
      for (const broker of replicas) this.fields.held = this.#note(this.fields.held, broker, id);
    }
    if (leader !== before?.leader) {
      if (before !== undefined) this.fields.led = this.#drop(this.fields.led, before.leader, id);
      this.fields.led = this.#note(this.fields.led, leader, id);
    }
    this.fields.partitions = this.fields.partitions.set(id, partition, this.#owner);
  }

  #note(index: PersistentMap<number, IdSet>, broker: number, id: number): PersistentMap<number, IdSet> {
    const ids = index.get(broker) ?? IdSet.empty;
    return index.set(broker, ids.add(id, this.#owner), this.#owner);
  }

  #drop(index: PersistentMap<number, IdSet>, broker: number, id: number): PersistentMap<number, IdSet> {
    const ids = (index.get(broker) ?? IdSet.empty).delete(id, this.#owner);
    return ids.size === 0 ? index.delete(broker, this.#owner) : index.set(broker, ids, this.#owner);
  }

  #giveProducerIds({ first, count }: ProducerIdsRecord): void {
    must(first === this.fields.nextProducerId, `that producer id ${first} is the next one`);
    this.fields.nextProducerId = first + count;
  }

  #setCounters({ nextPartition, nextBrokerEpoch, nextProducerId }: IdsRecord): void {
    const { fields } = this;
    must(nextPartition >= fields.nextPartition, `that no partition id from ${nextPartition} is taken`);
    must(nextBrokerEpoch >= fields.nextBrokerEpoch, `that no broker epoch from ${nextBrokerEpoch} is taken`);
    must(nextProducerId >= fields.nextProducerId, `that no producer id from ${nextProducerId} is taken`);
    Object.assign(fields, { nextPartition, nextBrokerEpoch, nextProducerId });
  }
}
