import { recordsOf } from '../../../src/core/metadata/image.ts';
import type { Entry, Snapshot } from '../../../src/core/raft/index.ts';
import { isSameImage } from '../../core/metadata/same-image.ts';
import { type NodeView, nameOf, type Observer, type WorldView } from '../observer.ts';

/** Of so many entries one is looked at closely: to write an image down is dear. */
const COMPARED_EVERY = 32;

export class SameState implements Observer {
  readonly invariant = 'Voters that have applied the same entries are in the same state';
  readonly #world: WorldView;
  /** Images as text, before the entry with this index. */
  readonly #images = new Map<number, string>();
  readonly #snapshots = new Map<number, Uint8Array>();

  constructor(world: WorldView) {
    this.#world = world;
  }

  applied({ member, machine }: NodeView, { index }: Entry): void {
    if (machine === undefined || index % COMPARED_EVERY !== 0) return;
    const image = JSON.stringify(recordsOf(machine.image));
    const known = this.#images.get(index);
    if (known === undefined) this.#images.set(index, image);
    else if (known !== image) this.#differ(nameOf(member), index - 1);
  }

  compacted({ member }: NodeView, index: number, data: Uint8Array): void {
    this.#snapshot(nameOf(member), index, data);
  }

  installed({ member }: NodeView, { index, data }: Snapshot): void {
    this.#snapshot(nameOf(member), index, data);
  }

  ended(): void {
    const [first, ...others] = this.#world.voters();
    for (const { member, machine } of others) {
      if (first.machine === undefined || machine === undefined) continue;
      if (!isSameImage(first.machine.image, machine.image)) this.#differ(nameOf(member), machine.index);
    }
  }

  #snapshot(who: string, index: number, data: Uint8Array): void {
    const known = this.#snapshots.get(index);
    if (known === undefined) this.#snapshots.set(index, data);
    else if (known !== data && Buffer.compare(known, data) !== 0) this.#differ(who, index);
  }

  #differ(who: string, index: number): void {
    this.#world.violate(this.invariant, `${who} after entry ${index}`);
  }
}
