import type { PartitionInfo } from '../../types.ts';
import { IdSet } from './id-set.ts';
import { PersistentMap } from './persistent-map.ts';
import type { ConfigValues, MetadataRecord, RegistrationState } from './records.ts';

export interface BrokerRegistration {
  readonly id: number;
  /** Of this registration: no other one has or had it. */
  readonly epoch: number;
  readonly directoryId: string;
  readonly rack: string | null;
  readonly state: RegistrationState;
}

export interface MetadataTopic {
  readonly name: string;
  readonly topicId: string;
  /** What it has been given. */
  readonly config: ConfigValues;
  /** The ids of its partitions, by their numbers. */
  readonly partitions: readonly number[];
}

/** `epoch` is that of the leader. Where there is no leader, the ISR are those who had all records that were committed. */
export interface MetadataPartition extends PartitionInfo {
  readonly topicId: string;
  /** One more with every change. */
  readonly partitionEpoch: number;
  /** Outside of the ISR, and yet with all that was committed (KIP-966). */
  readonly eligible: readonly number[];
  /**
   * While the partition is reassigned: who comes and who goes. Without those who come, the replicas are what they were;
   * without those who go, what they will be. Who is both was to come, has caught up, and is not wanted any more.
   */
  readonly adding: readonly number[];
  readonly removing: readonly number[];
  /** Bytes a second, for those who come; null: as fast as can be. */
  readonly throttle: number | null;
  /**
   * The last member of the ISR has come back with another directory: nobody can lead, because what was acknowledged lies
   * in this one, until it comes back.
   */
  readonly lostDirectory: string | null;
}

export interface ImageFields {
  /** The last entry that is in it, as its Raft log counts; 0 before the first, which is 1. */
  readonly offset: number;
  /** The term of that one. */
  readonly term: number;
  /** undefined before there is a cluster. */
  readonly clusterId: string | undefined;
  readonly version: number;
  /** Counters: all below have been given out. */
  readonly nextPartition: number;
  readonly nextBrokerEpoch: number;
  readonly nextProducerId: number;
  readonly brokers: PersistentMap<number, BrokerRegistration>;
  readonly brokerConfigs: PersistentMap<number, ConfigValues>;
  /** By name. */
  readonly topics: PersistentMap<string, MetadataTopic>;
  readonly namesById: PersistentMap<string, string>;
  readonly partitions: PersistentMap<number, MetadataPartition>;
  /** By broker: the partitions that it has a replica of, and those that it leads. Nobody is -1. */
  readonly held: PersistentMap<number, IdSet>;
  readonly led: PersistentMap<number, IdSet>;
}

const NO_CONFIG: ConfigValues = {};

/** The metadata of a cluster at one offset of its log. It never changes: apply() makes another one that shares with it. */
export class MetadataImage {
  readonly fields: ImageFields;

  constructor(fields: ImageFields) {
    this.fields = fields;
  }

  get offset(): number {
    return this.fields.offset;
  }

  get term(): number {
    return this.fields.term;
  }

  get clusterId(): string | undefined {
    return this.fields.clusterId;
  }

  get topicCount(): number {
    return this.fields.topics.size;
  }

  get partitionCount(): number {
    return this.fields.partitions.size;
  }

  broker(id: number): BrokerRegistration | undefined {
    return this.fields.brokers.get(id);
  }

  /** By ascending id. */
  brokers(): BrokerRegistration[] {
    return [...this.fields.brokers.values()].sort((one, other) => one.id - other.id);
  }

  /** What a broker has been given, or all of them with ALL_BROKERS. */
  brokerConfig(id: number): ConfigValues {
    return this.fields.brokerConfigs.get(id) ?? NO_CONFIG;
  }

  topic(name: string): MetadataTopic | undefined {
    return this.fields.topics.get(name);
  }

  topicById(topicId: string): MetadataTopic | undefined {
    const name = this.fields.namesById.get(topicId);
    return name === undefined ? undefined : this.fields.topics.get(name);
  }

  /** In the order of their names. */
  topics(): MetadataTopic[] {
    return [...this.fields.topics.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  partition(id: number): MetadataPartition | undefined {
    return this.fields.partitions.get(id);
  }

  /** A partition by its topic and number. */
  partitionOf(topic: string, partition: number): MetadataPartition | undefined {
    const id = this.fields.topics.get(topic)?.partitions[partition];
    return id === undefined ? undefined : this.fields.partitions.get(id);
  }

  /** By ascending id, as the next two. */
  partitions(): MetadataPartition[] {
    return [...this.fields.partitions.values()].sort((one, other) => one.id - other.id);
  }

  /** Those that a broker has a replica of. */
  partitionsOn(broker: number): MetadataPartition[] {
    return this.#partitionsIn(this.fields.held.get(broker));
  }

  /** Those that a broker leads; with -1 those that nobody does. */
  partitionsLedBy(broker: number): MetadataPartition[] {
    return this.#partitionsIn(this.fields.led.get(broker));
  }

  #partitionsIn(ids: IdSet | undefined): MetadataPartition[] {
    return [...(ids ?? IdSet.empty)].map((id) => this.fields.partitions.get(id) as MetadataPartition);
  }
}

export const emptyImage = new MetadataImage({
  offset: 0,
  term: 0,
  clusterId: undefined,
  version: 0,
  nextPartition: 0,
  nextBrokerEpoch: 0,
  nextProducerId: 0,
  brokers: PersistentMap.empty(),
  brokerConfigs: PersistentMap.empty(),
  topics: PersistentMap.empty(),
  namesById: PersistentMap.empty(),
  partitions: PersistentMap.empty(),
  held: PersistentMap.empty(),
  led: PersistentMap.empty(),
});

/** A snapshot: applied to the empty image, these records give an equal one. They come in the order in which ids were given out. */
export function recordsOf(image: MetadataImage): MetadataRecord[] {
  const { clusterId, version, brokerConfigs, nextPartition, nextBrokerEpoch, nextProducerId } = image.fields;
  if (clusterId === undefined) return [];
  const records: MetadataRecord[] = [{ type: 'cluster', clusterId, version }];
  const brokers = image.brokers().sort((one, other) => one.epoch - other.epoch);
  for (const { id, epoch, directoryId, rack, state } of brokers) {
    records.push({ type: 'broker', id, epoch, directoryId, rack, state });
  }
  for (const id of [...brokerConfigs.keys()].sort((one, other) => one - other)) {
    records.push({ type: 'broker-config', id, config: image.brokerConfig(id) });
  }
  for (const { name, topicId, config } of image.topics()) {
    records.push({ type: 'topic', name, topicId, config });
  }
  for (const partition of image.partitions()) records.push(recordOf(partition));
  records.push({ type: 'ids', nextPartition, nextBrokerEpoch, nextProducerId });
  return records;
}

function recordOf(from: MetadataPartition): MetadataRecord {
  const { id, topicId, partition, replicas, isr, leader, epoch, partitionEpoch } = from;
  return {
    type: 'partition',
    id,
    topicId,
    partition,
    replicas,
    isr,
    leader,
    leaderEpoch: epoch,
    partitionEpoch,
    ...(from.eligible.length === 0 ? undefined : { eligible: from.eligible }),
    ...(from.adding.length === 0 ? undefined : { adding: from.adding }),
    ...(from.removing.length === 0 ? undefined : { removing: from.removing }),
    ...(from.throttle === null ? undefined : { throttle: from.throttle }),
    ...(from.lostDirectory === null ? undefined : { lostDirectory: from.lostDirectory }),
  };
}

/** Properties in the order of their names, so that equal ones look alike. */
export function inOrder(config: ConfigValues): ConfigValues {
  return Object.fromEntries(Object.entries(config).sort(([one], [other]) => (one < other ? -1 : 1)));
}
