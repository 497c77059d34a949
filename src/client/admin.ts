import { type TopicConfigInput, topicConfig } from '../config.ts';
import { isPlainObject, requireInteger, requireOptions, show, TidemarkError } from '../errors.ts';

export interface CreateTopicOptions {
  /** Default 1. */
  readonly partitions?: number;
  /** Default: as many as there are brokers, at most 3. */
  readonly replicationFactor?: number;
  /** Kafka's property names, over the cluster's own configuration. */
  readonly config?: TopicConfigInput;
}

/** What an administrator asks for, checked as far as it can be without the cluster's state. */
export interface TopicRequest {
  readonly name: string;
  readonly partitions: number;
  readonly replicationFactor: number | undefined;
  readonly config: TopicConfigInput | undefined;
}

/** Partitions, and the offset that each is to begin at; -1 is its HWM. */
export interface DeletionRequest {
  readonly topic: string;
  readonly offsets: readonly (readonly [number, number])[];
}

const NAME_MAX = 249;
const PARTITIONS_A_TOPIC_MAX = 10_000;

export class Admin {
  readonly #create: (request: TopicRequest) => Promise<void>;
  readonly #delete: (request: DeletionRequest) => Promise<ReadonlyMap<number, number>>;

  /** @internal */
  constructor(
    create: (request: TopicRequest) => Promise<void>,
    deleteRecords: (request: DeletionRequest) => Promise<ReadonlyMap<number, number>>,
  ) {
    this.#create = create;
    this.#delete = deleteRecords;
  }

  /** Resolves when every replica is ready for records. */
  async createTopic(name: string, options: CreateTopicOptions = {}): Promise<void> {
    checkTopicName(name);
    requireOptions('createTopic options', options, ['partitions', 'replicationFactor', 'config']);
    const { replicationFactor, config } = options;
    const partitions = requireInteger('partitions', options.partitions ?? 1, 1, PARTITIONS_A_TOPIC_MAX);
    if (replicationFactor !== undefined) requireInteger('replicationFactor', replicationFactor, 1);
    topicConfig(config);
    await this.#create({ name, partitions, replicationFactor, config });
  }

  /**
   * Lets partitions begin at an offset of at most their HWM, or at the HWM itself with -1: what lies before can no
   * longer be read, and its files go. Resolves to where each partition then begins.
   */
  async deleteRecords(
    topic: string,
    offsets: { readonly [partition: number]: number },
  ): Promise<Record<number, number>> {
    const starts = await this.#delete({ topic, offsets: checkOffsets(offsets) });
    return Object.fromEntries(starts);
  }
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

/** Kafka's rules: the names become names of files and of metrics. */
function checkTopicName(name: string): void {
  const legal = typeof name === 'string' && /^[a-zA-Z0-9._-]+$/.test(name) && name !== '.' && name !== '..';
  if (legal && name.length <= NAME_MAX) return;
  throw new TidemarkError(
    'INVALID_TOPIC_EXCEPTION',
    `A topic's name must have 1 to ${NAME_MAX} letters, digits, '.', '_' or '-', and not be '.' or '..'; got ${show(name)}.`,
  );
}
