import type { MetadataPartition } from '../core/metadata/image.ts';
import type { PartitionChangeRecord } from '../core/metadata/records.ts';
import type { PartitionInfo } from '../types.ts';
import type { BrokerHandle } from './broker-handle.ts';
import type { OpenedReplica, PartitionAssignment } from './directory.ts';
import type { Clock } from './surroundings.ts';
import type { Topics } from './topics.ts';

/** For how long a broker that a replica has left still tells those who come late that it does not lead it. */
const REMOVE_AFTER_MS = 500;

export interface MovingCluster {
  readonly clock: Clock;
  readonly topics: Topics;
  /** The brokers whose threads have not ended. */
  threads(): readonly BrokerHandle[];
  opened(broker: number, opened: readonly OpenedReplica[]): void;
}

/** By broker: partitions. */
type Left = ReadonlyMap<number, readonly number[]>;

/**
 * Replicas that come to brokers and leave them. A log is made where one comes, before its broker hears of it otherwise; and
 * where one has left, its files go once everybody has heard of it. What a broker does not live to hear it is told when it
 * starts.
 */
export class ReplicaMoves {
  readonly #cluster: MovingCluster;
  /** By broker: partitions that have left it, and of which nobody was told. */
  #left = new Map<number, Set<number>>();

  constructor(cluster: MovingCluster) {
    this.#cluster = cluster;
  }

  /** A partition has got other replicas. */
  written({ id, replicas = [] }: PartitionChangeRecord, before: MetadataPartition | undefined): void {
    for (const broker of before?.replicas ?? []) {
      if (replicas.includes(broker)) continue;
      const left = this.#left.get(broker) ?? new Set<number>();
      this.#left.set(broker, left.add(id));
    }
  }

  /** A broker that is to hear of these partitions makes the logs that it has not. */
  add(handle: BrokerHandle, infos: readonly PartitionInfo[]): void {
    const { id } = handle;
    const assignments: PartitionAssignment[] = [];
    for (const info of infos) {
      if (info.adding?.includes(id) !== true || info.isr.includes(id)) continue;
      const assignment = this.#cluster.topics.assignmentOf(info.id, false);
      if (assignment !== undefined) assignments.push(assignment);
    }
    if (assignments.length === 0) return;
    handle.request({ type: 'add', partitions: assignments }, Number.POSITIVE_INFINITY).then(
      (opened) => this.#cluster.opened(id, opened as OpenedReplica[]),
      // A broker that dies meanwhile begins again when it starts.
      () => undefined,
    );
  }

  /** What has left brokers since this was asked last, and has not come back. */
  takeLeft(): Left {
    const left = this.#left;
    this.#left = new Map();
    return this.#stillLeft(left);
  }

  /** Their files go in a while, unless they have come back by then. */
  remove(left: Left): void {
    if (left.size === 0) return;
    this.#cluster.clock.schedule(REMOVE_AFTER_MS, () => {
      const still = this.#stillLeft(left);
      for (const handle of this.#cluster.threads()) {
        const partitions = still.get(handle.id);
        if (partitions === undefined) continue;
        const request = { type: 'remove', partitions, haveMoved: true } as const;
        handle.request(request, Number.POSITIVE_INFINITY).catch(() => undefined);
      }
    });
  }

  #stillLeft(left: ReadonlyMap<number, Iterable<number>>): Left {
    const still = new Map<number, readonly number[]>();
    for (const [broker, ids] of left) {
      const gone = [...ids].filter((id) => this.#cluster.topics.replicasOf(id)?.includes(broker) === false);
      if (gone.length > 0) still.set(broker, gone);
    }
    return still;
  }
}
