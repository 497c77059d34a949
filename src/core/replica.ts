import type { TopicConfig } from '../config.ts';
import type { ErrorCode } from '../errors.ts';
import type { PartitionInfo, PartitionLog } from '../types.ts';
import { CommitQueue, TakenBatches } from './commit-queue.ts';
import type { Pace } from './isr-judge.ts';

/** A read that waits for records: it is answered when the HWM passes its offset, or when its time is up. */
export interface WaitingRead {
  readonly offset: number;
  answer(error: ErrorCode): void;
}

/** Offline: its disk has failed, and it neither takes nor gives anything any more. */
export type ReplicaState = 'online' | 'offline';

/** What a broker holds of one partition. The broker's thread owns it. */
export class Replica {
  readonly id: number;
  #info: PartitionInfo;
  /** What the topic asks for at present. */
  config: TopicConfig;
  readonly log: PartitionLog;
  readonly brokerId: number;
  #state: ReplicaState = 'online';
  #stable: number;
  #restarts = 0;
  /**
   * The maximal ISR without its leader: its members, and those that this leader has proposed and that are not yet written
   * down. A record is committed once all of these have it.
   */
  #awaited: readonly number[] = [];
  /**
   * Below it all is committed. As a leader: never goes back, and never exceeds the LEO of an ISR member. As a follower: as
   * far as it was heard of, and it has it.
   */
  hwm = 0;
  /** As a leader: where its log ended when its reign began. Below it lies whatever was acknowledged before. */
  reignStart = 0;
  /** As a leader: batches above the HWM, in the order of their offsets, and who waits for them. */
  readonly pending = new CommitQueue();
  /** As a leader: reads that wait for records. */
  readonly reads = new Set<WaitingRead>();
  /** As a leader: whether the broker's list of partitions with uncommitted records names this one. */
  uncommitted = false;
  /** Whether the broker's list of logs with staged batches names this one. */
  isStaged = false;
  /** As a follower: batches that are in the log and not yet below the stable end. */
  readonly taken = new TakenBatches();
  /** As a leader: how its followers keep up, while there is something uncommitted. */
  pace: Pace | undefined;
  /**
   * As a follower: records come from the leader's ring, or, after a gap, from its log until the ring is reached. Unproven:
   * the same, and what this log holds was not held against the leader's yet, so that nothing of it counts.
   */
  source: 'ring' | 'log' | 'unproven' = 'ring';

  constructor(info: PartitionInfo, config: TopicConfig, log: PartitionLog, brokerId: number) {
    this.id = info.id;
    this.#info = info;
    this.config = config;
    this.log = log;
    this.brokerId = brokerId;
    // What a log holds when it is opened has been checked by then, and made durable.
    this.#stable = log.written;
    this.become(info);
  }

  /** As the coordinator last told it. */
  get info(): PartitionInfo {
    return this.#info;
  }

  /** What was proposed before is decided, or was refused: the announced ISR says. */
  become(info: PartitionInfo): void {
    this.#info = info;
    this.#awaited = info.isr.filter((id) => id !== info.leader);
  }

  /** As a leader: from now on nothing is committed without this follower, though it is not in the ISR yet (KIP-497). */
  propose(follower: number): void {
    if (!this.isAwaited(follower)) this.#awaited = [...this.#awaited, follower];
  }

  /** Whether the HWM waits for this follower. */
  isAwaited(follower: number): boolean {
    return this.#awaited.includes(follower);
  }

  get state(): ReplicaState {
    return this.#state;
  }

  becomeOffline(): void {
    this.#state = 'offline';
    this.taken.clear();
  }

  /**
   * End of what is as durable as the cluster promises: written, or synced. It is what counts for the HWM, and what is
   * published as this replica's LEO. Never above what is written; goes back only when the log does.
   */
  get stable(): number {
    return this.#stable;
  }

  /** How often the log has gone back: a sync that began before has nothing to say about what was written since. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Everything below `end` is as durable as asked. */
  settleTo(end: number): void {
    if (end < this.#stable || end > this.log.written) {
      throw new Error(
        `partition ${this.id} cannot be stable up to ${end}: it was up to ${this.#stable}, and ${this.log.written} are written`,
      );
    }
    this.#stable = end;
  }

  /** The log was truncated, or begins anew. What is left of the stable records is stable still. */
  restart(): void {
    const { logStart, written } = this.log;
    this.#stable = Math.max(logStart, Math.min(this.#stable, written));
    this.#restarts++;
    this.taken.truncateTo(written);
  }

  /** As a follower whose log was held against its leader's, which has told this HWM in the same reign; -1: it has not. */
  learn(hwm: number): void {
    if (hwm === -1) return;
    this.log.committed = hwm;
    const known = Math.min(hwm, this.log.written);
    if (known > this.hwm) this.hwm = known;
  }

  /** As it was written down: a replica that the leader lets in counts once it may no longer be passed over (KIP-966). */
  get hasEnoughInSync(): boolean {
    const { isr, eligible } = this.info;
    if (eligible !== undefined && eligible.length > 0) return false;
    return isr.length >= this.config['min.insync.replicas'];
  }

  get isLeader(): boolean {
    return this.info.leader === this.brokerId;
  }

  /** The HWM that the LEOs of the ISR allow now: promise 2. `leoOf` tells a follower's LEO. */
  committable(leoOf: (brokerId: number, partitionId: number) => number): number {
    if (!this.hasEnoughInSync) return this.hwm;
    let lowest = this.#stable;
    for (const follower of this.#awaited) {
      lowest = Math.min(lowest, leoOf(follower, this.id));
      // Whatever the others have.
      if (lowest <= this.hwm) return this.hwm;
    }
    return Math.max(lowest, this.hwm);
  }
}
