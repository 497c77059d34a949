import type { Voter } from '../../../src/runtime/voter.ts';
import { nameOf, type Observer, type WorldView } from '../observer.ts';
import type { Ledger } from './committed-once.ts';

export class LeaderCompleteness implements Observer {
  readonly invariant = 'What was committed is in the log of every later leader';
  readonly #world: WorldView;
  readonly #ledger: Ledger;

  constructor(world: WorldView, ledger: Ledger) {
    this.#world = world;
    this.#ledger = ledger;
  }

  elected({ self, node }: Voter): void {
    for (let index = this.#ledger.length - 1; index > node.snapshotIndex; index--) {
      const committed = this.#ledger[index];
      // A leader of an earlier term may come late: what was committed after its term it need not have.
      if (committed === undefined || committed.inTerm >= node.term) continue;
      const { term } = committed.entry;
      const found = node.termAt(index);
      if (found === term) continue;
      const has = found === undefined ? 'does not have it' : `has one of term ${found}`;
      const detail = `${nameOf(self)} leads in term ${node.term}; entry ${index} of term ${term} was committed in term ${committed.inTerm}, and it ${has}`;
      this.#world.violate(this.invariant, detail);
      return;
    }
  }
}
