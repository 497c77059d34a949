import { type PropertyName, type TopicConfig, type TopicConfigInput, topicConfig } from '../config.ts';
import { checkNewTopicName, checkTopicName } from '../core/metadata/topic-name.ts';
import {
  isPlainObject,
  requireInteger,
  requireOneOf,
  requireOptions,
  show,
  TidemarkError,
} from '../errors.ts';
import { ADMIN_TIMEOUT_DEFAULT_MS, PARTITIONS_A_TOPIC_MAX } from '../limits.ts';
import type { ElectionResult, Reassignment } from '../types.ts';
import {
  checkNames,
  checkPartitionNames,
  checkReassignments,
  checkThrottle,
  checkTopicList,
  type PartitionName,
  type PartitionReplicas,
} from './replica-check.ts';
import { requireTopicName } from './unknown-topic.ts';

/** What every change of topics takes. */
export interface ChangeTopicOptions {
  /**
   * How long to wait, for those before it too; default 30 seconds. NOT_CONTROLLER then says that nothing was changed, and
   * REQUEST_TIMED_OUT that it may be, or goes on.
   */
  readonly timeoutMs?: number;
}

export interface CreateTopicOptions extends ChangeTopicOptions {
  /** Default 1. */
  readonly partitions?: number;
  /** Default: as many as there are brokers, at most 3. */
  readonly replicationFactor?: number;
  /** Kafka's property names, over the cluster's own configuration. */
  readonly config?: TopicConfigInput;
}

/** What an administrator asks for, checked as far as it can be without the cluster's state. */
export interface TopicRequest {
  readonly type: 'create-topic';
  readonly name: string;
  readonly partitions: number;
  readonly replicationFactor: number | undefined;
  readonly config: TopicConfigInput | undefined;
  readonly timeoutMs: number;
}

/** Partitions, and the offset that each is to begin at; -1 is its HWM. */
export interface DeletionRequest {
  readonly type: 'delete-records';
  readonly topic: string;
  readonly offsets: readonly (readonly [number, number])[];
}

export interface ConfigChange {
  readonly type: 'alter-config';
  readonly name: string;
  readonly set: TopicConfigInput;
  readonly remove: readonly string[];
  readonly timeoutMs: number;
}

export type AdminRequest =
  | TopicRequest
  | DeletionRequest
  | ConfigChange
  | { readonly type: 'delete-topic'; readonly name: string; readonly timeoutMs: number }
  | {
      readonly type: 'create-partitions';
      readonly name: string;
      readonly total: number;
      readonly timeoutMs: number;
    }
  | {
      readonly type: 'reassign';
      readonly targets: readonly PartitionReplicas[];
      readonly throttle: number | undefined;
      readonly timeoutMs: number;
    }
  | {
      readonly type: 'resize';
      readonly topic: string;
      readonly replicationFactor: number;
      readonly throttle: number | undefined;
      readonly timeoutMs: number;
    }
  | { readonly type: 'list-reassignments' }
  | {
      readonly type: 'cancel-reassignments';
      readonly partitions: readonly PartitionName[] | undefined;
      readonly timeoutMs: number;
    }
  | {
      readonly type: 'elect-leaders';
      readonly topics: readonly string[] | undefined;
      readonly election: 'preferred' | 'unclean';
      readonly timeoutMs: number;
    }
  | { readonly type: 'describe-config'; readonly name: string }
  | { readonly type: 'list-topics' };

export interface ReassignOptions extends ChangeTopicOptions {
  /** How many bytes a second each broker fetches at most for replicas that come to it. Default: as many as it can. */
  readonly throttleBytesPerSecond?: number;
}

export interface ElectLeadersOptions extends ChangeTopicOptions {
  /** Default: all. */
  readonly topics?: readonly string[];
  /**
   * 'preferred', the default: the first of a partition's replicas leads it again, if it is in sync. 'unclean': where
   * nobody leads, the replica that has most does, though acknowledged records that it lacks are lost then.
   */
  readonly type?: 'preferred' | 'unclean';
}

export interface AlterTopicConfigOptions extends ChangeTopicOptions {
  /** Properties with their new values, under Kafka's names. */
  readonly set?: TopicConfigInput;
  /** Names of properties that go back to their defaults. */
  readonly remove?: readonly PropertyName[];
}

/** What holds for a topic, and whether it was given to the topic or is the default of the cluster. */
export type TopicConfigDescription = {
  readonly [name in PropertyName]: {
    readonly value: TopicConfig[name];
    readonly source: 'topic' | 'default';
  };
};

/** A day: no timer takes much more than that. */
const ADMIN_TIMEOUT_MAX_MS = 24 * 60 * 60 * 1000;

export class Admin {
  readonly #ask: (request: AdminRequest) => Promise<unknown>;

  /** @internal */
  constructor(ask: (request: AdminRequest) => Promise<unknown>) {
    this.#ask = ask;
  }

  /** Resolves when every replica is ready for records. */
  async createTopic(name: string, options: CreateTopicOptions = {}): Promise<void> {
    checkNewTopicName(name);
    requireOptions('createTopic options', options, [
      'partitions',
      'replicationFactor',
      'config',
      'timeoutMs',
    ]);
    const { partitions = 1, replicationFactor, config } = options;
    requireInteger('partitions', partitions, 1, PARTITIONS_A_TOPIC_MAX);
    if (replicationFactor !== undefined) requireInteger('replicationFactor', replicationFactor, 1);
    topicConfig(config);
    const timeoutMs = checkTimeout(options);
    await this.#ask({ type: 'create-topic', name, partitions, replicationFactor, config, timeoutMs });
  }

  /** Its records go, on every replica. A topic of the same name that is created later has nothing to do with it. */
  async deleteTopic(name: string, options: ChangeTopicOptions = {}): Promise<void> {
    checkTopicName(name);
    requireOptions('deleteTopic options', options, ['timeoutMs']);
    await this.#ask({ type: 'delete-topic', name, timeoutMs: checkTimeout(options) });
  }

  /** Gives a topic more partitions: `total` of them in all. Keys may go to others from then on. */
  async createPartitions(name: string, total: number, options: ChangeTopicOptions = {}): Promise<void> {
    checkTopicName(name);
    requireOptions('createPartitions options', options, ['timeoutMs']);
    requireInteger('the number of partitions', total, 1, PARTITIONS_A_TOPIC_MAX);
    await this.#ask({ type: 'create-partitions', name, total, timeoutMs: checkTimeout(options) });
  }

  /** Changes properties of a topic while it is used. Segments that have begun keep what they began with. */
  async alterTopicConfig(name: string, options: AlterTopicConfigOptions): Promise<void> {
    checkTopicName(name);
    requireOptions('alterTopicConfig options', options, ['set', 'remove', 'timeoutMs']);
    const { set = {}, remove = [] } = options;
    topicConfig(set);
    checkNames('remove', 'properties', remove);
    await this.#ask({ type: 'alter-config', name, set, remove, timeoutMs: checkTimeout(options) });
  }

  /** What holds for a topic, property by property. */
  async describeTopicConfig(name: string): Promise<TopicConfigDescription> {
    checkTopicName(name);
    return (await this.#ask({ type: 'describe-config', name })) as TopicConfigDescription;
  }

  /**
   * Moves partitions to other brokers, or with a replication factor gives each partition of a topic so many replicas.
   * Replicas that come are filled while the partition is used, and as soon as all are in sync, those that go leave. All of
   * it begins or nothing; resolves when it has begun: listReassignments tells how far it is.
   */
  reassign(partitions: readonly PartitionReplicas[], options?: ReassignOptions): Promise<void>;
  reassign(topic: string, options: ReassignOptions & { readonly replicationFactor: number }): Promise<void>;
  async reassign(
    what: string | readonly PartitionReplicas[],
    options: ReassignOptions & { readonly replicationFactor?: number } = {},
  ): Promise<void> {
    const isTopic = typeof what === 'string';
    // What is neither is told before what its options would have to be.
    const targets = isTopic ? [] : checkReassignments(what);
    const names = ['throttleBytesPerSecond', 'timeoutMs'];
    requireOptions('reassign options', options, isTopic ? ['replicationFactor', ...names] : names);
    const throttle = checkThrottle(options.throttleBytesPerSecond);
    const timeoutMs = checkTimeout(options);
    if (!isTopic) {
      await this.#ask({ type: 'reassign', targets, throttle, timeoutMs });
      return;
    }
    checkTopicName(what);
    const replicationFactor = requireInteger('replicationFactor', options.replicationFactor, 1);
    await this.#ask({ type: 'resize', topic: what, replicationFactor, throttle, timeoutMs });
  }

  /** Partitions that are getting other replicas, and how far that is. */
  async listReassignments(): Promise<Reassignment[]> {
    return (await this.#ask({ type: 'list-reassignments' })) as Reassignment[];
  }

  /** Gives these partitions, or all, the replicas back that they had before their reassignments. */
  async cancelReassignments(
    partitions?: readonly PartitionName[],
    options: ChangeTopicOptions = {},
  ): Promise<void> {
    requireOptions('cancelReassignments options', options, ['timeoutMs']);
    const names = partitions === undefined ? undefined : checkPartitionNames(partitions);
    await this.#ask({ type: 'cancel-reassignments', partitions: names, timeoutMs: checkTimeout(options) });
  }

  /** Elects leaders where that is needed, and tells of each of those partitions what came of it. */
  async electLeaders(options: ElectLeadersOptions = {}): Promise<ElectionResult[]> {
    requireOptions('electLeaders options', options, ['topics', 'type', 'timeoutMs']);
    const { type: election = 'preferred' } = options;
    requireOneOf('type', election, ['preferred', 'unclean'] as const);
    const topics = checkTopicList(options.topics);
    const timeoutMs = checkTimeout(options);
    return (await this.#ask({ type: 'elect-leaders', topics, election, timeoutMs })) as ElectionResult[];
  }

  /** The names of all topics, in the order of the alphabet. */
  async listTopics(): Promise<string[]> {
    return (await this.#ask({ type: 'list-topics' })) as string[];
  }

  /**
   * Lets partitions begin at an offset of at most their HWM, or at the HWM itself with -1: what lies before can no
   * longer be read, and its files go. Resolves to where each partition then begins.
   */
  async deleteRecords(
    topic: string,
    offsets: { readonly [partition: number]: number },
  ): Promise<Record<number, number>> {
    requireTopicName(topic);
    const request = { type: 'delete-records', topic, offsets: checkOffsets(offsets) } as const;
    return Object.fromEntries((await this.#ask(request)) as Map<number, number>);
  }
}

function checkTimeout({ timeoutMs = ADMIN_TIMEOUT_DEFAULT_MS }: ChangeTopicOptions): number {
  return requireInteger('timeoutMs', timeoutMs, 1, ADMIN_TIMEOUT_MAX_MS);
}

/** An offset for each partition, under its number. */
function checkOffsets(offsets: unknown): [number, number][] {
  if (!isPlainObject(offsets)) {
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      `deleteRecords takes an object of offsets by partition, such as { 0: 100 }; got ${show(offsets)}.`,
    );
  }
  return Object.entries(offsets).map(([partition, offset]) => {
    if (!/^\d{1,10}$/.test(partition)) {
      throw new TidemarkError(
        'INVALID_ARGUMENT',
        `deleteRecords takes offsets under the numbers of partitions, such as { 0: 100 }; got the name ${show(partition)}.`,
      );
    }
    return [Number(partition), requireInteger(`the offset for partition ${partition}`, offset, -1)];
  });
}
