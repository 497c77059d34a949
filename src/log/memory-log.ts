import { Buffer } from 'node:buffer';
import type { EpochEnd, Extent, Guard, PartitionLog, TimestampedOffset } from '../types.ts';
import { copyBytes } from './copy.ts';
import { EpochList } from './epoch-list.ts';
import { batchBytes, nextOffset, readBaseOffset, readLeaderEpoch } from './record-batch.ts';
import { firstRecordSince } from './timestamp-search.ts';

/** One entry of the sparse index for about this many bytes; a read scans batch headers from there. */
const INDEX_INTERVAL_BYTES = 4096;

export interface MemoryLogOptions {
  /** The first segment's size; each one after it doubles, up to segmentBytes. */
  readonly startBytes: number;
  readonly segmentBytes: number;
  /** Whole segments beyond this go, the oldest first; negative keeps everything. */
  readonly retentionBytes: number;
}

/** Buffers that retention has freed, for the next segment: memory already mapped is several times cheaper. */
export class SegmentPool {
  readonly #free = new Map<number, Buffer[]>();
  readonly #keptMax: number;

  constructor(keptMax = 4) {
    this.#keptMax = keptMax;
  }

  take(bytes: number): Buffer {
    // An unzeroed buffer: stale bytes are never taken for records, since a segment's end is kept beside it.
    return this.#free.get(bytes)?.pop() ?? Buffer.allocUnsafeSlow(bytes);
  }

  give(buffer: Buffer): void {
    const kept = this.#free.get(buffer.length);
    if (kept === undefined) this.#free.set(buffer.length, [buffer]);
    else if (kept.length < this.#keptMax) kept.push(buffer);
  }
}

class Segment {
  readonly bytes: Buffer;
  readonly baseOffset: number;
  /** Of a size that other segments have too. */
  readonly isRegular: boolean;
  /** End of the last batch; what lies beyond is not part of the log. */
  used = 0;
  /** The sparse index: offset and position of a batch, both ascending. */
  readonly indexOffsets: number[] = [];
  readonly indexPositions: number[] = [];

  constructor(bytes: Buffer, baseOffset: number, isRegular: boolean) {
    this.bytes = bytes;
    this.baseOffset = baseOffset;
    this.isRegular = isRegular;
  }

  index(offset: number, position: number): void {
    const last = this.indexPositions.length - 1;
    if (last >= 0 && position - this.indexPositions[last] < INDEX_INTERVAL_BYTES) return;
    this.indexOffsets.push(offset);
    this.indexPositions.push(position);
  }

  /** Position of the batch that holds `offset`, which must lie in this segment. */
  find(offset: number): number {
    let low = 0;
    let high = this.indexOffsets.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.indexOffsets[middle] <= offset) low = middle;
      else high = middle - 1;
    }
    let position = this.indexPositions[low];
    while (nextOffset(this.bytes, position) <= offset) position += batchBytes(this.bytes, position);
    return position;
  }

  truncate(position: number): void {
    this.used = position;
    while (this.indexPositions.length > 0 && (this.indexPositions.at(-1) as number) >= position) {
      this.indexPositions.pop();
      this.indexOffsets.pop();
    }
  }
}

/** A partition's batches in memory, bounded by retention. One thread owns it. */
export class MemoryLog implements PartitionLog {
  readonly #options: MemoryLogOptions;
  readonly #pool: SegmentPool;
  /** Ascending and without gaps; every one but the last holds at least one batch. */
  readonly #segments: Segment[] = [];
  readonly #epochs = new EpochList();
  #bytes = 0;
  #logStart = 0;
  #leo = 0;
  committed = 0;

  constructor(options: MemoryLogOptions, pool: SegmentPool) {
    this.#options = options;
    this.#pool = pool;
  }

  get logStart(): number {
    return this.#logStart;
  }

  get leo(): number {
    return this.#leo;
  }

  /** Nothing is staged here: a batch is copied when it is appended. */
  get written(): number {
    return this.#leo;
  }

  get lastEpoch(): number {
    return this.#epochs.last;
  }

  append(source: Uint8Array, at: number, length: number, guard?: Guard): boolean {
    let segment = this.#segments.at(-1);
    if (segment === undefined || segment.used + length > segment.bytes.length) segment = this.#roll(length);
    const position = segment.used;
    copyBytes(segment.bytes, position, source.subarray(at, at + length));
    if (guard !== undefined && !guard.intact()) return false;
    // Only now are the bytes known to be what was checked: before, their header may be anything.
    const baseOffset = readBaseOffset(segment.bytes, position);
    if (baseOffset !== this.#leo)
      throw new Error(`append at ${baseOffset}, but the log ends at ${this.#leo}`);
    const epoch = readLeaderEpoch(segment.bytes, position);
    if (epoch > this.#epochs.last) this.#epochs.begin(epoch, baseOffset);
    segment.index(baseOffset, position);
    segment.used = position + length;
    this.#bytes += length;
    this.#leo = nextOffset(segment.bytes, position);
    return true;
  }

  flush(): boolean {
    return true;
  }

  async sync(): Promise<number> {
    return this.#leo;
  }

  read(offset: number, maxBytes: number, endOffset: number): Extent | undefined {
    if (offset >= endOffset || offset >= this.#leo) return undefined;
    const segment = this.#segmentOf(offset);
    const from = segment.find(offset);
    let to = from;
    while (to < segment.used) {
      const length = batchBytes(segment.bytes, to);
      if (nextOffset(segment.bytes, to) > endOffset || (to > from && to + length - from > maxBytes)) break;
      to += length;
    }
    return to === from ? undefined : { bytes: segment.bytes, from, to };
  }

  offsetForTimestamp(timestamp: number, endOffset: number): TimestampedOffset | undefined {
    for (const { bytes, used } of this.#segments) {
      for (let at = 0; at < used; at += batchBytes(bytes, at)) {
        if (nextOffset(bytes, at) > endOffset) return undefined;
        const found = firstRecordSince(bytes, at, at + batchBytes(bytes, at), timestamp);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }

  beginEpoch(epoch: number): void {
    this.#epochs.begin(epoch, this.#leo);
  }

  endOfEpoch(epoch: number): EpochEnd {
    return this.#epochs.endOf(epoch, this.#logStart, this.#leo);
  }

  truncateTo(offset: number): void {
    if (offset >= this.#leo) return;
    while (this.#leo > offset) {
      const segment = this.#segments.at(-1);
      if (segment === undefined) {
        // What lay between has been dropped by retention: the log is empty and goes on from here.
        this.#leo = offset;
        break;
      }
      if (segment.used > 0) {
        const position = segment.baseOffset >= offset ? 0 : segment.find(offset);
        this.#bytes -= segment.used - position;
        this.#leo = position === 0 ? segment.baseOffset : readBaseOffset(segment.bytes, position);
        segment.truncate(position);
        if (position > 0) break;
      }
      this.#segments.pop();
      this.#giveBack(segment);
    }
    this.#logStart = Math.min(this.#logStart, this.#leo);
    this.#epochs.truncateTo(this.#leo);
  }

  restartAt(offset: number): void {
    for (const segment of this.#segments) this.#giveBack(segment);
    this.#segments.length = 0;
    this.#epochs.clear();
    this.#bytes = 0;
    this.#logStart = offset;
    this.#leo = offset;
  }

  deleteBefore(offset: number): void {
    this.#logStart = Math.max(this.#logStart, Math.min(offset, this.#leo));
    this.#epochs.startAt(this.#logStart);
    while (this.#segments.length > 1 && this.#segments[1].baseOffset <= this.#logStart) {
      const oldest = this.#segments.shift() as Segment;
      this.#bytes -= oldest.used;
      this.#giveBack(oldest);
    }
  }

  /** A segment that was made for one large batch would hardly serve another. */
  #giveBack(segment: Segment): void {
    if (segment.isRegular) this.#pool.give(segment.bytes);
  }

  #segmentOf(offset: number): Segment {
    let low = 0;
    let high = this.#segments.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#segments[middle].baseOffset <= offset) low = middle;
      else high = middle - 1;
    }
    return this.#segments[low];
  }

  #roll(length: number): Segment {
    const { startBytes, segmentBytes } = this.#options;
    const last = this.#segments.at(-1);
    const planned = last === undefined ? startBytes : Math.min(2 * last.bytes.length, segmentBytes);
    this.#retain();
    const segment = new Segment(this.#pool.take(Math.max(planned, length)), this.#leo, length <= planned);
    this.#segments.push(segment);
    return segment;
  }

  #retain(): void {
    const { retentionBytes } = this.#options;
    if (retentionBytes < 0) return;
    while (this.#segments.length > 1 && this.#bytes - this.#segments[0].used >= retentionBytes) {
      if (this.#segments[1].baseOffset > this.committed) return;
      const oldest = this.#segments.shift() as Segment;
      this.#bytes -= oldest.used;
      this.#logStart = Math.max(this.#logStart, this.#segments[0].baseOffset);
      this.#epochs.startAt(this.#logStart);
      this.#giveBack(oldest);
    }
  }
}
