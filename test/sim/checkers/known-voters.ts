import type { Persist } from '../../../src/core/raft/index.ts';
import { type NodeView, nameOf, type Observer, type WorldView } from '../observer.ts';
import type { Ledger } from './committed-once.ts';

export class KnownVoters implements Observer {
  readonly invariant =
    'A snapshot names the voters that the log up to there has made, and whoever installs it knows them';
  readonly #world: WorldView;
  readonly #ledger: Ledger;

  constructor(world: WorldView, ledger: Ledger) {
    this.#world = world;
    this.#ledger = ledger;
  }

  persisted({ member, voter }: NodeView, { snapshot }: Persist): void {
    if (snapshot === undefined) return;
    const expected = this.#votersAt(snapshot.index);
    const named = snapshot.configuration.voters.map(nameOf).join(', ');
    const where = `${nameOf(member)} at ${snapshot.index}`;
    if (named !== expected) this.#world.violate(this.invariant, `${where} names ${named}, not ${expected}`);
    // With nothing above the snapshot it is all that the voter can know.
    if (voter === undefined || voter.node.lastIndex !== snapshot.index) return;
    const known = voter.node.configuration.voters.map(nameOf).join(', ');
    if (known !== expected) this.#world.violate(this.invariant, `${where} knows ${known}, not ${expected}`);
  }

  /** The first entry of all says who votes, so that there is always one. */
  #votersAt(index: number): string {
    for (let at = index; at > 0; at--) {
      const entry = this.#ledger[at]?.entry;
      if (entry?.kind !== 'config') continue;
      const { voters } = JSON.parse(Buffer.from(entry.data).toString());
      return voters.map(nameOf).join(', ');
    }
    return '';
  }
}
