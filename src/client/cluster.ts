import { type TopicConfig, type TopicConfigInput, topicConfig } from '../config.ts';
import { requireInteger, requireOneOf, requireOptions, TidemarkError } from '../errors.ts';
import { BROKERS_MAX, DELIVERY_TIMEOUT_DEFAULT_MS } from '../limits.ts';
import { AttachServer, type ClusterHandle } from '../runtime/attach-channel.ts';
import { Coordinator } from '../runtime/coordinator.ts';
import { watchThreads } from '../runtime/thread-watch.ts';
import type { BrokerMetrics, Durability, ReplicaBytes } from '../types.ts';
import { Admin, type TopicRequest } from './admin.ts';
import { Producer, type ProducerOptions } from './producer.ts';
import { type ReadOptions, type ReadResult, read } from './read.ts';
import { Session } from './session.ts';
import type { ClusterStatus } from './status.ts';

export interface ClusterOptions {
  /** How many brokers, each a thread with a replica of its own. Default 1: standalone. */
  readonly brokers?: number;
  /** What an acknowledgement means. This version keeps records in memory only. */
  readonly durability?: Durability;
  /** This version writes no files, so there is none. */
  readonly dataDir?: undefined;
  /** This version has no Kafka listener yet. */
  readonly listen?: false;
  /** Defaults for topics, under Kafka's property names. */
  readonly config?: TopicConfigInput;
  /** After this time without an answer a request fails with REQUEST_TIMED_OUT. */
  readonly deliveryTimeoutMs?: number;
}

export interface InspectOptions {
  readonly broker: number;
  readonly partition: number;
  /** Default: the start of the log. */
  readonly offset?: number;
  readonly maxBytes?: number;
}

const INSPECT_BYTES = 1 << 20;
const OPTIONS = ['brokers', 'durability', 'dataDir', 'listen', 'config', 'deliveryTimeoutMs'];
const BROKERS_A_PROCESS_MAX = Math.min(100, BROKERS_MAX - 1);

/** Brokers in this process, and a client to them. */
export class Cluster {
  readonly admin: Admin;
  readonly #coordinator: Coordinator;
  readonly #config: TopicConfig;
  readonly #session: Session;
  readonly #server: AttachServer;
  readonly #producers = new Set<Producer>();
  readonly #unwatch: () => void;
  #closing: Promise<void> | undefined;

  private constructor(coordinator: Coordinator, session: Session, config: TopicConfig) {
    this.#coordinator = coordinator;
    this.#session = session;
    this.#config = config;
    this.admin = new Admin((request) => this.#createTopic(request));
    this.#server = new AttachServer(coordinator.clusterId, (name, argument) => this.#answer(name, argument));
    this.#unwatch = watchThreads((threadId) => coordinator.threadEnded(threadId));
    coordinator.onBrokerFailure((broker, cause) => {
      session.brokerFailed(broker, cause);
      this.#server.tell('broker-failed', { broker, message: cause.message });
    });
    // One that has failed since this thread was attached has told nobody.
    for (const id of coordinator.brokerIds) {
      if (coordinator.brokerState(id) !== 'failed') continue;
      session.brokerFailed(id, new Error('its thread ended during the start'));
    }
  }

  /** Starts the brokers; resolves when they serve. */
  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const { brokers, config, deliveryTimeoutMs } = checkedOptions(options);
    const coordinator = await Coordinator.start(brokers);
    try {
      const attachment = await coordinator.attach();
      const directory = {
        known: (name: string) => coordinator.topics.get(name),
        find: async (name: string) => coordinator.topics.get(name),
      };
      const session = new Session(
        coordinator.arena,
        coordinator.module,
        attachment,
        directory,
        deliveryTimeoutMs,
      );
      return new Cluster(coordinator, session, config);
    } catch (error) {
      await coordinator.close();
      throw error;
    }
  }

  /** Plain data: give it to another thread, which calls connect(handle). */
  get handle(): ClusterHandle {
    return this.#server.handle;
  }

  producer(options: ProducerOptions = {}): Producer {
    this.#checkOpen();
    const producer = new Producer(this.#session, options, (closed) => this.#producers.delete(closed));
    this.#producers.add(producer);
    return producer;
  }

  /** Committed records of one partition. */
  read(topic: string, options: ReadOptions): Promise<ReadResult> {
    return read(this.#session, topic, options);
  }

  status(): ClusterStatus {
    const coordinator = this.#coordinator;
    return {
      clusterId: coordinator.clusterId,
      brokers: coordinator.brokerIds.map((id) => ({
        id,
        state: coordinator.brokerState(id),
        endpoint: null,
      })),
      topics: [...coordinator.topics.values()].map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ id, partition, leader, epoch, replicas, isr }) => ({
          id: partition,
          leader,
          epoch,
          replicas,
          isr,
          logStart: coordinator.table(leader).loadLogStart(id),
          hwm: coordinator.table(leader).loadHwm(id),
          leo: Object.fromEntries(replicas.map((broker) => [broker, coordinator.table(broker).loadLeo(id)])),
        })),
      })),
    };
  }

  /** What the brokers have counted since they started, read without disturbing them. */
  metrics(): BrokerMetrics[] {
    return this.#coordinator.brokerIds.map((id) => this.#coordinator.metrics(id).read(id));
  }

  /** A replica's raw batches from an offset on, committed or not: for comparing replicas byte by byte. */
  async inspect(topic: string, options: InspectOptions): Promise<ReplicaBytes> {
    this.#checkOpen();
    requireOptions('inspect options', options, ['broker', 'partition', 'offset', 'maxBytes']);
    const offset = requireInteger('offset', options.offset ?? 0, 0);
    const maxBytes = requireInteger('maxBytes', options.maxBytes ?? INSPECT_BYTES, 1);
    const info = (await this.#session.topic(topic)).partitions[options.partition];
    if (info === undefined || !info.replicas.includes(options.broker)) {
      throw new TidemarkError(
        'UNKNOWN_TOPIC_OR_PARTITION',
        `Broker ${options.broker} holds no replica of partition ${options.partition} of '${topic}'.`,
      );
    }
    return this.#coordinator.inspect(options.broker, info.id, offset, maxBytes);
  }

  /** Sends what producers have buffered, then ends the brokers. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#producers].map((producer) => producer.close()));
    this.#unwatch();
    this.#server.announceEnd();
    await this.#session.close();
    await this.#coordinator.close();
    this.#server.close();
  }

  #checkOpen(): void {
    if (this.#closing !== undefined)
      throw new TidemarkError('CLOSED', 'The cluster is closed; start another one.');
  }

  async #createTopic({ name, partitions, replicationFactor, config }: TopicRequest): Promise<void> {
    this.#checkOpen();
    const factor = replicationFactor ?? Math.min(3, this.#coordinator.brokerIds.length);
    await this.#coordinator.createTopic(name, partitions, factor, topicConfig(config, this.#config));
  }

  /** What attached threads ask. */
  #answer(question: string, argument: unknown): unknown {
    this.#checkOpen();
    switch (question) {
      case 'attach':
        return this.#coordinator.attachThread(argument as number, this.#session.deliveryTimeoutMs);
      case 'detach':
        return this.#coordinator.detach(argument as number);
      case 'topic':
        return this.#coordinator.topics.get(argument as string);
      case 'create-topic':
        return this.#createTopic(argument as TopicRequest);
      case 'status':
        return this.status();
      default:
        throw new TidemarkError('UNSUPPORTED', `The cluster does not know the question '${question}'.`);
    }
  }
}

function checkedOptions(options: ClusterOptions): {
  brokers: number;
  config: TopicConfig;
  deliveryTimeoutMs: number;
} {
  requireOptions('Cluster.start options', options, OPTIONS);
  const durability = requireOneOf('durability', options.durability ?? 'os', [
    'memory',
    'os',
    'fsync',
  ] as const);
  if (durability !== 'memory') {
    throw new TidemarkError(
      'UNSUPPORTED',
      `durability '${durability}' is not available in this version, which keeps records in memory only; pass durability: 'memory'.`,
    );
  }
  if (options.dataDir !== undefined) {
    throw new TidemarkError(
      'UNSUPPORTED',
      'dataDir is not available in this version, which writes no files; leave it out.',
    );
  }
  if (options.listen !== undefined && options.listen !== false) {
    throw new TidemarkError(
      'UNSUPPORTED',
      'listen is not available in this version, which has no Kafka listener yet; leave it out, or pass false.',
    );
  }
  return {
    brokers: requireInteger('brokers', options.brokers ?? 1, 1, BROKERS_A_PROCESS_MAX),
    config: topicConfig(options.config),
    deliveryTimeoutMs: requireInteger(
      'deliveryTimeoutMs',
      options.deliveryTimeoutMs ?? DELIVERY_TIMEOUT_DEFAULT_MS,
      1,
    ),
  };
}
