// Whether the two index files of a segment say what is true of it. (segment-index.ts pictures them.)
import type { Buffer } from 'node:buffer';
import { nextOffset, readBaseOffset, readMaxTimestamp } from './record-batch.ts';

export interface OffsetEntry {
  readonly offset: number;
  /** Of a batch that begins at or before the offset. */
  readonly position: number;
}

export interface TimeEntry {
  /** The largest of all batches up to the one that holds the offset. */
  readonly timestamp: number;
  readonly offset: number;
}

const OFFSET_ENTRY_BYTES = 8;
const TIME_ENTRY_BYTES = 12;

/** Kafka makes the indexes of an active segment large beforehand: the zeros at the end are no entries. */
function usedBytes(bytes: Buffer, entryBytes: number): number {
  let end = bytes.length - (bytes.length % entryBytes);
  while (end > 0 && bytes.subarray(end - entryBytes, end).every((byte) => byte === 0)) end -= entryBytes;
  return end;
}

export function offsetEntries(bytes: Buffer, baseOffset: number): OffsetEntry[] {
  const entries: OffsetEntry[] = [];
  for (let at = 0; at < usedBytes(bytes, OFFSET_ENTRY_BYTES); at += OFFSET_ENTRY_BYTES) {
    entries.push({ offset: baseOffset + bytes.readInt32BE(at), position: bytes.readInt32BE(at + 4) });
  }
  return entries;
}

export function timeEntries(bytes: Buffer, baseOffset: number): TimeEntry[] {
  const entries: TimeEntry[] = [];
  for (let at = 0; at < usedBytes(bytes, TIME_ENTRY_BYTES); at += TIME_ENTRY_BYTES) {
    entries.push({
      timestamp: Number(bytes.readBigInt64BE(at)),
      offset: baseOffset + bytes.readInt32BE(at + 8),
    });
  }
  return entries;
}

export interface IndexFault {
  readonly kind: 'offsets' | 'times';
  /** In the index file. */
  readonly position: number;
  readonly sentence: string;
}

/** Holds the entries of both indexes against the batches of the segment, which come one by one. */
export class IndexCheck {
  readonly #offsets: readonly OffsetEntry[];
  readonly #times: readonly TimeEntry[];
  readonly #faults = new Map<IndexFault['kind'], IndexFault>();
  #nextOffsetEntry = 0;
  #nextTimeEntry = 0;
  #maxTimestamp = -1;

  /** An index that is missing is not wrong: it is made anew when the log is opened. */
  constructor(offsets: Buffer | undefined, times: Buffer | undefined, baseOffset: number) {
    this.#offsets = offsets === undefined ? [] : offsetEntries(offsets, baseOffset);
    this.#times = times === undefined ? [] : timeEntries(times, baseOffset);
    this.#requireWhole('offsets', offsets, OFFSET_ENTRY_BYTES);
    this.#requireWhole('times', times, TIME_ENTRY_BYTES);
  }

  add(bytes: Uint8Array, at: number, position: number): void {
    const base = readBaseOffset(bytes, at);
    const next = nextOffset(bytes, at);
    this.#maxTimestamp = Math.max(this.#maxTimestamp, readMaxTimestamp(bytes, at));
    this.#checkOffset(base, position);
    for (let entry = this.#times[this.#nextTimeEntry]; entry !== undefined && entry.offset < next; ) {
      this.#checkTime(entry, base);
      entry = this.#times[++this.#nextTimeEntry];
    }
  }

  /** The first fault of each file, once all batches were shown. */
  finish(segmentNextOffset: number): readonly IndexFault[] {
    const offsetEntry = this.#offsets[this.#nextOffsetEntry];
    if (offsetEntry !== undefined) {
      this.#blameOffset(`no batch begins at byte ${offsetEntry.position} of the segment`);
    }
    const last = this.#offsets.at(-1);
    if (last !== undefined && last.offset >= segmentNextOffset) {
      this.#blameOffset(`offset ${last.offset} lies beyond the segment, which ends at ${segmentNextOffset}`);
    }
    const timeEntry = this.#times[this.#nextTimeEntry];
    if (timeEntry !== undefined) {
      const { offset } = timeEntry;
      this.#blameTime(`offset ${offset} lies beyond the segment, which ends at ${segmentNextOffset}`);
    }
    return [...this.#faults.values()];
  }

  #checkOffset(base: number, position: number): void {
    const entry = this.#offsets[this.#nextOffsetEntry];
    if (entry === undefined || entry.position > position) return;
    const before = this.#offsets[this.#nextOffsetEntry - 1];
    if (entry.position < position) {
      this.#blameOffset(`no batch begins at byte ${entry.position} of the segment`);
    } else if (entry.offset < base) {
      this.#blameOffset(`offset ${entry.offset} lies before byte ${position}, whose batch begins at ${base}`);
    } else if (before !== undefined && before.offset >= base) {
      this.#blameOffset(`offset ${base} and those before it lie behind byte ${before.position}`, -1);
    }
    this.#nextOffsetEntry += 1;
  }

  #checkTime(entry: TimeEntry, base: number): void {
    const before = this.#times[this.#nextTimeEntry - 1];
    if (entry.offset < base || (before !== undefined && before.offset >= entry.offset)) {
      this.#blameTime(`offset ${entry.offset} is out of order`);
    } else if (entry.timestamp !== this.#maxTimestamp) {
      this.#blameTime(
        `timestamp ${entry.timestamp} stands for offset ${entry.offset}, where the largest so far is ${this.#maxTimestamp}`,
      );
    }
  }

  #requireWhole(kind: IndexFault['kind'], bytes: Buffer | undefined, entryBytes: number): void {
    const over = (bytes?.length ?? 0) % entryBytes;
    if (bytes === undefined || over === 0) return;
    this.#blame(kind, bytes.length - over, `the file ends within an entry of ${entryBytes} bytes`);
  }

  #blameOffset(sentence: string, entries = 0): void {
    this.#blame('offsets', (this.#nextOffsetEntry + entries) * OFFSET_ENTRY_BYTES, sentence);
  }

  #blameTime(sentence: string): void {
    this.#blame('times', this.#nextTimeEntry * TIME_ENTRY_BYTES, sentence);
  }

  /** What comes after the first fault of a file may be wrong because of it. */
  #blame(kind: IndexFault['kind'], position: number, sentence: string): void {
    if (!this.#faults.has(kind)) this.#faults.set(kind, { kind, position, sentence });
  }
}
