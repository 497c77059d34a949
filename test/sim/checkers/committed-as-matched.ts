import type { Message } from '../../../src/core/raft/index.ts';
import type { Voter } from '../../../src/runtime/voter.ts';
import { type NodeView, nameOf, type Observer, type WorldView } from '../observer.ts';

/** What lies behind in its log may be another leader's, though nobody can see that from the index alone. */
export class CommittedAsMatched implements Observer {
  readonly invariant = 'A follower takes for committed only what it has told its leader that it has';
  readonly #world: WorldView;
  /** By directory: up to where it has told the leader of the latest term in which it has told any. */
  readonly #told = new Map<string, { readonly term: number; readonly index: number }>();
  /** What was found right when the voter was looked at last. */
  readonly #checked = new WeakMap<Voter, number>();
  /** Those that have spoken as leaders since they were looked at. */
  readonly #led = new WeakSet<Voter>();

  constructor(world: WorldView) {
    this.#world = world;
  }

  sent({ voter }: NodeView, message: Message): void {
    if (voter === undefined) return;
    const { kind } = message;
    if (kind === 'append' || kind === 'heartbeat' || kind === 'snapshot') this.#led.add(voter);
    if (kind !== 'append-response' || !message.isAccepted) return;
    const { term, index } = message;
    const told = this.#told.get(message.from.directoryId);
    const isMore = told === undefined || term > told.term || (term === told.term && index > told.index);
    if (isMore) this.#told.set(message.from.directoryId, { term, index });
  }

  stepped({ member }: NodeView, voter: Voter): void {
    const { node, applied } = voter;
    // The last thing that a leader commits may end its own reign.
    if (voter.isLeader || this.#led.delete(voter)) this.#checked.set(voter, node.commit);
    // In the midst of a step it has not told yet.
    if (applied !== node.commit || node.commit <= node.snapshotIndex) return;
    const told = this.#told.get(member.directoryId)?.index ?? 0;
    if (node.commit <= Math.max(told, this.#checked.get(voter) ?? 0)) {
      this.#checked.set(voter, node.commit);
      return;
    }
    const detail = `${nameOf(member)} takes ${node.commit} for committed, and has said that it has ${told}`;
    this.#world.violate(this.invariant, detail);
  }
}
