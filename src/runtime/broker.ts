import type { Kernels } from '../../native-free/kernels/index.ts';
import { ringBell } from '../../native-free/sharedarraybuffer-utils/index.ts';
import type { TopicConfig } from '../config.ts';
import { NOBODY, type PendingBatch } from '../core/commit-queue.ts';
import type { Replica } from '../core/replica.ts';
import type { ErrorCode } from '../errors.ts';
import { LOOK_EVERY_MS, RING_EVERY_BYTES } from '../limits.ts';
import { type DiskError, remedyOf } from '../log/disk.ts';
import { nextOffset } from '../log/record-batch.ts';
import type { DiskCondition, PartitionInfo } from '../types.ts';
import { ArenaView, kernelsOver } from './arena.ts';
import type { BackgroundClient } from './background-client.ts';
import type { BrokerHost } from './broker-host.ts';
import { CatchUp } from './catch-up.ts';
import type { ClientLink } from './client-link.ts';
import type {
  BrokerAddresses,
  BrokerNotice,
  BrokerThreadData,
  DeletedRecords,
  HealedSegment,
  OpenedReplica,
  PartitionAssignment,
  Reign,
} from './directory.ts';
import { DurableLogs } from './durable-logs.ts';
import { deleteRecords, LogKeeper } from './log-keeper.ts';
import { Metrics } from './metrics.ts';
import { PartitionTable } from './partition-table.ts';
import { Peers } from './peers.ts';
import { ProgressRow } from './progress.ts';
import { ReplicaOpening } from './replica-opening.ts';
import { ReplicaRemoval } from './replica-removal.ts';
import { ReplicaRoles, type RolesHost } from './replica-roles.ts';
import type { BrokerSurroundings, Clock, Port } from './surroundings.ts';
import { TailRing } from './tail-ring.ts';

/**
 * One broker: the replicas it holds, the ring it publishes to, the rings it follows, the clients it serves.
 * Everything here runs on the broker's own thread, in passes that never block.
 */
export class Broker implements BrokerHost, RolesHost {
  readonly id: number;
  readonly clock: Clock;
  readonly arena: ArenaView;
  readonly kernels: Kernels;
  readonly table: PartitionTable;
  readonly metrics: Metrics;
  readonly catchUp: CatchUp;
  /** Lets its disk be like this from now on. */
  readonly afflict: (condition: DiskCondition) => Promise<void>;
  readonly replicas: (Replica | undefined)[] = [];
  readonly #bell: number;
  readonly #ring: TailRing;
  readonly #peers: Peers;
  readonly #links = new Map<number, ClientLink>();
  readonly #roles: ReplicaRoles;
  readonly #keeper: LogKeeper;
  readonly #removal: ReplicaRemoval;
  readonly #logs: DurableLogs;
  readonly #notify: (notice: BrokerNotice) => void;
  /** Partitions led here with records above the HWM: those that a follower's progress may commit. */
  #uncommitted: Replica[] = [];
  /** Something has changed that an HWM may follow: an own LEO, a follower's progress, an ISR. */
  #mayCommit = false;
  /** When the batches settled that are being counted: one look at the clock for all of them. */
  #settledAtMs = 0;
  #diskState: 'sound' | 'failed' = 'sound';
  readonly #endLooks: () => void;

  /** `notify` is for what the main thread has to know without having asked. Without a pool all work is done here. */
  constructor(
    data: Omit<BrokerThreadData, 'vitals'>,
    surroundings: BrokerSurroundings,
    notify: (notice: BrokerNotice) => void,
    background?: BackgroundClient,
  ) {
    this.id = data.id;
    this.clock = surroundings.clock;
    this.arena = new ArenaView(data.memory);
    this.kernels = kernelsOver(this.arena, data.workspace, data.module);
    const own = data.brokers.find(({ id }) => id === data.id) as BrokerAddresses;
    this.#bell = own.bell;
    this.#ring = new TailRing(this.arena, this.kernels, this.clock, own);
    this.table = new PartitionTable(this.arena, own.chunks);
    this.#logs = new DurableLogs(data.durability, this.table, {
      settled: this.#settled,
      synced: this.#synced,
      diskFailed: this.#diskFailed,
    });
    this.#notify = notify;
    const opening = new ReplicaOpening(data, surroundings, notify, background);
    this.#roles = new ReplicaRoles(this, opening);
    this.afflict = (condition) => opening.afflict(condition);
    this.#keeper = new LogKeeper(this, opening, data, notify, background);
    this.#removal = new ReplicaRemoval(this, opening, this.#keeper, this.#logs);
    this.#removal.sweep();
    this.#peers = new Peers(this, new ProgressRow(this.arena, own.progress), data.sides);
    this.metrics = new Metrics(this.arena, own.metrics);
    for (const addresses of data.brokers) {
      if (addresses.id !== data.id) this.#peers.add(addresses);
    }
    this.catchUp = new CatchUp(this, data.peers);
    this.#endLooks = this.clock.every(LOOK_EVERY_MS, this.#look);
  }

  get ringPosition(): number {
    return this.#ring.position;
  }

  /** Whether the event loop will soon hear of a sync that producers wait for. */
  get isSyncing(): boolean {
    return this.#logs.isSyncing;
  }

  readLog(replica: Replica): void {
    if (replica.source === 'ring') replica.source = 'log';
    this.catchUp.want(replica);
  }

  rejoinRing(leader: number, position: number): void {
    this.#peers.get(leader)?.tail.rejoinAt(position);
    // What was passed over there is work again, and nobody rings for it any more.
    ringBell(this.arena.int32, this.#bell / 4);
  }

  joins(follower: number, position: number): void {
    this.#peers.joins(follower, position);
  }

  hasJoined(follower: number, count: number): void {
    this.#peers.hasJoined(follower, count);
    // Requests may have waited for that.
    ringBell(this.arena.int32, this.#bell / 4);
  }

  tableOf(brokerId: number): PartitionTable {
    if (brokerId === this.id) return this.table;
    const peer = this.#peers.get(brokerId);
    if (peer === undefined) throw new Error(`broker ${this.id} knows no broker ${brokerId}`);
    return peer.table;
  }

  readonly isLinked = (brokerId: number): boolean => this.#peers.isLinked(brokerId);

  /** A broker has come, or come back with other memory: its port serves reads of logs. */
  welcome(addresses: BrokerAddresses, port: Port | undefined): void {
    this.#peers.add(addresses);
    this.catchUp.connect(addresses.id, port);
    this.#mayCommit = true;
  }

  /** A broker has gone for good: nothing of its memory is looked at any more. */
  part(brokerId: number): void {
    this.#peers.remove(brokerId);
    this.catchUp.disconnect(brokerId);
  }

  /** Whether a pass would find something: asked once more after the sleeping flag is up. */
  readonly hasWork = (): boolean => {
    if (this.#mayCommit || this.#peers.hasNews()) return true;
    if (!this.isThrottled) for (const link of this.#links.values()) if (link.hasWork()) return true;
    return false;
  };

  /**
   * Whether requests have to wait for the followers, so that no producer, whatever its acks, drives a leader far
   * ahead of them. A follower that does not move for a while is not waited for.
   */
  get isThrottled(): boolean {
    return this.#peers.areBehind(this.#ring.position);
  }

  /** One round over all sources. True where something was done. */
  pass(): boolean {
    let worked = false;
    if (!this.isThrottled) for (const link of this.#links.values()) if (link.serve()) worked = true;
    if (this.#ring.unrungBytes > 0) this.#ringFollowers();
    // Followers read the ring meanwhile. Nothing is answered or committed before it is written here.
    this.flush();
    if (this.#commit()) worked = true;
    for (const { tail, isLinked } of this.#peers.all) {
      if (!isLinked || !tail.pass()) continue;
      worked = true;
      // What followers have reported meanwhile is looked at between any two pieces of work: somebody waits for it.
      this.#commit();
    }
    this.#peers.answerReads();
    this.#sendAnswers();
    return worked;
  }

  readonly stage = (from: number, length: number): number => {
    if (this.#ring.isFull) this.flush();
    return this.#ring.stage(from, length);
  };

  append(
    replica: Replica,
    length: number,
    client: number,
    correlation: number,
    waitsFor: PendingBatch['waitsFor'],
    timeoutMs: number,
  ): void {
    const { log } = replica;
    const baseOffset = log.leo;
    const { bytes } = this.arena;
    const appendedAtMs = this.clock.nowMs();
    const batch = this.#ring.publish(replica, length, appendedAtMs);
    if (this.#ring.unrungBytes >= RING_EVERY_BYTES) this.#ringFollowers();

    // Before the log may fail: then whoever waits is told with all the others.
    const waiter = { client, correlation, waitsFor, deadlineMs: appendedAtMs + timeoutMs };
    replica.pending.push({ nextOffset: nextOffset(bytes, batch), baseOffset, appendedAtMs, ...waiter });
    this.watch(replica);
    this.metrics.count('batchesAppended');
    try {
      log.append(bytes, batch, length);
    } catch (error) {
      this.diskFailed(error);
      return;
    }
    this.#logs.stage(replica);
  }

  staged(replica: Replica): void {
    this.#logs.stage(replica);
  }

  flush(): boolean {
    this.#ring.written();
    return this.#logs.flush();
  }

  restarted(replica: Replica): void {
    this.#logs.restarted(replica);
  }

  diskFailed(error: unknown): void {
    this.#logs.failed(error);
  }

  readFailed(replica: Replica, error: unknown): ErrorCode {
    return this.#keeper.care.readFailed(replica, error);
  }

  isDamaged(replica: Replica, offset: number): boolean {
    return this.#keeper.care.damages.doubted(replica, offset);
  }

  caughtUp(replica: Replica): void {
    if (!replica.info.isr.includes(this.id)) this.#notify({ notice: 'caught-up', partition: replica.id });
  }

  progressed(leader: number): void {
    this.#peers.progressed(leader);
  }

  attach(client: number, link: ClientLink): void {
    this.#links.set(client, link);
  }

  detach(client: number): void {
    this.#links.get(client)?.close();
    this.#links.delete(client);
  }

  cut(client: number, why: string): void {
    // What it asked for before is answered.
    this.#links.get(client)?.flush();
    this.detach(client);
    this.#notify({ notice: 'link-cut', client, why });
  }

  assign(
    partitions: readonly PartitionAssignment[],
    chunks: ReadonlyMap<number, readonly number[]>,
    areAll = false,
  ): Promise<OpenedReplica[]> {
    for (const [brokerId, addresses] of chunks) this.tableOf(brokerId).extendTo(addresses);
    return this.#roles.assign(partitions, areAll).finally(() => this.#keeper.saveForgotten());
  }

  lead(reigns: readonly Reign[]): void {
    this.#roles.lead(reigns);
    this.#peers.reckon();
    this.#mayCommit = true;
  }

  reform(partitions: readonly PartitionInfo[]): Promise<OpenedReplica[]> {
    const mended = this.#roles.reform(partitions);
    this.#peers.reckon();
    this.#mayCommit = true;
    return mended;
  }

  admit(partition: number, epoch: number, follower: number): boolean {
    const isIn = this.#roles.admit(partition, epoch, follower);
    const peer = this.#peers.get(follower);
    if (isIn && peer !== undefined) peer.isAwaited = true;
    return isIn;
  }

  add(partitions: readonly PartitionAssignment[]): Promise<OpenedReplica[]> {
    return this.#roles.add(partitions).finally(() => this.#keeper.saveForgotten());
  }

  /** Resolves when a topic of the same name finds room. */
  remove(partitions: readonly number[], haveMoved: boolean): Promise<void> {
    const reason = haveMoved ? 'NOT_LEADER_OR_FOLLOWER' : 'UNKNOWN_TOPIC_OR_PARTITION';
    return this.#roles.remove(partitions, reason, (...ended) => this.#removal.remove(...ended));
  }

  /** Before any log is opened. */
  discard(directories: ReadonlyMap<string, string>): void {
    this.#removal.discard(directories);
  }

  async configure(partitions: readonly number[], config: TopicConfig): Promise<void> {
    await this.#roles.configure(partitions, config);
    this.#mayCommit = true;
  }

  /** The log of a partition led here begins at `offset` from now on; -1 is the HWM. */
  deleteRecords(partition: number, offset: number): Promise<DeletedRecords> {
    return deleteRecords(this.#keeper, this.replicas[partition], offset);
  }

  /** Another replica leads, and this one has left the ISR: what is damaged here is fetched anew. */
  heal(partition: number): HealedSegment | undefined {
    return this.#keeper.care.damages.heal(this.replicas[partition]);
  }

  /** Ends what would keep the thread alive, and leaves the logs in order. */
  async close(): Promise<void> {
    this.#endLooks();
    this.flush();
    this.#logs.close();
    this.#sendAnswers();
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
    this.catchUp.close();
    await this.#roles.close();
    await this.#removal.close();
    await this.#keeper.close();
  }

  readonly refreshHwm = (replica: Replica): void => this.#peers.refreshHwm(replica);

  readonly readWaits = (replica: Replica): void => this.#peers.readWaits(replica);

  /** Lets the HWM follow what the followers have published, and answers those who waited for it. */
  #commit(): boolean {
    if (this.#peers.look(this.catchUp)) this.#mayCommit = true;
    if (!this.#mayCommit) return false;
    this.#mayCommit = false;
    const still: Replica[] = [];
    let isRisen = false;
    for (const replica of this.#uncommitted) {
      if (replica.state !== 'online' || !replica.isLeader) {
        replica.uncommitted = false;
        continue;
      }
      const hwm = replica.committable(this.#peers.leoOf);
      if (hwm > replica.hwm) isRisen = this.#advance(replica, hwm);
      if (hwm < replica.log.leo) still.push(replica);
      else replica.uncommitted = false;
    }
    this.#uncommitted = still;
    if (isRisen) this.#peers.ringReaders();
    return true;
  }

  /** Rarely: who has waited too long for a commitment is told so, and followers are named that do not keep up. */
  readonly #look = (): void => {
    const nowMs = this.clock.nowMs();
    const led = this.#uncommitted.filter((replica) => replica.state === 'online' && replica.isLeader);
    for (const replica of led) {
      for (const batch of replica.pending.expire(nowMs)) {
        this.metrics.count('requestsTimedOut');
        this.#answer(batch.client, batch, 'REQUEST_TIMED_OUT');
      }
    }
    this.#peers.judge(nowMs, led, ({ id, info }, followers) =>
      this.#notify({ notice: 'lagging', partition: id, epoch: info.epoch, followers }),
    );
    this.#sendAnswers();
  };

  get isDiskFailed(): boolean {
    return this.#diskState === 'failed';
  }

  meet(info: PartitionInfo): void {
    this.#peers.meet(info);
  }

  watch(replica: Replica): void {
    if (replica.uncommitted) return;
    replica.uncommitted = true;
    this.#uncommitted.push(replica);
  }

  disown(replica: Replica): void {
    for (const batch of replica.pending.disown())
      this.#answer(batch.client, batch, 'NOT_ENOUGH_REPLICAS_AFTER_APPEND');
  }

  dismiss(replica: Replica, error: ErrorCode): void {
    for (const batch of replica.pending.abandon()) this.#answer(batch.client, batch, error);
    for (const read of replica.reads) read.answer(error);
  }

  #advance(replica: Replica, hwm: number): true {
    replica.hwm = hwm;
    replica.log.committed = hwm;
    // Publishes the HWM: every in-sync replica has published an LEO at or above it.
    this.table.storeHwm(replica.id, hwm);
    this.table.storeLogStart(replica.id, replica.log.logStart);
    const committedAtMs = this.clock.nowMs();
    for (let batch = replica.pending.take(hwm); batch !== undefined; batch = replica.pending.take(hwm)) {
      this.metrics.lagHwm.record(committedAtMs - batch.appendedAtMs);
      if (batch.client !== NOBODY) this.#answer(batch.client, batch, 'NONE');
    }
    for (const read of replica.reads) if (read.offset < hwm) read.answer('NONE');
    return true;
  }

  readonly #settled = (replica: Replica): void => {
    if (!replica.isLeader) {
      this.#settledAtMs = this.clock.nowMs();
      replica.taken.settle(replica.stable, this.#recordLag);
      this.#peers.owe(replica.info.leader);
      return;
    }
    this.#mayCommit = true;
    replica.pending.tellStable(replica.stable, this.#tellStable);
  };

  readonly #recordLag = (appendedAtMs: number): void => {
    this.metrics.lagFollower.record(this.#settledAtMs - appendedAtMs);
  };

  readonly #tellStable = (client: number, batch: PendingBatch): void => this.#answer(client, batch, 'NONE');

  /** On the event loop: as a follower it tells its leaders, as a leader it commits and answers. */
  readonly #synced = (): void => {
    this.#peers.reportAll();
    this.#commit();
    this.#sendAnswers();
  };

  /** Whoever waits is told, and the main thread: the broker leaves every ISR. Its thread lives on. */
  readonly #diskFailed = (error: DiskError): void => {
    if (this.#diskState === 'failed') return;
    this.#diskState = 'failed';
    this.#uncommitted = [];
    this.#roles.takeOffline();
    this.#sendAnswers();
    const message = `Broker ${this.id} has taken its partitions offline because its disk failed (${error.message}). ${remedyOf(error, this.id)}`;
    this.#notify({ notice: 'disk-failed', message });
  };

  /** Everything that was answered since the last time, with one ring for each client. */
  #sendAnswers(): void {
    for (const link of this.#links.values()) link.flush();
  }

  #answer(client: number, { correlation, baseOffset }: PendingBatch, error: ErrorCode): void {
    this.#links.get(client)?.respondProduced(correlation, error, baseOffset);
  }

  #ringFollowers(): void {
    this.#ring.unrungBytes = 0;
    this.#peers.ringFollowers();
  }
}
