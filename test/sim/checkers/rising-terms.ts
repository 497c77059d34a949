import type { Message } from '../../../src/core/raft/index.ts';
import type { QuorumState } from '../../../src/log/quorum-store.ts';
import { type NodeView, nameOf, type Observer, type WorldView } from '../observer.ts';

export class RisingTerms implements Observer {
  readonly invariant = 'The term of a voter never falls';
  readonly #world: WorldView;
  /** The highest that a directory has spoken of, by its id. */
  readonly #said = new Map<string, number>();

  constructor(world: WorldView) {
    this.#world = world;
  }

  sent(_node: NodeView, message: Message): void {
    const { from, term } = message;
    // A pre-vote speaks of a term that nobody has entered.
    if ((message.kind === 'vote-request' || message.kind === 'vote-response') && message.isPreVote) return;
    const said = this.#said.get(from.directoryId) ?? 0;
    if (term < said) this.#world.violate(this.invariant, `${nameOf(from)} says ${term} after ${said}`);
    else if (term > said) this.#said.set(from.directoryId, term);
  }

  opened({ member }: NodeView, { hardState }: QuorumState): void {
    const said = this.#said.get(member.directoryId) ?? 0;
    const found = hardState?.term ?? 0;
    if (found < said)
      this.#world.violate(this.invariant, `${nameOf(member)} starts in term ${found} after ${said}`);
  }
}
