import type { Replica } from '../../../../src/core/replica.ts';
import { forEachBatch } from '../canon.ts';
import type { Observer, WorldView } from '../observer.ts';

export class EndState implements Observer {
  readonly invariant = 'At the end all replicas are in sync, and the same byte for byte';
  readonly #world: WorldView;

  constructor(world: WorldView) {
    this.#world = world;
  }

  ended(): void {
    const views = this.#world.brokers();
    for (const { id, replicas, isr } of this.#world.partitions()) {
      const fail = (what: string): void => this.#world.violate(this.invariant, `partition ${id}: ${what}`);
      if (isr.length !== replicas.length) fail(`the ISR is ${isr.join(' ')}`);
      let expected: Buffer | undefined;
      for (const member of replicas) {
        const replica = views.find((view) => view.id === member)?.broker.replicas[id];
        if (replica === undefined) {
          fail(`broker ${member} has no replica`);
          continue;
        }
        const bytes = bytesOf(replica);
        expected ??= bytes;
        if (!expected.equals(bytes)) fail(`broker ${member} differs from broker ${replicas[0]}`);
        if (replica.log.leo < this.#world.canon.endOf(id)) fail(`broker ${member} lacks what is committed`);
      }
    }
  }
}

function bytesOf(replica: Replica): Buffer {
  const pieces: Buffer[] = [];
  forEachBatch(replica, replica.log.logStart, replica.log.written, (bytes) => pieces.push(bytes));
  return Buffer.concat(pieces);
}
