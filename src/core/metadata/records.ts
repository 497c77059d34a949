/** Below this one every record is understood. A log of a newer version is refused rather than misread. */
export const METADATA_VERSION = 1;

/** Fenced: it takes part in nothing. Shutting down: it leads what nobody else can, and gets nothing new. */
export type RegistrationState = 'fenced' | 'active' | 'shutting-down';

/** Properties as they were given, accepted and in the order of their names. */
export type ConfigValues = { readonly [name: string]: string | number };

/** Where a configuration is that of all brokers. */
export const ALL_BROKERS = -1;

/** The first record of every cluster. */
export interface ClusterRecord {
  readonly type: 'cluster';
  readonly clusterId: string;
  readonly version: number;
}

/** A broker comes, or comes again: each time with an epoch that nobody had before. */
export interface BrokerRecord {
  readonly type: 'broker';
  readonly id: number;
  readonly epoch: number;
  /** Its data directory got this when it was made. Another one is another set of files. */
  readonly directoryId: string;
  readonly rack: string | null;
  readonly state: RegistrationState;
}

export interface BrokerStateRecord {
  readonly type: 'broker-state';
  readonly id: number;
  readonly epoch: number;
  readonly state: RegistrationState;
}

/** Its configuration goes with it. */
export interface BrokerRemovedRecord {
  readonly type: 'broker-removed';
  readonly id: number;
  readonly epoch: number;
}

/** The whole of what a broker, or with ALL_BROKERS all of them, have been given. */
export interface BrokerConfigRecord {
  readonly type: 'broker-config';
  readonly id: number;
  readonly config: ConfigValues;
}

/** Its partitions follow, in the order of their numbers. */
export interface TopicRecord {
  readonly type: 'topic';
  readonly name: string;
  readonly topicId: string;
  readonly config: ConfigValues;
}

/** The whole of what a topic has been given. */
export interface TopicConfigRecord {
  readonly type: 'topic-config';
  readonly topicId: string;
  readonly config: ConfigValues;
}

/** Its partitions go with it. */
export interface TopicRemovedRecord {
  readonly type: 'topic-removed';
  readonly topicId: string;
}

/** A whole partition. Ids are given out in ascending order, and never again. */
export interface PartitionRecord {
  readonly type: 'partition';
  readonly id: number;
  readonly topicId: string;
  readonly partition: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
  /** -1 where nobody leads it. */
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly partitionEpoch: number;
  /** Left out where there are none: see MetadataPartition. */
  readonly eligible?: readonly number[];
  readonly adding?: readonly number[];
  readonly removing?: readonly number[];
  readonly throttle?: number;
  readonly lostDirectory?: string;
}

/** What of a partition changes. */
export interface PartitionChangeRecord {
  readonly type: 'partition-change';
  readonly id: number;
  /** What the epoch is afterwards: one more than before. */
  readonly partitionEpoch: number;
  readonly replicas?: readonly number[];
  readonly isr?: readonly number[];
  /** Wherever it is given, the leader's epoch goes up by one: a leader may begin another epoch. */
  readonly leader?: number;
  readonly eligible?: readonly number[];
  readonly adding?: readonly number[];
  readonly removing?: readonly number[];
  readonly throttle?: number | null;
  readonly lostDirectory?: string | null;
}

/** A block of ids for idempotent producers, and who got it. */
export interface ProducerIdsRecord {
  readonly type: 'producer-ids';
  readonly broker: number;
  readonly brokerEpoch: number;
  readonly first: number;
  readonly count: number;
}

/** Where the counters stand: the end of every snapshot, since what had the last ids may be gone. */
export interface IdsRecord {
  readonly type: 'ids';
  readonly nextPartition: number;
  readonly nextBrokerEpoch: number;
  readonly nextProducerId: number;
}

/** What alone changes the metadata. Plain data, so that it can be read wherever it is found. */
export type MetadataRecord =
  | ClusterRecord
  | BrokerRecord
  | BrokerStateRecord
  | BrokerRemovedRecord
  | BrokerConfigRecord
  | TopicRecord
  | TopicConfigRecord
  | TopicRemovedRecord
  | PartitionRecord
  | PartitionChangeRecord
  | ProducerIdsRecord
  | IdsRecord;

export function encodeRecords(records: readonly MetadataRecord[]): Uint8Array {
  return Buffer.from(JSON.stringify(records));
}
