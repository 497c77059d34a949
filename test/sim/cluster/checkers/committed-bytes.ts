import type { Replica } from '../../../../src/core/replica.ts';
import { DiskError } from '../../../../src/log/disk.ts';
import { type BrokerView, type Observer, TOPIC, type WorldView } from '../observer.ts';

export class CommittedBytes implements Observer {
  readonly invariant = 'What is committed is the same bytes on every replica that says so, and never changes';
  readonly #world: WorldView;
  /** By replica: up to where it was compared, and how often its log had gone back by then. */
  readonly #compared = new WeakMap<Replica, { end: number; restarts: number }>();

  constructor(world: WorldView) {
    this.#world = world;
  }

  stepped({ broker }: BrokerView): void {
    const { canon } = this.#world;
    for (const replica of broker.replicas) {
      if (replica === undefined || replica.state !== 'online' || replica.info.topic !== TOPIC) continue;
      const { restarts } = replica;
      const known = this.#compared.get(replica);
      const from = known?.restarts === restarts ? known.end : 0;
      const isProven = replica.isLeader || broker.table.loadLeoIn(replica.info.epoch, replica.id) !== -1;
      const end = isProven ? Math.min(replica.hwm, replica.log.written, canon.endOf(replica.id)) : from;
      if (end <= from) continue;
      let difference: string | undefined;
      try {
        difference = canon.difference(replica, from, end);
        this.#compared.set(replica, { end, restarts });
      } catch (error) {
        // What its disk does not let anybody read now is compared later.
        if (!(error instanceof DiskError)) difference = (error as Error).message;
      }
      if (difference !== undefined)
        this.#world.violate(this.invariant, `partition ${replica.id}: ${difference}`);
    }
  }
}
