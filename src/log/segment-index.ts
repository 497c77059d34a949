import { Buffer } from 'node:buffer';

// The two sparse indexes of a segment, in memory and as Kafka writes them (big-endian):
//
//   .index      | last offset of a batch - base (i32) | position of that batch (i32) |   8 bytes an entry
//   .timeindex  | largest timestamp so far (i64) | last offset of its batch - base (i32) |   12 bytes an entry
//
// An entry is added for the first batch that begins more than the interval after the last one; both kinds ascend.

const OFFSET_ENTRY_BYTES = 8;
const TIME_ENTRY_BYTES = 12;

/** A batch that an index speaks of. */
export interface IndexEntry {
  readonly position: number;
  readonly lastOffset: number;
  /** Where the time index speaks of it: the largest timestamp of that batch, which then lies at the position or behind. */
  readonly timestamp?: number;
}

export class SegmentIndex {
  readonly intervalBytes: number;
  readonly #offsets: number[] = [];
  readonly #positions: number[] = [];
  readonly #times: number[] = [];
  readonly #timeOffsets: number[] = [];
  /** Position of the last batch that has an entry; a segment's first has none. */
  #indexedTo = 0;
  /** The largest timestamp in the segment, and the last offset of the batch that it came with. */
  #maxTimestamp = -1;
  #maxTimestampOffset = -1;

  constructor(intervalBytes: number) {
    this.intervalBytes = intervalBytes;
  }

  get maxTimestamp(): number {
    return this.#maxTimestamp;
  }

  /** Takes note of the batch at `position`; batches come in their order. */
  add(position: number, lastOffset: number, maxTimestamp: number): void {
    if (maxTimestamp > this.#maxTimestamp) {
      this.#maxTimestamp = maxTimestamp;
      this.#maxTimestampOffset = lastOffset;
    }
    if (position - this.#indexedTo <= this.intervalBytes) return;
    this.#indexedTo = position;
    this.#offsets.push(lastOffset);
    this.#positions.push(position);
    this.#addTime();
  }

  /** Where to begin looking for the batch that holds `offset`; undefined for the segment's beginning. */
  entryOf(offset: number): IndexEntry | undefined {
    const entry = lastNotAbove(this.#offsets, offset);
    return entry === -1 ? undefined : { position: this.#positions[entry], lastOffset: this.#offsets[entry] };
  }

  /** Position of the last batch that has an entry: where to begin in order to find the end. */
  get lastPosition(): number {
    return this.#positions.at(-1) ?? 0;
  }

  /** Where to begin looking for the first batch with a timestamp of at least `timestamp`. */
  entryOfTime(timestamp: number): IndexEntry | undefined {
    return this.#timeEntry(lastNotAbove(this.#times, timestamp - 1));
  }

  /** The last of either kind: who believes these may believe the largest timestamp and where the end is near. */
  get lastEntries(): readonly (IndexEntry | undefined)[] {
    return [this.entryOf(Number.MAX_SAFE_INTEGER), this.#timeEntry(this.#times.length - 1)];
  }

  #timeEntry(entry: number): IndexEntry | undefined {
    if (entry === -1) return undefined;
    const lastOffset = this.#timeOffsets[entry];
    const position = this.entryOf(lastOffset)?.position ?? 0;
    return { position, lastOffset, timestamp: this.#times[entry] };
  }

  /** The segment takes no more: the time index ends with its largest timestamp. */
  seal(): void {
    this.#addTime();
  }

  #addTime(): void {
    if (this.#maxTimestamp <= (this.#times.at(-1) ?? -1)) return;
    this.#times.push(this.#maxTimestamp);
    this.#timeOffsets.push(this.#maxTimestampOffset);
  }

  encodeOffsets(baseOffset: number): Buffer {
    const bytes = Buffer.allocUnsafe(this.#offsets.length * OFFSET_ENTRY_BYTES);
    for (let entry = 0; entry < this.#offsets.length; entry++) {
      bytes.writeInt32BE(this.#offsets[entry] - baseOffset, entry * OFFSET_ENTRY_BYTES);
      bytes.writeInt32BE(this.#positions[entry], entry * OFFSET_ENTRY_BYTES + 4);
    }
    return bytes;
  }

  encodeTimes(baseOffset: number): Buffer {
    const bytes = Buffer.allocUnsafe(this.#times.length * TIME_ENTRY_BYTES);
    for (let entry = 0; entry < this.#times.length; entry++) {
      bytes.writeBigInt64BE(BigInt(this.#times[entry]), entry * TIME_ENTRY_BYTES);
      bytes.writeInt32BE(this.#timeOffsets[entry] - baseOffset, entry * TIME_ENTRY_BYTES + 8);
    }
    return bytes;
  }

  /**
   * An index from its two files, for a segment of `segmentBytes`; undefined where they cannot be right. Whether they
   * are, only the segment itself could tell.
   */
  static decode(
    intervalBytes: number,
    baseOffset: number,
    segmentBytes: number,
    offsets: Buffer,
    times: Buffer,
  ): SegmentIndex | undefined {
    if (offsets.length % OFFSET_ENTRY_BYTES !== 0 || times.length % TIME_ENTRY_BYTES !== 0) return undefined;
    const index = new SegmentIndex(intervalBytes);
    for (let at = 0; at < offsets.length; at += OFFSET_ENTRY_BYTES) {
      index.#offsets.push(baseOffset + offsets.readInt32BE(at));
      index.#positions.push(offsets.readInt32BE(at + 4));
    }
    for (let at = 0; at < times.length; at += TIME_ENTRY_BYTES) {
      index.#times.push(Number(times.readBigInt64BE(at)));
      index.#timeOffsets.push(baseOffset + times.readInt32BE(at + 8));
    }
    const sound =
      ascends(index.#offsets, baseOffset) &&
      ascends(index.#positions, 0) &&
      ascends(index.#times, 0) &&
      ascends(index.#timeOffsets, baseOffset) &&
      index.lastPosition < Math.max(segmentBytes, 1);
    if (!sound) return undefined;
    index.#indexedTo = index.lastPosition;
    index.#maxTimestamp = index.#times.at(-1) ?? -1;
    index.#maxTimestampOffset = index.#timeOffsets.at(-1) ?? -1;
    return index;
  }
}

function ascends(values: readonly number[], least: number): boolean {
  let before = least - 1;
  for (const value of values) {
    if (value <= before) return false;
    before = value;
  }
  return true;
}

/** Index of the last of the ascending values that is not above `wanted`, or -1. */
function lastNotAbove(values: readonly number[], wanted: number): number {
  let low = -1;
  let high = values.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (values[middle] <= wanted) low = middle;
    else high = middle - 1;
  }
  return low;
}
