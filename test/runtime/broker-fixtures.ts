// Real brokers in the test's own thread: nothing happens before the test lets one of them do a pass.
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { compileKernels } from '../../native-free/kernels/index.ts';
import { ringBytes, Sleeper } from '../../native-free/sharedarraybuffer-utils/index.ts';
import { BrokerLink } from '../../src/client/broker-link.ts';
import { type TopicConfigInput, topicConfig } from '../../src/config.ts';
import { NOBODY, type PendingBatch } from '../../src/core/commit-queue.ts';
import type { Replica } from '../../src/core/replica.ts';
import type { ErrorCode } from '../../src/errors.ts';
import { CRC_FROM } from '../../src/log/record-batch.ts';
import { Arena, ArenaView, kernelsOver } from '../../src/runtime/arena.ts';
import { Broker } from '../../src/runtime/broker.ts';
import { inspectReplica } from '../../src/runtime/broker-control.ts';
import { channelsOf } from '../../src/runtime/client-frames.ts';
import { ClientLink } from '../../src/runtime/client-link.ts';
import type { BrokerAddresses, BrokerHome, BrokerNotice } from '../../src/runtime/directory.ts';
import { METRICS_BYTES } from '../../src/runtime/metrics.ts';
import { PARTITION_CHUNK_BYTES } from '../../src/runtime/partition-table.ts';
import { PROGRESS_BYTES } from '../../src/runtime/progress.ts';
import type { Clock } from '../../src/runtime/surroundings.ts';
import { SIDES_BYTES, Sides } from '../../src/runtime/vitals.ts';
import type { Durability, PartitionInfo } from '../../src/types.ts';
import { encodeBatch } from '../log/record-batch-fixtures.ts';
import { StagedLog } from '../log/staged-log.ts';
import { threadSurroundings } from './surroundings-fixtures.ts';

const BELL_BYTES = 128;
const SCRATCH_BYTES = 1 << 16;
const CHANNEL_BYTES = 1 << 16;
/** A lap takes some tens of rounds to mend. */
const ROUNDS_MAX = 1_000;
const module = compileKernels();

export interface BrokersOptions {
  readonly count?: number;
  /** Of the tail rings; small ones are lapped soon. */
  readonly ringCapacity?: number;
  readonly durability?: Durability;
  /** Where a broker's files lie; in memory, if nothing is said. */
  readonly homeOf?: (brokerId: number) => BrokerHome;
  /** Their time, if the test lets it pass. */
  readonly clock?: Clock;
}

/** Who waits for a batch, and for what. */
export interface Waiter {
  readonly client?: number;
  readonly correlation?: number;
  readonly waitsFor?: PendingBatch['waitsFor'];
  readonly timeoutMs?: number;
}

export interface ProducedAnswer {
  readonly correlation: number;
  readonly error: ErrorCode;
  readonly baseOffset: number;
}

/** As a coordinator lays them out, with every replica where the test can reach it. */
export class Brokers {
  readonly arena = new Arena();
  /** What the main thread would be told. */
  readonly notices: BrokerNotice[] = [];
  readonly #brokers = new Map<number, Broker>();
  readonly #ports: MessagePort[] = [];
  readonly #chunks = new Map<number, number>();
  readonly #bells = new Map<number, number>();
  readonly sides: Sides;
  readonly #scratch: number;
  #partitions = 0;

  constructor(options: BrokersOptions = {}) {
    const { count = 2, ringCapacity = 1 << 16, durability = 'memory', homeOf } = options;
    const surroundings = { ...threadSurroundings, clock: options.clock ?? threadSurroundings.clock };
    const { arena } = this;
    this.#scratch = arena.allocate(SCRATCH_BYTES);
    const sides = arena.allocate(SIDES_BYTES);
    this.sides = new Sides(arena, sides);
    const addresses: BrokerAddresses[] = [];
    for (let id = 1; id <= count; id++) {
      this.#bells.set(id, arena.allocate(BELL_BYTES));
      this.#chunks.set(id, arena.allocate(PARTITION_CHUNK_BYTES));
      addresses.push({
        id,
        bell: this.#bells.get(id) as number,
        ring: arena.allocate(ringBytes(ringCapacity)),
        ringCapacity,
        progress: arena.allocate(PROGRESS_BYTES),
        metrics: arena.allocate(METRICS_BYTES),
        chunks: [this.#chunks.get(id) as number],
      });
    }
    const peers = addresses.map(() => new Map<number, MessagePort>());
    for (let one = 1; one <= count; one++) {
      for (let other = one + 1; other <= count; other++) {
        const { port1, port2 } = new MessageChannel();
        peers[one - 1].set(other, port1);
        peers[other - 1].set(one, port2);
        this.#ports.push(port1, port2);
      }
    }
    for (const { id } of addresses) {
      const workspace = arena.allocateWorkspace();
      const data = {
        memory: arena.memory,
        module,
        workspace,
        sides,
        id,
        brokers: addresses,
        durability,
        home: homeOf?.(id),
        peers: peers[id - 1],
      };
      this.#brokers.set(id, new Broker(data, surroundings, (notice) => this.notices.push(notice)));
    }
  }

  get(id: number): Broker {
    return this.#brokers.get(id) as Broker;
  }

  /** Sleeps as the broker's thread does, until it is rung and has work. */
  sleep(id: number): Promise<void> {
    const bell = this.#bells.get(id) as number;
    return new Sleeper(this.arena.int32, bell / 4).sleep(this.get(id).hasWork);
  }

  /** One partition on all brokers, led by the first; `infos` gives a broker another opinion of it. */
  addPartition(
    config: TopicConfigInput = {},
    infos: Readonly<Record<number, Partial<PartitionInfo>>> = {},
  ): number {
    const id = this.#partitions++;
    const replicas = [...this.#brokers.keys()];
    for (const [brokerId, broker] of this.#brokers) {
      const info = { id, topic: 't', partition: id, replicas, isr: replicas, leader: 1, epoch: 3 };
      broker.assign(
        [{ info: { ...info, ...infos[brokerId] }, config: topicConfig(config), topicId: '', isKept: false }],
        new Map(),
      );
    }
    return id;
  }

  replica(brokerId: number, partition: number): Replica {
    return this.get(brokerId).replicas[partition] as Replica;
  }

  /** Puts a log in a replica's place whose disk the test plays. Before anything was appended. */
  stageLog(brokerId: number, partition: number): StagedLog {
    const log = new StagedLog();
    Object.assign(this.replica(brokerId, partition), { log });
    return log;
  }

  /** A client of a broker, of which only the answers to what it produced are seen. */
  attach(brokerId: number, client: number): ProducedAnswer[] {
    const answers: ProducedAnswer[] = [];
    const link = {
      hasWork: () => false,
      serve: () => false,
      flush: () => {},
      close: () => {},
      respondProduced: (correlation: number, error: ErrorCode, baseOffset: number) =>
        answers.push({ correlation, error, baseOffset }),
    };
    this.get(brokerId).attach(client, link as unknown as ClientLink);
    return answers;
  }

  /** A client with its channels to a broker; its answers come with pump(), and the broker's passes are the test's. */
  connect(brokerId: number, client: number): BrokerLink {
    const { arena } = this;
    const shape = { link: 0, requestCapacity: CHANNEL_BYTES, responseCapacity: CHANNEL_BYTES };
    const brokerBell = this.#bells.get(brokerId) as number;
    const clientBell = arena.allocate(BELL_BYTES);
    const { end } = channelsOf({ ...shape, clientBell, brokerBell });
    const addresses = { ...shape, link: arena.allocate(end), clientBell, brokerBell };
    const broker = this.get(brokerId);
    broker.attach(client, new ClientLink(broker, client, addresses));
    const view = new ArenaView(arena.memory);
    const kernels = kernelsOver(view, arena.allocateWorkspace(), module);
    return new BrokerLink(view, kernels, brokerId, addresses, () => 0);
  }

  /** The first broker appends a batch as a leader does that has admitted it, and writes it. */
  append(
    partition: number,
    records?: number,
    valueBytes?: number,
    damage?: (batch: Uint8Array) => void,
  ): void {
    this.appendStaged(partition, records, valueBytes, damage);
    this.get(1).flush();
  }

  /** The same, and the leader has not written it yet. */
  appendStaged(
    partition: number,
    records = 1,
    valueBytes = 100,
    damage: (batch: Uint8Array) => void = () => {},
    { client = NOBODY, correlation = 0, waitsFor = 'committed', timeoutMs = 60_000 }: Waiter = {},
  ): void {
    const leader = this.get(1);
    const value = new Uint8Array(valueBytes).fill(1 + (this.replica(1, partition).log.leo % 255));
    const batch = encodeBatch(Array.from({ length: records }, () => ({ value })));
    damage(batch);
    this.arena.bytes.set(batch, this.#scratch);
    leader.stage(this.#scratch + CRC_FROM, batch.length - CRC_FROM);
    leader.append(this.replica(1, partition), batch.length, client, correlation, waitsFor, timeoutMs);
  }

  /** Rounds of passes and messages until nobody has anything left to do. */
  async settle(): Promise<void> {
    for (let rounds = 0, quiet = 0; quiet < 3; rounds++) {
      if (rounds > ROUNDS_MAX) throw new Error('the brokers do not come to rest');
      let worked = false;
      for (const broker of this.#brokers.values()) if (broker.pass()) worked = true;
      quiet = worked ? 0 : quiet + 1;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** Everything that a replica holds from its log's start on. */
  bytes(brokerId: number, partition: number): Buffer {
    const pieces: Uint8Array[] = [];
    const { log } = this.replica(brokerId, partition);
    for (let offset = log.logStart; offset < log.leo; ) {
      const piece = inspectReplica(this.get(brokerId), partition, offset, 1 << 20);
      if (piece.nextOffset <= offset) throw new Error(`broker ${brokerId} cannot be read at ${offset}`);
      pieces.push(piece.bytes);
      offset = piece.nextOffset;
    }
    return Buffer.concat(pieces);
  }

  isEqual(partition: number, one = 1, other = 2): boolean {
    return this.bytes(one, partition).equals(this.bytes(other, partition));
  }

  counters(brokerId: number): Readonly<Record<string, number>> {
    return this.get(brokerId).metrics.read(brokerId).counters;
  }

  close(): void {
    for (const port of this.#ports) port.close();
  }
}

/** Runs with brokers that are gone afterwards, also when the test fails. */
export async function withBrokers(
  options: BrokersOptions,
  run: (brokers: Brokers) => Promise<void> | void,
): Promise<void> {
  const brokers = new Brokers(options);
  try {
    await run(brokers);
  } finally {
    brokers.close();
  }
}
