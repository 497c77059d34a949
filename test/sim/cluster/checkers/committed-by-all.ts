import type { BrokerView, Observer, WorldView } from '../observer.ts';

export class CommittedByAll implements Observer {
  readonly invariant =
    'The HWM rises no higher than the LEO of anybody in the maximal ISR: that of the leader, and that of the metadata';
  readonly #world: WorldView;
  readonly #hwms = new Map<string, number>();
  /** By broker and partition: how far its log went when it did something last. */
  readonly #ends = new Map<string, number>();

  constructor(world: WorldView) {
    this.#world = world;
  }

  died({ id, broker }: BrokerView): void {
    for (const replica of broker.replicas)
      if (replica !== undefined) this.#ends.set(`${id} ${replica.id}`, replica.log.leo);
  }

  stepped(view: BrokerView): void {
    const { id, life, broker } = view;
    this.died(view);
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
      for (const member of members) this.#check(replica.id, member, hwm, id);
    }
  }

  #check(partition: number, member: number, hwm: number, leader: number): void {
    const view = this.#world.brokers().find(({ id }) => id === member);
    const end = view?.broker.replicas[partition]?.log.leo ?? this.#ends.get(`${member} ${partition}`);
    if (end !== undefined && end >= hwm) return;
    this.#world.violate(
      this.invariant,
      `broker ${leader} says that partition ${partition} is committed up to ${hwm}, and broker ${member} has it up to ${end}`,
    );
  }
}
