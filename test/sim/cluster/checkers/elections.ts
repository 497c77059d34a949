import type { MetadataPartition } from '../../../../src/core/metadata/image.ts';
import type { Observer, WorldView } from '../observer.ts';

export class Elections implements Observer {
  readonly invariant = 'Who is elected was in sync, or has all that is committed';
  readonly #world: WorldView;

  constructor(world: WorldView) {
    this.#world = world;
  }

  changed(partition: MetadataPartition, before: MetadataPartition | undefined): void {
    const { id, leader, epoch } = partition;
    // Of several changes at once only the last is seen.
    if (before === undefined || partition.partitionEpoch !== before.partitionEpoch + 1) return;
    if (leader === -1 || (leader === before.leader && epoch === before.epoch)) return;
    if (before.isr.includes(leader) || before.eligible.includes(leader)) return;
    // Whom a move has waited for comes in with its last change, and may lead at once: InSyncHasAll looks at what it has.
    const wanted = before.replicas.filter((broker) => !before.removing.includes(broker));
    const hasMoved = before.adding.length + before.removing.length > 0 && isSame(partition.replicas, wanted);
    if (hasMoved) return;
    this.#world.violate(
      this.invariant,
      `broker ${leader} leads partition ${id} from epoch ${epoch} on, and the ISR was ${before.isr.join(' ')}, eligible ${before.eligible.join(' ')}`,
    );
  }
}

function isSame(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((id, n) => id === other[n]);
}
