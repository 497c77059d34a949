import type { Kernels } from '../../native-free/kernels/index.ts';
import type { PendingBatch } from '../core/commit-queue.ts';
import type { Replica } from '../core/replica.ts';
import type { ErrorCode } from '../errors.ts';
import type { ArenaView } from './arena.ts';
import type { Metrics } from './metrics.ts';
import type { PartitionTable } from './partition-table.ts';
import type { Clock } from './surroundings.ts';

/** What the parts of a broker ask of the whole: they know this, and not each other. */
export interface BrokerHost {
  readonly id: number;
  readonly clock: Clock;
  readonly arena: ArenaView;
  readonly kernels: Kernels;
  readonly table: PartitionTable;
  readonly metrics: Metrics;
  /** By partition id; a hole where this broker holds no replica. */
  readonly replicas: readonly (Replica | undefined)[];
  /** End of what this broker has published to its tail ring. */
  readonly ringPosition: number;
  /** Whether anybody waits for something that a pass would do. */
  hasWork(): boolean;
  tableOf(brokerId: number): PartitionTable;
  /** Whether nothing cuts the two off from each other. */
  isLinked(brokerId: number): boolean;
  /**
   * Copies a batch into the next frame of the tail ring and computes its CRC-32C on the way: `from` and `length` are
   * those of the bytes that the CRC covers. Nothing is published, and the next batch may take its place.
   */
  readonly stage: (from: number, length: number) => number;
  /**
   * Stamps the staged batch, publishes it to the followers, and appends it to the own log. `client` is told when
   * the batch is stable here or committed, whichever it waits for, or that it has waited for `timeoutMs`, unless it is NOBODY.
   */
  append(
    replica: Replica,
    length: number,
    client: number,
    correlation: number,
    waitsFor: PendingBatch['waitsFor'],
    timeoutMs: number,
  ): void;
  /** A batch was appended to this replica's log, from elsewhere than its own ring: flush() is to come before long. */
  staged(replica: Replica): void;
  /**
   * Writes what logs have staged. LEOs follow, at once or, with fsync, when the device has it; `progressed` is then
   * called by itself. False where bytes in a leader's ring were overwritten meanwhile: of those logs nothing was kept.
   */
  flush(): boolean;
  /** A replica's log was truncated, or begins anew: its LEO is published anew. */
  restarted(replica: Replica): void;
  /** A client's requests make no sense any more: its link ends here, and the main thread hears why. */
  cut(client: number, why: string): void;
  /** What a read of a replica's log has thrown, for whoever asked. Damage is told; other segments can still be read. */
  readFailed(replica: Replica, error: unknown): ErrorCode;
  /** Whether the batch that holds `offset`, which a follower got damaged, is damaged here: then that is told. Throws as a read. */
  isDamaged(replica: Replica, offset: number): boolean;
  /** What a log has thrown. A DiskError takes all replicas of this broker offline; anything else is thrown on. */
  diskFailed(error: unknown): void;
  /** As a follower: tells that leader how far its ring was read, and that LEOs may have gone up. */
  progressed(leader: number): void;
  /** As a follower: how far the leader has let this replica know that records are committed. */
  refreshHwm(replica: Replica): void;
  /** A read has begun to wait for what is committed next. */
  readWaits(replica: Replica): void;
  /** As a follower: the ring cannot serve this replica, its leader's log has to. */
  readLog(replica: Replica): void;
  /** As a follower: the leader's log has been read up to where its ring stood at `position`. */
  rejoinRing(leader: number, position: number): void;
  /** As a leader: the follower reads the ring from `position` on, once it has heard of it. */
  joins(follower: number, position: number): void;
  /** As a leader: the follower does so, for so many of the partitions of which it was told. */
  hasJoined(follower: number, count: number): void;
  /** As a follower: this replica has all that its leader has. */
  caughtUp(replica: Replica): void;
}
