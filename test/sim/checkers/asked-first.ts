import type { Message } from '../../../src/core/raft/index.ts';
import { type NodeView, nameOf, type Observer, type WorldView } from '../observer.ts';

/** Otherwise a voter that was cut off drives up the term, and its return ends the reign of a leader that all others hear. */
export class AskedFirst implements Observer {
  readonly invariant =
    'Nobody stands for election whom a majority has not promised its vote, or a leader asked to';
  readonly #world: WorldView;
  /** Who has promised a vote, by `candidate term`. */
  readonly #promises = new Map<string, Set<string>>();

  constructor(world: WorldView) {
    this.#world = world;
  }

  sent({ voter }: NodeView, message: Message): void {
    const { kind, from, to, term } = message;
    if (kind === 'vote-response' && message.isPreVote && message.isGranted) {
      const key = `${to.directoryId} ${term}`;
      const promised = this.#promises.get(key) ?? new Set();
      this.#promises.set(key, promised.add(from.directoryId));
    }
    if (kind !== 'vote-request' || message.isPreVote || message.isTransfer) return;
    const voters = voter?.node.configuration.voters ?? [];
    const promised = this.#promises.get(`${from.directoryId} ${term}`) ?? new Set();
    const willing = voters.filter(
      ({ directoryId }) => directoryId === from.directoryId || promised.has(directoryId),
    );
    if (willing.length * 2 > voters.length) return;
    const detail = `${nameOf(from)} in term ${term} with the word of ${willing.length} of ${voters.length} voters`;
    this.#world.violate(this.invariant, detail);
  }
}
