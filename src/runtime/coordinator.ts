import { randomUUID } from 'node:crypto';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { compileKernels } from '../../native-free/kernels/index.ts';
import { forceRing, ringBytes } from '../../native-free/sharedarraybuffer-utils/index.ts';
import type { TopicConfig } from '../config.ts';
import { placeReplicas } from '../core/placement.ts';
import { TidemarkError } from '../errors.ts';
import {
  PARTITIONS_MAX,
  PARTITIONS_PER_CHUNK,
  REQUEST_CHANNEL_BYTES,
  RESPONSE_CHANNEL_BYTES,
  TAIL_RING_BYTES,
} from '../limits.ts';
import type { BrokerState, PartitionInfo, ReplicaBytes } from '../types.ts';
import { Arena } from './arena.ts';
import { BrokerHandle } from './broker-handle.ts';
import { channelsOf, type LinkAddresses } from './client-frames.ts';
import type { BrokerAddresses, BrokerThreadData, PartitionAssignment } from './directory.ts';
import { METRICS_BYTES, Metrics } from './metrics.ts';
import { PARTITION_CHUNK_BYTES, PartitionTable } from './partition-table.ts';
import { PROGRESS_BYTES } from './progress.ts';

const BELL_BYTES = 128;

/** A topic as clients learn of it. */
export interface TopicInfo {
  readonly name: string;
  readonly config: TopicConfig;
  readonly partitions: readonly PartitionInfo[];
}

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

interface Member {
  readonly handle: BrokerHandle;
  readonly addresses: BrokerAddresses & { chunks: number[] };
  readonly table: PartitionTable;
  readonly metrics: Metrics;
}

/** The main thread's part of a cluster: shared memory, broker threads, topics, and who is attached. */
export class Coordinator {
  readonly clusterId = randomUUID();
  readonly arena = new Arena();
  readonly module = compileKernels();
  readonly topics = new Map<string, TopicInfo>();
  readonly #members = new Map<number, Member>();
  readonly #attachments = new Map<number, Attachment>();
  /** By client: the thread it lives in, where that is another than this one. */
  readonly #threads = new Map<number, number>();
  readonly #failureListeners = new Set<(brokerId: number, cause: Error) => void>();
  /** Creations run one after the other: ids and chunks are given out in order. */
  #creating: Promise<unknown> = Promise.resolve();
  #partitions = 0;
  #clients = 0;

  static async start(brokers: number): Promise<Coordinator> {
    const coordinator = new Coordinator();
    coordinator.#startBrokers(brokers);
    try {
      await Promise.all([...coordinator.#members.values()].map(({ handle }) => handle.started()));
    } catch (error) {
      await coordinator.close();
      throw error;
    }
    return coordinator;
  }

  get brokerIds(): number[] {
    return [...this.#members.keys()];
  }

  brokerState(id: number): BrokerState {
    return this.#member(id).handle.state;
  }

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
    replicationFactor: number,
    config: TopicConfig,
  ): Promise<TopicInfo> {
    const created = this.#creating.then(() => this.#createTopic(name, partitions, replicationFactor, config));
    this.#creating = created.catch(() => undefined);
    return created;
  }

  /** Gives a client thread its bell and a link to every broker that runs. */
  async attach(): Promise<Attachment> {
    const client = ++this.#clients;
    const bell = this.arena.allocate(BELL_BYTES);
    const workspace = this.arena.allocateWorkspace();
    const running = [...this.#members.values()].filter(({ handle }) => handle.state === 'running');
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
        if (handle.state === 'running') await handle.request({ type: 'detach', client });
      } catch {
        // A broker that does not answer may still write there; one that has ended does not.
        if (handle.state === 'running') continue;
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
    await Promise.all([...this.#members.values()].map(({ handle }) => handle.close()));
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
        durability: 'memory',
        id: addresses.id,
        brokers: all,
        peers: ports.get(addresses.id) as Map<number, MessagePort>,
      };
      const handle = new BrokerHandle(data, addresses, (broker, cause) =>
        this.#brokerFailed(broker.id, cause),
      );
      this.#members.set(addresses.id, {
        handle,
        addresses,
        table: new PartitionTable(this.arena, []),
        metrics: new Metrics(this.arena, addresses.metrics),
      });
    }
  }

  async #createTopic(
    name: string,
    partitions: number,
    replicationFactor: number,
    config: TopicConfig,
  ): Promise<TopicInfo> {
    if (this.topics.has(name))
      throw new TidemarkError('TOPIC_ALREADY_EXISTS', `Topic '${name}' exists already.`);
    const running = this.brokerIds.filter((id) => this.brokerState(id) === 'running');
    if (replicationFactor > running.length) {
      throw new TidemarkError(
        'INVALID_REPLICATION_FACTOR',
        `A replication factor of ${replicationFactor} needs as many brokers; ${running.length} are running.`,
      );
    }
    const first = this.#partitions;
    if (first + partitions > PARTITIONS_MAX) {
      throw new TidemarkError('INVALID_PARTITIONS', `A cluster holds at most ${PARTITIONS_MAX} partitions.`);
    }
    const infos = placeReplicas(running, partitions, replicationFactor, first).map(
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
    // Ids are used once, also those of a creation that fails halfway.
    this.#partitions = first + partitions;
    await this.#assign(
      infos.map((info) => ({ info, config })),
      first + partitions,
    );
    const topic: TopicInfo = { name, config, partitions: infos };
    this.topics.set(name, topic);
    return topic;
  }

  /** Every broker learns of the partitions, and of the table chunks that come with them. */
  async #assign(partitions: readonly PartitionAssignment[], total: number): Promise<void> {
    const chunks = new Map<number, number[]>();
    for (const [id, { table, addresses }] of this.#members) {
      const added: number[] = [];
      while (table.chunkCount * PARTITIONS_PER_CHUNK < total) {
        const chunk = this.arena.allocate(PARTITION_CHUNK_BYTES);
        table.addChunk(chunk);
        addresses.chunks.push(chunk);
        added.push(chunk);
      }
      chunks.set(id, added);
    }
    const running = [...this.#members.values()].filter(({ handle }) => handle.state === 'running');
    await Promise.all(
      running.map(({ handle }) => handle.request({ type: 'partitions', partitions, chunks })),
    );
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
    this.#shrinkIsr(id);
    for (const listener of this.#failureListeners) listener(id, cause);
  }

  /** A dead broker is in sync with nobody. Where it led, it stays the leader: this version elects no other. */
  #shrinkIsr(dead: number): void {
    const changed: PartitionInfo[] = [];
    for (const topic of this.topics.values()) {
      const partitions = topic.partitions.map((info) => {
        if (info.leader === dead || !info.isr.includes(dead)) return info;
        const shrunk = { ...info, isr: info.isr.filter((broker) => broker !== dead) };
        changed.push(shrunk);
        return shrunk;
      });
      this.topics.set(topic.name, { ...topic, partitions });
    }
    if (changed.length === 0) return;
    for (const { handle } of this.#members.values()) {
      if (handle.state !== 'running') continue;
      // A broker that fails meanwhile brings its own change of the ISR.
      handle.request({ type: 'reform', partitions: changed }).catch(() => undefined);
    }
  }
}

/** A message channel for each pair of brokers: by broker id, its ports by peer id. */
function connectPeers(count: number): Map<number, Map<number, MessagePort>> {
  const ports = new Map<number, Map<number, MessagePort>>();
  for (let id = 1; id <= count; id++) ports.set(id, new Map());
  for (let one = 1; one <= count; one++) {
    for (let other = one + 1; other <= count; other++) {
      const { port1, port2 } = new MessageChannel();
      ports.get(one)?.set(other, port1);
      ports.get(other)?.set(one, port2);
    }
  }
  return ports;
}
