import { type TopicConfigInput, topicConfig } from '../config.ts';
import { requireInteger, requireOptions, show, TidemarkError } from '../errors.ts';

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

const NAME_MAX = 249;
const PARTITIONS_A_TOPIC_MAX = 10_000;

export class Admin {
  readonly #create: (request: TopicRequest) => Promise<void>;

  constructor(create: (request: TopicRequest) => Promise<void>) {
    this.#create = create;
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
