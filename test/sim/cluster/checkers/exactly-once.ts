import type { Observer, WorldView } from '../observer.ts';

export class ExactlyOnce implements Observer {
  readonly invariant = 'What an idempotent producer has written is there once, and in its order';
  readonly #world: WorldView;

  constructor(world: WorldView) {
    this.#world = world;
  }

  ended(): void {
    for (const partition of this.#world.canon.partitions) {
      /** By producer: the number of its last record. */
      const last = new Map<string, number>();
      for (const id of this.#world.canon.ids(partition)) {
        const [producer, number] = id.split('-');
        if (!producer.startsWith('i')) continue;
        const before = last.get(producer) ?? 0;
        last.set(producer, Number(number));
        if (Number(number) > before) continue;
        this.#world.violate(
          this.invariant,
          `partition ${partition}: ${id} comes behind ${producer}-${before}`,
        );
      }
    }
  }
}
