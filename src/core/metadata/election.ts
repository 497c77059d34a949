import type { DecisionContext } from './commands.ts';
import type { BrokerRegistration, MetadataImage, MetadataPartition } from './image.ts';
import type { PartitionChangeRecord } from './records.ts';

// What a broker may do for a partition that it is in sync with, by its state:
//
//                    active    shutting-down               fenced
//    begin to lead   yes       no                          no
//    go on leading   yes       while nobody else can begin no
//    join the ISR    yes       no                          no
//    stay in it      yes       as leader, or without one   while nobody leads
//
// Only while its registration lives, as far as the host knows. To lead, its log has to be open; to begin to, the
// partition may not wait for a lost directory.

/** Who takes part, seen from one decision: what it is about to change of a broker counts already. */
export class Electorate {
  readonly #image: MetadataImage;
  readonly #context: DecisionContext;
  readonly #changed: BrokerRegistration | undefined;

  constructor(image: MetadataImage, context: DecisionContext, changed?: BrokerRegistration) {
    this.#image = image;
    this.#context = context;
    this.#changed = changed;
  }

  #broker(id: number): BrokerRegistration | undefined {
    return this.#changed?.id === id ? this.#changed : this.#image.broker(id);
  }

  /** Whether it gets new replicas, and comes into an ISR. */
  isActive(id: number): boolean {
    const broker = this.#broker(id);
    return broker?.state === 'active' && this.#context.isAlive(id, broker.epoch);
  }

  /** Whether it can begin to lead, if it is in sync. */
  canLead(id: number, partition: MetadataPartition): boolean {
    return partition.lostDirectory === null && this.isActive(id) && this.#context.hasLog(id, partition.id);
  }

  /** Whether it goes on to lead: while it shuts down, it does so as long as nobody else can. */
  #leadsOn(id: number, partition: MetadataPartition): boolean {
    const broker = this.#broker(id);
    if (broker === undefined || broker.state === 'fenced') return false;
    return this.#context.isAlive(id, broker.epoch) && this.#context.hasLog(id, partition.id);
  }

  /**
   * Who leads, out of those in sync: the leader of now, unless it is shutting down; else the first of the replicas that
   * can. Nobody (-1) where none can: whoever is not in sync may lack what was acknowledged.
   */
  elect(partition: MetadataPartition): number {
    const { leader, replicas, isr } = partition;
    if (this.canLead(leader, partition)) return leader;
    const other = replicas.find((id) => isr.includes(id) && this.canLead(id, partition));
    return other ?? (this.#leadsOn(leader, partition) ? leader : -1);
  }

  /** What a partition is under a leader: those in sync with it are they who take part. */
  under(leader: number, partition: MetadataPartition): PartitionStanding {
    return { leader, isr: partition.isr.filter((id) => id === leader || this.isActive(id)) };
  }

  /**
   * What becomes of a partition now that brokers have changed. Where nobody leads, nothing is committed and nobody falls
   * behind, so that the ISR stays as it is: whoever of them comes back first can lead. The last member stays in any
   * case.
   */
  settle(partition: MetadataPartition): PartitionStanding {
    const leader = this.elect(partition);
    return leader === -1 ? { leader } : this.under(leader, partition);
  }
}

export interface PartitionStanding {
  readonly leader?: number;
  readonly isr?: readonly number[];
  readonly lostDirectory?: string | null;
}

/** A record of what differs from what is, or undefined. */
export function change(
  before: MetadataPartition,
  next: PartitionStanding,
  beginsEpoch = false,
): PartitionChangeRecord | undefined {
  const { leader = before.leader, isr = before.isr, lostDirectory = before.lostDirectory } = next;
  const isIsr = !isSame(isr, before.isr);
  const isLeader = leader !== before.leader || beginsEpoch;
  const isDirectory = lostDirectory !== before.lostDirectory;
  if (!isIsr && !isLeader && !isDirectory) return undefined;
  const record: { -readonly [name in keyof PartitionChangeRecord]: PartitionChangeRecord[name] } = {
    type: 'partition-change',
    id: before.id,
    partitionEpoch: before.partitionEpoch + 1,
  };
  if (isIsr) record.isr = isr;
  if (isLeader) record.leader = leader;
  if (isDirectory) record.lostDirectory = lostDirectory;
  return record;
}

function isSame(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((id, n) => id === other[n]);
}
