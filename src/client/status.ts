import type { Coordinator } from '../runtime/coordinator.ts';
import type { BrokerState, PartitionInfo, QuorumStatus } from '../types.ts';

/** Where a cluster stands: what `status()` answers. */
export interface ClusterStatus {
  readonly clusterId: string;
  /** Who decides on the metadata: the brokers with a vote, and which of them leads. */
  readonly quorum: QuorumStatus;
  readonly brokers: readonly {
    readonly id: number;
    readonly state: BrokerState;
    readonly endpoint: string | null;
    /** Where it stands, if that was said. */
    readonly rack: string | null;
    /** Up to which entry of their log it goes by the metadata. */
    readonly metadataOffset: number;
    /** Why it has failed, or is offline. */
    readonly error?: string;
  }[];
  readonly topics: readonly TopicStatus[];
}

export interface TopicStatus {
  readonly name: string;
  readonly partitions: readonly PartitionStatus[];
}

export interface PartitionStatus {
  readonly id: number;
  /** -1 where nobody can lead it; then `error` says why. */
  readonly leader: number;
  readonly epoch: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
  /** Replicas that come and that go, while it is reassigned. */
  readonly adding?: readonly number[];
  readonly removing?: readonly number[];
  /** The first offset that can be read; -1 without a leader, as is hwm. */
  readonly logStart: number;
  readonly hwm: number;
  /** By broker id. */
  readonly leo: Readonly<Record<number, number>>;
  readonly error?: string;
}

/**
 * Read from the brokers' tables, without disturbing them.
 *
 * @internal
 */
export function statusOf(coordinator: Coordinator): ClusterStatus {
  return {
    clusterId: coordinator.clusterId,
    quorum: coordinator.quorum,
    brokers: coordinator.members.all.map(({ handle: { id, state, error }, vitals }) => {
      const rack = coordinator.rackOf(id);
      const broker = { id, state, endpoint: null, rack, metadataOffset: vitals.loadMetadata() };
      return error === undefined ? broker : { ...broker, error };
    }),
    topics: [...coordinator.topics.values()].map(({ name, partitions }) => ({
      name,
      partitions: partitions.map((info) => partitionStatus(coordinator, info)),
    })),
  };
}

function partitionStatus(coordinator: Coordinator, info: PartitionInfo): PartitionStatus {
  const { id, partition, leader, epoch, replicas, isr, adding = [], removing = [], unavailable } = info;
  const { members } = coordinator;
  const table = leader === -1 ? undefined : members.get(leader).table;
  const status = {
    id: partition,
    leader,
    epoch,
    replicas,
    isr,
    ...(adding.length + removing.length > 0 ? { adding, removing } : undefined),
    logStart: table?.loadLogStart(id) ?? -1,
    hwm: table?.loadHwm(id) ?? -1,
    leo: Object.fromEntries(replicas.map((broker) => [broker, members.get(broker).table.loadLeo(id)])),
  };
  return unavailable === undefined ? status : { ...status, error: unavailable };
}
