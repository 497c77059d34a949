// A log that stages as one on a disk does, and whose disk does what the test says.
import { DiskError } from '../../src/log/disk.ts';
import { nextOffset, readBaseOffset } from '../../src/log/record-batch.ts';
import type {
  EpochEnd,
  Extent,
  Guard,
  KnownProducers,
  PartitionLog,
  TimestampedOffset,
} from '../../src/types.ts';
import { newTestLog } from './log-fixtures.ts';

interface Staged {
  readonly source: Uint8Array;
  readonly at: number;
  readonly length: number;
}

/** A sync that waits for the test to end it. */
export interface HeldSync {
  end(): void;
  fail(error?: Error): void;
}

/** What a disk says that is full. */
export function diskFull(): DiskError {
  return new DiskError('write', 't-0/00000000000000000000.log', 'ENOSPC');
}

export class StagedLog implements PartitionLog {
  /** The disk: what lies here is written. */
  readonly disk = newTestLog();
  /** Syncs that were asked for and have not ended. */
  readonly syncs: HeldSync[] = [];
  /** How often bytes were handed to the disk. */
  writes = 0;
  /** Thrown by whatever touches the disk next. */
  failure: Error | undefined;
  committed = 0;
  readonly #staged: Staged[] = [];
  #guard: Guard | undefined;
  #guardFrom = 0;
  #leo = 0;

  get logStart(): number {
    return this.disk.logStart;
  }

  get leo(): number {
    return this.#leo;
  }

  get written(): number {
    return this.disk.leo;
  }

  get producers(): KnownProducers {
    this.#touch();
    return this.disk.producers;
  }

  get lastEpoch(): number {
    return this.disk.lastEpoch;
  }

  append(source: Uint8Array, at: number, length: number, guard?: Guard): boolean {
    const baseOffset = readBaseOffset(source, at);
    const next = nextOffset(source, at);
    if (guard !== undefined && !guard.intact()) {
      this.#unstage();
      return false;
    }
    if (baseOffset !== this.#leo)
      throw new Error(`append at ${baseOffset}, but the log ends at ${this.#leo}`);
    if (this.#staged.length === 0) {
      this.#guard = guard;
      this.#guardFrom = guard?.framePosition ?? 0;
    }
    this.#staged.push({ source, at, length });
    this.#leo = next;
    return true;
  }

  flush(): boolean {
    this.#touch();
    if (this.#staged.length === 0) return true;
    const copies = this.#staged.map(({ source, at, length }) => source.slice(at, at + length));
    const isWhole = this.#guard === undefined || this.#guard.intactSince(this.#guardFrom);
    if (isWhole) {
      this.writes++;
      for (const copy of copies) this.disk.append(copy, 0, copy.length);
      this.disk.flush();
    }
    this.#unstage();
    return isWhole;
  }

  sync(): Promise<number> {
    const { written } = this;
    return new Promise((resolve, reject) => {
      this.syncs.push({ end: () => resolve(written), fail: (error = diskFull()) => reject(error) });
    });
  }

  read(offset: number, maxBytes: number, endOffset: number): Extent | undefined {
    this.#touch();
    return this.disk.read(offset, maxBytes, endOffset);
  }

  offsetForTimestamp(timestamp: number, endOffset: number): TimestampedOffset | undefined {
    this.#touch();
    return this.disk.offsetForTimestamp(timestamp, endOffset);
  }

  truncateTo(offset: number): void {
    this.disk.truncateTo(offset);
    this.#unstage();
  }

  restartAt(offset: number, producers?: Uint8Array): void {
    this.disk.restartAt(offset, producers);
    this.#unstage();
  }

  deleteBefore(offset: number): void {
    this.disk.deleteBefore(offset);
  }

  beginEpoch(epoch: number): void {
    this.disk.beginEpoch(epoch);
  }

  endOfEpoch(epoch: number): EpochEnd {
    return this.disk.endOfEpoch(epoch);
  }

  #touch(): void {
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) throw failure;
  }

  #unstage(): void {
    this.#staged.length = 0;
    this.#leo = this.disk.leo;
  }
}
