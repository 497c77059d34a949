import type { Member, Message } from '../../../src/core/raft/index.ts';
import { type NodeView, nameOf, type Observer, type WorldView } from '../observer.ts';

export class OneVote implements Observer {
  readonly invariant = 'A voter gives one vote in a term, whatever ends and starts come between';
  readonly #world: WorldView;
  /** By `directory term`. */
  readonly #votes = new Map<string, Member>();

  constructor(world: WorldView) {
    this.#world = world;
  }

  sent(_node: NodeView, message: Message): void {
    const { kind, from, to, term } = message;
    if (kind === 'vote-request' && !message.isPreVote) this.#vote(from, from, term);
    if (kind === 'vote-response' && !message.isPreVote && message.isGranted) this.#vote(from, to, term);
  }

  #vote(voter: Member, candidate: Member, term: number): void {
    const key = `${voter.directoryId} ${term}`;
    const known = this.#votes.get(key);
    if (known === undefined) this.#votes.set(key, candidate);
    else if (known.directoryId !== candidate.directoryId) {
      const detail = `${nameOf(voter)} votes for ${nameOf(known)} and for ${nameOf(candidate)} in term ${term}`;
      this.#world.violate(this.invariant, detail);
    }
  }
}
