import { Buffer } from 'node:buffer';
import { isCompacted, type TopicConfig } from '../config.ts';
import type { Extent, Guard } from '../types.ts';
import { writeWhole } from './checkpoint-files.ts';
import type { ClosedSegment } from './closed-logs.ts';
import { INDEX_SUFFIX, LOG_SUFFIX, segmentFile, TIME_INDEX_SUFFIX } from './file-names.ts';
import type { OpenFiles } from './open-files.ts';
import {
  BATCH_HEADER_BYTES,
  batchBytes,
  checkBatch,
  nextOffset,
  readBaseOffset,
  readMaxTimestamp,
} from './record-batch.ts';
import { batchFaultSentence } from './record-batch-fault.ts';
import { type IndexEntry, SegmentIndex } from './segment-index.ts';

/**
 * Behind the last batch of a file that holds older bytes there. No batch begins with this, so what follows is never
 * taken for one: neither what was truncated away, nor what the file held before it was recycled, whatever it looks
 * like.
 */
const END_MARK = Buffer.alloc(BATCH_HEADER_BYTES);

/** What a read asks of the disk besides the batches: those between an index entry and the first one wanted. */
const SEARCH_BYTES = 8192;

/** And at most, where many batches follow each other. */
const SEARCH_MAX_BYTES = 256 << 10;

/** Indexes of sealed segments that a log keeps in memory, beyond those that were not stored yet. */
const LOADED_INDEXES_MAX = 4;

/** Bytes on a disk that cannot be a batch, in the midst of a segment that was sound when it was written. */
export class DamagedSegmentError extends Error {
  override readonly name = 'DamagedSegmentError';
  readonly path: string;
  readonly position: number;

  constructor(path: string, position: number, sentence: string) {
    super(`${path} is damaged at byte ${position}: ${sentence}`);
    this.path = path;
    this.position = position;
  }
}

/** A batch as a search found it, in bytes that are valid until the next read. */
interface Found {
  readonly bytes: Buffer;
  readonly at: number;
  /** The same place, in the file. */
  readonly position: number;
}

/** One file of batches. All but a log's last are sealed: they never change, until retention or compaction take them. */
export class Segment {
  readonly baseOffset: number;
  /** Of the log file, within the broker's directory. */
  readonly path: string;
  readonly #files: OpenFiles;
  readonly #directory: string;
  readonly #intervalBytes: number;
  /** Compaction leaves gaps between batches; without it each begins where the one before has ended. */
  readonly #gapsAllowed: boolean;
  /** End of the last batch; what the file holds behind it is no part of the log. */
  bytes = 0;
  /** The offset after the last batch. */
  nextOffset: number;
  /** The file may hold older bytes up to here. */
  staleEnd = 0;
  /** Up to here nobody doubts the file at the next start: it is on the device. */
  syncedBytes = 0;
  /** Whether its two index files are on the disk, and the index in memory may be forgotten. */
  isIndexStored = false;
  /** How many others read the file by its name at present: then it is not recycled, though it may be removed. */
  holders = 0;
  /** Why its offsets from there on cannot be read; undefined while they can. */
  damage: DamagedSegmentError | undefined;
  #index: SegmentIndex | undefined;
  #firstTimestamp: number | undefined;
  /** What the index said before it was forgotten. */
  #maxTimestamp: number | undefined;
  #truncations = 0;
  /** Where the last read ended: most reads go on there. */
  #readNext = -1;
  #readEnd = 0;

  constructor(files: OpenFiles, directory: string, baseOffset: number, config: TopicConfig) {
    this.#files = files;
    this.#directory = directory;
    this.baseOffset = baseOffset;
    this.nextOffset = baseOffset;
    this.path = this.pathOf(LOG_SUFFIX);
    this.#intervalBytes = config['index.interval.bytes'];
    this.#gapsAllowed = isCompacted(config);
  }

  pathOf(suffix: string): string {
    return `${this.#directory}/${segmentFile(this.baseOffset, suffix)}`;
  }

  /** Whether the next start need not look at it. */
  get isStored(): boolean {
    return this.syncedBytes >= this.bytes && this.isIndexStored;
  }

  get isIndexLoaded(): boolean {
    return this.#index !== undefined;
  }

  /** The index, read from its files if it was forgotten, or made again from the segment if they are no good. */
  get index(): SegmentIndex {
    this.#index ??= (this.isIndexStored ? this.#loadIndex() : undefined) ?? this.#buildIndex();
    return this.#index;
  }

  get maxTimestamp(): number {
    if (this.#index === undefined && this.#maxTimestamp !== undefined) return this.#maxTimestamp;
    return this.index.maxTimestamp;
  }

  /** The largest timestamp of the first batch: the segment's age is counted from there. */
  get firstTimestamp(): number {
    if (this.#firstTimestamp === undefined) {
      const first = this.#search(0, 0, () => true);
      this.#firstTimestamp = first === undefined ? -1 : readMaxTimestamp(first.bytes, first.at);
    }
    return this.#firstTimestamp;
  }

  forgetIndex(): void {
    if (!this.isIndexStored || this.#index === undefined) return;
    this.#maxTimestamp = this.#index.maxTimestamp;
    this.#index = undefined;
  }

  /** Takes over an index that somebody else has made. */
  adoptIndex(index: SegmentIndex): void {
    this.#index = index;
  }

  /**
   * Writes batches behind the last one. False where the guard then says that they were overwritten meanwhile: what
   * lies behind the last batch is marked as no part of the log. The caller moves the end.
   */
  write(pieces: Uint8Array[], length: number, guard: Guard | undefined, guardFrom: number): boolean {
    if (this.isIndexStored) this.#reopenIndex();
    const file = this.#files.get(this.path);
    const end = this.bytes + length;
    if (this.staleEnd > end) pieces.push(END_MARK);
    file.write(this.bytes, pieces);
    if (guard === undefined || guard.intactSince(guardFrom)) return true;
    file.write(this.bytes, [END_MARK]);
    this.staleEnd = Math.max(this.staleEnd, end);
    return false;
  }

  /** The batch at `position`, which was written just now, becomes part of the segment. */
  extend(length: number, next: number, maxTimestamp: number): void {
    if (this.bytes === 0) this.#firstTimestamp = maxTimestamp;
    this.index.add(this.bytes, next - 1, maxTimestamp);
    this.bytes += length;
    this.nextOffset = next;
  }

  /** Whole batches from the one that holds `offset`; undefined where this segment has none up to `endOffset`. */
  read(offset: number, maxBytes: number, endOffset: number): Extent | undefined {
    const found = this.find(offset, maxBytes);
    if (found === undefined || nextOffset(found.bytes, found.at) > endOffset) return undefined;
    const { bytes, at: from } = found;
    // A read that goes on where this one ends need not look for its place.
    let to = from + batchBytes(bytes, from);
    let last = from;
    while (to + BATCH_HEADER_BYTES <= bytes.length) {
      // What is sound is given; whoever reads on begins with what is not, and is told.
      const left = this.bytes - found.position - (to - from);
      if (checkBatch(bytes, to, left, left) !== 0) break;
      const gap = readBaseOffset(bytes, to) - nextOffset(bytes, last);
      if (gap < 0 || (gap > 0 && !this.#gapsAllowed)) break;
      const end = to + batchBytes(bytes, to);
      if (end > bytes.length || end - from > maxBytes || nextOffset(bytes, to) > endOffset) break;
      last = to;
      to = end;
    }
    this.#readEnd = found.position + to - from;
    this.#readNext = nextOffset(bytes, last);
    return { bytes, from, to };
  }

  /** The first batch that reaches beyond `offset`, whole, with up to `maxBytes` of what follows it. */
  find(offset: number, maxBytes = 0): Found | undefined {
    const isIt = (bytes: Buffer, at: number): boolean => nextOffset(bytes, at) > offset;
    const from = offset === this.#readNext ? this.#readEnd : this.#position((index) => index.entryOf(offset));
    const found = this.#search(from, maxBytes, isIt);
    if (found === undefined) {
      if (offset < this.nextOffset && !this.#gapsAllowed)
        this.#damaged(from, `No batch from there on holds offset ${offset}.`);
      return undefined;
    }
    const { bytes, at, position } = found;
    const end = nextOffset(bytes, at);
    if (end > this.nextOffset)
      this.#damaged(position, `The batch there ends at offset ${end}, the segment at ${this.nextOffset}.`);
    // Only where compaction has left a gap may the batch begin behind the offset.
    if (readBaseOffset(bytes, at) > offset) this.#checkOrder(bytes, at, position, offset);
    return found;
  }

  /** The headers of its batches from the one that holds `from` on, up to `end`. */
  eachHeader(from: number, end: number, visit: (bytes: Uint8Array, at: number) => void): void {
    const position = from <= this.baseOffset ? 0 : this.#position((index) => index.entryOf(from));
    this.#search(position, 0, (bytes, at) => {
      if (readBaseOffset(bytes, at) >= end) return true;
      if (nextOffset(bytes, at) > from) visit(bytes, at);
      return false;
    });
  }

  /** The first batch, from a position on, that says to have a record not older than `timestamp`, if any. */
  findTime(timestamp: number, position?: number): Found | undefined {
    if (this.maxTimestamp < timestamp) return undefined;
    const from = position ?? this.#position((index) => index.entryOfTime(timestamp));
    return this.#search(from, 0, (bytes, at) => readMaxTimestamp(bytes, at) >= timestamp);
  }

  /** Takes over what the file holds as it was left by a clean stop. Throws where it is not as it should be. */
  adopt(fileBytes: number, isIndexStored: boolean, next: number | undefined): void {
    this.bytes = fileBytes;
    this.syncedBytes = fileBytes;
    this.isIndexStored = isIndexStored;
    this.nextOffset = next ?? this.#endOffset();
  }

  /** What a clean stop lets the next start know. */
  get closed(): ClosedSegment {
    const { baseOffset, bytes, nextOffset } = this;
    const maxTimestamp = this.#index?.maxTimestamp ?? this.#maxTimestamp;
    return { baseOffset, bytes, nextOffset, firstTimestamp: this.#firstTimestamp, maxTimestamp };
  }

  /** Takes over what a clean stop has let know: no file is looked at before it is needed. */
  resume({ bytes, nextOffset, firstTimestamp, maxTimestamp }: ClosedSegment): void {
    this.bytes = bytes;
    this.syncedBytes = bytes;
    this.isIndexStored = true;
    this.nextOffset = nextOffset;
    this.#firstTimestamp = firstTimestamp;
    this.#maxTimestamp = maxTimestamp;
  }

  /** Drops the batches from the one that reaches beyond `offset`; the file is cut, so that nothing of them is left. */
  truncateTo(offset: number): void {
    const position = this.find(offset)?.position;
    if (position === undefined) {
      // Compaction may have left a gap up to the next segment, which then was taken for the end of this one.
      this.nextOffset = this.#endOffset();
      return;
    }
    this.#truncations += 1;
    this.#readNext = -1;
    this.#removeIndexFiles();
    this.#index = this.#buildIndex(position);
    this.staleEnd = Math.max(this.staleEnd, this.bytes);
    this.bytes = position;
    this.syncedBytes = Math.min(this.syncedBytes, position);
    this.cut();
    this.nextOffset = this.#endOffset();
    this.#firstTimestamp = undefined;
  }

  /** Cuts off what the file holds behind the last batch. */
  cut(): void {
    if (this.staleEnd <= this.bytes) return;
    this.#files.get(this.path).truncate(this.bytes);
    this.staleEnd = 0;
  }

  /** Begins in a file of its own: a new one, or one that has served before, which it takes over. */
  begin(spare: string | undefined, expectedBytes: number): void {
    if (spare === undefined) {
      this.#files.create(this.path).expect?.(expectedBytes);
      return;
    }
    this.#files.disk.rename(spare, this.path);
    this.#files.renamed(spare, this.path);
    this.staleEnd = this.#files.get(this.path).size;
  }

  /** Gives up its file for another segment. */
  retire(): string {
    this.#removeIndexFiles();
    return this.path;
  }

  /** Writes the two index files of a segment that is complete. */
  storeIndex(): void {
    if (this.isIndexStored) return;
    this.index.seal();
    this.#store(INDEX_SUFFIX, this.index.encodeOffsets(this.baseOffset));
    this.#store(TIME_INDEX_SUFFIX, this.index.encodeTimes(this.baseOffset));
    this.isIndexStored = true;
  }

  /** Every byte of it, and of its index files, on the device. */
  async sync(): Promise<void> {
    const { bytes } = this;
    const truncations = this.#truncations;
    const paths = [this.path];
    if (this.isIndexStored) paths.push(this.pathOf(INDEX_SUFFIX), this.pathOf(TIME_INDEX_SUFFIX));
    await Promise.all(paths.map((path) => this.#files.get(path).sync()));
    // What was written since in the place of something truncated was not there yet.
    if (truncations === this.#truncations) this.syncedBytes = Math.max(this.syncedBytes, bytes);
  }

  /** Forgets the files; whether they are removed is the caller's business. */
  release(): void {
    this.#files.forget(this.path);
    this.#forgetIndexFiles();
  }

  /** The segment goes on after a clean stop: its index lives in memory again, and its files no longer tell all. */
  #reopenIndex(): void {
    const { index } = this;
    this.#removeIndexFiles();
    this.#index = index;
  }

  #removeIndexFiles(): void {
    if (!this.isIndexStored) return;
    this.#forgetIndexFiles();
    for (const suffix of [INDEX_SUFFIX, TIME_INDEX_SUFFIX]) this.#files.disk.remove(this.pathOf(suffix));
    this.isIndexStored = false;
  }

  #forgetIndexFiles(): void {
    this.#files.forget(this.pathOf(INDEX_SUFFIX));
    this.#files.forget(this.pathOf(TIME_INDEX_SUFFIX));
  }

  #store(suffix: string, bytes: Buffer): void {
    writeWhole(this.#files.create(this.pathOf(suffix)), bytes);
  }

  #loadIndex(): SegmentIndex | undefined {
    const [offsets, times] = [INDEX_SUFFIX, TIME_INDEX_SUFFIX].map((suffix) => {
      const file = this.#files.get(this.pathOf(suffix));
      return Buffer.from(file.read(0, file.size));
    });
    const index = SegmentIndex.decode(this.#intervalBytes, this.baseOffset, this.bytes, offsets, times);
    const isBelieved = index?.lastEntries.every((entry) => entry === undefined || this.#isTrue(entry, index));
    return isBelieved ? index : undefined;
  }

  /** Where an entry of the index leads to; an index that does not hold with the segment is made again from it. */
  #position(entryIn: (index: SegmentIndex) => IndexEntry | undefined): number {
    const { index } = this;
    const entry = entryIn(index);
    if (entry === undefined) return 0;
    if (this.isIndexStored && !this.#isTrue(entry, index)) {
      this.#index = this.#buildIndex();
      return entryIn(this.#index)?.position ?? 0;
    }
    return entry.position;
  }

  /** Whether the batch that an entry speaks of is where, and what, the entry says. */
  #isTrue({ position, lastOffset, timestamp }: IndexEntry, index: SegmentIndex): boolean {
    const file = this.#files.get(this.path);
    const isBatch = (bytes: Buffer, at: number): boolean =>
      checkBatch(bytes, 0, this.bytes - at, this.bytes - at) === 0;
    if (position >= this.bytes) return false;
    const header = file.read(position, BATCH_HEADER_BYTES);
    if (!isBatch(header, position)) return false;
    if (timestamp === undefined) return nextOffset(header, 0) - 1 === lastOffset;
    // The batch of a time entry lies at its offset's entry or soon behind it.
    const end = Math.min(this.bytes, position + index.intervalBytes + BATCH_HEADER_BYTES);
    for (let at = position; at < end; ) {
      const bytes = file.read(at, BATCH_HEADER_BYTES);
      if (!isBatch(bytes, at)) return false;
      if (nextOffset(bytes, 0) - 1 === lastOffset) return readMaxTimestamp(bytes, 0) === timestamp;
      at += batchBytes(bytes, 0);
    }
    return false;
  }

  /** From the headers of the batches up to `end`. */
  #buildIndex(end = this.bytes): SegmentIndex {
    const index = new SegmentIndex(this.#intervalBytes);
    this.#search(0, 0, (bytes, at, position) => {
      if (position >= end) return true;
      index.add(position, nextOffset(bytes, at) - 1, readMaxTimestamp(bytes, at));
      return false;
    });
    return index;
  }

  #endOffset(): number {
    let end = this.baseOffset;
    this.#search(this.index.lastPosition, 0, (bytes, at) => {
      end = nextOffset(bytes, at);
      return false;
    });
    return end;
  }

  /**
   * Goes from batch to batch, by their headers, until one is the one. It comes whole, with what follows up to
   * `maxBytes` from its beginning on. A long way takes few reads: where batches are small they are larger and larger,
   * and of those that are larger than a piece little more than the headers is read.
   */
  #search(
    from: number,
    maxBytes: number,
    isIt: (bytes: Buffer, at: number, position: number) => boolean,
  ): Found | undefined {
    // What lies before it is as good as ever.
    if (this.damage !== undefined && from >= this.damage.position) throw this.damage;
    if (from >= this.bytes) return undefined;
    const file = this.#files.get(this.path);
    let step = SEARCH_BYTES;
    let bytes = file.read(from, Math.min(step, this.bytes - from));
    for (let start = from, at = 0; start + at < this.bytes; ) {
      const position = start + at;
      const left = this.bytes - position;
      if (bytes.length - at < BATCH_HEADER_BYTES) {
        step = at - bytes.length < step ? Math.min(2 * step, SEARCH_MAX_BYTES) : SEARCH_BYTES;
        bytes = file.read(position, Math.min(step, left));
        if (bytes.length < BATCH_HEADER_BYTES) this.#damaged(position, 'The file ends there.');
        start = position;
        at = 0;
      }
      const length = this.#soundBytes(bytes, at, position);
      if (!isIt(bytes, at, position)) {
        at += length;
        continue;
      }
      const wanted = Math.max(length, Math.min(maxBytes, left));
      if (at + wanted <= bytes.length) return { bytes, at, position };
      bytes = file.read(position, wanted);
      if (bytes.length < length) this.#damaged(position, 'The file ends before the batch does.');
      return { bytes, at: 0, position };
    }
    return undefined;
  }

  /** A batch's base offset is not under its checksum: it has to go on where the one before has ended. */
  #checkOrder(bytes: Buffer, at: number, position: number, expected: number): void {
    const base = readBaseOffset(bytes, at);
    if (
      base === expected ||
      (this.#gapsAllowed && base > expected && nextOffset(bytes, at) <= this.nextOffset)
    )
      return;
    this.#damaged(position, `The batch there begins at offset ${base}, and should begin at ${expected}.`);
  }

  /** Size of the batch there, of which the header is at hand. */
  #soundBytes(bytes: Buffer, at: number, position: number): number {
    const available = this.bytes - position;
    const fault = checkBatch(bytes, at, available, available);
    return fault === 0 ? batchBytes(bytes, at) : this.#damaged(position, batchFaultSentence(fault));
  }

  #damaged(position: number, sentence: string): never {
    this.damage = new DamagedSegmentError(this.path, position, sentence);
    throw this.damage;
  }
}

/** The place of the segment that holds `offset`, or of the last one before it. */
export function indexOfSegment(segments: readonly Segment[], offset: number): number {
  let low = 0;
  let high = segments.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (segments[middle].baseOffset <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** An index is about to be loaded: the others that were stored need not all stay. */
export function limitIndexes(segments: readonly Segment[], wanted: Segment): void {
  const loaded = segments.filter((segment) => segment.isIndexStored && segment.isIndexLoaded);
  for (const segment of loaded.slice(0, Math.max(0, loaded.length - LOADED_INDEXES_MAX + 1)))
    if (segment !== wanted) segment.forgetIndex();
}
