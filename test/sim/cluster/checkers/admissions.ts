import { type BrokerView, type Observer, TOPIC, type WorldView } from '../observer.ts';

export class Admissions implements Observer {
  readonly invariant = 'Nobody is let in by a leader who lacks what is committed';
  readonly #world: WorldView;
  /** By leader's life, partition and epoch: whom it waited for when it was last looked at. */
  readonly #awaited = new Map<string, readonly number[]>();

  constructor(world: WorldView) {
    this.#world = world;
  }

  stepped({ id, life, broker }: BrokerView): void {
    for (const replica of broker.replicas) {
      if (replica === undefined || !replica.isLeader || replica.info.topic !== TOPIC) continue;
      const { epoch, replicas } = replica.info;
      const key = `${life} ${replica.id} ${epoch}`;
      const before = this.#awaited.get(key);
      const awaited = replicas.filter((member) => replica.isAwaited(member));
      this.#awaited.set(key, awaited);
      // Whom a reign begins with was in sync before.
      if (before === undefined) continue;
      const end = this.#world.canon.endOf(replica.id);
      for (const member of awaited) {
        if (before.includes(member)) continue;
        // In the life of it that the leader knows. One that has hung may not have heard that it has ended since, and waits
        // for it; another life begins with nothing, and is let in by itself.
        const has = broker.tableOf(member).loadLeoIn(epoch, replica.id);
        if (has >= end) continue;
        this.#world.violate(
          this.invariant,
          `broker ${id} waits for broker ${member} in epoch ${epoch} of partition ${replica.id}, which is committed up to ${end}, and that one says that it has ${has === -1 ? 'nothing' : `what lies below ${has}`}`,
        );
      }
    }
  }
}
