import type { BrokerView, Observer, WorldView } from '../observer.ts';

export class EpochEntries implements Observer {
  readonly invariant = 'A leader has an entry for its epoch in its log, also where it has appended nothing';
  readonly #world: WorldView;

  constructor(world: WorldView) {
    this.#world = world;
  }

  stepped({ id, broker }: BrokerView): void {
    for (const replica of broker.replicas) {
      if (replica === undefined || !replica.isLeader || replica.state !== 'online') continue;
      const { info, log } = replica;
      if (log.lastEpoch === info.epoch) continue;
      this.#world.violate(
        this.invariant,
        `broker ${id} leads partition ${replica.id} in epoch ${info.epoch}, and its log knows of ${log.lastEpoch}`,
      );
    }
  }
}
