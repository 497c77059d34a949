import type { TopicConfig } from '../config.ts';
import type { PartitionInfo, PartitionLog } from '../types.ts';
import { CommitQueue } from './commit-queue.ts';

/** A read that waits for records: it is answered when the HWM passes its offset, or when its time is up. */
export interface WaitingRead {
  readonly offset: number;
  answer(): void;
}

/** What a broker holds of one partition. The broker's thread owns it. */
export class Replica {
  readonly id: number;
  #info: PartitionInfo;
  readonly config: TopicConfig;
  readonly log: PartitionLog;
  readonly brokerId: number;
  /** The ISR without its leader: a record is committed once all of these have it. */
  #inSyncFollowers: readonly number[] = [];
  /** Never goes back while this replica leads, and never exceeds the LEO of an ISR member. */
  hwm = 0;
  /** As a leader: batches above the HWM, in the order of their offsets, and who waits for them. */
  readonly pending = new CommitQueue();
  /** As a leader: reads that wait for records. */
  readonly reads = new Set<WaitingRead>();
  /** As a leader: whether the broker's list of partitions with uncommitted records names this one. */
  uncommitted = false;
  /** As a follower: records come from the leader's ring, or, after a gap, from its log until the ring is reached. */
  source: 'ring' | 'log' = 'ring';

  constructor(info: PartitionInfo, config: TopicConfig, log: PartitionLog, brokerId: number) {
    this.id = info.id;
    this.#info = info;
    this.config = config;
    this.log = log;
    this.brokerId = brokerId;
    this.become(info);
  }

  /** As the coordinator last told it. */
  get info(): PartitionInfo {
    return this.#info;
  }

  become(info: PartitionInfo): void {
    this.#info = info;
    this.#inSyncFollowers = info.isr.filter((id) => id !== info.leader);
  }

  get hasEnoughInSync(): boolean {
    return this.info.isr.length >= this.config['min.insync.replicas'];
  }

  get isLeader(): boolean {
    return this.info.leader === this.brokerId;
  }

  /** The HWM that the LEOs of the ISR allow now: promise 2. `leoOf` tells a follower's LEO. */
  committable(leoOf: (brokerId: number, partitionId: number) => number): number {
    if (!this.hasEnoughInSync) return this.hwm;
    let lowest = this.log.leo;
    for (const follower of this.#inSyncFollowers) {
      const leo = leoOf(follower, this.id);
      if (leo < lowest) lowest = leo;
    }
    return Math.max(lowest, this.hwm);
  }
}
