import type { Kernels } from '../../native-free/kernels/index.ts';
import type { Replica } from '../core/replica.ts';
import type { ArenaView } from './arena.ts';
import type { Metrics } from './metrics.ts';
import type { PartitionTable } from './partition-table.ts';

/** What the parts of a broker ask of the whole: they know this, and not each other. */
export interface BrokerHost {
  readonly id: number;
  readonly arena: ArenaView;
  readonly kernels: Kernels;
  readonly table: PartitionTable;
  readonly metrics: Metrics;
  /** By partition id; a hole where this broker holds no replica. */
  readonly replicas: readonly (Replica | undefined)[];
  /** End of what this broker has published to its tail ring. */
  readonly ringPosition: number;
  tableOf(brokerId: number): PartitionTable;
  /**
   * Copies a batch into the next frame of the tail ring and computes its CRC-32C on the way: `from` and `length` are
   * those of the bytes that the CRC covers. Nothing is published, and the next batch may take its place.
   */
  readonly stage: (from: number, length: number) => number;
  /**
   * Stamps the staged batch, publishes it to the followers, and appends it to the own log. `client` is told when
   * the batch is committed, unless it is NOBODY.
   */
  append(replica: Replica, length: number, client: number, correlation: number): number;
  /** As a follower: the LEO of some partition of that leader went up. */
  progressed(leader: number): void;
  /** As a follower: how far the leader has let this replica know that records are committed. */
  refreshHwm(replica: Replica): void;
  /** As a follower: the ring cannot serve this replica, its leader's log has to. */
  readLog(replica: Replica): void;
  /** As a follower: the leader's log has been read up to where its ring stood at `position`. */
  rejoinRing(leader: number, position: number): void;
}
