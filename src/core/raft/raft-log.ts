// The entries that a node holds in memory, above the ones that its snapshot has made superfluous.
import { assert } from './assert.ts';
import type { Entry, Snapshot } from './types.ts';

export class RaftLog {
  /** Everything up to its index is in it. `{ index: 0, term: 0 }` of an empty log needs no snapshot. */
  #snapshot: Snapshot | undefined;
  /** `entries[0]` has this index. At most the snapshot's index and one more, so that nothing is missing between. */
  #firstIndex: number;
  #entries: Entry[];

  /** The entries must continue each other and join the snapshot; see Persist.restartAt for what to do otherwise. */
  constructor(snapshot: Snapshot | undefined, entries: readonly Entry[]) {
    this.#snapshot = snapshot;
    this.#firstIndex = entries[0]?.index ?? this.snapshotIndex + 1;
    // The first may be older than the snapshot.
    this.#entries = entries.slice(0, 1);
    assert(
      this.#firstIndex >= 1 && this.#firstIndex <= this.snapshotIndex + 1,
      'there is a gap below the log',
    );
    for (const entry of entries.slice(1)) this.append(entry);
    assert(this.lastIndex >= this.snapshotIndex, 'a log ends below its snapshot');
    assert(this.termAt(this.snapshotIndex) === this.snapshotTerm, 'a log and its snapshot disagree');
  }

  get snapshot(): Snapshot | undefined {
    return this.#snapshot;
  }

  get snapshotIndex(): number {
    return this.#snapshot?.index ?? 0;
  }

  get snapshotTerm(): number {
    return this.#snapshot?.term ?? 0;
  }

  get firstIndex(): number {
    return this.#firstIndex;
  }

  get lastIndex(): number {
    return this.#firstIndex + this.#entries.length - 1;
  }

  get lastTerm(): number {
    return this.#entries.at(-1)?.term ?? this.snapshotTerm;
  }

  /** The term of an entry; undefined if the log ends before, or has dropped it. */
  termAt(index: number): number | undefined {
    if (index === 0) return 0;
    const entry = this.#entries[index - this.#firstIndex];
    if (entry !== undefined) return entry.term;
    return index === this.snapshotIndex ? this.snapshotTerm : undefined;
  }

  entryAt(index: number): Entry {
    const entry = this.#entries[index - this.#firstIndex];
    assert(entry !== undefined, `entry ${index} is not in the log`);
    return entry;
  }

  /** Entries from `index` on, within the bounds, but one at least if there is one. */
  slice(index: number, maxEntries: number, maxBytes: number): Entry[] {
    const taken: Entry[] = [];
    let bytes = 0;
    for (let at = index; at <= this.lastIndex && taken.length < maxEntries; at++) {
      const entry = this.entryAt(at);
      bytes += entry.data.length;
      if (taken.length > 0 && bytes > maxBytes) break;
      taken.push(entry);
    }
    return taken;
  }

  /** Whether a log that ends so has all that this one can have committed. */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
  }

  append(entry: Entry): void {
    assert(entry.index === this.lastIndex + 1, `entry ${entry.index} does not follow ${this.lastIndex}`);
    assert(entry.term >= this.lastTerm, `the term falls at ${entry.index}`);
    this.#entries.push(entry);
  }

  truncateFrom(index: number): void {
    assert(index > this.snapshotIndex, `entry ${index} is in the snapshot`);
    assert(index <= this.lastIndex, `there is no entry ${index} to drop`);
    this.#entries.length = index - this.#firstIndex;
  }

  /** Takes a snapshot of what is here; entries below `firstIndex` go. */
  compact(snapshot: Snapshot, firstIndex: number): void {
    assert(snapshot.index > this.snapshotIndex, 'a snapshot is older than the last');
    assert(this.termAt(snapshot.index) === snapshot.term, 'a snapshot is of another log');
    assert(firstIndex >= this.#firstIndex && firstIndex <= snapshot.index + 1, 'what is needed is dropped');
    this.#entries.splice(0, firstIndex - this.#firstIndex);
    this.#firstIndex = firstIndex;
    this.#snapshot = snapshot;
  }

  /** The leader's snapshot in place of all that is here. */
  restart(snapshot: Snapshot): void {
    assert(snapshot.index > this.snapshotIndex, 'a snapshot is older than the last');
    this.#entries = [];
    this.#firstIndex = snapshot.index + 1;
    this.#snapshot = snapshot;
  }

  /** What a follower says of a place that does not fit: the term there, and where that term begins in its log. */
  conflictAt(index: number): { readonly term: number; readonly index: number } {
    const term = this.termAt(index);
    if (term === undefined) return { term: 0, index: this.lastIndex + 1 };
    let first = index;
    while (first > this.#firstIndex && this.termAt(first - 1) === term) first--;
    return { term, index: first };
  }

  /** Where a leader goes on with a follower that has said so: behind its own last entry of that term, if it has one. */
  nextAfter(conflict: { readonly term: number; readonly index: number }, rejectedIndex: number): number {
    if (conflict.term > 0) {
      for (let at = Math.min(rejectedIndex, this.lastIndex); at >= this.#firstIndex; at--) {
        const term = this.entryAt(at).term;
        if (term === conflict.term) return at + 1;
        if (term < conflict.term) break;
      }
    }
    return conflict.index;
  }
}
