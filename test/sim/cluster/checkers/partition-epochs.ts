import type { MetadataPartition } from '../../../../src/core/metadata/image.ts';
import type { Observer, WorldView } from '../observer.ts';

export class PartitionEpochs implements Observer {
  readonly invariant = 'Epochs only rise, and the ISR of a partition is part of its replicas and never empty';
  readonly #world: WorldView;

  constructor(world: WorldView) {
    this.#world = world;
  }

  changed(partition: MetadataPartition, before: MetadataPartition | undefined): void {
    const { id, epoch, partitionEpoch, isr, replicas, leader } = partition;
    const fail = (what: string): void => this.#world.violate(this.invariant, `partition ${id}: ${what}`);
    if (before !== undefined) {
      if (partitionEpoch < before.partitionEpoch) fail(`${before.partitionEpoch} became ${partitionEpoch}`);
      if (epoch < before.epoch) fail(`leader epoch ${before.epoch} became ${epoch}`);
      if (epoch === before.epoch && leader !== before.leader && leader !== -1)
        fail(`in epoch ${epoch} leader ${before.leader} became ${leader}`);
    }
    if (
      isr.length === 0 ||
      new Set(isr).size !== isr.length ||
      !isr.every((member) => replicas.includes(member))
    )
      fail(`the ISR is ${isr.join(' ')}, of the replicas ${replicas.join(' ')}`);
    if (leader !== -1 && !isr.includes(leader)) fail(`leader ${leader} is not in the ISR ${isr.join(' ')}`);
  }
}
