import type { Member } from '../../../src/core/raft/index.ts';
import type { Voter } from '../../../src/runtime/voter.ts';
import { type NodeView, nameOf, type Observer, type WorldView } from '../observer.ts';

export class OneLeader implements Observer {
  readonly invariant = 'There is one leader at most in a term';
  readonly #world: WorldView;
  readonly #elected: (node: NodeView, voter: Voter) => void;
  readonly #leaders = new Map<number, Member>();
  /** Of each voter the term in which it was last seen to lead. */
  readonly #seen = new WeakMap<Voter, number>();

  /** `elected` learns of every voter that begins to lead. */
  constructor(world: WorldView, elected: (node: NodeView, voter: Voter) => void) {
    this.#world = world;
    this.#elected = elected;
  }

  stepped(node: NodeView, voter: Voter): void {
    if (!voter.isLeader) return;
    const { term } = voter.node;
    if (this.#seen.get(voter) === term) return;
    this.#seen.set(voter, term);
    const known = this.#leaders.get(term);
    if (known === undefined) this.#leaders.set(term, voter.self);
    else if (known.directoryId !== voter.self.directoryId) {
      this.#world.violate(this.invariant, `${nameOf(known)} and ${nameOf(voter.self)} in term ${term}`);
    }
    this.#elected(node, voter);
  }
}
