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
  if (offset < image.offset) misfit(`offset ${offset} comes after offset ${image.offset}`);
  if (term < image.term) misfit(`term ${term} comes after term ${image.term}`);
  const draft = new Draft(image.fields);
  for (const record of records) draft.apply(record);
  return draft.end(offset, term);
}

function misfit(what: string): never {
  throw new Error(`metadata: a record does not fit the image: it does not hold that ${what}`);
}

type Index = Map<number, IdSet>;

/** An image while it is being changed. Nobody sees it before it is one again. */
class Draft {
  readonly fields: { -readonly [name in keyof ImageFields]: ImageFields[name] };
  readonly #owner: Owner = {};
  /** Lists of partitions that were made here, and can grow in place: a large topic is not copied for each partition. */
  readonly #ownLists = new Set<readonly number[]>();
  /** What has changed of the two indexes by broker; end() puts it back. */
  readonly #held: Index = new Map();
  readonly #led: Index = new Map();

  constructor(fields: ImageFields) {
    this.fields = { ...fields };
  }

  apply(record: MetadataRecord): void {
    if (record.type !== 'cluster' && this.fields.clusterId === undefined)
      misfit(`${record.type} comes after the cluster`);
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

  end(offset: number, term: number): MetadataImage {
    const held = this.#merge(this.fields.held, this.#held);
    const led = this.#merge(this.fields.led, this.#led);
    return new MetadataImage({ ...this.fields, held, led, offset, term });
  }

  #merge(index: PersistentMap<number, IdSet>, changed: Index): PersistentMap<number, IdSet> {
    let merged = index;
    for (const [broker, ids] of changed) {
      merged = ids.size === 0 ? merged.delete(broker, this.#owner) : merged.set(broker, ids, this.#owner);
    }
    return merged;
  }

  #beginCluster({ clusterId, version }: ClusterRecord): void {
    if (this.fields.clusterId !== undefined) misfit(`cluster ${clusterId} is the first`);
    this.fields.clusterId = clusterId;
    this.fields.version = version;
  }

  #register({ id, epoch, directoryId, rack, state }: BrokerRecord): void {
    if (epoch < this.fields.nextBrokerEpoch) misfit(`epoch ${epoch} of broker ${id} is a new one`);
    this.fields.nextBrokerEpoch = epoch + 1;
    this.#setBroker({ id, epoch, directoryId, rack, state });
  }

  #setBroker(broker: BrokerRegistration): void {
    this.fields.brokers = this.fields.brokers.set(broker.id, broker, this.#owner);
  }

  #broker({ id, epoch }: { readonly id: number; readonly epoch: number }): BrokerRegistration {
    const broker = this.fields.brokers.get(id);
    return broker?.epoch === epoch ? broker : misfit(`broker ${id} is registered with epoch ${epoch}`);
  }

  #removeBroker({ id }: BrokerRegistration): void {
    if (this.#idsOf(this.#held, 'held', id).size > 0) misfit(`broker ${id} has no replicas`);
    this.fields.brokers = this.fields.brokers.delete(id, this.#owner);
    this.fields.brokerConfigs = this.fields.brokerConfigs.delete(id, this.#owner);
  }

  #setBrokerConfig({ id, config }: BrokerConfigRecord): void {
    if (id !== ALL_BROKERS && !this.fields.brokers.has(id)) misfit(`broker ${id} is registered`);
    const { brokerConfigs } = this.fields;
    this.fields.brokerConfigs =
      Object.keys(config).length === 0
        ? brokerConfigs.delete(id, this.#owner)
        : brokerConfigs.set(id, inOrder(config), this.#owner);
  }

  #addTopic({ name, topicId, config }: TopicRecord): void {
    if (this.fields.topics.has(name)) misfit(`topic '${name}' is new`);
    if (this.fields.namesById.has(topicId)) misfit(`topic id ${topicId} is new`);
    this.fields.namesById = this.fields.namesById.set(topicId, name, this.#owner);
    this.#setTopic({ name, topicId, config: inOrder(config), partitions: NONE });
  }

  #setTopic(topic: MetadataTopic): void {
    this.fields.topics = this.fields.topics.set(topic.name, topic, this.#owner);
  }

  #topic(topicId: string): MetadataTopic {
    const name = this.fields.namesById.get(topicId);
    const topic = name === undefined ? undefined : this.fields.topics.get(name);
    return topic ?? misfit(`there is a topic ${topicId}`);
  }

  #removeTopic({ name, topicId, partitions }: MetadataTopic): void {
    for (const id of partitions) {
      const { replicas, leader } = this.#partition(id);
      for (const broker of replicas) this.#drop(this.#held, 'held', broker, id);
      this.#drop(this.#led, 'led', leader, id);
      this.fields.partitions = this.fields.partitions.delete(id, this.#owner);
    }
    this.fields.topics = this.fields.topics.delete(name, this.#owner);
    this.fields.namesById = this.fields.namesById.delete(topicId, this.#owner);
  }

  #addPartition(record: PartitionRecord): void {
    const { id, topicId, partition } = record;
    const topic = this.#topic(topicId);
    const number = topic.partitions.length;
    if (id < this.fields.nextPartition) misfit(`partition id ${id} is a new one`);
    if (partition !== number) misfit(`${partition} is the next partition of '${topic.name}'`);
    this.fields.nextPartition = id + 1;
    if (this.#ownLists.has(topic.partitions)) {
      (topic.partitions as number[]).push(id);
    } else {
      const partitions = [...topic.partitions, id];
      this.#ownLists.add(partitions);
      this.#setTopic({ ...topic, partitions });
    }
    const whole: MetadataPartition = {
      id,
      topic: topic.name,
      topicId: topic.topicId,
      partition,
      replicas: record.replicas,
      isr: record.isr,
      leader: record.leader,
      epoch: record.leaderEpoch,
      partitionEpoch: record.partitionEpoch,
      eligible: record.eligible ?? NONE,
      adding: record.adding ?? NONE,
      removing: record.removing ?? NONE,
      throttle: record.throttle ?? null,
      lostDirectory: record.lostDirectory ?? null,
    };
    this.#setPartition(whole, undefined);
  }

  #changePartition(record: PartitionChangeRecord): void {
    const { id, partitionEpoch, lostDirectory, throttle } = record;
    const before = this.#partition(id);
    if (partitionEpoch !== before.partitionEpoch + 1)
      misfit(`partition ${id} goes from epoch ${before.partitionEpoch} to ${partitionEpoch}`);
    const after: MetadataPartition = {
      id,
      topic: before.topic,
      topicId: before.topicId,
      partition: before.partition,
      replicas: record.replicas ?? before.replicas,
      isr: record.isr ?? before.isr,
      leader: record.leader ?? before.leader,
      epoch: record.leader === undefined ? before.epoch : before.epoch + 1,
      partitionEpoch,
      eligible: record.eligible ?? before.eligible,
      adding: record.adding ?? before.adding,
      removing: record.removing ?? before.removing,
      throttle: throttle === undefined ? before.throttle : throttle,
      lostDirectory: lostDirectory === undefined ? before.lostDirectory : lostDirectory,
    };
    this.#setPartition(after, before);
  }

  #partition(id: number): MetadataPartition {
    return this.fields.partitions.get(id) ?? misfit(`there is a partition ${id}`);
  }

  #setPartition(partition: MetadataPartition, before: MetadataPartition | undefined): void {
    this.#check(partition);
    const { id, replicas, leader } = partition;
    if (replicas !== before?.replicas) {
      for (const broker of before?.replicas ?? NONE) this.#drop(this.#held, 'held', broker, id);
      for (const broker of replicas) this.#note(this.#held, 'held', broker, id);
    }
    if (leader !== before?.leader) {
      if (before !== undefined) this.#drop(this.#led, 'led', before.leader, id);
      this.#note(this.#led, 'led', leader, id);
    }
    this.fields.partitions = this.fields.partitions.set(id, partition, this.#owner);
  }

  #check(partition: MetadataPartition): void {
    const { id, isr, replicas, leader, eligible, adding, removing, lostDirectory } = partition;
    if (isr.length === 0) misfit(`somebody is in sync with partition ${id}`);
    if (eligible.length + adding.length + removing.length > 0) {
      for (const broker of [...eligible, ...adding, ...removing])
        if (!replicas.includes(broker)) misfit(`broker ${broker} is a replica of partition ${id}`);
      if (eligible.some((broker) => isr.includes(broker)))
        misfit(`who is in sync with partition ${id} is not eligible`);
    }
    for (const broker of isr) {
      if (!replicas.includes(broker)) misfit(`the ISR of partition ${id} are replicas of it`);
    }
    for (const broker of replicas) {
      if (!this.fields.brokers.has(broker)) misfit(`broker ${broker}, which gets a replica, is registered`);
    }
    if (leader === -1) return;
    if (!isr.includes(leader)) misfit(`the leader of partition ${id} is in its ISR`);
    if (lostDirectory !== null) misfit(`partition ${id} with a leader is not lost`);
  }

  #idsOf(index: Index, name: 'held' | 'led', broker: number): IdSet {
    return index.get(broker) ?? this.fields[name].get(broker) ?? IdSet.empty;
  }

  #note(index: Index, name: 'held' | 'led', broker: number, id: number): void {
    index.set(broker, this.#idsOf(index, name, broker).add(id, this.#owner));
  }

  #drop(index: Index, name: 'held' | 'led', broker: number, id: number): void {
    index.set(broker, this.#idsOf(index, name, broker).delete(id, this.#owner));
  }

  #giveProducerIds({ first, count }: ProducerIdsRecord): void {
    if (first !== this.fields.nextProducerId) misfit(`producer id ${first} is the next one`);
    this.fields.nextProducerId = first + count;
  }

  #setCounters({ nextPartition, nextBrokerEpoch, nextProducerId }: IdsRecord): void {
    const { fields } = this;
    if (nextPartition < fields.nextPartition) misfit(`no partition id from ${nextPartition} is taken`);
    if (nextBrokerEpoch < fields.nextBrokerEpoch) misfit(`no broker epoch from ${nextBrokerEpoch} is taken`);
    if (nextProducerId < fields.nextProducerId) misfit(`no producer id from ${nextProducerId} is taken`);
    Object.assign(fields, { nextPartition, nextBrokerEpoch, nextProducerId });
  }
}
