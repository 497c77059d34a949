import type { Kernels } from '../../native-free/kernels/index.ts';
import { RingWriter, ringBell, ringBytes } from '../../native-free/sharedarraybuffer-utils/index.ts';
import { NOBODY } from '../core/commit-queue.ts';
import { Replica } from '../core/replica.ts';
import { AHEAD_MAX_BYTES, RING_EVERY_BYTES, SEGMENT_START_BYTES, THROTTLE_MAX_MS } from '../limits.ts';
import { copyOf } from '../log/copy.ts';
import { MemoryLog, SegmentPool } from '../log/memory-log.ts';
import { batchBytes, CRC_FROM, nextOffset, writeBaseOffset, writeLeaderEpoch } from '../log/record-batch.ts';
import type { PartitionInfo, ReplicaBytes } from '../types.ts';
import { ArenaView, kernelsOver } from './arena.ts';
import type { BrokerHost } from './broker-host.ts';
import { CatchUp } from './catch-up.ts';
import type { ClientLink } from './client-link.ts';
import { nowMs } from './clock.ts';
import type { BrokerAddresses, BrokerThreadData, PartitionAssignment } from './directory.ts';
import { LeaderTail } from './leader-tail.ts';
import { Metrics } from './metrics.ts';
import { PartitionTable } from './partition-table.ts';
import { ProgressRow } from './progress.ts';
import { RING_HEADER_BYTES, RING_PARTITION_WORD, RING_TIME_WORD } from './ring-frames.ts';

/** A peer as this broker sees it: what it reads of it, and the bell it rings. */
interface Peer {
  readonly addresses: BrokerAddresses;
  readonly table: PartitionTable;
  readonly progress: ProgressRow;
  /** Whether the peer holds a replica of a partition that this broker leads. */
  isFollower: boolean;
  /** The peer's progress as a follower of this broker, when it was last looked at, and when that was news. */
  seenChanges: number;
  seenAtMs: number;
}

/**
 * One broker: the replicas it holds, the ring it publishes to, the rings it follows, the clients it serves.
 * Everything here runs on the broker's own thread, in passes that never block.
 */
export class Broker implements BrokerHost {
  readonly id: number;
  readonly arena: ArenaView;
  readonly kernels: Kernels;
  readonly table: PartitionTable;
  readonly metrics: Metrics;
  readonly catchUp: CatchUp;
  readonly replicas: (Replica | undefined)[] = [];
  readonly #ring: RingWriter;
  readonly #progress: ProgressRow;
  readonly #peers = new Map<number, Peer>();
  readonly #tails: LeaderTail[] = [];
  readonly #links = new Map<number, ClientLink>();
  readonly #pool = new SegmentPool();
  /** Partitions led here with records above the HWM: those that a follower's progress may commit. */
  #uncommitted: Replica[] = [];
  /** Something has changed that an HWM may follow: an own LEO, a follower's progress, an ISR. */
  #mayCommit = false;
  /** The frame of the tail ring that holds the staged batch. */
  #staged = 0;
  /** Published to the tail ring since the followers' bells were rung. */
  #unrungBytes = 0;

  constructor(data: BrokerThreadData) {
    this.id = data.id;
    this.arena = new ArenaView(data.memory);
    this.kernels = kernelsOver(this.arena, data.workspace, data.module);
    const own = data.brokers.find(({ id }) => id === data.id) as BrokerAddresses;
    this.arena.reach(own.ring + ringBytes(own.ringCapacity));
    this.#ring = new RingWriter(this.arena.buffer, own.ring, own.ringCapacity);
    this.table = new PartitionTable(this.arena, own.chunks);
    this.#progress = new ProgressRow(this.arena, own.progress);
    this.metrics = new Metrics(this.arena, own.metrics);
    for (const addresses of data.brokers) {
      if (addresses.id === data.id) continue;
      this.#peers.set(addresses.id, {
        addresses,
        table: new PartitionTable(this.arena, addresses.chunks),
        progress: new ProgressRow(this.arena, addresses.progress),
        isFollower: false,
        seenChanges: 0,
        seenAtMs: 0,
      });
      this.#tails.push(new LeaderTail(this, addresses));
    }
    this.catchUp = new CatchUp(this, data.peers);
  }

  get ringPosition(): number {
    return this.#ring.position;
  }

  readLog(replica: Replica): void {
    replica.source = 'log';
    this.catchUp.want(replica);
  }

  rejoinRing(leader: number, position: number): void {
    this.#tails.find((tail) => tail.leader === leader)?.rejoinAt(position);
  }

  tableOf(brokerId: number): PartitionTable {
    if (brokerId === this.id) return this.table;
    return (this.#peers.get(brokerId) as Peer).table;
  }

  /** Whether a pass would find something: asked once more after the sleeping flag is up. */
  readonly hasWork = (): boolean => {
    if (this.#mayCommit) return true;
    for (const tail of this.#tails) if (tail.hasWork()) return true;
    if (!this.isThrottled) for (const link of this.#links.values()) if (link.hasWork()) return true;
    for (const peer of this.#peers.values()) {
      if (peer.progress.loadChanges(this.id) !== peer.seenChanges) return true;
    }
    return false;
  };

  /**
   * Whether requests have to wait for the followers, so that no producer, whatever its acks, drives a leader far
   * ahead of them. A follower that does not move for a while is not waited for.
   */
  get isThrottled(): boolean {
    const end = this.#ring.position;
    for (const peer of this.#peers.values()) {
      if (!peer.isFollower || end - peer.progress.loadCursor(this.id) <= AHEAD_MAX_BYTES) continue;
      if (nowMs() - peer.seenAtMs < THROTTLE_MAX_MS) return true;
    }
    return false;
  }

  /** One round over all sources. True where something was done. */
  pass(): boolean {
    let worked = false;
    if (!this.isThrottled) for (const link of this.#links.values()) if (link.serve()) worked = true;
    if (this.#unrungBytes > 0) this.#ringFollowers();
    if (this.#commit()) worked = true;
    for (const tail of this.#tails) {
      if (!tail.pass()) continue;
      worked = true;
      // What followers have reported meanwhile is looked at between any two pieces of work: somebody waits for it.
      this.#commit();
    }
    for (const link of this.#links.values()) link.flush();
    return worked;
  }

  readonly stage = (from: number, length: number): number => {
    this.#staged = this.#ring.reserve(RING_HEADER_BYTES + CRC_FROM + length);
    const batch = this.#staged + RING_HEADER_BYTES;
    this.arena.bytes.copyWithin(batch, from - CRC_FROM, from);
    return this.kernels.crc32cCopy(from, length, batch + CRC_FROM);
  };

  append(replica: Replica, length: number, client: number, correlation: number): number {
    const baseOffset = replica.log.leo;
    const { bytes, int32, float64 } = this.arena;
    const appendedAtMs = nowMs();
    const frame = this.#staged;
    const batch = frame + RING_HEADER_BYTES;
    float64[frame / 8 + RING_TIME_WORD] = appendedAtMs;
    int32[frame / 4 + RING_PARTITION_WORD] = replica.id;
    writeBaseOffset(bytes, batch, baseOffset);
    writeLeaderEpoch(bytes, batch, replica.info.epoch);
    this.#ring.commit();
    this.#ring.publish();
    this.#unrungBytes += length;
    if (this.#unrungBytes >= RING_EVERY_BYTES) this.#ringFollowers();

    replica.log.append(bytes, batch, length);
    const { leo } = replica.log;
    this.table.storeLeo(replica.id, leo);
    replica.pending.push({ nextOffset: leo, baseOffset, appendedAtMs, client, correlation });
    this.#mayCommit = true;
    if (!replica.uncommitted) {
      replica.uncommitted = true;
      this.#uncommitted.push(replica);
    }
    this.metrics.count('batchesAppended');
    return baseOffset;
  }

  progressed(leader: number): void {
    const tail = this.#tails.find((candidate) => candidate.leader === leader) as LeaderTail;
    this.#progress.advance(leader, tail.cursor);
    this.#ringPeer(leader);
  }

  attach(client: number, link: ClientLink): void {
    this.#links.set(client, link);
  }

  detach(client: number): void {
    this.#links.get(client)?.close();
    this.#links.delete(client);
  }

  assign(partitions: readonly PartitionAssignment[], chunks: ReadonlyMap<number, readonly number[]>): void {
    for (const [brokerId, addresses] of chunks) {
      const table = this.tableOf(brokerId);
      for (const address of addresses) table.addChunk(address);
    }
    for (const { info, config } of partitions) {
      while (this.replicas.length <= info.id) this.replicas.push(undefined);
      if (!info.replicas.includes(this.id)) continue;
      const log = new MemoryLog(
        {
          startBytes: SEGMENT_START_BYTES,
          segmentBytes: config['segment.bytes'],
          retentionBytes: config['retention.bytes'],
        },
        this.#pool,
      );
      this.replicas[info.id] = new Replica(info, config, log, this.id);
      this.#meetReplicas(info);
    }
  }

  /** Partitions whose ISR has changed. Those who wait for a commitment that can no longer come are told. */
  reform(partitions: readonly PartitionInfo[]): void {
    for (const info of partitions) {
      const replica = this.replicas[info.id];
      if (replica === undefined) continue;
      replica.become(info);
      if (!replica.isLeader || replica.hasEnoughInSync) continue;
      for (const { client, correlation, baseOffset } of replica.pending.disown()) {
        this.#links.get(client)?.respondProduced(correlation, 'NOT_ENOUGH_REPLICAS_AFTER_APPEND', baseOffset);
      }
    }
    this.#mayCommit = true;
  }

  /** Ends what would keep the thread alive. */
  close(): void {
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
    this.catchUp.close();
  }

  /** Raw batches of a replica, for comparison with its leader's. */
  inspect(partitionId: number, offset: number, maxBytes: number): ReplicaBytes {
    const replica = this.replicas[partitionId];
    if (replica === undefined)
      throw new Error(`broker ${this.id} holds no replica of partition ${partitionId}`);
    const { logStart, leo } = replica.log;
    this.refreshHwm(replica);
    const from = Math.max(offset, logStart);
    const extent = replica.log.read(from, maxBytes, leo);
    const bytes = copyOf(extent === undefined ? [] : [extent]);
    let next = from;
    for (let at = 0; at < bytes.length; at += batchBytes(bytes, at)) next = nextOffset(bytes, at);
    return { logStart, leo, hwm: replica.hwm, bytes, nextOffset: next };
  }

  refreshHwm(replica: Replica): void {
    if (replica.isLeader) return;
    const hwm = Math.min(this.tableOf(replica.info.leader).loadHwm(replica.id), replica.log.leo);
    if (hwm > replica.hwm) replica.hwm = hwm;
  }

  readonly #leoOf = (brokerId: number, partitionId: number): number =>
    (this.#peers.get(brokerId) as Peer).table.loadLeo(partitionId);

  /** Lets the HWM follow what the followers have published, and answers those who waited for it. */
  #commit(): boolean {
    for (const peer of this.#peers.values()) {
      const changes = peer.progress.loadChanges(this.id);
      if (changes === peer.seenChanges) continue;
      peer.seenChanges = changes;
      peer.seenAtMs = nowMs();
      this.#mayCommit = true;
    }
    if (!this.#mayCommit) return false;
    this.#mayCommit = false;
    const still: Replica[] = [];
    for (const replica of this.#uncommitted) {
      const hwm = replica.committable(this.#leoOf);
      if (hwm > replica.hwm) this.#advance(replica, hwm);
      if (hwm < replica.log.leo) still.push(replica);
      else replica.uncommitted = false;
    }
    this.#uncommitted = still;
    return true;
  }

  /** As the leader of a partition, its followers are to be rung; as a follower, its leader's ring is to be read. */
  #meetReplicas({ leader, replicas }: PartitionInfo): void {
    if (leader !== this.id) {
      this.#tails.find((tail) => tail.leader === leader)?.activate();
      return;
    }
    for (const id of replicas) {
      const peer = this.#peers.get(id);
      if (peer !== undefined) peer.isFollower = true;
    }
  }

  #advance(replica: Replica, hwm: number): void {
    replica.hwm = hwm;
    replica.log.committed = hwm;
    // Publishes the HWM: every in-sync replica has published an LEO at or above it.
    this.table.storeHwm(replica.id, hwm);
    this.table.storeLogStart(replica.id, replica.log.logStart);
    const committedAtMs = nowMs();
    for (let batch = replica.pending.take(hwm); batch !== undefined; batch = replica.pending.take(hwm)) {
      this.metrics.lagHwm.record(committedAtMs - batch.appendedAtMs);
      if (batch.client === NOBODY) continue;
      this.#links.get(batch.client)?.respondProduced(batch.correlation, 'NONE', batch.baseOffset);
    }
    for (const read of replica.reads) if (read.offset < hwm) read.answer();
  }

  /** Those who follow partitions led here; one that is awake costs one look. */
  #ringFollowers(): void {
    this.#unrungBytes = 0;
    for (const peer of this.#peers.values()) {
      if (peer.isFollower) ringBell(this.arena.int32, peer.addresses.bell / 4);
    }
  }

  #ringPeer(brokerId: number): void {
    const peer = this.#peers.get(brokerId) as Peer;
    ringBell(this.arena.int32, peer.addresses.bell / 4);
  }
}
