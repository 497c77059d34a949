import type { Entry, Persist } from '../../../src/core/raft/index.ts';
import type { QuorumState } from '../../../src/log/quorum-store.ts';
import { type NodeView, nameOf, type Observer, type WorldView } from '../observer.ts';
import { isSameEntry } from './committed-once.ts';

interface Known {
  readonly entry: Entry;
  /** Of the entry before. By induction everything below is the same wherever this is. */
  readonly previousTerm: number;
}

export class LogMatching implements Observer {
  readonly invariant = 'Where two logs have an entry of one index and term, they are the same up to there';
  readonly #world: WorldView;
  readonly #known = new Map<number, Known>();

  constructor(world: WorldView) {
    this.#world = world;
  }

  opened(node: NodeView, { entries, snapshot }: QuorumState): void {
    let previous = entries[0]?.index === (snapshot?.index ?? 0) + 1 ? (snapshot?.term ?? 0) : undefined;
    for (const entry of entries) {
      this.#check(node, entry, previous);
      previous = entry.term;
    }
  }

  persisted(node: NodeView, { entries }: Persist): void {
    for (const entry of entries) this.#check(node, entry, node.voter?.node.termAt(entry.index - 1));
  }

  #check(node: NodeView, entry: Entry, previousTerm: number | undefined): void {
    const key = entry.term * 1e6 + entry.index;
    const known = this.#known.get(key);
    if (known === undefined) {
      if (previousTerm !== undefined) this.#known.set(key, { entry, previousTerm });
      return;
    }
    const isSame = isSameEntry(known.entry, entry);
    if (isSame && (previousTerm === undefined || previousTerm === known.previousTerm)) return;
    const where = `entry ${entry.index} of term ${entry.term} of ${nameOf(node.member)}`;
    const how = isSame ? `follows term ${previousTerm}, not ${known.previousTerm}` : 'has another content';
    this.#world.violate(this.invariant, `${where} ${how}`);
  }
}
