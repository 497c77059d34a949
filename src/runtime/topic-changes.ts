import {
  isCompacted,
  type PropertyName,
  type TopicConfig,
  type TopicConfigInput,
  topicConfig,
} from '../config.ts';
import { brokersFor, placeReplicas } from '../core/placement.ts';
import { TidemarkError } from '../errors.ts';
import { CONTROL_TIMEOUT_MS } from '../limits.ts';
import { partitionDirectory } from '../log/file-names.ts';
import type { PartitionInfo } from '../types.ts';
import type { ControlRequest } from './directory.ts';
import type { Members } from './members.ts';
import type { PartitionChanges } from './partition-changes.ts';
import { withoutBroker } from './succession.ts';
import { timeLimit } from './timers.ts';
import type { KnownTopic, TopicInfo, Topics } from './topics.ts';
import { newUuid } from './uuid.ts';

interface TopicCluster {
  readonly topics: Topics;
  readonly members: Members;
  readonly changes: PartitionChanges;
  /** Whether a broker may be given something to lead or to hold. */
  isLive(broker: number): boolean;
  /** Everybody sees these as they are now. */
  shown(topics: readonly TopicInfo[]): void;
  /** Nobody sees it any more. */
  gone(name: string): void;
}

/** Topics are made one after the other: ids and chunks are given out in order. */
export class TopicChanges {
  readonly #cluster: TopicCluster;
  /** By broker: what has to go there before it opens its logs. */
  readonly #owed = new Map<number, Map<string, string>>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(cluster: TopicCluster) {
    this.#cluster = cluster;
  }

  create(
    name: string,
    partitions: number,
    replicationFactor: number | undefined,
    given: TopicConfigInput,
    config: TopicConfig,
  ): Promise<void> {
    return this.inTurn(() => this.#create(name, partitions, replicationFactor, given, config));
  }

  /** Its records go, and so do its files: at brokers that do not run, when they start. */
  delete(name: string): Promise<void> {
    return this.inTurn(async () => {
      const { topics, gone } = this.#cluster;
      const topic = this.#known(name);
      try {
        await topics.remove(topic);
      } catch (error) {
        await this.#settle(name);
        throw error;
      }
      const partitions = topic.partitions.map(({ id }) => id);
      this.#owe(topic);
      await this.#tell({ type: 'remove', partitions });
      gone(name);
    });
  }

  /** Directories of topics that were deleted while that broker did not run, and whose they were. */
  takeOwed(broker: number): ReadonlyMap<string, string> {
    const owed = this.#owed.get(broker) ?? new Map<string, string>();
    this.#owed.delete(broker);
    return owed;
  }

  #owe({ topicId, partitions }: KnownTopic): void {
    for (const { handle } of this.#cluster.members.all) {
      // One whose disk has failed touches none of its files any more.
      const isAway = handle.hasEnded || handle.state === 'offline';
      const held = partitions.filter(({ replicas }) => isAway && replicas.includes(handle.id));
      const owed = this.#owed.get(handle.id) ?? new Map<string, string>();
      for (const { topic, partition } of held) owed.set(partitionDirectory(topic, partition), topicId);
      if (owed.size > 0) this.#owed.set(handle.id, owed);
    }
  }

  /** More partitions: `total` of them in all. */
  createPartitions(name: string, total: number): Promise<void> {
    return this.inTurn(async () => {
      const { topics } = this.#cluster;
      const topic = this.#known(name);
      const { length } = topic.partitions;
      if (total <= length) {
        const sentence = `Topic '${name}' has ${length} partitions, and can only be given more; got ${total}.`;
        throw new TidemarkError('INVALID_PARTITIONS', sentence);
      }
      const infos = this.#place(name, length, total - length, topic.partitions[0].replicas.length);
      try {
        await this.#make(topic, infos);
        const { partitions } = this.#known(name);
        await topics.replace({ ...topic, partitions: [...partitions, ...infos] });
      } catch (error) {
        await this.#tell({ type: 'remove', partitions: infos.map(({ id }) => id) });
        throw error;
      }
      await this.#show(name);
    });
  }

  /** Properties that are set, and others that go back to their defaults. */
  configure(name: string, set: TopicConfigInput, remove: readonly PropertyName[]): Promise<void> {
    return this.inTurn(async () => {
      const { topics } = this.#cluster;
      const topic = this.#known(name);
      const kept = Object.entries(topic.given).filter(([key]) => !remove.includes(key as PropertyName));
      const given: TopicConfigInput = { ...Object.fromEntries(kept), ...set };
      const config = topicConfig(given, topics.base);
      if (isCompacted(config) !== isCompacted(topic.config)) {
        const sentence = `Topic '${name}' cannot be changed between 'delete' and 'compact': its logs are laid out for the one or the other. Create another topic.`;
        throw new TidemarkError('INVALID_CONFIG', sentence);
      }
      await topics.replace({ ...topic, partitions: this.#known(name).partitions, given, config });
      await this.#tell({ type: 'configure', partitions: topic.partitions.map(({ id }) => id), config });
      await this.#show(name);
    });
  }

  #known(name: string): KnownTopic {
    const topic = this.#cluster.topics.known(name);
    if (topic !== undefined) return topic;
    throw new TidemarkError('UNKNOWN_TOPIC_OR_PARTITION', `There is no topic '${name}'.`);
  }

  /** Every thread that lives hears of it; those that hang, when they wake. */
  async #tell(request: ControlRequest): Promise<void> {
    const living = this.#cluster.members.all.filter(({ handle }) => !handle.hasEnded);
    const told = living.map(({ handle }) => ({
      handle,
      done: handle.request(request, Number.POSITIVE_INFINITY),
    }));
    for (const { done } of told) done.catch(() => undefined);
    const awaited = told.filter(({ handle }) => handle.isAlive).map(({ done }) => done);
    const late = (): Error => new Error('slow');
    await timeLimit(Promise.allSettled(awaited), CONTROL_TIMEOUT_MS, late).catch(() => undefined);
  }

  /** Does something that no creation is to overlap with. */
  inTurn<T>(act: () => Promise<T>): Promise<T> {
    const done = this.#last.then(act);
    this.#last = done.catch(() => undefined);
    return done;
  }

  async #create(
    name: string,
    partitions: number,
    replicationFactor: number | undefined,
    given: TopicConfigInput,
    config: TopicConfig,
  ): Promise<void> {
    const { topics } = this.#cluster;
    if (topics.has(name)) throw new TidemarkError('TOPIC_ALREADY_EXISTS', `Topic '${name}' exists already.`);
    const infos = this.#place(name, 0, partitions, replicationFactor);
    const topic: KnownTopic = { name, topicId: newUuid(), given, config, partitions: infos };
    // Written down first: whatever is left of a creation that a crash has cut short is made whole at the next start.
    await topics.add(topic);
    try {
      await this.#make(topic, infos);
    } catch (error) {
      await topics.drop(name).catch(() => undefined);
      throw error;
    }
    await this.#show(name);
  }

  #place(name: string, from: number, count: number, replicationFactor: number | undefined): PartitionInfo[] {
    const { members, topics, isLive } = this.#cluster;
    const candidates = members.all.map(({ handle: { id, state, error } }) => {
      const isLeaving = state === 'running' && !isLive(id);
      return { id, state: isLeaving ? 'stopping' : state, error };
    });
    const { running, factor } = brokersFor(replicationFactor, candidates);
    const first = topics.takeIds(count);
    return placeReplicas(running, count, factor, first).map(
      (replicas, n): PartitionInfo => ({
        id: first + n,
        topic: name,
        partition: from + n,
        replicas,
        isr: replicas,
        leader: replicas[0],
        epoch: 0,
      }),
    );
  }

  async #make({ name, topicId, config }: KnownTopic, infos: readonly PartitionInfo[]): Promise<void> {
    const findings = await this.#cluster.members.assign(
      infos.map((info) => ({ info, config, topicId, isKept: false })),
      CONTROL_TIMEOUT_MS,
    );
    for (const [broker, found] of findings) {
      const refused = [...found.values()].find(({ state }) => state !== 'online');
      if (refused === undefined) continue;
      throw new TidemarkError(
        'KAFKA_STORAGE_ERROR',
        `Topic '${name}' was not made, because broker ${broker} could not open its log: ${refused.error}`,
      );
    }
  }

  /** A broker that has failed since it was given a replica changed only what was seen by then. */
  #show(name: string): Promise<void> {
    const { topics, shown } = this.#cluster;
    return this.#settle(name, () => {
      const wasSeen = topics.visible.has(name);
      const topic = topics.show(name);
      if (wasSeen) shown([topic]);
    });
  }

  #settle(name: string, begin?: () => void): Promise<void> {
    const { changes, isLive } = this.#cluster;
    const settle = (info: PartitionInfo): PartitionInfo =>
      info.topic !== name
        ? info
        : info.replicas
            .filter((broker) => !isLive(broker))
            .reduce((each, broker) => withoutBroker(each, broker, isLive), info);
    return changes.change(settle, begin === undefined ? {} : { begin });
  }
}
