import type { Entry, HardState, Persist, Snapshot } from '../../src/core/raft/index.ts';

/** What a directory has to hold after everything that was persisted in it. */
export class DurableModel {
  hardState: HardState | undefined;
  snapshot: Snapshot | undefined;
  /** Entries below it may be gone. */
  firstIndex = 1;
  entries: Entry[] = [];
  /** What was begun, and may be there or not. */
  inFlight: Persist | undefined;

  get end(): number {
    return this.firstIndex + this.entries.length;
  }

  entryAt(index: number): Entry | undefined {
    return this.entries[index - this.firstIndex];
  }

  /** Whether the entry is there, or what it did is in a snapshot. */
  holds(index: number, term: number): boolean {
    if (this.snapshot !== undefined && index <= this.snapshot.index) return true;
    return this.entryAt(index)?.term === term;
  }

  begin(persist: Persist): void {
    this.inFlight = { ...persist, entries: [...persist.entries] };
  }

  settle(): void {
    if (this.inFlight === undefined) return;
    const { hardState, snapshot, restartAt, truncateFrom, entries, firstIndex } = this.inFlight;
    this.inFlight = undefined;
    if (hardState !== undefined) this.hardState = hardState;
    if (snapshot !== undefined) this.snapshot = snapshot;
    if (restartAt !== undefined) {
      this.firstIndex = restartAt;
      this.entries = [];
    }
    if (truncateFrom !== undefined) this.entries.length = Math.max(0, truncateFrom - this.firstIndex);
    for (const entry of entries) this.entries.push(entry);
    if (firstIndex !== undefined && firstIndex > this.firstIndex) {
      this.entries.splice(0, firstIndex - this.firstIndex);
      this.firstIndex = firstIndex;
    }
  }

  /** A crash came: what was found is what there is from now on. */
  adopt(hardState: HardState | undefined, snapshot: Snapshot | undefined, entries: readonly Entry[]): void {
    this.inFlight = undefined;
    this.hardState = hardState;
    this.snapshot = snapshot;
    this.firstIndex = entries[0]?.index ?? (snapshot?.index ?? 0) + 1;
    this.entries = [...entries];
  }
}
