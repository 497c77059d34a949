import type { MetadataPartition } from '../../../../src/core/metadata/image.ts';
import { DiskError } from '../../../../src/log/disk.ts';
import type { Observer, WorldView } from '../observer.ts';

export class InSyncHasAll implements Observer {
  readonly invariant =
    'Whoever is in the ISR has everything that is committed, byte for byte, and as durably as promised';
  readonly #world: WorldView;

  constructor(world: WorldView) {
    this.#world = world;
  }

  changed({ id, isr }: MetadataPartition): void {
    const { canon } = this.#world;
    const end = canon.endOf(id);
    for (const view of this.#world.brokers()) {
      if (!isr.includes(view.id) || this.#world.isExcused(view.id, id)) continue;
      const replica = view.broker.replicas[id];
      // One that has just begun to open its logs has none yet.
      if (replica === undefined || replica.state !== 'online') continue;
      let found: string | undefined;
      if (replica.stable < end)
        found = `broker ${view.id} ends at ${replica.log.leo}, of which its device has what lies below ${replica.stable}`;
      else {
        try {
          found = canon.difference(replica, replica.log.logStart, Math.min(end, replica.log.written));
        } catch (error) {
          // What a disk does not let anybody read is compared later.
          if (!(error instanceof DiskError)) found = (error as Error).message;
        }
      }
      if (found !== undefined)
        this.#world.violate(
          this.invariant,
          `partition ${id} with the ISR ${isr.join(' ')} is committed up to ${end}, and ${found}`,
        );
    }
  }
}
