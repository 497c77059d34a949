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
}

/** What is kept of a topic besides. */
export interface KnownTopic extends TopicInfo {
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
  readonly #identity: Pick<ClusterState, 'clusterId' | 'brokers'>;
  #nextPartition: number;

  constructor(state: ClusterState, store: ClusterStore, base: TopicConfig) {
    const { clusterId, brokers, topics, nextPartition } = state;
    this.#store = store;
    this.#identity = { clusterId, brokers };
    this.#nextPartition = nextPartition;
    for (const { name, topicId, config: given, partitions } of topics) {
      const infos = partitions.map((partition) => ({ ...partition, topic: name }));
      const config = configOf(name, given, base);
      this.#written.set(name, { name, topicId, given, config, partitions: infos });
    }
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
    for (const { name, partitions } of this.#written.values()) {
      const found = partitions.find((info) => info.id === id);
      if (found !== undefined) return this.visible.has(name) ? found : undefined;
    }
    return undefined;
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
    this.#written.set(topic.name, topic);
    try {
      await this.#save();
    } catch (error) {
      this.#written.delete(topic.name);
      throw error;
    }
  }

  async drop(name: string): Promise<void> {
    this.#written.delete(name);
    await this.#save();
  }

  show(name: string): void {
    const { config, partitions } = this.#written.get(name) as KnownTopic;
    this.visible.set(name, { name, config, partitions });
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

  /** Writes down what was planned, and lets it be seen. */
  async commit(): Promise<void> {
    await this.#save();
    for (const name of this.visible.keys()) this.show(name);
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
    return this.#store.save({ ...this.#identity, topics, nextPartition: this.#nextPartition });
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
