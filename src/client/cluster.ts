import { type ClusterConfigInput, clusterConfig } from '../cluster-config.ts';
import { type TopicConfig, type TopicConfigInput, topicConfig, topicDefaults } from '../config.ts';
import { requireInteger, requireOneOf, requireOptions, show, TidemarkError } from '../errors.ts';
import { BROKERS_A_PROCESS_MAX, DELIVERY_TIMEOUT_DEFAULT_MS } from '../limits.ts';
import { AttachServer, type ClusterHandle } from '../runtime/attach-channel.ts';
import { Coordinator } from '../runtime/coordinator.ts';
import { openDataDirectory } from '../runtime/data-directory.ts';
import type { CareSettings } from '../runtime/directory.ts';
import { watchThreads } from '../runtime/thread-watch.ts';
import type { BrokerMetrics, Durability, RecoveryProgress, RecoveryReport, ReplicaBytes } from '../types.ts';
import { Admin, type AdminRequest } from './admin.ts';
import { AdminRequests } from './admin-requests.ts';
import { closedError, cutShortError } from './closed.ts';
import { clusterEvents } from './cluster-events.ts';
import { Faults } from './faults.ts';
import { Producer, type ProducerOptions } from './producer.ts';
import { type AddBrokerOptions, checkAddition, checkRacks, type Racks } from './rack-check.ts';
import { type ReadOptions, type ReadResult, read } from './read.ts';
import { type ReasonRequest, reasonFor } from './reasons.ts';
import { checkBroker, checkRemoval, type RemoveBrokerOptions } from './replica-check.ts';
import { Session } from './session.ts';
import { type ClusterStatus, statusOf } from './status.ts';

export interface ClusterOptions {
  /**
   * How many brokers, each a thread with a replica of its own. Default: as many as dataDir has, or else 1, which is
   * standalone.
   */
  readonly brokers?: number;
  /**
   * How many of the brokers have a vote on the metadata, at most: 1, 3 or 5. More than half of them have to run for any
   * change of topics, leaders or in-sync replicas. Default: one for each broker, up to 5, and an odd number.
   */
  readonly controllers?: number;
  /**
   * Where brokers stand, by broker or in their order: a topic's replicas are spread over as many racks as can be. Kept
   * until another rack is given.
   */
  readonly racks?: Racks;
  /** What an acknowledgement means. Default 'os': written to the page cache by the in-sync replicas. */
  readonly durability?: Durability;
  /** Where topics are kept. Omitted: a temporary directory, which is removed on close. */
  readonly dataDir?: string;
  /** This version has no Kafka listener yet. */
  readonly listen?: false;
  /** Defaults for topics, and what holds for the cluster, under Kafka's property names. */
  readonly config?: TopicConfigInput & ClusterConfigInput;
  /** After this time without an answer a request fails with REQUEST_TIMED_OUT. */
  readonly deliveryTimeoutMs?: number;
  /** Told while a start looks through logs that were not closed. */
  readonly onRecovery?: (progress: RecoveryProgress) => void;
  /**
   * For tests: how often and how fast sealed segments are compacted, and checked again.
   *
   * @internal
   */
  readonly care?: Partial<CareSettings>;
  /**
   * For tests: after how long without a sign of life a broker is fenced.
   *
   * @internal
   */
  readonly sessionMs?: number;
}

export interface InspectOptions {
  readonly broker: number;
  readonly partition: number;
  /** Default: the start of the log. */
  readonly offset?: number;
  readonly maxBytes?: number;
}

const TEST_OPTIONS = ['care', 'sessionMs'];
const INSPECT_BYTES = 1 << 20;
const OPTIONS = [
  'brokers',
  'controllers',
  'racks',
  'durability',
  'dataDir',
  'listen',
  'config',
  'deliveryTimeoutMs',
  'onRecovery',
];

/** Brokers in this process, and a client to them. */
export class Cluster {
  readonly admin: Admin;
  /** What can go wrong, for tests and for people who want to see what happens then. */
  readonly faults: Faults;
  readonly #coordinator: Coordinator;
  readonly #requests: AdminRequests;
  readonly #session: Session;
  readonly #server: AttachServer;
  readonly #producers = new Set<Producer>();
  readonly #unwatch: () => void;
  #closing: Promise<void> | undefined;

  private constructor(coordinator: Coordinator, session: Session, client: number, config: TopicConfig) {
    this.#coordinator = coordinator;
    this.#session = session;
    this.faults = new Faults(coordinator, (act) => this.#whileOpen(act));
    this.#requests = new AdminRequests(coordinator, config);
    this.admin = new Admin((request) => this.#whileOpen(() => this.#requests.answer(request)));
    this.#server = new AttachServer(coordinator.clusterId, (name, argument) => this.#answer(name, argument));
    this.#unwatch = watchThreads((threadId) => coordinator.attachments.threadEnded(threadId));
    coordinator.listen(clusterEvents(coordinator, session, client, this.#server));
    // One that has failed since this thread was attached has told nobody.
    for (const { handle } of coordinator.members.all) {
      if (!handle.hasEnded) continue;
      session.brokerEnded(handle.id, handle.life, new Error('its thread ended during the start'));
    }
  }

  /** Starts the brokers; resolves when they serve. */
  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const { brokers, controllers, racks, durability, dataDir, config, deliveryTimeoutMs, onRecovery } =
      checkedOptions(options);
    const directory = await openDataDirectory(dataDir, durability, brokers, controllers);
    const coordinator = await Coordinator.start({
      durability,
      directory,
      brokers,
      controllers,
      racks,
      rebalanceEveryMs: clusterConfig(options.config).rebalanceEveryMs,
      config,
      onRecovery,
      care: options.care,
      sessionMs: options.sessionMs,
    });
    try {
      const attachment = await coordinator.attachments.attach();
      const topics = {
        known: (name: string) => coordinator.topics.get(name),
        find: async (name: string) => coordinator.topics.get(name),
        reasonFor: (request: ReasonRequest) => reasonFor(coordinator, request),
        newProducerId: () => coordinator.newProducerId(),
      };
      const session = new Session(
        coordinator.arena,
        coordinator.module,
        attachment,
        topics,
        deliveryTimeoutMs,
      );
      return new Cluster(coordinator, session, attachment.client, config);
    } catch (error) {
      await coordinator.close().catch(() => undefined);
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
    return statusOf(this.#coordinator);
  }

  /** What the start had to take out of the brokers' files: torn ends, damaged segments. And damage that was found since. */
  get recovery(): readonly RecoveryReport[] {
    return this.#coordinator.recovery;
  }

  /** What the brokers have counted since they started, read without disturbing them. */
  metrics(): BrokerMetrics[] {
    return this.#coordinator.members.all.map(({ handle, metrics }) => metrics.read(handle.id));
  }

  /** A replica's raw batches from an offset on, committed or not: for comparing replicas byte by byte. */
  async inspect(topic: string, options: InspectOptions): Promise<ReplicaBytes> {
    this.#checkOpen();
    requireOptions('inspect options', options, ['broker', 'partition', 'offset', 'maxBytes']);
    const { offset = 0, maxBytes = INSPECT_BYTES } = options;
    const broker = checkBroker(options.broker, 'broker');
    const partition = requireInteger('partition', options.partition, 0);
    requireInteger('offset', offset, 0);
    requireInteger('maxBytes', maxBytes, 1);
    const info = (await this.#session.topic(topic)).partitions[partition];
    if (info === undefined || !info.replicas.includes(broker)) {
      throw new TidemarkError(
        'UNKNOWN_TOPIC_OR_PARTITION',
        `Broker ${broker} holds no replica of partition ${partition} of '${topic}'.`,
      );
    }
    const request = { type: 'inspect', partition: info.id, offset, maxBytes } as const;
    return (await this.#coordinator.ask(broker, request)) as ReplicaBytes;
  }

  /** A broker more, for the replicas of new topics; resolves to its id when it serves. */
  async addBroker(options: AddBrokerOptions = {}): Promise<number> {
    const rack = checkAddition(options);
    return this.#whileOpen(() => this.#coordinator.lives.add(rack));
  }

  /**
   * Ends a broker that holds no replica; others are refused, unless their replicas are to be moved to other brokers
   * first. Resolves to the path of its directory, which stays, where it has one.
   */
  async removeBroker(id: number, options: RemoveBrokerOptions = {}): Promise<string | undefined> {
    checkBroker(id);
    const { reassign, throttle, timeoutMs } = checkRemoval(options);
    const { lives, reassignments } = this.#coordinator;
    const remove = (): Promise<string | undefined> => lives.remove(id);
    return this.#whileOpen(() =>
      reassign ? reassignments.emptied(id, throttle, timeoutMs, remove) : remove(),
    );
  }

  /** Lets other brokers lead what this one leads, then ends its thread with everything in order. */
  async stopBroker(id: number): Promise<void> {
    checkBroker(id);
    return this.#whileOpen(() => this.#coordinator.lives.stop(id));
  }

  /** Starts a broker that was stopped, or has failed, on its own data. */
  async startBroker(id: number): Promise<void> {
    checkBroker(id);
    return this.#whileOpen(() => this.#coordinator.lives.start(id));
  }

  /**
   * Sends what producers have buffered, then ends the brokers. Rejects with KAFKA_STORAGE_ERROR where the files could not
   * be left in order; all has ended by then, and the next start looks through them.
   */
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
    await this.#session.close('cluster');
    try {
      await this.#coordinator.close();
    } finally {
      this.#server.close();
    }
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw closedError('cluster');
  }

  /** What a close meets has failed for that, whatever it says; who waits for it may have nothing else to live for. */
  async #whileOpen<T>(act: () => Promise<T>): Promise<T> {
    this.#checkOpen();
    this.#session.hold();
    try {
      return await act();
    } catch (error) {
      const isCutShort = this.#closing !== undefined && error instanceof TidemarkError && error.retriable;
      throw isCutShort ? cutShortError(error) : error;
    } finally {
      this.#session.release();
    }
  }

  /** An attached thread has let go of its link to the last life of a broker, and asks for one to this. */
  #link({ client, broker }: { client: number; broker: number }): Promise<unknown> {
    return this.#coordinator.attachments.link(client, broker);
  }

  /** What attached threads ask. */
  #answer(question: string, argument: unknown): unknown {
    this.#checkOpen();
    switch (question) {
      case 'attach':
        return this.#coordinator.attachThread(argument as number, this.#session.deliveryTimeoutMs);
      case 'detach':
        return this.#coordinator.attachments.detach(argument as number);
      case 'link':
        return this.#link(argument as { client: number; broker: number });
      case 'topic':
        return {
          version: this.#coordinator.topicsVersion,
          topic: this.#coordinator.topics.get(argument as string),
        };
      case 'admin':
        return this.#requests.answer(argument as AdminRequest);
      case 'reason':
        return reasonFor(this.#coordinator, argument as ReasonRequest);
      case 'producer-id':
        return this.#coordinator.newProducerId();
      case 'status':
        return this.status();
      default:
        throw new TidemarkError('UNSUPPORTED', `The cluster does not know the question '${question}'.`);
    }
  }
}

interface CheckedOptions {
  readonly brokers: number | undefined;
  readonly controllers: number | undefined;
  readonly racks: ReadonlyMap<number, string>;
  readonly durability: Durability;
  readonly dataDir: string | undefined;
  readonly config: TopicConfig;
  readonly deliveryTimeoutMs: number;
  readonly onRecovery: ((progress: RecoveryProgress) => void) | undefined;
}

function checkedOptions(options: ClusterOptions): CheckedOptions {
  // An option for tests is none that people should learn of.
  requireOptions('Cluster.start options', options, [
    ...OPTIONS,
    ...TEST_OPTIONS.filter((name) => name in Object(options)),
  ]);
  const { dataDir, onRecovery, durability = 'os', deliveryTimeoutMs = DELIVERY_TIMEOUT_DEFAULT_MS } = options;
  requireOneOf('durability', durability, ['memory', 'os', 'fsync'] as const);
  if (dataDir !== undefined && (typeof dataDir !== 'string' || dataDir === '')) {
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      `dataDir must be the path of a directory; got ${show(dataDir)}.`,
    );
  }
  if (dataDir?.includes('\0')) {
    throw new TidemarkError('INVALID_ARGUMENT', 'dataDir holds a NUL byte, which no path can.');
  }
  if (dataDir !== undefined && durability === 'memory') {
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      "durability 'memory' writes no files, so there is nothing to keep in dataDir; leave it out, or choose durability 'os' or 'fsync'.",
    );
  }
  if (onRecovery !== undefined && typeof onRecovery !== 'function') {
    throw new TidemarkError('INVALID_ARGUMENT', `onRecovery must be a function; got ${show(onRecovery)}.`);
  }
  if (options.listen !== undefined && options.listen !== false) {
    throw new TidemarkError(
      'UNSUPPORTED',
      'listen is not available in this version, which has no Kafka listener yet; leave it out, or pass false.',
    );
  }
  return {
    racks: checkRacks(options.racks),
    controllers:
      options.controllers === undefined
        ? undefined
        : requireOneOf('controllers', options.controllers, [1, 3, 5] as const),
    brokers:
      options.brokers === undefined
        ? undefined
        : requireInteger('brokers', options.brokers, 1, BROKERS_A_PROCESS_MAX),
    durability,
    dataDir,
    config: topicConfig(clusterConfig(options.config).topics, topicDefaults(durability)),
    deliveryTimeoutMs: requireInteger('deliveryTimeoutMs', deliveryTimeoutMs, 1),
    onRecovery,
  };
}
