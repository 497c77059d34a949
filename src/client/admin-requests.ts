import { type PropertyName, type TopicConfig, topicConfig } from '../config.ts';
import { TidemarkError } from '../errors.ts';
import type { Coordinator } from '../runtime/coordinator.ts';
import type { DeletedRecords } from '../runtime/directory.ts';
import type {
  AdminRequest,
  ConfigChange,
  DeletionRequest,
  TopicConfigDescription,
  TopicRequest,
} from './admin.ts';
import { unknownTopic } from './unknown-topic.ts';

/** The cluster's side of what administrators ask, from whichever thread. */
export class AdminRequests {
  readonly #coordinator: Coordinator;
  /** What topics have where they were given nothing else. */
  readonly #config: TopicConfig;

  constructor(coordinator: Coordinator, config: TopicConfig) {
    this.#coordinator = coordinator;
    this.#config = config;
  }

  answer(request: AdminRequest): Promise<unknown> {
    const { topicChanges, reassignments } = this.#coordinator;
    switch (request.type) {
      case 'create-topic':
        return this.#createTopic(request);
      case 'delete-topic':
        return topicChanges.delete(request.name, request.timeoutMs);
      case 'create-partitions':
        return topicChanges.createPartitions(request.name, request.total, request.timeoutMs);
      case 'alter-config':
        return this.#alterConfig(request);
      case 'reassign':
        return reassignments.reassign(request.targets, request.throttle, request.timeoutMs);
      case 'resize':
        return reassignments.resize(
          request.topic,
          request.replicationFactor,
          request.throttle,
          request.timeoutMs,
        );
      case 'list-reassignments':
        return Promise.resolve(reassignments.list());
      case 'cancel-reassignments':
        return reassignments.cancel(request.partitions, request.timeoutMs);
      case 'elect-leaders':
        return reassignments.elect(request.topics, request.election, request.timeoutMs);
      case 'describe-config':
        return this.#describeConfig(request.name);
      case 'list-topics':
        return Promise.resolve([...this.#coordinator.topics.keys()].sort());
      case 'delete-records':
        return this.#deleteRecords(request);
    }
  }

  async #createTopic({
    name,
    partitions,
    replicationFactor,
    config,
    timeoutMs,
  }: TopicRequest): Promise<void> {
    await this.#coordinator.topicChanges.create(name, partitions, replicationFactor, config ?? {}, timeoutMs);
  }

  async #alterConfig({ name, set, remove, timeoutMs }: ConfigChange): Promise<void> {
    const known = Object.keys(this.#config);
    const unknown = remove.find((property) => !known.includes(property));
    // It says what is known.
    if (unknown !== undefined) topicConfig({ [unknown]: '' });
    await this.#coordinator.topicChanges.configure(name, set, remove as readonly PropertyName[], timeoutMs);
  }

  async #describeConfig(name: string): Promise<TopicConfigDescription> {
    const topic = this.#coordinator.topics.has(name) ? this.#coordinator.knownTopic(name) : undefined;
    if (topic === undefined) throw unknownTopic(name);
    const rows = Object.entries(topic.config).map(([property, value]) => {
      const source = Object.hasOwn(topic.given, property) ? 'topic' : 'default';
      return [property, { value, source }];
    });
    return Object.fromEntries(rows) as TopicConfigDescription;
  }

  async #deleteRecords({ topic, offsets }: DeletionRequest): Promise<Map<number, number>> {
    const partitions = this.#coordinator.topics.get(topic)?.partitions;
    if (partitions === undefined) throw unknownTopic(topic);
    const infos = offsets.map(([partition, offset]) => {
      const info = partitions[partition];
      if (info !== undefined) return { info, offset };
      throw new TidemarkError(
        'UNKNOWN_TOPIC_OR_PARTITION',
        `Topic '${topic}' has no partition ${partition}; it has ${partitions.length}, counted from 0.`,
      );
    });
    const starts = infos.map(async ({ info, offset }): Promise<[number, number]> => {
      if (info.unavailable !== undefined) throw new TidemarkError('LEADER_NOT_AVAILABLE', info.unavailable);
      const request = { type: 'delete-records', partition: info.id, offset } as const;
      const deleted = (await this.#coordinator.ask(info.leader, request)) as DeletedRecords;
      const { error, logStart, hwm } = deleted;
      if (error === 'NONE') return [info.partition, logStart];
      const sentence =
        error === 'OFFSET_OUT_OF_RANGE'
          ? `only what is committed can be deleted, which is up to ${hwm}; ${offset} lies above that.`
          : `broker ${info.leader}, which leads it, answered ${error}.`;
      throw new TidemarkError(
        error,
        `No records of partition ${info.partition} of '${topic}' were deleted: ${sentence}`,
      );
    });
    return new Map(await Promise.all(starts));
  }
}
