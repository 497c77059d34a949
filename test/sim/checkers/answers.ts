import type { Entry } from '../../../src/core/raft/index.ts';
import type { Place } from '../../../src/runtime/voter.ts';
import { type Call, callOf } from '../call.ts';
import { type NodeView, nameOf, type Observer, type WorldView } from '../observer.ts';
import type { Ledger } from './committed-once.ts';

/** Proposals: what clients were told is what the log says, in an order that fits the order of their calls. */
export class ProposalsOnce implements Observer {
  readonly invariant =
    'A proposal that has succeeded is in the log once, one that was refused never, and later calls come later';
  readonly #world: WorldView;
  readonly #ledger: Ledger;
  /** Where a call's entry was committed. */
  readonly #places = new Map<number, number>();
  readonly #refused = new Set<number>();
  /** The last entry that anybody was told of when the call began. */
  readonly #floors = new Map<number, number>();
  #floor = 0;

  constructor(world: WorldView, ledger: Ledger) {
    this.#world = world;
    this.#ledger = ledger;
  }

  called({ id, kind }: Call): void {
    if (kind === 'propose') this.#floors.set(id, this.#floor);
  }

  first(_node: NodeView, { index, kind, data }: Entry): void {
    if (kind !== 'data') return;
    const id = callOf(data);
    const known = this.#places.get(id);
    if (known !== undefined)
      this.#world.violate(this.invariant, `call ${id} made entries ${known} and ${index}`);
    this.#places.set(id, index);
    if (this.#refused.has(id))
      this.#world.violate(this.invariant, `call ${id} was refused and made entry ${index}`);
    if (index <= (this.#floors.get(id) ?? -1)) {
      this.#world.violate(
        this.invariant,
        `call ${id} made entry ${index}, below one that was known when it began`,
      );
    }
  }

  succeeded({ id, kind }: Call, { index, term }: Place): void {
    if (kind !== 'propose') return;
    this.#floor = Math.max(this.#floor, index);
    const found = this.#ledger[index]?.entry;
    if (found === undefined || found.term !== term || callOf(found.data) !== id) {
      this.#world.violate(
        this.invariant,
        `call ${id} was told of entry ${index} of term ${term}, which is not its own`,
      );
    }
  }

  failed({ id, kind }: Call, isUnknown: boolean): void {
    if (kind !== 'propose' || isUnknown) return;
    this.#refused.add(id);
    const index = this.#places.get(id);
    if (index !== undefined)
      this.#world.violate(this.invariant, `call ${id} made entry ${index} and was refused`);
  }

  ended(): void {
    for (const { member, machine } of this.#world.voters()) {
      const index = machine?.index ?? 0;
      if (index < this.#floor)
        this.#world.violate(this.invariant, `${nameOf(member)} ends at ${index}, below ${this.#floor}`);
    }
  }

  /** The last entry that anybody was told of. */
  get floor(): number {
    return this.#floor;
  }
}

export class ReadsSeeAll implements Observer {
  readonly invariant = 'A read sees everything that had succeeded before it was asked for';
  readonly #world: WorldView;
  readonly #proposals: ProposalsOnce;
  readonly #floors = new Map<number, number>();
  #readFloor = 0;

  constructor(world: WorldView, proposals: ProposalsOnce) {
    this.#world = world;
    this.#proposals = proposals;
  }

  called({ id, kind }: Call): void {
    if (kind === 'read') this.#floors.set(id, Math.max(this.#proposals.floor, this.#readFloor));
  }

  succeeded({ id, kind, node }: Call, { index }: Place): void {
    if (kind !== 'read') return;
    const floor = this.#floors.get(id) ?? 0;
    const shown = this.#world.nodes[node - 1]?.machine?.index ?? 0;
    if (index < floor)
      this.#world.violate(this.invariant, `read ${id} sees up to ${index}, and not ${floor}`);
    if (shown < index) this.#world.violate(this.invariant, `read ${id} of ${index} is shown ${shown}`);
    // A later read sees what an earlier one has seen.
    this.#readFloor = Math.max(this.#readFloor, index);
  }
}
