import type { MetadataPartition } from '../../../../src/core/metadata/image.ts';
import type { Observer, WorldView } from '../observer.ts';

/** So long after a broker's death everybody has heard of it. */
const HEARD_MS = 1_000;

export class Elections implements Observer {
  readonly invariant = 'Who is elected was in sync or has all that is committed, and runs';
  readonly #world: WorldView;

  constructor(world: WorldView) {
    this.#world = world;
  }

  changed(partition: MetadataPartition, before: MetadataPartition | undefined): void {
    const { id, leader, epoch } = partition;
    // Of several changes at once only the last is seen.
    if (partition.partitionEpoch !== (before?.partitionEpoch ?? 0) + 1) return;
    if (before === undefined || leader === -1 || (leader === before.leader && epoch === before.epoch)) return;
    const hadAll = before.isr.includes(leader) || before.eligible.includes(leader);
    if (!hadAll)
      this.#world.violate(
        this.invariant,
        `broker ${leader} leads partition ${id} from epoch ${epoch} on, and the ISR was ${before.isr.join(' ')}, eligible ${before.eligible.join(' ')}`,
      );
    const deadSinceMs = this.#world.deadSinceMs(leader);
    if (deadSinceMs !== undefined && this.#world.nowMs - deadSinceMs > HEARD_MS)
      this.#world.violate(
        this.invariant,
        `broker ${leader} leads partition ${id} from epoch ${epoch} on, and is dead since ${deadSinceMs.toFixed(3)} ms`,
      );
  }
}
