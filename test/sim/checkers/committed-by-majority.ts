import type { Configuration, Entry, Persist } from '../../../src/core/raft/index.ts';
import type { Voter } from '../../../src/runtime/voter.ts';
import { type NodeView, nameOf, type Observer, type WorldView } from '../observer.ts';

/** Whatever is the first to be applied has to be in the files of a majority of those whom its leader knows as voters. */
export class CommittedByMajority implements Observer {
  readonly invariant = 'What is committed is persisted by a majority of the voters';
  readonly #world: WorldView;
  /** The last two configurations that a voter was seen to have. */
  readonly #seen = new WeakMap<Voter, readonly Configuration[]>();

  constructor(world: WorldView) {
    this.#world = world;
  }

  stepped(_node: NodeView, voter: Voter): void {
    const seen = this.#seen.get(voter) ?? [];
    const { configuration } = voter.node;
    if (seen[0] !== configuration) this.#seen.set(voter, [configuration, ...seen].slice(0, 2));
  }

  first({ member, voter }: NodeView, { index, term }: Entry): void {
    if (voter === undefined || !voter.isLeader) return;
    const isHeld = ({ voters }: Configuration): boolean =>
      voters.filter((each) => this.#world.durableOf(each)?.holds(index, term) === true).length * 2 >
      voters.length;
    const { node } = voter;
    if (isHeld(node.configuration)) return;
    // What lies below the entry of a new configuration may have been committed by the one before.
    const isBelow = index < indexOfConfiguration(voter);
    if (isBelow && this.#seen.get(voter)?.some(isHeld) === true) return;
    const ids = node.configuration.voters.map(nameOf).join(', ');
    const detail = `${nameOf(member)} has committed entry ${index} of term ${term}, which no majority of ${ids} holds`;
    this.#world.violate(this.invariant, detail);
  }
}

function indexOfConfiguration({ node }: Voter): number {
  for (let at = node.lastIndex; at >= node.firstIndex; at--)
    if (node.entryAt(at).kind === 'config') return at;
  return 0;
}

export class CommittedInOwnTerm implements Observer {
  readonly invariant = 'A leader commits the entries of earlier terms only with one of its own';
  readonly #world: WorldView;
  /** How far a voter knew of commits when it was first seen to lead in the term. */
  readonly #began = new WeakMap<Voter, { readonly term: number; readonly commit: number }>();

  constructor(world: WorldView) {
    this.#world = world;
  }

  stepped({ member }: NodeView, voter: Voter): void {
    const { node, applied } = voter;
    if (!voter.isLeader) return;
    const began = this.#began.get(voter);
    if (began?.term !== node.term) {
      this.#began.set(voter, { term: node.term, commit: node.commit });
      return;
    }
    if (applied <= began.commit || node.termAt(applied) === node.term) return;
    const detail = `${nameOf(member)} leads in term ${node.term} and has committed up to ${applied}, an entry of term ${node.termAt(applied)}`;
    this.#world.violate(this.invariant, detail);
  }
}

export class OneChangeAtATime implements Observer {
  readonly invariant = 'Voters change one at a time, each change after the one before is committed';
  readonly #world: WorldView;

  constructor(world: WorldView) {
    this.#world = world;
  }

  persisted({ member, voter }: NodeView, { entries }: Persist): void {
    if (voter === undefined || voter.node.role !== 'leader') return;
    for (const entry of entries) {
      if (entry.kind !== 'config' || entry.index === 1 || entry.term !== voter.node.term) continue;
      const before = this.#before(voter, entry.index);
      if (before === undefined) continue;
      const [was, is] = [votersIn(before), votersIn(entry)];
      const changed = [...was.filter((id) => !is.includes(id)), ...is.filter((id) => !was.includes(id))];
      if (changed.length <= 1 && before.index <= voter.node.commit) continue;
      const detail = `${nameOf(member)} goes from ${was.join(', ')} (entry ${before.index}) to ${is.join(', ')} (entry ${entry.index}) with ${voter.node.commit} committed`;
      this.#world.violate(this.invariant, detail);
    }
  }

  #before({ node }: Voter, index: number): Entry | undefined {
    for (let at = index - 1; at >= node.firstIndex; at--) {
      const entry = node.entryAt(at);
      if (entry.kind === 'config') return entry;
    }
    return undefined;
  }
}

function votersIn({ data }: Entry): string[] {
  const { voters } = JSON.parse(Buffer.from(data).toString());
  return voters.map((voter: { directoryId: string }) => voter.directoryId);
}
