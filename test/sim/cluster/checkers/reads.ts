import type { Observer, ReadRecord, WorldView } from '../observer.ts';

export class Reads implements Observer {
  readonly invariant =
    'Readers get what is committed alone, each offset after the other, and below the HWM of the answer';
  readonly #world: WorldView;
  readonly #next = new Map<string, number>();

  constructor(world: WorldView) {
    this.#world = world;
  }

  read({ reader, partition, offset, id, hwm }: ReadRecord): void {
    const fail = (what: string): void =>
      this.#world.violate(
        this.invariant,
        `${reader} has read ${id} at ${offset} of partition ${partition}, ${what}`,
      );
    const key = `${reader} ${partition}`;
    const next = this.#next.get(key) ?? 0;
    this.#next.set(key, offset + 1);
    if (offset !== next) fail(`and wanted ${next}`);
    if (offset >= hwm) fail(`and the HWM was ${hwm}`);
    const committed = this.#world.canon.ids(partition)[offset];
    if (committed !== id) fail(`where ${committed ?? 'nothing'} is committed`);
  }
}
