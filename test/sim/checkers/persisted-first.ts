import { isSameMember, type Message } from '../../../src/core/raft/index.ts';
import { type NodeView, nameOf, type Observer, type WorldView } from '../observer.ts';

export class PersistedFirst implements Observer {
  readonly invariant = 'What a voter says on the strength of its files is in them before';
  readonly #world: WorldView;

  constructor(world: WorldView) {
    this.#world = world;
  }

  sent({ member, durable }: NodeView, message: Message): void {
    const term = durable.hardState?.term ?? 0;
    const isPreVote =
      (message.kind === 'vote-request' || message.kind === 'vote-response') && message.isPreVote;
    if (!isPreVote && message.term > term) {
      this.#unfounded(message, `its files know of term ${term}`);
    }
    if (message.kind === 'vote-response' && !isPreVote && message.isGranted) {
      // Of an earlier term the files need not know any more: nobody votes there again.
      const isKept = message.term < term || isSameMember(durable.hardState?.vote, message.to);
      if (!isKept) this.#unfounded(message, 'its files do not know of the vote');
    }
    if (message.kind === 'vote-request' && !isPreVote) {
      if (message.term === term && !isSameMember(durable.hardState?.vote, member))
        this.#unfounded(message, 'its files do not know of its own vote');
    }
    const isAccepted = message.kind === 'append-response' && message.isAccepted && message.term === term;
    if (isAccepted && message.index >= durable.end) {
      this.#unfounded(message, `it accepts up to ${message.index}, and its files end at ${durable.end - 1}`);
    }
  }

  #unfounded({ from, kind, term }: Message, why: string): void {
    this.#world.violate(this.invariant, `${nameOf(from)} sends ${kind} of term ${term}: ${why}`);
  }
}
