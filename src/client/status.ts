import type { BrokerState } from '../types.ts';

/** Where a cluster stands: what `status()` answers. */
export interface ClusterStatus {
  readonly clusterId: string;
  readonly brokers: readonly {
    readonly id: number;
    readonly state: BrokerState;
    readonly endpoint: string | null;
  }[];
  readonly topics: readonly TopicStatus[];
}

export interface TopicStatus {
  readonly name: string;
  readonly partitions: readonly PartitionStatus[];
}

export interface PartitionStatus {
  readonly id: number;
  readonly leader: number;
  readonly epoch: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
  /** The first offset that can be read. */
  readonly logStart: number;
  readonly hwm: number;
  /** By broker id. */
  readonly leo: Readonly<Record<number, number>>;
}
