import type { TopicConfig } from '../../config.ts';
import type { TidemarkError } from '../../errors.ts';
import type { FoundReplica, LogEnd } from '../reopening.ts';
import type { MetadataPartition } from './image.ts';
import type { ConfigValues, MetadataRecord, RegistrationState } from './records.ts';

/** What a decision takes from outside of the image. */
export interface DecisionContext {
  /** Whether the broker of this very registration lives, as far as its host knows: it may know more than the log. */
  isAlive(broker: number, epoch: number): boolean;
  /** Whether all that it holds is being moved elsewhere: then it is given no replica. */
  isEmptied(broker: number): boolean;
  /** Whether a living broker has the log of a replica, so that it could lead. */
  hasLog(broker: number, partition: number): boolean;
  /** How far that log goes, as far as anybody knows: it matters only where records will be lost anyway. */
  logEnd(broker: number, partition: number): LogEnd;
  newUuid(): string;
  /** What topics have where neither they nor the cluster were given anything. */
  readonly defaults: TopicConfig;
}

/** The first of all commands, which gives a cluster its id. */
export interface CreateCluster {
  readonly type: 'create-cluster';
  readonly clusterId: string;
}

/** A broker as it introduces itself. */
export interface BrokerIntroduction {
  readonly broker: number;
  readonly directoryId: string;
  readonly rack: string | null;
}

/** One broker comes into a running cluster, or comes back. It is fenced until its heartbeats come. */
export interface RegisterBroker extends BrokerIntroduction {
  readonly type: 'register-broker';
}

/**
 * A whole cluster starts: these brokers and no others live, and what they found of their logs says who leads. Every
 * partition with a leader begins another epoch, since records may have been lost with the last run.
 */
export interface StartCluster {
  readonly type: 'start-cluster';
  readonly brokers: readonly BrokerIntroduction[];
  /** By partition id: the replicas whose logs could be opened. */
  readonly found: ReadonlyMap<number, readonly FoundReplica[]>;
}

interface OfBroker {
  readonly broker: number;
  /** That of its registration. */
  readonly epoch: number;
}

/** A broker is dead, or has not been heard of for too long. Once it is fenced, this repairs what may be left of it. */
export interface FenceBroker extends OfBroker {
  readonly type: 'fence-broker';
}

/** A broker is heard of again, or has its logs back: where nobody leads, it may. */
export interface UnfenceBroker extends OfBroker {
  readonly type: 'unfence-broker';
}

/** A broker wants to end. To be repeated until it is done, and then to be fenced. */
export interface ShutDownBroker extends OfBroker {
  readonly type: 'shut-down-broker';
}

/** A broker goes for good. */
export interface RemoveBroker {
  readonly type: 'remove-broker';
  readonly broker: number;
}

export interface CreateTopic {
  readonly type: 'create-topic';
  readonly name: string;
  /** Default 1. */
  readonly partitions?: number | undefined;
  /** Default: as many as there are brokers, at most 3. */
  readonly replicationFactor?: number | undefined;
  /** The replicas of each partition, the preferred leader first: instead of the two above. */
  readonly assignments?: readonly (readonly number[])[] | undefined;
  readonly config?: { readonly [name: string]: unknown } | undefined;
  readonly validateOnly?: boolean | undefined;
}

export interface DeleteTopic {
  readonly type: 'delete-topic';
  readonly name: string;
}

export interface CreatePartitions {
  readonly type: 'create-partitions';
  readonly topic: string;
  /** How many there are afterwards. */
  readonly count: number;
  /** The replicas of the new ones. */
  readonly assignments?: readonly (readonly number[])[] | undefined;
  readonly validateOnly?: boolean | undefined;
}

interface ConfigChange {
  readonly set?: { readonly [name: string]: unknown } | undefined;
  /** What goes back to its default. */
  readonly remove?: readonly string[] | undefined;
  readonly validateOnly?: boolean | undefined;
}

export interface AlterTopicConfig extends ConfigChange {
  readonly type: 'alter-topic-config';
  readonly topic: string;
}

/** Topic properties by which topics go that were given nothing else: of all brokers with ALL_BROKERS, or of one. */
export interface AlterBrokerConfig extends ConfigChange {
  readonly type: 'alter-broker-config';
  readonly broker: number;
}

/** A leader proposes who is in sync. The epochs say on which state it has judged. */
export interface AlterIsr extends OfBroker {
  readonly type: 'alter-isr';
  readonly partition: number;
  readonly leaderEpoch: number;
  readonly partitionEpoch: number;
  /** With the epochs of the registrations that the leader has heard from: what was before a restart counts no more. */
  readonly isr: readonly OfBroker[];
  /** Who is about to lose records of its own: as long as it is not in sync again, it will not do as a leader. */
  readonly losing?: number | undefined;
}

/**
 * Its preferred leader shall lead a partition: the first of its replicas. Or, where nobody leads, whoever has most of its
 * records, though acknowledged ones may be lost with that.
 */
export interface ElectLeader {
  readonly type: 'elect-leader';
  readonly topic: string;
  readonly partition: number;
  /** Default 'preferred'. */
  readonly election?: 'preferred' | 'unclean' | undefined;
}

/** One partition is to have other replicas. */
export interface ReassignTarget {
  readonly topic: string;
  readonly partition: number;
  /** The preferred leader first. null: what it had before its reassignment, which is under way. */
  readonly replicas: readonly number[] | null;
}

/**
 * Partitions get other replicas, all of them or none: those who come are added, and as soon as they are in sync, those who
 * go leave. What is under way of these partitions is replaced.
 */
export interface Reassign {
  readonly type: 'reassign';
  readonly targets: readonly ReassignTarget[];
  /** How many bytes a second each broker may fetch for replicas that come. Default: as many as it can. */
  readonly throttle?: number | undefined;
}

/**
 * Reassignments for which everybody is in sync come to their ends. They do with the change that makes it so, unless nobody
 * could take over at that time.
 */
export interface EndReassignments {
  readonly type: 'end-reassignments';
}

/** All partitions go to their preferred leaders, as far as these are in sync. */
export interface BalanceLeaders {
  readonly type: 'balance-leaders';
}

export interface AllocateProducerIds extends OfBroker {
  readonly type: 'allocate-producer-ids';
}

export type Command =
  | CreateCluster
  | RegisterBroker
  | StartCluster
  | FenceBroker
  | UnfenceBroker
  | ShutDownBroker
  | RemoveBroker
  | CreateTopic
  | DeleteTopic
  | CreatePartitions
  | AlterTopicConfig
  | AlterBrokerConfig
  | AlterIsr
  | ElectLeader
  | Reassign
  | EndReassignments
  | BalanceLeaders
  | AllocateProducerIds;

/** A topic that was made, or would be. */
export interface CreatedTopic {
  readonly name: string;
  readonly topicId: string;
  readonly config: ConfigValues;
  /** The replicas of each partition. */
  readonly assignments: readonly (readonly number[])[];
}

/** What each command answers, once its records are committed. */
export interface Answers {
  'create-cluster': undefined;
  'register-broker': { readonly epoch: number };
  /** The epochs of the brokers, and the partitions that nobody can lead. */
  'start-cluster': {
    readonly epochs: ReadonlyMap<number, number>;
    readonly leaderless: readonly number[];
  };
  'fence-broker': undefined;
  'unfence-broker': { readonly state: RegistrationState };
  /** Done once there is nothing to wait for: what it leads still, no other broker that lives could come to lead. */
  'shut-down-broker': { readonly isDone: boolean; readonly waitsFor: readonly number[] };
  'remove-broker': undefined;
  'create-topic': CreatedTopic;
  /** What is gone with it. */
  'delete-topic': { readonly topicId: string; readonly partitions: readonly number[] };
  'create-partitions': { readonly assignments: readonly (readonly number[])[] };
  'alter-topic-config': { readonly config: ConfigValues };
  'alter-broker-config': { readonly config: ConfigValues };
  /** The partition as it then is. */
  'alter-isr': MetadataPartition;
  'elect-leader': { readonly leader: number };
  /** The partitions that have changed, by their ids. */
  reassign: { readonly partitions: readonly number[] };
  'end-reassignments': { readonly ended: readonly number[] };
  'balance-leaders': { readonly moved: readonly number[] };
  'allocate-producer-ids': { readonly first: number; readonly count: number };
}

/** What a command comes to: records to be written down, all or none, and what to answer then. */
export interface Outcome<Answer> {
  /** Empty where nothing changes. */
  readonly records: readonly MetadataRecord[];
  readonly answer: Answer;
  readonly refusal?: undefined;
}

/** Nothing changes, and that is why. */
export interface Refused {
  readonly records: readonly [];
  readonly answer?: undefined;
  readonly refusal: TidemarkError;
}

/** Deciding has failed by a fault of ours. Nothing changes, and no other command is to suffer from it. */
export interface Failed {
  readonly records: readonly [];
  readonly answer?: undefined;
  readonly refusal: unknown;
}

export type Decision<Answer> = Outcome<Answer> | Refused;
/** What becomes of one of several commands. */
export type Decided = Decision<unknown> | Failed;
export type AnswerTo<Each extends Command> = Answers[Each['type']];
