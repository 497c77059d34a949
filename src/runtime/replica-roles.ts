import type { TopicConfig } from '../config.ts';
import { roleChange } from '../core/partition-follower.ts';
import { admitFollower, beginReign, hwmAtStart } from '../core/partition-leader.ts';
import type { Replica } from '../core/replica.ts';
import type { ErrorCode } from '../errors.ts';
import { partitionDirectory } from '../log/file-names.ts';
import type { PartitionInfo } from '../types.ts';
import type { CatchUp } from './catch-up.ts';
import type { OpenedReplica, PartitionAssignment, Reign } from './directory.ts';
import type { Metrics } from './metrics.ts';
import type { PartitionTable } from './partition-table.ts';
import {
  type Opening,
  openReplica,
  type ReplicaOpening,
  segmentLogOf,
  settleReplicas,
} from './replica-opening.ts';

/** What changes of roles ask of the broker. */
export interface RolesHost {
  readonly id: number;
  readonly table: PartitionTable;
  readonly catchUp: CatchUp;
  readonly metrics: Metrics;
  readonly replicas: (Replica | undefined)[];
  readonly isDiskFailed: boolean;
  tableOf(brokerId: number): PartitionTable;
  isLinked(brokerId: number): boolean;
  /** As the leader of a partition, its followers are to be rung; as a follower, its leader's ring is to be read. */
  meet(info: PartitionInfo): void;
  restarted(replica: Replica): void;
  /** A partition led here has records above its HWM. */
  watch(replica: Replica): void;
  /** Those who wait for a commitment that can no longer come are told. */
  disown(replica: Replica): void;
  /** Everybody who waits for something of this replica is told why it will not come. */
  dismiss(replica: Replica, error: ErrorCode): void;
  /** As a follower: how far the leader has let this replica know that records are committed. */
  refreshHwm(replica: Replica): void;
  diskFailed(error: unknown): void;
}

/** Who leads and who follows, as the main thread says: opens replicas, and brings them from one role to the other. */
export class ReplicaRoles {
  readonly #host: RolesHost;
  readonly #opening: ReplicaOpening;
  /** Partitions whose logs are being opened or mended, as they were heard of last. */
  readonly #mending = new Map<number, PartitionInfo>();
  /** Replicas that are about to end here. */
  readonly #ending = new Set<number>();
  /** What opens logs at present. */
  readonly #underWay = new Set<Promise<unknown>>();
  #isClosing = false;

  constructor(host: RolesHost, opening: ReplicaOpening) {
    this.#host = host;
    this.#opening = opening;
  }

  /**
   * Opens the logs of replicas, and tells how far they go. New partitions have their leaders from the first. `areAll`
   * where this broker holds nothing else.
   */
  assign(partitions: readonly PartitionAssignment[], areAll = false): Promise<OpenedReplica[]> {
    // Whoever asked before may wait no more, and its partitions may have the names of these. In memory all is done by now.
    const before = this.#opening.disk.isVolatile ? [] : [...this.#underWay];
    return this.#tracked(
      before.length === 0
        ? this.#assign(partitions, areAll)
        : Promise.allSettled(before).then(() => this.#assign(partitions, areAll)),
    );
  }

  /** Opens no further log, and resolves when nobody is at work on one. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await Promise.allSettled(this.#underWay);
  }

  async #assign(partitions: readonly PartitionAssignment[], areAll: boolean): Promise<OpenedReplica[]> {
    const { id, replicas } = this.#host;
    const mine = partitions.filter(({ info }) => info.replicas.includes(id));
    this.#opening.expect(mine.length);
    if (areAll && !this.#opening.disk.isVolatile)
      await this.#opening.forgetAllBut(mine).catch((error) => this.#host.diskFailed(error));
    for (const { info } of mine) this.#mending.set(info.id, info);
    this.#uninstallNamesakes(partitions.filter(({ isKept }) => !isKept));
    const found: Opening[] = [];
    for (const assignment of partitions) {
      const { info } = assignment;
      while (replicas.length <= info.id) replicas.push(undefined);
      if (!info.replicas.includes(id)) continue;
      this.#requireOpen();
      // A log in memory is there at once, and nobody waits.
      const opening = this.#opening.openNow(assignment) ?? (await this.#open(assignment));
      this.#begin(opening.replica, info);
      found.push(opening);
    }
    return (await this.#settled(found)).map(({ opened }) => opened);
  }

  /** As it was asked for, or as it was heard of since: a broker that was not waited for may hear of it meanwhile. */
  #begin(replica: Replica | undefined, asked: PartitionInfo): void {
    const heard = this.#mending.get(asked.id) ?? asked;
    this.#mending.delete(asked.id);
    if (replica === undefined) return;
    this.#install(replica);
    if (heard !== asked) this.#become(replica, heard);
  }

  /** Replicas that come here, in order to be filled from their leaders. What is here already, or being made, stays. */
  add(partitions: readonly PartitionAssignment[]): Promise<OpenedReplica[]> {
    const missing = partitions.filter(({ info: { id } }) => {
      if (this.#ending.has(id)) return true;
      return !this.#mending.has(id) && this.#host.replicas[id] === undefined && !this.#opening.isFaulty(id);
    });
    for (const { info } of missing) this.#mending.set(info.id, info);
    // A replica of the same partition that goes has to have gone.
    const before = Promise.allSettled([...this.#underWay]);
    return this.#tracked(before.then(() => this.#add(missing)));
  }

  async #add(partitions: readonly PartitionAssignment[]): Promise<OpenedReplica[]> {
    const { replicas } = this.#host;
    this.#opening.expect(partitions.length);
    this.#uninstallNamesakes(partitions);
    const found: Opening[] = [];
    for (const assignment of partitions) {
      const { id } = assignment.info;
      while (replicas.length <= id) replicas.push(undefined);
      this.#requireOpen();
      // It hears who leads only once it is there, as at every change of the leader.
      const unled = { ...assignment, info: { ...assignment.info, leader: -1 } };
      found.push(this.#opening.openNow(unled) ?? (await this.#open(unled)));
    }
    const settled = await this.#settled(found);
    return settled.map((opening, n) => this.#mended(partitions[n].info, opening));
  }

  #open(wanted: PartitionAssignment | number): Promise<Opening> {
    return openReplica(this.#opening, wanted, this.#host);
  }

  #settled(found: readonly Opening[]): Promise<readonly Opening[]> {
    return settleReplicas(this.#opening, found, this.#host);
  }

  /** What was heard of it meanwhile holds, and not what the opening began with. */
  #mended(before: PartitionInfo, { replica, opened }: Opening): OpenedReplica {
    const info = this.#mending.get(before.id) ?? before;
    this.#mending.delete(before.id);
    if (replica === undefined) return opened;
    this.#install(replica);
    this.#become(replica, info);
    return opened;
  }

  /** Partitions that this broker leads from now on, after a start. Their followers learn of it afterwards. */
  lead(reigns: readonly Reign[]): void {
    for (const { info, followers } of reigns) {
      const replica = this.#host.replicas[info.id];
      if (replica === undefined) continue;
      replica.become(info);
      this.#reign(replica, hwmAtStart(replica, followers));
    }
  }

  /** Partitions whose ISR or leader has changed. Logs that had to be mended for it are told about. */
  reform(partitions: readonly PartitionInfo[]): Promise<OpenedReplica[]> {
    return this.#tracked(this.#reform(partitions));
  }

  async #reform(partitions: readonly PartitionInfo[]): Promise<OpenedReplica[]> {
    const faulty: number[] = [];
    for (const info of partitions) {
      const { id } = info;
      const replica = this.#host.replicas[id];
      const isMending = this.#mending.has(id);
      // What is about to end takes part in nothing any more: the news is for what is made in its place, if anything is.
      if (this.#ending.has(id)) {
        if (isMending) this.#mending.set(id, info);
      } else if (replica !== undefined) this.#become(replica, info);
      else if (isMending || (this.#opening.isFaulty(id) && this.#isToBeFilled(info))) {
        this.#mending.set(id, info);
        if (!isMending) faulty.push(id);
      }
    }
    const mended: OpenedReplica[] = [];
    this.#opening.expect(faulty.length);
    for (const id of faulty) {
      this.#requireOpen();
      const before = this.#mending.get(id) as PartitionInfo;
      const [opening] = await this.#settled([await this.#open(id)]);
      mended.push(this.#mended(before, opening));
    }
    return mended;
  }

  /** Whether this broker has a replica that gets from a leader what it lacks. */
  #isToBeFilled({ leader, replicas }: PartitionInfo): boolean {
    return leader !== -1 && replicas.includes(this.#host.id);
  }

  /** Lets the HWM of a partition led here wait for a follower, once that has reached it: promise 2. */
  admit(partition: number, epoch: number, follower: number): boolean {
    const replica = this.#host.replicas[partition];
    if (replica === undefined || !this.#host.isLinked(follower)) return false;
    return admitFollower(replica, epoch, follower, this.#host.tableOf(follower).loadLeoIn(epoch, partition));
  }

  /**
   * A creation that another broker has failed left its replicas here. They end where partitions of the same names are
   * made: two replicas of one directory would write, cut and store each other's files.
   */
  #uninstallNamesakes(made: readonly PartitionAssignment[]): void {
    const { replicas, catchUp } = this.#host;
    const topics = new Set(made.map(({ info }) => info.topic));
    const directories = new Set(made.map(({ info }) => partitionDirectory(info.topic, info.partition)));
    for (const [id, replica] of replicas.entries()) {
      if (replica === undefined || !topics.has(replica.info.topic)) continue;
      const { topic, partition } = replica.info;
      if (!directories.has(partitionDirectory(topic, partition))) continue;
      // What still names it, such as a list of staged logs, passes over it from now on.
      replica.becomeOffline();
      catchUp.forget(replica);
      replicas[id] = undefined;
    }
  }

  /** Replicas end here; `removing` takes their files away before anybody opens others of the same names. */
  remove(
    partitions: readonly number[],
    reason: ErrorCode,
    removing: (removed: readonly Replica[], faulty: ReadonlyMap<string, string>) => Promise<void>,
  ): Promise<void> {
    const opening = [...this.#underWay];
    for (const id of partitions) this.#ending.add(id);
    const removed = async (): Promise<void> => {
      // What is being opened ends too.
      await Promise.allSettled(opening);
      const { replicas, catchUp } = this.#host;
      const ended: Replica[] = [];
      const faulty = new Map<string, string>();
      for (const id of partitions) {
        const replica = replicas[id];
        this.#ending.delete(id);
        this.#opening.forgetFault(id, faulty);
        if (replica === undefined) continue;
        this.#host.dismiss(replica, reason);
        replica.becomeOffline();
        catchUp.forget(replica);
        // What it had counts in no reign: another one of the same partition may come.
        this.#host.table.storeReign(id, -1);
        replicas[id] = undefined;
        ended.push(replica);
      }
      await removing(ended, faulty);
    };
    return this.#tracked(removed());
  }

  async configure(partitions: readonly number[], config: TopicConfig): Promise<void> {
    await Promise.allSettled(this.#underWay);
    for (const id of partitions) {
      const replica = this.#host.replicas[id];
      if (replica === undefined) continue;
      replica.config = config;
      const log = segmentLogOf(replica);
      if (log !== undefined) log.config = config;
      if (replica.isLeader && !replica.hasEnoughInSync) this.#host.disown(replica);
    }
  }

  /** The disk has failed: nobody gets anything of these replicas any more. */
  takeOffline(): void {
    for (const replica of this.#host.replicas) {
      if (replica === undefined) continue;
      replica.becomeOffline();
      replica.uncommitted = false;
      this.#host.dismiss(replica, 'KAFKA_STORAGE_ERROR');
    }
  }

  #tracked<T>(work: Promise<T>): Promise<T> {
    const tracked = work.finally(() => this.#underWay.delete(tracked));
    this.#underWay.add(tracked);
    return tracked;
  }

  #requireOpen(): void {
    if (this.#isClosing) throw new Error('it is closing, and opens no more logs');
  }

  #install(replica: Replica): void {
    const { info } = replica;
    if (this.#host.isDiskFailed) replica.becomeOffline();
    this.#host.replicas[info.id] = replica;
    this.#host.meet(info);
    // It counts for nobody yet, but where nobody in sync lives it says who has most.
    this.#host.restarted(replica);
    if (replica.isLeader) this.#reign(replica, replica.hwm);
    // A new log holds nothing that could differ from its leader's.
    else if (info.leader !== -1) this.#host.table.storeReign(info.id, info.epoch);
  }

  #become(replica: Replica, info: PartitionInfo): void {
    const { info: before, isLeader: hasLed } = replica;
    const host = this.#host;
    // Without a change of the epoch it has only been opened, and hears for the first time who leads.
    const change = roleChange(before, info, host.id);
    if (change === 'outdated') return;
    if (change !== 'same reign') {
      // What the old leader has told is committed.
      host.refreshHwm(replica);
      // From here on the old leader counts on this replica no more, whatever it has or takes.
      host.table.storeReign(info.id, -1);
    }
    replica.become(info);
    if (replica.isLeader) this.#countMembers(before.isr, info.isr);
    if (change === 'leaves') {
      // It is about to go, and only there for those who have not heard of that. Taken from the ring, later records would
      // stand behind what was never held against their leader's log, and hide from one that comes back where the two part.
      host.catchUp.leave(replica);
      if (hasLed) host.dismiss(replica, 'NOT_LEADER_OR_FOLLOWER');
    } else if (change === 'same reign') {
      // It may have new followers.
      if (replica.isLeader) host.meet(info);
      else if (!info.isr.includes(host.id)) host.catchUp.report(replica);
    } else if (change === 'leads') {
      host.catchUp.forget(replica);
      replica.taken.clear();
      if (replica.state === 'online') this.#reign(replica, replica.hwm);
    } else {
      if (hasLed) host.dismiss(replica, 'NOT_LEADER_OR_FOLLOWER');
      host.meet(info);
      host.catchUp.follow(replica);
    }
    if (replica.isLeader && !replica.hasEnoughInSync) host.disown(replica);
  }

  #countMembers(before: readonly number[], after: readonly number[]): void {
    if (before.some((id) => !after.includes(id))) this.#host.metrics.count('isrShrinks');
    if (after.some((id) => !before.includes(id))) this.#host.metrics.count('isrExpansions');
  }

  /** The epoch stands in the log before anybody reads there. */
  #reign(replica: Replica, hwm: number): void {
    const { log, id, info } = replica;
    this.#host.meet(info);
    try {
      beginReign(replica, hwm);
    } catch (error) {
      this.#host.diskFailed(error);
      return;
    }
    this.#host.restarted(replica);
    // Before the reign that it belongs to: followers look at both.
    this.#host.table.storeHwm(id, hwm);
    this.#host.table.storeReign(id, info.epoch);
    if (hwm < log.leo) this.#host.watch(replica);
  }
}
