import { type Entry, isSameMember, type Snapshot } from '../../../src/core/raft/index.ts';
import type { QuorumState } from '../../../src/log/quorum-store.ts';
import type { DurableModel } from '../durable-model.ts';
import { type NodeView, nameOf, type Observer, type WorldView } from '../observer.ts';
import { isSameEntry } from './committed-once.ts';

export class KeptFiles implements Observer {
  readonly invariant = 'A directory holds after any end what had been persisted in it';
  readonly #world: WorldView;

  constructor(world: WorldView) {
    this.#world = world;
  }

  opened({ member, durable }: NodeView, found: QuorumState): void {
    const fault =
      hardStateFault(durable, found) ?? snapshotFault(durable, found) ?? entriesFault(durable, found);
    if (fault !== undefined) this.#world.violate(this.invariant, `${nameOf(member)}: ${fault}`);
  }
}

function hardStateFault({ hardState, inFlight }: DurableModel, found: QuorumState): string | undefined {
  const isOne = [hardState, inFlight?.hardState ?? hardState].some(
    (kept) => kept?.term === found.hardState?.term && isSameMember(kept?.vote, found.hardState?.vote),
  );
  if (isOne) return undefined;
  const describe = (state: QuorumState['hardState']): string =>
    state === undefined ? 'nothing' : `term ${state.term} with a vote for ${state.vote?.id ?? 'nobody'}`;
  return `${describe(hardState)} was persisted, ${describe(found.hardState)} is found`;
}

function isSameSnapshot(one: Snapshot | undefined, other: Snapshot | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  if (one.index !== other.index || one.term !== other.term) return false;
  if (Buffer.compare(one.data, other.data) !== 0) return false;
  return JSON.stringify(one.configuration) === JSON.stringify(other.configuration);
}

function snapshotFault({ snapshot, inFlight }: DurableModel, found: QuorumState): string | undefined {
  const isOne = [snapshot, inFlight?.snapshot ?? snapshot].some((kept) =>
    isSameSnapshot(kept, found.snapshot),
  );
  if (isOne) return undefined;
  return `a snapshot of ${snapshot?.index ?? 'nothing'} was persisted, one of ${found.snapshot?.index ?? 'nothing'} is found`;
}

function entriesFault(model: DurableModel, found: QuorumState): string | undefined {
  const { inFlight } = model;
  const covered = found.snapshot?.index ?? 0;
  const at = new Map(found.entries.map((entry) => [entry.index, entry]));
  // What was on its way may have taken the end of the log with it.
  const restartAt = inFlight?.restartAt !== undefined ? 0 : Number.POSITIVE_INFINITY;
  const settledEnd = Math.min(model.end, inFlight?.truncateFrom ?? model.end, restartAt);
  for (let index = Math.max(model.firstIndex, covered + 1); index < settledEnd; index++) {
    const kept = model.entryAt(index) as Entry;
    const there = at.get(index);
    if (there === undefined) return `entry ${index} of term ${kept.term} was persisted, and is gone`;
    if (!isSameEntry(kept, there)) return `entry ${index} is another one than was persisted`;
  }
  const coming = new Map((inFlight?.entries ?? []).map((entry) => [entry.index, entry]));
  for (const entry of found.entries) {
    const known = [model.entryAt(entry.index), coming.get(entry.index)];
    const isKnown = known.some((each) => each !== undefined && isSameEntry(each, entry));
    // Entries below the first may have been dropped or not.
    if (!isKnown && entry.index >= model.firstIndex)
      return `entry ${entry.index} of term ${entry.term} is found, and was never persisted there`;
  }
  return undefined;
}
