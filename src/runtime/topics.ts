import type { TopicConfig, TopicConfigInput } from '../config.ts';
import type { MetadataImage, MetadataPartition, MetadataTopic } from '../core/metadata/image.ts';
import { configOfTopic } from '../core/metadata/topic-config.ts';
import { TidemarkError } from '../errors.ts';
import { partitionDirectory } from '../log/file-names.ts';
import type { PartitionInfo } from '../types.ts';
import type { PartitionAssignment } from './directory.ts';

/** A topic as clients learn of it. */
export interface TopicInfo {
  readonly name: string;
  readonly config: TopicConfig;
  readonly partitions: readonly PartitionInfo[];
  /** The larger, the later it was shown, over all topics. */
  readonly version: number;
}

/** What is known of a topic besides. */
export interface KnownTopic extends Omit<TopicInfo, 'version'> {
  readonly topicId: string;
  readonly given: TopicConfigInput;
}

/**
 * The topics of a cluster, as they stand in the metadata, and which of them everybody sees: one that is being made is not
 * shown before its brokers are ready, and what has changed about others not before their brokers were told.
 */
export class Topics {
  /** What topics have where they were given nothing else. */
  readonly base: TopicConfig;
  /** What everybody may see. */
  readonly visible = new Map<string, TopicInfo>();
  readonly #image: () => MetadataImage;
  readonly #isVolatile: boolean;
  /** By partition id: why nobody leads it, where more is known than who does not run. */
  readonly #reasons = new Map<number, string>();
  /** Those whose reason nobody has seen yet. */
  readonly #explained = new Set<number>();
  #version = 0;

  /** `isVolatile`: what a broker holds goes with its thread. */
  constructor(image: () => MetadataImage, base: TopicConfig, isVolatile: boolean) {
    this.#image = image;
    this.#isVolatile = isVolatile;
    this.base = base;
  }

  /** Of what was shown last. */
  get version(): number {
    return this.#version;
  }

  /** Those that are written down, seen or not. */
  get written(): KnownTopic[] {
    return this.#image()
      .topics()
      .map((topic) => this.#describe(topic));
  }

  /** Ids from 0 to below this one have been given out. */
  get nextPartition(): number {
    return this.#image().fields.nextPartition;
  }

  has(name: string): boolean {
    return this.#image().topic(name) !== undefined;
  }

  /** A topic as it is written down. */
  known(name: string): KnownTopic | undefined {
    const topic = this.#image().topic(name);
    return topic === undefined ? undefined : this.#describe(topic);
  }

  /** A partition of a topic that everybody sees, as it is written down. */
  find(id: number): MetadataPartition | undefined {
    const partition = this.#image().partition(id);
    return partition !== undefined && this.visible.has(partition.topic) ? partition : undefined;
  }

  /** Who has a partition, whether anybody sees it yet or not. Undefined once its topic is deleted. */
  replicasOf(id: number): readonly number[] | undefined {
    return this.#image().partition(id)?.replicas;
  }

  /** Whether there is such a partition, of a topic that nobody sees yet. */
  isHidden(id: number): boolean {
    const partition = this.#image().partition(id);
    return partition !== undefined && !this.visible.has(partition.topic);
  }

  /** Partitions of topics that everybody sees, with a replica on that broker. */
  heldBy(broker: number): PartitionInfo[] {
    const held = this.#image().partitionsOn(broker);
    return held.filter(({ topic }) => this.visible.has(topic)).map((partition) => this.#infoOf(partition));
  }

  /** As brokers and clients are told of them, of topics that everybody sees. */
  infosOf(ids: Iterable<number>): PartitionInfo[] {
    const infos: PartitionInfo[] = [];
    for (const id of ids) {
      const partition = this.find(id);
      if (partition !== undefined) infos.push(this.#infoOf(partition));
    }
    return infos;
  }

  /** How one of its brokers is to open a partition that is written down. */
  assignmentOf(id: number, isKept: boolean): PartitionAssignment | undefined {
    const partition = this.#image().partition(id);
    if (partition === undefined) return undefined;
    const { topic, topicId } = partition;
    return { info: this.#infoOf(partition), config: this.#configOf(topic), topicId, isKept };
  }

  /** Partitions of which a broker has no replica, by their directories there, and whose those would be. */
  foreignTo(broker: number): Map<string, string> {
    const directories = new Map<string, string>();
    for (const { topic, topicId, partition, replicas } of this.#image().partitions())
      if (!replicas.includes(broker)) directories.set(partitionDirectory(topic, partition), topicId);
    return directories;
  }

  /** Why nobody leads a partition; it is forgotten once somebody does. */
  explain(partition: number, reason: string): void {
    this.#reasons.set(partition, reason);
    this.#explained.add(partition);
  }

  /** All of it. */
  show(name: string): TopicInfo {
    const { config, partitions } = this.known(name) as KnownTopic;
    for (const { id } of partitions) this.#explained.delete(id);
    return this.#see({ name, config, partitions });
  }

  /** Nobody sees it any more. */
  hide(name: string): void {
    for (const { id } of this.visible.get(name)?.partitions ?? []) {
      this.#reasons.delete(id);
      this.#explained.delete(id);
    }
    this.visible.delete(name);
    this.#version += 1;
  }

  /** Partitions that everybody sees are seen as they stand now: their topics, which are otherwise as they were. */
  showChanged(ids: Iterable<number>): TopicInfo[] {
    const changed = new Map<string, PartitionInfo[]>();
    for (const info of this.infosOf(new Set([...ids, ...this.#explained]))) {
      const { topic, partition, id } = info;
      const before = this.visible.get(topic)?.partitions ?? [];
      this.#explained.delete(id);
      // One that is being made is shown with all the others, once it is there.
      if (before[partition]?.id !== id) continue;
      const partitions = changed.get(topic) ?? before.slice();
      partitions[partition] = info;
      changed.set(topic, partitions);
    }
    return [...changed].map(([name, partitions]) => {
      const { config } = this.visible.get(name) as TopicInfo;
      return this.#see({ name, config, partitions });
    });
  }

  #see(topic: Omit<TopicInfo, 'version'>): TopicInfo {
    const shown = { ...topic, version: ++this.#version };
    this.visible.set(topic.name, shown);
    return shown;
  }

  #describe({ name, topicId, config: given, partitions }: MetadataTopic): KnownTopic {
    const image = this.#image();
    const infos = partitions.map((id) => this.#infoOf(image.partition(id) as MetadataPartition));
    return {
      name,
      topicId,
      given: given as TopicConfigInput,
      config: this.#configOf(name),
      partitions: infos,
    };
  }

  #infoOf(partition: MetadataPartition): PartitionInfo {
    const { id, leader } = partition;
    if (leader === -1) return { ...partition, unavailable: this.#reasonOf(partition) };
    this.#reasons.delete(id);
    return partition;
  }

  #reasonOf(partition: MetadataPartition): string {
    const known = this.#reasons.get(partition.id);
    if (known === undefined) return reasonOf(partition, this.#isVolatile);
    // What was found in another directory than the one with the records does not say where those are.
    return partition.lostDirectory === null ? known : `${known} And ${lossOf(partition, this.#isVolatile)}`;
  }

  /** A topic's properties were checked when it was made; what is refused now was changed since, or is unknown by now. */
  #configOf(name: string): TopicConfig {
    try {
      return configOfTopic(this.#image(), name, this.base);
    } catch (cause) {
      throw new TidemarkError(
        'DATA_DIRECTORY_INVALID',
        `The configuration that the metadata have for topic '${name}' is refused: ${(cause as Error).message}`,
        { cause },
      );
    }
  }
}

function reasonOf(info: MetadataPartition, isVolatile: boolean): string {
  const { topic, partition, isr, lostDirectory } = info;
  const what = `Partition ${partition} of '${topic}' has no leader`;
  const [one, ...others] = isr;
  if (lostDirectory !== null) return `${what}: ${lossOf(info, isVolatile)}`;
  return others.length === 0
    ? `${what}: broker ${one}, which alone has all of its records, is not running. Start it again, for example with cluster.faults.restart(${one}).`
    : `${what}: none of the brokers ${isr.join(', ')}, which have all of its records, is running. Start one of them again, for example with cluster.faults.restart(${one}).`;
}

/** Where the records are of a partition whose last member of the ISR came without them, and what helps. */
function lossOf({ isr: [one], lostDirectory }: MetadataPartition, isVolatile: boolean): string {
  return isVolatile
    ? `its records were in the memory of broker ${one}, which has ended. Delete the topic, and create it again.`
    : `broker ${one}, which alone had all of its records, came with another directory than the one that has them, whose id is ${lostDirectory}. Restore that directory, or its meta.properties, and start again; or call cluster.admin.electLeaders({ type: 'unclean' }), which makes do with what the replicas of now hold, whatever they lack; or delete the topic and create it anew.`;
}
