import { type TopicConfig, type TopicConfigInput, topicConfig } from '../config.ts';
import { TidemarkError } from '../errors.ts';
import { PARTITIONS_MAX } from '../limits.ts';
import type { PartitionInfo } from '../types.ts';
import type { ClusterState, ClusterStore, StoredPartition } from './cluster-file.ts';

/** A topic as clients learn of it. */
export interface TopicInfo {
  readonly name: string;
  readonly config: TopicConfig;
  readonly partitions: readonly PartitionInfo[];
  /** The larger, the later it was shown, over all topics. */
  readonly version: number;
}

/** What is kept of a topic besides. */
export interface KnownTopic extends Omit<TopicInfo, 'version'> {
  readonly topicId: string;
  readonly given: TopicConfigInput;
}

/**
 * The topics of a cluster. A change is made in two steps: it is written down, and only then does anybody see it. Changes
 * may overlap: each is written with all that were made before.
 */
export class Topics {
  /** What everybody may see. */
  readonly visible = new Map<string, TopicInfo>();
  readonly #written = new Map<string, KnownTopic>();
  readonly #store: ClusterStore;
  readonly #clusterId: string;
  #brokers: readonly number[];
  /** By partition id: the topic that has it, or had it. */
  readonly #names = new Map<number, string>();
  /** What topics have where they were given nothing else. */
  readonly base: TopicConfig;
  #nextPartition: number;
  #version = 0;

  constructor(state: ClusterState, store: ClusterStore, base: TopicConfig) {
    const { clusterId, brokers, topics, nextPartition } = state;
    this.#store = store;
    this.base = base;
    this.#clusterId = clusterId;
    this.#brokers = brokers;
    this.#nextPartition = nextPartition;
    for (const { name, topicId, config: given, partitions } of topics) {
      const infos = partitions.map((partition) => ({ ...partition, topic: name }));
      const config = configOf(name, given, base);
      this.#set({ name, topicId, given, config, partitions: infos });
    }
  }

  /** Of what was shown last. */
  get version(): number {
    return this.#version;
  }

  /** Those that are written down, seen or not. */
  get written(): Iterable<KnownTopic> {
    return this.#written.values();
  }

  /** Ids from 0 to below this one have been given out. */
  get nextPartition(): number {
    return this.#nextPartition;
  }

  has(name: string): boolean {
    return this.#written.has(name);
  }

  /** A partition of a topic that everybody sees, as it was last written down or planned. */
  find(id: number): PartitionInfo | undefined {
    const name = this.#names.get(id) ?? '';
    if (!this.visible.has(name)) return undefined;
    return this.#written.get(name)?.partitions.find((info) => info.id === id);
  }

  /** The same, as everybody was told last. */
  announced(id: number): PartitionInfo | undefined {
    return this.visible.get(this.#names.get(id) ?? '')?.partitions.find((info) => info.id === id);
  }

  /** Partitions of topics that everybody sees, with a replica on that broker. */
  heldBy(broker: number): PartitionInfo[] {
    const held: PartitionInfo[] = [];
    for (const { name, partitions } of this.#written.values())
      if (this.visible.has(name))
        for (const info of partitions) if (info.replicas.includes(broker)) held.push(info);
    return held;
  }

  /** Ids for new partitions: the first of them. They are used once, also those of a creation that fails. */
  takeIds(partitions: number): number {
    const first = this.#nextPartition;
    if (first + partitions > PARTITIONS_MAX) {
      throw new TidemarkError('INVALID_PARTITIONS', `A cluster holds at most ${PARTITIONS_MAX} partitions.`);
    }
    this.#nextPartition = first + partitions;
    return first;
  }

  /** Writes a new topic down; show() lets it be seen. */
  async add(topic: KnownTopic): Promise<void> {
    this.#set(topic);
    try {
      await this.#save();
    } catch (error) {
      this.#forget(topic.name);
      throw error;
    }
  }

  async drop(name: string): Promise<void> {
    this.#forget(name);
    await this.#save();
  }

  /** A topic as it is written down. */
  known(name: string): KnownTopic | undefined {
    return this.#written.get(name);
  }

  /** Writes down what has become of a topic. */
  async replace(topic: KnownTopic): Promise<void> {
    const before = this.#written.get(topic.name) as KnownTopic;
    this.#set(topic);
    try {
      await this.#save();
    } catch (error) {
      // Its partitions may have changed meanwhile, and those changes stand.
      const { partitions } = this.#written.get(topic.name) as KnownTopic;
      this.#set({ ...before, partitions: partitions.slice(0, before.partitions.length) });
      throw error;
    }
  }

  /** Writes down that there is no such topic, and then nobody sees it any more. */
  async remove(topic: KnownTopic): Promise<void> {
    this.#forget(topic.name);
    try {
      await this.#save();
    } catch (error) {
      this.#set(topic);
      throw error;
    }
    this.visible.delete(topic.name);
    this.#version++;
  }

  show(name: string): TopicInfo {
    const { config, partitions } = this.#written.get(name) as KnownTopic;
    const shown = { name, config, partitions, version: ++this.#version };
    this.visible.set(name, shown);
    return shown;
  }

  /** Those of them that everybody sees are seen as they stand now. */
  showAll(names: Iterable<string>): TopicInfo[] {
    const seen = [...names].filter((name) => this.visible.has(name) && this.#written.has(name));
    return seen.map((name) => this.show(name));
  }

  /** Changes what `change` gives another value: the partitions that it changed. Nobody sees it before commit(). */
  plan(change: (info: PartitionInfo) => PartitionInfo): PartitionInfo[] {
    const changed: PartitionInfo[] = [];
    for (const topic of this.#written.values()) {
      const partitions = topic.partitions.map((info) => {
        const next = change(info);
        if (next !== info) changed.push(next);
        return next;
      });
      this.#written.set(topic.name, { ...topic, partitions });
    }
    return changed;
  }

  /** The same for topics that everybody sees, or for one partition of them. */
  change(change: (info: PartitionInfo) => PartitionInfo, partition?: number): PartitionInfo[] {
    const names = partition === undefined ? this.visible.keys() : [this.#names.get(partition) ?? ''];
    const changed: PartitionInfo[] = [];
    for (const name of names) {
      const topic = this.#written.get(name);
      if (topic === undefined || !this.visible.has(name)) continue;
      const partitions = topic.partitions.map((info) => {
        const next = partition === undefined || info.id === partition ? change(info) : info;
        if (next !== info) changed.push(next);
        return next;
      });
      if (partitions.some((info, n) => info !== topic.partitions[n]))
        this.#written.set(name, { ...topic, partitions });
    }
    return changed;
  }

  /** Writes down which brokers there are. */
  async setBrokers(ids: readonly number[]): Promise<void> {
    const before = this.#brokers;
    this.#brokers = [...ids].sort((one, other) => one - other);
    try {
      await this.#save();
    } catch (error) {
      this.#brokers = before;
      throw error;
    }
  }

  /** Writes down what was planned. */
  commit(): Promise<void> {
    return this.#save();
  }

  #set(topic: KnownTopic): void {
    this.#written.set(topic.name, topic);
    for (const { id } of topic.partitions) this.#names.set(id, topic.name);
  }

  #forget(name: string): void {
    for (const { id } of this.#written.get(name)?.partitions ?? []) this.#names.delete(id);
    this.#written.delete(name);
  }

  #save(): Promise<void> {
    const topics = [...this.#written.values()].map(({ name, topicId, given, partitions }) => ({
      name,
      topicId,
      config: given,
      partitions: partitions.map(
        ({ id, partition, replicas, isr, leader, epoch }): StoredPartition => ({
          id,
          partition,
          replicas,
          isr,
          leader,
          epoch,
        }),
      ),
    }));
    const brokers = this.#brokers;
    return this.#store.save({
      clusterId: this.#clusterId,
      brokers,
      topics,
      nextPartition: this.#nextPartition,
    });
  }
}

/** A topic's properties were checked when it was made; what is refused now was changed since, or is unknown by now. */
function configOf(name: string, given: TopicConfigInput, base: TopicConfig): TopicConfig {
  try {
    return topicConfig(given, base);
  } catch (cause) {
    throw new TidemarkError(
      'DATA_DIRECTORY_INVALID',
      `The configuration that cluster.json has for topic '${name}' is refused: ${(cause as Error).message}`,
      { cause },
    );
  }
}
