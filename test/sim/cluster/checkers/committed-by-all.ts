import type { BrokerView, Observer, WorldView } from '../observer.ts';

export class CommittedByAll implements Observer {
  readonly invariant =
    'The HWM rises no higher than the LEO of anybody in the maximal ISR: that of the leader, and that of the metadata';
  readonly #world: WorldView;
  readonly #hwms = new Map<string, number>();
  /**
   * By broker, partition and epoch: how far its log ever went, of what it had said. A leader may hear late of a broker that
   * has died and come back with less.
   */
  readonly #ends = new Map<string, number>();

  constructor(world: WorldView) {
    this.#world = world;
  }

  moved({ id, broker }: BrokerView): void {
    for (const replica of broker.replicas) {
      if (replica === undefined) continue;
      const { epoch } = replica.info;
      const key = `${id} ${replica.id} ${epoch}`;
      const published = broker.table.loadLeoIn(epoch, replica.id);
      if (published > (this.#ends.get(key) ?? -1)) this.#ends.set(key, published);
    }
  }

  stepped({ id, life, broker }: BrokerView): void {
    for (const replica of broker.replicas) {
      if (replica === undefined || !replica.isLeader || replica.state !== 'online') continue;
      const { hwm, info } = replica;
      const key = `${replica.id} ${info.epoch} ${life}`;
      const before = this.#hwms.get(key) ?? hwm;
      this.#hwms.set(key, hwm);
      if (hwm <= before) continue;
      const committed = this.#world.partitions().find((each) => each.id === replica.id);
      const members = new Set(info.isr);
      if (committed?.epoch === info.epoch) for (const member of committed.isr) members.add(member);
      for (const member of members) {
        const end = this.#ends.get(`${member} ${replica.id} ${info.epoch}`) ?? -1;
        if (end >= hwm) continue;
        this.#world.violate(
          this.invariant,
          `broker ${id} says that partition ${replica.id} is committed up to ${hwm}, and broker ${member} has it up to ${end} in epoch ${info.epoch}`,
        );
      }
    }
  }
}
