import type { TopicConfig, TopicConfigInput } from '../config.ts';
import { placeReplicas } from '../core/placement.ts';
import { TidemarkError } from '../errors.ts';
import { CONTROL_TIMEOUT_MS } from '../limits.ts';
import type { PartitionInfo } from '../types.ts';
import type { Members } from './members.ts';
import type { PartitionChanges } from './partition-changes.ts';
import { withoutBroker } from './succession.ts';
import type { KnownTopic, Topics } from './topics.ts';
import { newUuid } from './uuid.ts';

interface TopicCluster {
  readonly topics: Topics;
  readonly members: Members;
  readonly changes: PartitionChanges;
  /** Whether a broker may be given something to lead or to hold. */
  isLive(broker: number): boolean;
}

/** Topics are made one after the other: ids and chunks are given out in order. */
export class TopicChanges {
  readonly #cluster: TopicCluster;
  #last: Promise<unknown> = Promise.resolve();

  constructor(cluster: TopicCluster) {
    this.#cluster = cluster;
  }

  create(
    name: string,
    partitions: number,
    replicationFactor: number,
    given: TopicConfigInput,
    config: TopicConfig,
  ): Promise<void> {
    return this.inTurn(() => this.#create(name, partitions, replicationFactor, given, config));
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
    replicationFactor: number,
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

  #place(name: string, from: number, count: number, replicationFactor: number): PartitionInfo[] {
    const { members, topics, isLive } = this.#cluster;
    const running = members.ids.filter((id) => isLive(id)).sort((one, other) => one - other);
    if (replicationFactor > running.length) {
      throw new TidemarkError(
        'INVALID_REPLICATION_FACTOR',
        `A replication factor of ${replicationFactor} needs as many brokers; ${running.length} are running.`,
      );
    }
    const first = topics.takeIds(count);
    return placeReplicas(running, count, replicationFactor, first).map(
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
    const { topics, changes, isLive } = this.#cluster;
    const settle = (info: PartitionInfo): PartitionInfo =>
      info.topic !== name
        ? info
        : info.replicas
            .filter((broker) => !isLive(broker))
            .reduce((each, broker) => withoutBroker(each, broker, isLive), info);
    return changes.change(settle, { begin: () => topics.show(name) });
  }
}
