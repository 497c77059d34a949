import { forceRing, ringBell, ringBytes } from '../../native-free/sharedarraybuffer-utils/index.ts';
import type { LogEnd } from '../core/reopening.ts';
import { TidemarkError } from '../errors.ts';
import { BROKER_STOP_TIMEOUT_MS, PARTITIONS_PER_CHUNK } from '../limits.ts';
import type { DiskCondition, Durability } from '../types.ts';
import type { Arena } from './arena.ts';
import type { Background } from './background.ts';
import { BrokerHandle, type HandleOwner } from './broker-handle.ts';
import type {
  BrokerAddresses,
  BrokerHome,
  CareSettings,
  OpenedReplica,
  PartitionAssignment,
} from './directory.ts';
import { METRICS_BYTES, Metrics } from './metrics.ts';
import { PARTITION_CHUNK_BYTES, PartitionTable } from './partition-table.ts';
import { connectPeers } from './peer-ports.ts';
import { PROGRESS_BYTES } from './progress.ts';
import type { ClusterSurroundings, Port } from './surroundings.ts';
import { timeLimit } from './timers.ts';
import { COORDINATORS_SIDE, SIDES_BYTES, Sides, VITALS_BYTES, Vitals } from './vitals.ts';

const BELL_BYTES = 128;
const NO_LOG: LogEnd = { leo: 0, lastEpoch: -1 };
/** Lives of one broker whose memory may be waiting to be given back. */
const RETIRING_LIVES_MAX = 4;

/** One life of a broker: its thread, and the shared memory that it alone writes. */
export interface Member {
  readonly handle: BrokerHandle;
  readonly addresses: BrokerAddresses & { readonly chunks: number[] };
  readonly workspace: number;
  readonly table: PartitionTable;
  readonly metrics: Metrics;
  readonly vitals: Vitals;
  readonly vitalsAt: number;
}

/** What all brokers have in common. */
export interface MembersOptions {
  readonly surroundings: ClusterSurroundings;
  readonly arena: Arena;
  readonly module: WebAssembly.Module;
  readonly durability: Durability;
  readonly background: Background;
  readonly owner: HandleOwner;
  readonly care: Partial<CareSettings> | undefined;
  homeOf(broker: number): BrokerHome | undefined;
  /** How many partitions the tables have to have room for. */
  partitions(): number;
}

/**
 * The brokers of a cluster, each in its present life. A life has memory of its own, zeroed; that of a broker that has
 * ended is given back when its thread has gone and every other thread has said that it looks there no more. While one of
 * those hangs some lives' memory waits, and no more than some: then the next life waits too.
 */
export class Members {
  readonly #options: MembersOptions;
  readonly #sidesAt: number;
  /** Who is cut off from whom. */
  readonly sides: Sides;
  readonly #byId = new Map<number, Member>();
  /** By broker: what gives back the memory of its earlier lives. */
  readonly #retiring = new Map<number, Set<Promise<void>>>();
  /** By broker. Bells are kept for all its lives: whoever still rings an old one wakes somebody for nothing. */
  readonly #bells = new Map<number, number>();
  /** By broker: what its disk is like, where that is other than sound. */
  readonly #disks = new Map<number, DiskCondition>();
  #lives = 0;
  #islands = COORDINATORS_SIDE;

  constructor(options: MembersOptions) {
    this.#options = options;
    this.#sidesAt = options.arena.allocate(SIDES_BYTES);
    this.sides = new Sides(options.arena, this.#sidesAt);
  }

  get ids(): number[] {
    return [...this.#byId.keys()];
  }

  get all(): Member[] {
    return [...this.#byId.values()];
  }

  /** Those whose threads take requests, also where a disk has failed. */
  get alive(): Member[] {
    return this.all.filter(({ handle }) => handle.isAlive);
  }

  find(id: number): Member | undefined {
    return this.#byId.get(id);
  }

  get(id: number): Member {
    const member = this.#byId.get(id);
    if (member === undefined) throw new TidemarkError('INVALID_ARGUMENT', `There is no broker ${id}.`);
    return member;
  }

  /** One that takes requests, gives signs of life, and has its disk. */
  running(id: number): BrokerHandle | undefined {
    const handle = this.#byId.get(id)?.handle;
    return handle?.state === 'running' ? handle : undefined;
  }

  /** How far a broker's log of a partition goes, as it was published last. */
  logEnd(id: number, partition: number): LogEnd {
    const { table } = this.get(id);
    return partition < table.chunkCount * PARTITIONS_PER_CHUNK ? table.loadEnd(partition) : NO_LOG;
  }

  /** All at once: each knows the others from the first. */
  async startAll(ids: readonly number[]): Promise<void> {
    const ports = connectPeers(ids, this.#options.surroundings.connect);
    const all = ids.map((id) => this.#allocate(id));
    for (const addresses of all) this.#spawn(addresses, all, ports.get(addresses.id) as Map<number, Port>);
    await Promise.all(this.all.map(({ handle }) => handle.started()));
  }

  /** A broker that is new, or whose thread has ended: resolves when the new thread is up. */
  async start(id: number, home: BrokerHome | undefined): Promise<Member> {
    const { connect, clock } = this.#options.surroundings;
    const late = (): TidemarkError =>
      new TidemarkError(
        'BROKER_FAILED',
        `Broker ${id} cannot start yet: another broker does not answer, and may still look at the memory of its last life. Try again later.`,
      );
    for (let kept = this.#retiring.get(id); kept !== undefined && kept.size >= RETIRING_LIVES_MAX; )
      await timeLimit(clock, Promise.race(kept), BROKER_STOP_TIMEOUT_MS, late);
    const before = this.#byId.get(id);
    await before?.handle.exited;
    const others = this.all.filter(({ handle }) => handle.id !== id && !handle.hasEnded);
    const ports = new Map<number, Port>();
    const theirs = others.map(({ handle }): [BrokerHandle, Port] => {
      const [port, theirs] = connect();
      ports.set(handle.id, port);
      return [handle, theirs];
    });
    const addresses = this.#allocate(id);
    const known = this.all.filter(({ handle }) => handle.id !== id).map((member) => member.addresses);
    const member = this.#spawn(addresses, [...known, addresses], ports, home);
    const told = theirs.map(([handle, port]) =>
      handle.request({ type: 'welcome', addresses, port }, Number.POSITIVE_INFINITY),
    );
    // Whoever ends before it has heard of the newcomer need not hear of it.
    for (const hearing of told) hearing.catch(() => undefined);
    if (before !== undefined) this.#retire(before, told);
    await member.handle.started();
    return member;
  }

  /** A broker whose thread has ended is one no more. */
  async remove(id: number): Promise<void> {
    const member = this.get(id);
    await member.handle.exited;
    this.#byId.delete(id);
    this.sides.put([id], COORDINATORS_SIDE);
    const others = this.all.filter(({ handle }) => !handle.hasEnded);
    const told = others.map(({ handle }) =>
      handle.request({ type: 'part', broker: id }, Number.POSITIVE_INFINITY),
    );
    this.#retire(member, told);
  }

  /** Every table gets room for the partitions there are: the chunks of each, by broker. */
  extendTables(): Map<number, readonly number[]> {
    const chunks = new Map<number, readonly number[]>();
    for (const { handle, table, addresses } of this.all) {
      this.#extend(addresses.chunks);
      table.extendTo(addresses.chunks);
      chunks.set(handle.id, [...addresses.chunks]);
    }
    return chunks;
  }

  /**
   * Every broker learns of the partitions, and of the table chunks that come with them; each says what it found. One that
   * hangs hears of it when it wakes; one that does not answer is done without, if that is excused at that moment.
   */
  async assign(
    partitions: readonly PartitionAssignment[],
    limitMs: number,
    {
      isExcused = () => false,
      areAll = false,
    }: { isExcused?(broker: number): boolean; areAll?: boolean } = {},
  ): Promise<Map<number, Map<number, OpenedReplica>>> {
    const request = { type: 'partitions', partitions, chunks: this.extendTables(), areAll } as const;
    const findings = new Map<number, Map<number, OpenedReplica>>();
    for (const { handle } of this.all)
      if (handle.state === 'fenced') handle.request(request, Number.POSITIVE_INFINITY).catch(() => undefined);
    const answers = await Promise.allSettled(
      this.alive.map(async ({ handle }) => {
        const opened = (await handle.request(request, limitMs).catch((error) => {
          if (isExcused(handle.id)) return [];
          throw error;
        })) as OpenedReplica[];
        findings.set(handle.id, new Map(opened.map((each) => [each.id, each])));
      }),
    );
    // What the others found is wanted by none then, but they have come to an end that they can write down.
    const failed = answers.find(({ status }) => status === 'rejected');
    if (failed?.status === 'rejected') throw failed.reason;
    return findings;
  }

  /** Blocks a broker's thread until resume(). */
  pause(id: number): void {
    const { vitals, addresses } = this.get(id);
    vitals.pause();
    // One that sleeps has to wake for it.
    ringBell(this.#options.arena.int32, addresses.bell / 4);
  }

  resume(id: number): void {
    this.get(id).vitals.resume();
  }

  /**
   * Cuts brokers off from all others and from the coordinator. They see each other, as those of an earlier call see each
   * other as far as they are not named again.
   */
  isolate(ids: readonly number[]): void {
    const members = ids.map((id) => this.get(id));
    this.#islands += 1;
    this.sides.put(ids, this.#islands);
    for (const { handle } of members) handle.messages.hold();
    this.ringAll();
  }

  /** Everybody sees everybody again. What coordinator and brokers had to say to each other meanwhile is heard now. */
  heal(): void {
    this.sides.put(this.ids, COORDINATORS_SIDE);
    for (const { handle } of this.all) handle.messages.release();
    this.ringAll();
  }

  /** Lets a broker's disk be like this from now on, in this life and in those to come. */
  async afflict(id: number, condition: DiskCondition): Promise<void> {
    const { handle } = this.get(id);
    if (condition === 'sound') this.#disks.delete(id);
    else this.#disks.set(id, condition);
    if (handle.hasEnded) return;
    await handle.request({ type: 'afflict', condition }).catch((error) => {
      // One that hangs hears of it when it wakes.
      if (handle.state !== 'fenced') throw error;
    });
  }

  /** After a thread's death: it may have taken a sleeper's flag down without notifying it. */
  ringAll(): void {
    for (const { addresses } of this.all) forceRing(this.#options.arena.int32, addresses.bell / 4);
  }

  #allocate(id: number): BrokerAddresses & { readonly chunks: number[] } {
    const { arena, surroundings } = this.#options;
    const { tailRingBytes } = surroundings.sizes;
    const bell = this.#bells.get(id) ?? arena.allocate(BELL_BYTES);
    this.#bells.set(id, bell);
    const addresses = {
      id,
      bell,
      ring: arena.allocate(ringBytes(tailRingBytes)),
      ringCapacity: tailRingBytes,
      progress: arena.allocate(PROGRESS_BYTES),
      metrics: arena.allocate(METRICS_BYTES),
      chunks: [],
    };
    this.#extend(addresses.chunks);
    return addresses;
  }

  #extend(chunks: number[]): void {
    const { arena, partitions } = this.#options;
    while (chunks.length * PARTITIONS_PER_CHUNK < partitions())
      chunks.push(arena.allocate(PARTITION_CHUNK_BYTES));
  }

  #spawn(
    addresses: BrokerAddresses & { readonly chunks: number[] },
    brokers: readonly BrokerAddresses[],
    peers: Map<number, Port>,
    home = this.#options.homeOf(addresses.id),
  ): Member {
    const { arena, module, durability, background, owner, care, surroundings } = this.#options;
    const workspace = arena.allocateWorkspace();
    const vitalsAt = arena.allocate(VITALS_BYTES);
    const { id } = addresses;
    const memory = { memory: arena.memory, module, workspace, sides: this.#sidesAt, vitals: vitalsAt };
    const disk = this.#disks.get(id);
    const data = { ...memory, durability, home, disk, id, brokers, peers, care };
    const { clock } = surroundings;
    const thread = surroundings.startThread(data);
    const handle = new BrokerHandle(thread, data, ++this.#lives, { clock, owner, background });
    const member: Member = {
      handle,
      addresses,
      workspace,
      table: new PartitionTable(arena, addresses.chunks),
      metrics: new Metrics(arena, addresses.metrics),
      vitals: new Vitals(arena, vitalsAt),
      vitalsAt,
    };
    this.#byId.set(id, member);
    return member;
  }

  /** Gives the memory of a life back once everybody who was told of its end has said so, or has ended. */
  #retire({ addresses, workspace, vitalsAt }: Member, told: readonly Promise<unknown>[]): void {
    const { arena } = this.#options;
    const retiring = this.#retiring.get(addresses.id) ?? new Set();
    this.#retiring.set(addresses.id, retiring);
    const retired: Promise<void> = Promise.allSettled(told).then(() => {
      arena.release(addresses.ring, ringBytes(addresses.ringCapacity));
      arena.release(addresses.progress, PROGRESS_BYTES);
      arena.release(addresses.metrics, METRICS_BYTES);
      for (const chunk of addresses.chunks) arena.release(chunk, PARTITION_CHUNK_BYTES);
      arena.release(vitalsAt, VITALS_BYTES);
      arena.releaseWorkspace(workspace);
      retiring.delete(retired);
    });
    retiring.add(retired);
  }
}
