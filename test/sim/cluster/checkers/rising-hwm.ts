import type { BrokerView, Observer, WorldView } from '../observer.ts';

export class RisingHwm implements Observer {
  readonly invariant =
    'The HWM never goes back on a leader of an epoch, and does not rise with fewer in sync than min.insync.replicas';
  readonly #world: WorldView;
  readonly #seen = new Map<string, number>();

  constructor(world: WorldView) {
    this.#world = world;
  }

  stepped({ id, life, broker }: BrokerView): void {
    for (const replica of broker.replicas) {
      if (replica === undefined || !replica.isLeader || replica.state !== 'online') continue;
      const { info, hwm, config } = replica;
      const key = `${replica.id} ${info.epoch} ${life}`;
      const before = this.#seen.get(key);
      this.#seen.set(key, hwm);
      const what = `broker ${id} leads partition ${replica.id} in epoch ${info.epoch}, and its HWM`;
      if (before !== undefined && hwm < before)
        this.#world.violate(this.invariant, `${what} has gone from ${before} to ${hwm}`);
      const published = broker.table.loadHwm(replica.id);
      if (published !== hwm)
        this.#world.violate(this.invariant, `${what} is ${hwm}, and what it has published ${published}`);
      const needed = config['min.insync.replicas'];
      if (before !== undefined && hwm > before && info.isr.length < needed)
        this.#world.violate(
          this.invariant,
          `${what} has risen from ${before} to ${hwm} with the ISR ${info.isr.join(' ')}, though ${needed} are needed`,
        );
    }
  }
}
