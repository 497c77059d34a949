import { furthestFirst } from '../reopening.ts';
import type { DecisionContext } from './commands.ts';
import type { BrokerRegistration, MetadataImage, MetadataPartition } from './image.ts';
import type { PartitionChangeRecord } from './records.ts';
import { changeOf, type PartitionStanding, reassigned } from './standing.ts';
import { mayElectUnclean, minInSync } from './topic-config.ts';

// What a broker may do for a partition that it is in sync with, by its state:
//
//                    active    shutting-down               fenced
//    begin to lead   yes       no                          no
//    go on leading   yes       while nobody else can begin no
//    join the ISR    yes       no                          no
//    stay in it      yes       as leader, or without one   while nobody leads
//
// Only while its registration lives, as far as the host knows. To lead, its log has to be open; to begin to, the
// partition may not wait for a lost directory. Where nobody in the ISR can lead, those can who left it when nothing was
// committed any more (eligible), and where it was allowed or asked for, whoever has a log.

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

  /** Whether it gets no replicas of new partitions, though it goes on with what it holds. */
  isEmptied(id: number): boolean {
    return this.#context.isEmptied(id);
  }

  /** Whether it gets new replicas, and comes into an ISR. */
  isActive(id: number): boolean {
    const broker = this.#broker(id);
    return broker?.state === 'active' && this.#context.isAlive(id, broker.epoch);
  }

  /** Whether it can begin to lead, if it is in sync. */
  canLead(id: number, partition: MetadataPartition): boolean {
    return partition.lostDirectory === null && this.#isAble(id, partition);
  }

  #isAble(id: number, partition: MetadataPartition): boolean {
    return this.isActive(id) && this.#context.hasLog(id, partition.id);
  }

  /** Whether it lives, as far as anybody knows, if only to shut down. */
  isUp(id: number): boolean {
    const broker = this.#broker(id);
    return broker !== undefined && broker.state !== 'fenced' && this.#context.isAlive(id, broker.epoch);
  }

  /** Whether it goes on to lead: while it shuts down, it does so as long as nobody else can. */
  #leadsOn(id: number, partition: MetadataPartition): boolean {
    return this.isUp(id) && this.#context.hasLog(id, partition.id);
  }

  /**
   * Who leads, out of those in sync: the leader of now, unless it is shutting down; else the first of the replicas that
   * can. Else one that is eligible. Nobody (-1) where none can: whoever else there is may lack what was acknowledged.
   */
  elect(partition: MetadataPartition): number {
    const { leader, replicas, isr, eligible } = partition;
    if (this.canLead(leader, partition)) return leader;
    const other = replicas.find((id) => isr.includes(id) && this.canLead(id, partition));
    if (other !== undefined) return other;
    if (this.#leadsOn(leader, partition)) return leader;
    return replicas.find((id) => eligible.includes(id) && this.#isAble(id, partition)) ?? -1;
  }

  /** What a partition is under a leader: those in sync with it are they who take part. */
  under(leader: number, partition: MetadataPartition): PartitionStanding {
    const { isr, lostDirectory } = partition;
    if (isr.includes(leader)) return { leader, isr: isr.filter((id) => id === leader || this.isActive(id)) };
    // Of the others nobody lives. Without its directory the last member of the ISR has nothing that would count.
    const lost = lostDirectory === null ? [] : isr;
    return { leader, isr: [leader], lostDirectory: null, lost };
  }

  /**
   * What becomes of a partition now that brokers have changed. Where nobody leads, nothing is committed and nobody falls
   * behind, so that the ISR stays as it is: whoever of them comes back first can lead. The last member stays in any
   * case.
   */
  settle(partition: MetadataPartition): PartitionStanding {
    const leader = this.elect(partition);
    if (leader !== -1) return this.under(leader, partition);
    const isAllowed = mayElectUnclean(this.#image, partition, this.#context.defaults);
    return (isAllowed ? this.uncleanly(partition) : undefined) ?? { leader };
  }

  /**
   * What a partition is under the replica whose log reaches furthest, by epoch and then by offset, whatever it lacks of
   * what was acknowledged. Undefined where nobody can lead it at all.
   */
  uncleanly(partition: MetadataPartition): PartitionStanding | undefined {
    const { id: which, replicas, isr, eligible } = partition;
    const able = replicas
      .filter((id) => this.#isAble(id, partition))
      .map((id) => ({ id, end: this.#context.logEnd(id, which) }));
    if (able.length === 0) return undefined;
    // Among equals the first of the replicas stays first.
    const [{ id: leader }] = able.sort((one, other) => furthestFirst(one.end, other.end));
    // From here on what it has is what was acknowledged: who has more has what is cut.
    return { leader, isr: [leader], lostDirectory: null, lost: [...isr, ...eligible] };
  }

  /** A record of what differs, or undefined. A reassignment for which everybody is in sync by then ends with it. */
  change(before: MetadataPartition, next: PartitionStanding): PartitionChangeRecord | undefined {
    const least = minInSync(this.#image, before, this.#context.defaults);
    const standing = reassigned(before, next, (id) => this.canLead(id, before));
    return changeOf(before, standing, least, (id) => this.#context.hasLog(id, before.id));
  }
}
