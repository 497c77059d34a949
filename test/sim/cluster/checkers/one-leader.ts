import type { BrokerView, Observer, WorldView } from '../observer.ts';

export class OneLeader implements Observer {
  readonly invariant = 'A partition has one leader in an epoch, and that in one of its lives';
  readonly #world: WorldView;
  /** By partition and epoch. */
  readonly #leaders = new Map<string, { readonly id: number; readonly life: number }>();

  constructor(world: WorldView) {
    this.#world = world;
  }

  stepped({ id, life, broker }: BrokerView): void {
    for (const replica of broker.replicas) {
      if (replica === undefined || !replica.isLeader) continue;
      const key = `${replica.id} ${replica.info.epoch}`;
      const known = this.#leaders.get(key);
      if (known === undefined) this.#leaders.set(key, { id, life });
      else if (known.id !== id || known.life !== life)
        this.#world.violate(
          this.invariant,
          `broker ${id} leads partition ${replica.id} in epoch ${replica.info.epoch}, in which broker ${known.id} has led`,
        );
    }
  }
}
