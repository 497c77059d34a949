import type { Acknowledged, Observer, WorldView } from '../observer.ts';

export class Answers implements Observer {
  readonly invariant =
    'What was acknowledged with acks=all is committed where its sender was told, and stays there';
  readonly #world: WorldView;
  /** By partition: what lies at an offset. */
  readonly #told = new Map<number, Map<number, string>>();

  constructor(world: WorldView) {
    this.#world = world;
  }

  acknowledged({ partition, baseOffset, ids, acks }: Acknowledged): void {
    if (acks !== -1) return;
    const told = this.#told.get(partition) ?? new Map<number, string>();
    this.#told.set(partition, told);
    for (const [n, id] of ids.entries()) told.set(baseOffset + n, id);
    this.#compare(partition, baseOffset, ids);
  }

  ended(): void {
    for (const [partition, told] of this.#told)
      for (const [offset, id] of told) this.#compare(partition, offset, [id]);
  }

  #compare(partition: number, baseOffset: number, ids: readonly string[]): void {
    const committed = this.#world.canon.ids(partition);
    for (const [n, id] of ids.entries()) {
      if (committed[baseOffset + n] === id) continue;
      const there = committed[baseOffset + n] ?? 'nothing';
      this.#world.violate(
        this.invariant,
        `record ${id} of partition ${partition} was acknowledged at ${baseOffset + n}, where ${there} is committed`,
      );
    }
  }
}
