import { ringBell } from '../../native-free/sharedarraybuffer-utils/index.ts';
import { IsrJudge } from '../core/isr-judge.ts';
import type { Replica } from '../core/replica.ts';
import { AHEAD_MAX_BYTES, LOOK_EVERY_MS, THROTTLE_MAX_MS } from '../limits.ts';
import type { PartitionInfo } from '../types.ts';
import type { BrokerHost } from './broker-host.ts';
import type { BrokerAddresses } from './directory.ts';
import { FollowedReads } from './followed-reads.ts';
import { PartitionTable } from './partition-table.ts';
import { ProgressRow } from './progress.ts';
import { LeaderTail } from './tail-ring.ts';
import { Sides } from './vitals.ts';

/** A peer as this broker sees it: what it reads of it, and the bell it rings. */
export interface Peer {
  readonly addresses: BrokerAddresses;
  readonly table: PartitionTable;
  /** Its ring, for the partitions that it leads. */
  readonly tail: LeaderTail;
  readonly progress: ProgressRow;
  /** Whether the peer holds a replica of a partition that this broker leads. */
  isFollower: boolean;
  /** Whether an HWM here waits for it: it is in sync, or is being let in. */
  isAwaited: boolean;
  /** The peer's progress as a follower of this broker, when it was last looked at, and when that was news. */
  seenChanges: number;
  seenAtMs: number;
  /** It has read logs to their end, and was told from where in the ring to go on: for so many partitions it has not yet. */
  joining: number;
  /** The first of these places. */
  joinsAt: number;
  /** Stable ends of partitions that it leads have moved here since it was told. */
  isOwedReport: boolean;
  /** Until then requests wait for it, as for one that is in sync: it is about to be. */
  guardedUntilMs: number;
  /** What was found of it in the present round of looks, at the partition where it is furthest behind. */
  behindMs: number;
  behindRecords: number;
  /** Whether the two are on one side. If not, nothing of the peer's memory is looked at, and its bell is not rung. */
  isLinked: boolean;
}

/** Whoever asks peers for something, and hears that he has to ask again. */
interface Reconnecting {
  reconnected(peer: number): void;
}

/** The other brokers, in their present lives: one that starts again has other memory, and begins here from zero. */
export class Peers {
  /** In no order; for those who go over all of them with every pass. */
  readonly all: Peer[] = [];
  readonly #host: BrokerHost;
  readonly #byId = new Map<number, Peer>();
  /** This broker's own, as a follower. */
  readonly #progress: ProgressRow;
  /** Of clients, at replicas that follow; as long as there are any. */
  #reads: FollowedReads | undefined;
  readonly #judge = new IsrJudge(LOOK_EVERY_MS);
  readonly #sides: Sides;
  /** Of the sides, as `isLinked` goes by them. */
  #sideChanges: number;

  constructor(host: BrokerHost, progress: ProgressRow, sides: number) {
    this.#host = host;
    this.#progress = progress;
    this.#sides = new Sides(host.arena, sides);
    this.#sideChanges = this.#sides.changes;
  }

  isLinked(id: number): boolean {
    return this.#sides.areLinked(this.#host.id, id);
  }

  get(id: number): Peer | undefined {
    return this.#byId.get(id);
  }

  /** The peer, if it can be seen at the moment. */
  linked(id: number): Peer | undefined {
    const peer = this.#byId.get(id);
    return peer?.isLinked === true ? peer : undefined;
  }

  /** A broker has come, or come back: nothing of its last life holds. */
  add(addresses: BrokerAddresses): void {
    const { id, arena, replicas } = this.#host;
    const isBack = this.#byId.has(addresses.id);
    this.remove(addresses.id);
    const peer: Peer = {
      addresses,
      table: new PartitionTable(arena, addresses.chunks),
      tail: new LeaderTail(this.#host, addresses),
      progress: new ProgressRow(arena, addresses.progress),
      isFollower: replicas.some(
        (replica) => replica?.info.leader === id && replica.info.replicas.includes(addresses.id),
      ),
      isAwaited: false,
      seenChanges: 0,
      seenAtMs: 0,
      joining: 0,
      joinsAt: 0,
      isOwedReport: false,
      guardedUntilMs: 0,
      behindMs: 0,
      behindRecords: 0,
      isLinked: this.isLinked(addresses.id),
    };
    this.#byId.set(addresses.id, peer);
    this.reckon();
    this.all.push(peer);
    // Its ring begins anew, and so does what this broker has read of it.
    if (isBack) this.#progress.advance(addresses.id, 0);
  }

  remove(id: number): void {
    const peer = this.#byId.get(id);
    if (peer === undefined) return;
    this.#byId.delete(id);
    this.all.splice(this.all.indexOf(peer), 1);
  }

  /** As a follower: a partition's stable end has moved, of which its leader learns with the next report. */
  owe(leader: number): void {
    const peer = this.#byId.get(leader);
    // Of nobody that leads at present: a sync may end when its leader has gone.
    if (peer !== undefined) peer.isOwedReport = true;
  }

  /** Whoever is owed a report gets it. */
  reportAll(): void {
    for (const { addresses, isOwedReport } of this.all) if (isOwedReport) this.progressed(addresses.id);
  }

  /** As a follower: that leader learns how far its ring was read, and that LEOs may have gone up. */
  progressed(leader: number): void {
    const peer = this.#byId.get(leader);
    if (peer === undefined) return;
    peer.isOwedReport = false;
    this.#progress.advance(leader, peer.tail.cursor);
    if (peer.isLinked) ringBell(this.#host.arena.int32, peer.addresses.bell / 4);
  }

  /** As the leader of a partition, its followers are to be rung; as a follower, its leader's ring is to be read. */
  meet({ leader, replicas }: PartitionInfo): void {
    if (leader !== this.#host.id) {
      this.#byId.get(leader)?.tail.activate();
      return;
    }
    for (const id of replicas) {
      const peer = this.#byId.get(id);
      if (peer === undefined) continue;
      peer.isFollower = true;
      peer.isAwaited = true;
    }
  }

  /** An ISR has become smaller: whom no HWM waits for, requests do not wait for either. */
  reckon(): void {
    for (const peer of this.all) peer.isAwaited = false;
    for (const replica of this.#host.replicas) {
      if (replica?.isLeader !== true) continue;
      for (const id of replica.info.replicas) {
        const peer = this.#byId.get(id);
        if (peer?.isAwaited === false && replica.isAwaited(id)) peer.isAwaited = true;
      }
    }
  }

  /** A follower's LEO, as far as it counts in the present reign. */
  readonly leoOf = (brokerId: number, partitionId: number): number => {
    const { epoch } = (this.#host.replicas[partitionId] as Replica).info;
    return this.linked(brokerId)?.table.loadLeoIn(epoch, partitionId) ?? -1;
  };

  /** Looks at who follows these, all that are led here and have something uncommitted; `lag` hears who does not keep up. */
  judge(
    nowMs: number,
    led: Iterable<Replica>,
    lag: (replica: Replica, who: readonly number[]) => void,
  ): void {
    for (const peer of this.all) peer.behindMs = peer.behindRecords = 0;
    this.#judge.begin(nowMs);
    for (const replica of led) {
      const who = this.#judge.look(replica, this.leoOf, this.#noteLag);
      if (who.length > 0) lag(replica, who);
    }
    for (const { addresses, isFollower, behindMs, behindRecords } of this.all)
      if (isFollower) this.#host.metrics.storeLag(addresses.id, behindMs, behindRecords);
  }

  readonly #noteLag = (follower: number, behindMs: number, records: number): void => {
    const peer = this.#byId.get(follower);
    if (peer === undefined) return;
    peer.behindMs = Math.max(peer.behindMs, behindMs);
    peer.behindRecords = Math.max(peer.behindRecords, records);
  };

  /** Whether a leader has published or committed something that is waited for here, or a follower has got on. */
  hasNews(): boolean {
    if (this.#sides.changes !== this.#sideChanges || this.#reads?.hasNews() === true) return true;
    for (const { tail, progress, seenChanges, isLinked } of this.all)
      if (isLinked && (tail.hasWork() || progress.loadChanges(this.#host.id) !== seenChanges)) return true;
    return false;
  }

  /**
   * Whether a follower has got on since the last look. `lost` hears of peers that may have been out of sight: what was
   * asked of them in between is lost.
   */
  look(lost: Reconnecting): boolean {
    if (this.#sides.changes !== this.#sideChanges) this.#relink(lost);
    let isNews = false;
    for (const peer of this.all) {
      if (!peer.isLinked) continue;
      const changes = peer.progress.loadChanges(this.#host.id);
      if (changes === peer.seenChanges) continue;
      peer.seenChanges = changes;
      peer.seenAtMs = this.#host.clock.nowMs();
      isNews = true;
    }
    return isNews;
  }

  /** Whether a follower that is waited for, and moves, is far behind what the own ring has published, which ends at `ringEnd`. */
  areBehind(ringEnd: number): boolean {
    for (const peer of this.all) {
      if (!peer.isLinked || !(peer.isAwaited || peer.guardedUntilMs > 0)) continue;
      const cursor = peer.progress.loadCursor(this.#host.id);
      const needed = peer.joining > 0 ? Math.min(cursor, peer.joinsAt) : cursor;
      if (ringEnd - needed <= AHEAD_MAX_BYTES) continue;
      const nowMs = this.#host.clock.nowMs();
      const isGuarded = nowMs < peer.guardedUntilMs;
      if (isGuarded && peer.joining > 0) return true;
      if (!isGuarded) peer.joining = peer.guardedUntilMs = 0;
      if (!(peer.isAwaited || isGuarded) || ringEnd - cursor <= AHEAD_MAX_BYTES) continue;
      if (nowMs - peer.seenAtMs < THROTTLE_MAX_MS) return true;
    }
    return false;
  }

  /**
   * A follower has read a log to its end, and is told to go on in the ring at `position`. Until it is let into the ISR
   * nothing else would keep that from being overwritten: under load it would come back again and again.
   */
  joins(id: number, position: number): void {
    const peer = this.#byId.get(id);
    if (peer === undefined) return;
    peer.joinsAt = peer.joining === 0 ? position : Math.min(peer.joinsAt, position);
    peer.joining++;
    this.#guard(peer);
  }

  /** It reads the ring from there on, for so many partitions. */
  hasJoined(id: number, count: number): void {
    const peer = this.#byId.get(id);
    if (peer === undefined) return;
    peer.joining = Math.max(0, peer.joining - count);
    this.#guard(peer);
  }

  #guard(peer: Peer): void {
    peer.guardedUntilMs = this.#host.clock.nowMs() + THROTTLE_MAX_MS;
  }

  /** Those who follow partitions led here; one that is awake costs one look. */
  ringFollowers(): void {
    for (const { isFollower, isLinked, addresses } of this.all)
      if (isFollower && isLinked) ringBell(this.#host.arena.int32, addresses.bell / 4);
  }

  /** As a follower: how far the leader has let this replica know that records are committed. */
  refreshHwm(replica: Replica): void {
    const { id, table } = this.#host;
    const { leader, epoch } = replica.info;
    if (leader === id || leader === -1 || !this.isLinked(leader)) return;
    // Of a log that was not held against its leader's nobody knows what the HWM says.
    if (table.loadLeoIn(epoch, replica.id) === -1) return;
    replica.learn(this.#host.tableOf(leader).loadHwmIn(epoch, replica.id));
  }

  /** A read has begun to wait for what is committed next. */
  readWaits(replica: Replica): void {
    if (replica.isLeader) return;
    this.#reads ??= new FollowedReads(this.#host, this.#progress);
    this.#reads.add(replica);
  }

  /** Answers reads that wait here for what their leaders have committed. */
  answerReads(): void {
    this.#reads?.look();
    if (this.#reads?.isEmpty === true) this.#reads = undefined;
  }

  /** An HWM has risen: those are rung where somebody waits for it. */
  ringReaders(): void {
    const { id, arena } = this.#host;
    for (const { isFollower, isLinked, progress, addresses } of this.all)
      if (isFollower && isLinked && progress.hasReaders(id)) ringBell(arena.int32, addresses.bell / 4);
  }

  #relink(lost: Reconnecting): void {
    this.#sideChanges = this.#sides.changes;
    for (const peer of this.all) {
      peer.isLinked = this.isLinked(peer.addresses.id);
      if (peer.isLinked) lost.reconnected(peer.addresses.id);
    }
  }
}
