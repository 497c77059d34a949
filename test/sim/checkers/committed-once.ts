import type { Entry, Snapshot } from '../../../src/core/raft/index.ts';
import { type NodeView, nameOf, type Observer, type WorldView } from '../observer.ts';

export interface Committed {
  readonly entry: Entry;
  /** The term of the first voter that applied it, which is that of the leader who committed it. */
  readonly inTerm: number;
}

/** Everything that anybody has applied, by index; the first is nobody's. */
export type Ledger = (Committed | undefined)[];

export function isSameEntry(one: Entry, other: Entry): boolean {
  if (one === other) return true;
  if (one.index !== other.index || one.term !== other.term || one.kind !== other.kind) return false;
  return one.data === other.data || Buffer.compare(one.data, other.data) === 0;
}

export class CommittedOnce implements Observer {
  readonly invariant = 'What is committed never changes, and is applied once and in order';
  readonly ledger: Ledger = [undefined];
  readonly #world: WorldView;
  readonly #first: (node: NodeView, entry: Entry) => void;

  /** `first` learns of every entry when it is applied for the first time. */
  constructor(world: WorldView, first: (node: NodeView, entry: Entry) => void) {
    this.#world = world;
    this.#first = first;
  }

  applied(node: NodeView, entry: Entry): void {
    const { index, term } = entry;
    const before = node.machine?.index ?? 0;
    const who = nameOf(node.member);
    if (index !== before + 1) {
      this.#world.violate(this.invariant, `${who} applies entry ${index} after entry ${before}`);
      return;
    }
    const known = this.ledger[index];
    if (known !== undefined) {
      if (isSameEntry(known.entry, entry)) return;
      const detail = `${who} applies entry ${index} of term ${term}; others had one of term ${known.entry.term}`;
      this.#world.violate(this.invariant, detail);
      return;
    }
    this.ledger[index] = { entry, inTerm: node.voter?.node.term ?? term };
    this.#first(node, entry);
  }

  installed(node: NodeView, { index, term }: Snapshot): void {
    const who = nameOf(node.member);
    const before = node.machine?.index ?? 0;
    if (index <= before) {
      this.#world.violate(this.invariant, `${who} goes back from entry ${before} to a snapshot of ${index}`);
    }
    if (this.ledger[index]?.entry.term !== term) {
      const detail = `${who} installs a snapshot of entry ${index} and term ${term}, which nobody has committed`;
      this.#world.violate(this.invariant, detail);
    }
  }
}
