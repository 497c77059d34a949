import type { MessagePort } from 'node:worker_threads';
import { compileKernels } from '../../native-free/kernels/index.ts';
import { forceRing, ringBytes } from '../../native-free/sharedarraybuffer-utils/index.ts';
import type { TopicConfig, TopicConfigInput } from '../config.ts';
import { brokersFor, placeReplicas } from '../core/placement.ts';
import { TidemarkError } from '../errors.ts';
import {
  CONTROL_TIMEOUT_MS,
  PARTITIONS_PER_CHUNK,
  REQUEST_CHANNEL_BYTES,
  RESPONSE_CHANNEL_BYTES,
  TAIL_RING_BYTES,
} from '../limits.ts';
import type {
  BrokerState,
  Durability,
  PartitionInfo,
  RecoveryProgress,
  RecoveryReport,
  ReplicaBytes,
} from '../types.ts';
import { Arena } from './arena.ts';
import { Background } from './background.ts';
import { BrokerHandle } from './broker-handle.ts';
import { channelsOf, type LinkAddresses } from './client-frames.ts';
import { DamageReports } from './damage-reports.ts';
import type { DataDirectory } from './data-directory.ts';
import type {
  BrokerAddresses,
  BrokerNotice,
  BrokerThreadData,
  CareSettings,
  DeletedRecords,
  OpenedReplica,
  PartitionAssignment,
  Reign,
} from './directory.ts';
import { IsrChanges } from './isr-changes.ts';
import { METRICS_BYTES, Metrics } from './metrics.ts';
import { PARTITION_CHUNK_BYTES, PartitionTable } from './partition-table.ts';
import { connectPeers } from './peer-ports.ts';
import { PROGRESS_BYTES } from './progress.ts';
import { reignOf, reopened, reportsOf } from './reopening.ts';
import { type KnownTopic, type TopicInfo, Topics } from './topics.ts';
import { newUuid } from './uuid.ts';

const BELL_BYTES = 128;

export type { TopicInfo } from './topics.ts';

/** Where a client finds one broker. */
export interface ClientEndpoint {
  readonly broker: number;
  readonly addresses: LinkAddresses;
}

/** What a client thread is given when it attaches. */
export interface Attachment {
  readonly client: number;
  readonly bell: number;
  readonly workspace: number;
  readonly endpoints: readonly ClientEndpoint[];
}

/** What a thread other than the main one needs besides. */
export interface ThreadAttachment {
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  readonly attachment: Attachment;
  readonly deliveryTimeoutMs: number;
}

/** How a cluster is started. */
export interface CoordinatorOptions {
  readonly brokers: number;
  readonly durability: Durability;
  readonly directory: DataDirectory;
  /** What topics have where they were given nothing else. */
  readonly config: TopicConfig;
  readonly onRecovery?: ((progress: RecoveryProgress) => void) | undefined;
  /** Where it is to be other than usual. */
  readonly care?: Partial<CareSettings> | undefined;
}

interface Member {
  readonly handle: BrokerHandle;
  readonly addresses: BrokerAddresses & { chunks: number[] };
  readonly table: PartitionTable;
  readonly metrics: Metrics;
}

/** The main thread's part of a cluster: shared memory, broker threads, topics, and who is attached. */
export class Coordinator {
  readonly clusterId: string;
  readonly arena = new Arena();
  readonly module = compileKernels();
  /** What the start had to take out of the brokers' files, and what was found damaged since. */
  readonly recovery: RecoveryReport[] = [];
  readonly #options: CoordinatorOptions;
  readonly #directory: DataDirectory;
  readonly #topics: Topics;
  readonly #isr: IsrChanges;
  readonly #background = new Background();
  readonly #damages: DamageReports;
  readonly #members = new Map<number, Member>();
  readonly #attachments = new Map<number, Attachment>();
  /** By client: the thread it lives in, where that is another than this one. */
  readonly #threads = new Map<number, number>();
  readonly #failureListeners = new Set<(brokerId: number, cause: Error) => void>();
  /** Creations run one after the other: ids and chunks are given out in order. */
  #creating: Promise<unknown> = Promise.resolve();
  #clients = 0;

  private constructor(options: CoordinatorOptions) {
    const { directory, config } = options;
    this.#options = options;
    this.#directory = directory;
    this.clusterId = directory.state.clusterId;
    this.#topics = new Topics(directory.state, directory.store, config);
    this.#isr = new IsrChanges(this.#topics, () => [...this.#members.values()].map(({ handle }) => handle));
    const cluster = {
      isr: this.#isr,
      find: (partition: number) => this.#topics.find(partition),
      handleOf: (id: number) => this.#members.get(id)?.handle,
      pathOf: this.homeOf,
    };
    this.#damages = new DamageReports(cluster, this.recovery);
  }

  /** The directory is let go when the cluster closes, and when it cannot be started. */
  static async start(options: CoordinatorOptions): Promise<Coordinator> {
    let coordinator: Coordinator | undefined;
    try {
      coordinator = new Coordinator(options);
      coordinator.#startBrokers(options.brokers);
      await Promise.all([...coordinator.#members.values()].map(({ handle }) => handle.started()));
      await coordinator.#reopen();
      return coordinator;
    } catch (error) {
      if (coordinator === undefined) options.directory.close();
      else await coordinator.close();
      throw error;
    }
  }

  /** Those that can be used. */
  get topics(): ReadonlyMap<string, TopicInfo> {
    return this.#topics.visible;
  }

  get brokerIds(): number[] {
    return [...this.#members.keys()];
  }

  brokerState(id: number): BrokerState {
    return this.#member(id).handle.state;
  }

  /** Why it has failed, or is offline. */
  brokerError(id: number): string | undefined {
    return this.#member(id).handle.error;
  }

  /** The broker's directory; '' where it keeps no files. */
  readonly homeOf = (id: number): string => this.#directory.home(id)?.path ?? '';

  table(brokerId: number): PartitionTable {
    return this.#member(brokerId).table;
  }

  metrics(brokerId: number): Metrics {
    return this.#member(brokerId).metrics;
  }

  /** Calls back when a broker thread has died by itself. */
  onBrokerFailure(listener: (brokerId: number, cause: Error) => void): void {
    this.#failureListeners.add(listener);
  }

  createTopic(
    name: string,
    partitions: number,
    replicationFactor: number | undefined,
    given: TopicConfigInput,
    config: TopicConfig,
  ): Promise<void> {
    const created = this.#creating.then(() =>
      this.#createTopic(name, partitions, replicationFactor, given, config),
    );
    this.#creating = created.catch(() => undefined);
    return created;
  }

  /** Lets a partition begin at `offset`; -1 is its HWM. */
  async deleteRecords(info: PartitionInfo, offset: number): Promise<DeletedRecords> {
    const { handle } = this.#member(info.leader);
    return (await handle.request({ type: 'delete-records', partition: info.id, offset })) as DeletedRecords;
  }

  /** Gives a client thread its bell and a link to every broker that runs. */
  async attach(): Promise<Attachment> {
    const client = ++this.#clients;
    const bell = this.arena.allocate(BELL_BYTES);
    const workspace = this.arena.allocateWorkspace();
    const running = [...this.#members.values()].filter(({ handle }) => handle.isAlive);
    const endpoints = running.map(({ handle, addresses }) => ({
      broker: handle.id,
      addresses: this.#allocateLink(bell, addresses.bell),
    }));
    const attachment: Attachment = { client, bell, workspace, endpoints };
    this.#attachments.set(client, attachment);
    const attached = endpoints.map(({ broker, addresses }) =>
      this.#member(broker).handle.request({ type: 'attach', client, addresses }),
    );
    try {
      await Promise.all(attached);
    } catch (error) {
      await Promise.allSettled(attached);
      await this.detach(client);
      throw error;
    }
    return attachment;
  }

  /** As attach, for a thread that does not share this one's objects. */
  async attachThread(threadId: number, deliveryTimeoutMs: number): Promise<ThreadAttachment> {
    const attachment = await this.attach();
    this.#threads.set(attachment.client, threadId);
    return { memory: this.arena.memory, module: this.module, attachment, deliveryTimeoutMs };
  }

  /** Clients of a thread that has ended without detaching. */
  threadEnded(threadId: number): void {
    for (const [client, thread] of this.#threads) {
      if (thread !== threadId) continue;
      this.#ringEverybody();
      // What a broker that fails meanwhile does not give back is lost with it.
      this.detach(client).catch(() => undefined);
    }
  }

  /** The client uses its regions no more. */
  async detach(client: number): Promise<void> {
    const attachment = this.#attachments.get(client);
    if (attachment === undefined) return;
    this.#attachments.delete(client);
    this.#threads.delete(client);
    for (const { broker, addresses } of attachment.endpoints) {
      const { handle } = this.#member(broker);
      try {
        if (handle.isAlive) await handle.request({ type: 'detach', client });
      } catch {
        // A broker that does not answer may still write there; one that has ended does not.
        if (handle.isAlive) continue;
      }
      this.arena.release(addresses.link, channelsOf(addresses).end - addresses.link);
    }
    this.arena.releaseWorkspace(attachment.workspace);
    this.arena.release(attachment.bell, BELL_BYTES);
  }

  async inspect(broker: number, partition: number, offset: number, maxBytes: number): Promise<ReplicaBytes> {
    return (await this.#member(broker).handle.request({
      type: 'inspect',
      partition,
      offset,
      maxBytes,
    })) as ReplicaBytes;
  }

  async close(): Promise<void> {
    this.#isr.close();
    // Brokers give up what they have asked of the pool, and the pool what is left of it: neither waits for the other.
    const brokers = [...this.#members.values()].map(({ handle }) => handle.close());
    await Promise.all([...brokers, this.#background.close()]);
    this.#directory.close();
  }

  #member(id: number): Member {
    const member = this.#members.get(id);
    if (member === undefined) throw new TidemarkError('INVALID_ARGUMENT', `There is no broker ${id}.`);
    return member;
  }

  #startBrokers(count: number): void {
    const all: (BrokerAddresses & { chunks: number[] })[] = [];
    for (let id = 1; id <= count; id++) {
      all.push({
        id,
        bell: this.arena.allocate(BELL_BYTES),
        ring: this.arena.allocate(ringBytes(TAIL_RING_BYTES)),
        ringCapacity: TAIL_RING_BYTES,
        progress: this.arena.allocate(PROGRESS_BYTES),
        metrics: this.arena.allocate(METRICS_BYTES),
        chunks: [],
      });
    }
    const ports = connectPeers(count);
    for (const addresses of all) {
      const data: BrokerThreadData = {
        memory: this.arena.memory,
        module: this.module,
        workspace: this.arena.allocateWorkspace(),
        durability: this.#options.durability,
        home: this.#directory.home(addresses.id),
        id: addresses.id,
        brokers: all,
        peers: ports.get(addresses.id) as Map<number, MessagePort>,
        care: this.#options.care,
      };
      const owner = {
        failed: ({ id }: BrokerHandle, cause: Error) => this.#brokerFailed(id, cause),
        noticed: ({ id }: BrokerHandle, notice: BrokerNotice) => this.#noticed(id, notice),
      };
      const handle = new BrokerHandle(data, addresses, owner, this.#background);
      this.#members.set(addresses.id, {
        handle,
        addresses,
        table: new PartitionTable(this.arena, []),
        metrics: new Metrics(this.arena, addresses.metrics),
      });
    }
  }

  /** Brings back the topics of the last run: opens all logs, elects, writes it down, and lets leaders lead. */
  async #reopen(): Promise<void> {
    const before = new Map<number, PartitionInfo>();
    const assignments: PartitionAssignment[] = [];
    for (const { topicId, config, partitions } of this.#topics.written) {
      for (const info of partitions) {
        before.set(info.id, info);
        assignments.push({ info: { ...info, leader: -1 }, config, topicId, isKept: true });
      }
    }
    if (before.size > 0) {
      const findings = await this.#assign(assignments, Number.POSITIVE_INFINITY);
      const infos = this.#topics.plan((info) => reopened(info, findings, this.homeOf));
      const reigns = infos.filter(({ leader }) => leader !== -1).map((info) => reignOf(info, findings));
      for (const [broker, found] of findings) this.#report(broker, found.values(), before);
      await this.#topics.commit();
      // Before the brokers rule and follow: what becomes of them meanwhile changes what is seen.
      for (const { name } of this.#topics.written) this.#topics.show(name);
      await this.#rule(infos, reigns, before);
    }
    if (this.brokerIds.every((id) => this.brokerState(id) === 'running')) this.#directory.recovered();
  }

  /** Leaders first: a follower finds its leader ready. */
  async #rule(
    infos: readonly PartitionInfo[],
    reigns: readonly Reign[],
    before: ReadonlyMap<number, PartitionInfo>,
  ): Promise<void> {
    const alive = this.#alive();
    await Promise.all(
      alive.map(({ handle }) => {
        const own = reigns.filter(({ info }) => info.leader === handle.id);
        return own.length === 0 ? undefined : handle.request({ type: 'lead', reigns: own });
      }),
    );
    const mended = alive.map(async ({ handle }) => {
      const limitMs = Number.POSITIVE_INFINITY;
      const opened = await handle.request({ type: 'reform', partitions: infos }, limitMs);
      this.#report(handle.id, opened as OpenedReplica[], before);
    });
    await Promise.all(mended);
  }

  #report(broker: number, opened: Iterable<OpenedReplica>, infos: ReadonlyMap<number, PartitionInfo>): void {
    this.recovery.push(...reportsOf(broker, opened, infos, this.homeOf(broker)));
  }

  async #createTopic(
    name: string,
    partitions: number,
    replicationFactor: number | undefined,
    given: TopicConfigInput,
    config: TopicConfig,
  ): Promise<void> {
    if (this.#topics.has(name))
      throw new TidemarkError('TOPIC_ALREADY_EXISTS', `Topic '${name}' exists already.`);
    const { running, factor } = brokersFor(
      replicationFactor,
      this.brokerIds.map((id) => ({ id, state: this.brokerState(id), error: this.brokerError(id) })),
    );
    const first = this.#topics.takeIds(partitions);
    const infos = placeReplicas(running, partitions, factor, first).map(
      (replicas, partition): PartitionInfo => ({
        id: first + partition,
        topic: name,
        partition,
        replicas,
        isr: replicas,
        leader: replicas[0],
        epoch: 0,
      }),
    );
    const topic: KnownTopic = { name, topicId: newUuid(), given, config, partitions: infos };
    // Written down first: whatever is left of a creation that a crash has cut short is made whole at the next start.
    await this.#topics.add(topic);
    try {
      await this.#make(topic);
    } catch (error) {
      await this.#topics.drop(name).catch(() => undefined);
      throw error;
    }
    this.#topics.show(name);
  }

  async #make({ name, topicId, config, partitions }: KnownTopic): Promise<void> {
    const findings = await this.#assign(
      partitions.map((info) => ({ info, config, topicId, isKept: false })),
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

  #alive(): Member[] {
    return [...this.#members.values()].filter(({ handle }) => handle.isAlive);
  }

  /** Every broker learns of the partitions, and of the table chunks that come with them; each says what it found. */
  async #assign(
    partitions: readonly PartitionAssignment[],
    limitMs: number,
  ): Promise<Map<number, Map<number, OpenedReplica>>> {
    const chunks = new Map<number, number[]>();
    for (const [id, { table, addresses }] of this.#members) {
      const added: number[] = [];
      while (table.chunkCount * PARTITIONS_PER_CHUNK < this.#topics.nextPartition) {
        const chunk = this.arena.allocate(PARTITION_CHUNK_BYTES);
        table.addChunk(chunk);
        addresses.chunks.push(chunk);
        added.push(chunk);
      }
      chunks.set(id, added);
    }
    const findings = new Map<number, Map<number, OpenedReplica>>();
    const answers = await Promise.allSettled(
      this.#alive().map(async ({ handle }) => {
        const request = { type: 'partitions', partitions, chunks } as const;
        const opened = (await handle.request(request, limitMs)) as OpenedReplica[];
        findings.set(handle.id, new Map(opened.map((each) => [each.id, each])));
      }),
    );
    // What the others found is wanted by none then, but they have come to an end that they can write down.
    const failed = answers.find(({ status }) => status === 'rejected');
    if (failed?.status === 'rejected') throw failed.reason;
    return findings;
  }

  #allocateLink(clientBell: number, brokerBell: number): LinkAddresses {
    const shape = {
      link: 0,
      requestCapacity: REQUEST_CHANNEL_BYTES,
      responseCapacity: RESPONSE_CHANNEL_BYTES,
    };
    const { end } = channelsOf({ ...shape, clientBell, brokerBell });
    return { ...shape, link: this.arena.allocate(end), clientBell, brokerBell };
  }

  /** After a thread's death: it may have taken a sleeper's flag down without notifying it. */
  #ringEverybody(): void {
    for (const { addresses } of this.#members.values()) forceRing(this.arena.int32, addresses.bell / 4);
    for (const { bell } of this.#attachments.values()) forceRing(this.arena.int32, bell / 4);
  }

  #brokerFailed(id: number, cause: Error): void {
    this.#ringEverybody();
    void this.#isr.shrink(id);
    for (const listener of this.#failureListeners) listener(id, cause);
  }

  #noticed(id: number, notice: BrokerNotice): void {
    switch (notice.notice) {
      case 'disk-failed':
        void this.#isr.shrink(id);
        break;
      case 'caught-up':
        void this.#isr.expand(id, notice.partition);
        break;
      case 'recovering': {
        const { notice: _, ...progress } = notice;
        this.#options.onRecovery?.({ broker: id, ...progress });
        break;
      }
      default:
        this.#damages.take(id, notice);
    }
  }
}
