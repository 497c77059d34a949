// What a compacted topic keeps: the last record of each key. The dirty part of a log, which was appended since the last
// compaction, is read once for the last offset of each of its keys; then the whole log up to there is read, oldest
// first, and written anew without the records that a later one of the same key has made superfluous. Offsets stay what
// they were, batches that lose nothing stay byte for byte, and segments that lose nothing are not written at all.
//
// A tombstone, a record without a value, deletes its key. Once everything before it is gone, its batch is given the time
// until which it is kept, for readers that are on their way: delete.retention.ms from then (KIP-534).
//
// All of it works on files that nobody else changes, in slices, and touches none of the log's own: compaction-swap.ts
// says how the result takes their place.

import { decompress } from './codecs.ts';
import { BatchCleaner } from './compaction-batch.ts';
import { KeyOffsets } from './compaction-keys.ts';
import { CleanedSegment } from './compaction-output.ts';
import { RecordWalker, sectionOf } from './compaction-records.ts';
import { type CleanedGroup, dropCleaned } from './compaction-swap.ts';
import type { Disk, DiskFile } from './disk.ts';
import { LOG_SUFFIX, segmentFile } from './file-names.ts';
import {
  batchBytes,
  isControl,
  isTransactional,
  nextOffset,
  readAttributes,
  readBaseOffset,
  readRecordCount,
} from './record-batch.ts';
import { CorruptBatchError, UnsupportedCompressionError } from './record-batch-fault.ts';
import { scan } from './scan.ts';

/** What is read before others have their turn. */
const SLICE_BYTES = 256 * 1024;
/** Indexes hold offsets as distances from a segment's base in 32 bits. */
const OFFSETS_A_SEGMENT_MAX = 2 ** 31 - 1;

export interface SealedSegment {
  readonly baseOffset: number;
  /** The offset after its last batch. */
  readonly nextOffset: number;
  readonly bytes: number;
}

/** Plain data: it goes to another thread. */
export interface CompactionJob {
  readonly directory: string;
  /** All sealed segments from the log's start on, or the first so many of them; none of them empty. */
  readonly segments: readonly SealedSegment[];
  /** The cleaner's checkpoint: below it no key stands twice. */
  readonly firstDirtyOffset: number;
  /** Batches that reach beyond are left alone: they are not committed, or too young. */
  readonly uncleanableFrom: number;
  readonly deleteRetentionMs: number;
  /** Neighbours that have become small are put together, up to this size. */
  readonly segmentBytes: number;
  readonly indexIntervalBytes: number;
  readonly batchBytesMax: number;
  readonly nowMs: number;
  /** By idempotent producer: where its last batch ends. */
  readonly producerEnds: ReadonlyMap<number, number>;
  /** Bounds the memory for keys; where they are more, less of the log is cleaned. */
  readonly mapBytesMax: number;
}

/** A batch that compaction could not read: nothing from there on was cleaned. */
export interface CompactionFault {
  readonly path: string;
  readonly position: number;
  readonly offset: number;
  readonly sentence: string;
  /** The bytes once were sound; otherwise somebody has produced what cannot be read. */
  readonly isDamage: boolean;
}

export interface CompactionResult {
  /** What the cleaner's checkpoint becomes once all groups are in their places. */
  readonly cleanedTo: number;
  /** Oldest first; they are swapped in in this order. */
  readonly groups: readonly CleanedGroup[];
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly recordsDropped: number;
  readonly fault: CompactionFault | undefined;
}

/**
 * Runs a job, and yields how many bytes it has worked through since the last time, after every slice. Whoever stops in
 * the midst of it calls return(), which removes what was written. Throws a DiskError.
 */
export function* compact(disk: Disk, job: CompactionJob): Generator<number, CompactionResult> {
  const groups: CleanedGroup[] = [];
  const compaction = new Compaction(disk, job, groups);
  let isDone = false;
  try {
    const result = yield* compaction.run();
    isDone = true;
    return result;
  } finally {
    if (!isDone) for (const { baseOffset } of groups) dropCleaned(disk, job.directory, baseOffset);
  }
}

type Visit = (bytes: Uint8Array, at: number, position: number) => void;

class Compaction {
  readonly #disk: Disk;
  readonly #job: CompactionJob;
  readonly #groups: CleanedGroup[];
  readonly #keys: KeyOffsets;
  #fault: CompactionFault | undefined;
  /** The fault is in bytes that once were sound, rather than in what somebody produced. */
  #isDamaged = false;
  #bytesRead = 0;
  #bytesWritten = 0;
  /** Ends the walk through the segment under way after the present batch. */
  #isEnough = false;

  constructor(disk: Disk, job: CompactionJob, groups: CleanedGroup[]) {
    this.#disk = disk;
    this.#job = job;
    this.#groups = groups;
    this.#keys = new KeyOffsets(job.mapBytesMax);
  }

  /** Nothing is new: small segments are to be put together. */
  get #isMerge(): boolean {
    return this.#job.uncleanableFrom <= this.#job.firstDirtyOffset;
  }

  *run(): Generator<number, CompactionResult> {
    const { firstDirtyOffset, nowMs, deleteRetentionMs, batchBytesMax, producerEnds } = this.#job;
    let cleanedTo = yield* this.#collectKeys();
    const rules = { keys: this.#keys, cleanedTo, nowMs, deleteRetentionMs, batchBytesMax, producerEnds };
    const cleaner = new BatchCleaner(rules);
    // Damage is to be healed first: what stands there may be the last record of keys whose other ones would go. And a
    // log that could not be read right behind its clean part has nothing new.
    const isWorthwhile = this.#fault === undefined || (!this.#isDamaged && cleanedTo > firstDirtyOffset);
    for (const group of isWorthwhile ? groupSegments(this.#job, cleanedTo) : []) {
      if (yield* this.#cleanGroup(group, cleaner)) continue;
      cleanedTo = firstDirtyOffset;
      break;
    }
    if (this.#isDamaged) cleanedTo = firstDirtyOffset;
    return {
      cleanedTo,
      groups: this.#groups,
      bytesRead: this.#bytesRead,
      bytesWritten: this.#bytesWritten,
      recordsDropped: cleaner.recordsDropped,
      fault: this.#fault,
    };
  }

  /** Gives the end of what can be cleaned: of the dirty part, or of as much of it as its keys have room for. */
  *#collectKeys(): Generator<number, number> {
    const { segments, firstDirtyOffset, uncleanableFrom } = this.#job;
    let end = firstDirtyOffset;
    let isFull = false;
    for (const segment of segments) {
      if (segment.nextOffset <= firstDirtyOffset) continue;
      const isWhole = yield* this.#walk(segment, (bytes, at) => {
        const next = nextOffset(bytes, at);
        if (next <= firstDirtyOffset) return;
        isFull = next > uncleanableFrom || !collectKeysOf(bytes, at, this.#keys);
        this.#isEnough = isFull;
        if (!isFull) end = next;
      });
      if (!isWhole || isFull) break;
    }
    return end;
  }

  /** False where it could not be read; what was written of it is removed then. */
  *#cleanGroup(group: readonly SealedSegment[], cleaner: BatchCleaner): Generator<number, boolean> {
    const [first] = group;
    if (group.length === 1) {
      // Without new keys there is nothing in it that a later record has made superfluous.
      if (this.#isMerge) return true;
      const verdict = yield* this.#judge(first, cleaner);
      if (verdict !== 'changes') return verdict === 'settled';
    }
    const { directory, indexIntervalBytes } = this.#job;
    const last = group[group.length - 1];
    let isDone = false;
    let output: CleanedSegment | undefined;
    try {
      output = new CleanedSegment(this.#disk, directory, first.baseOffset, indexIntervalBytes);
      for (const segment of group) {
        const visit = copyTo(output, cleaner, segment === last ? segment.bytes : -1);
        if (!(yield* this.#walk(segment, visit))) return false;
      }
      output.finish();
      const { nextOffset: next, bytes, firstTimestamp, maxTimestamp } = output;
      const replaced = group.map(({ baseOffset }) => baseOffset);
      const { baseOffset } = first;
      this.#groups.push({ baseOffset, nextOffset: next, replaced, bytes, firstTimestamp, maxTimestamp });
      this.#bytesWritten += bytes;
      isDone = true;
      return true;
    } finally {
      output?.close();
      if (!isDone) dropCleaned(this.#disk, directory, first.baseOffset);
    }
  }

  /** Whether there is anything to do: most segments of a large log are settled, and need not be written again. */
  *#judge(
    segment: SealedSegment,
    cleaner: BatchCleaner,
  ): Generator<number, 'settled' | 'changes' | 'unreadable'> {
    const { recordsDropped } = cleaner;
    let changes = false;
    const isWhole = yield* this.#walk(segment, (bytes, at, position) => {
      const isLast = position + batchBytes(bytes, at) === segment.bytes;
      const isSettled = isLast && readRecordCount(bytes, at) === 0;
      changes = !isSettled && cleaner.judge(bytes, at) !== 'all';
      this.#isEnough = changes;
    });
    // It is judged again when it is written.
    cleaner.recordsDropped = recordsDropped;
    if (changes) return 'changes';
    return isWhole ? 'settled' : 'unreadable';
  }

  /** Visits the batches of a segment until it is enough; false where one cannot be read. */
  *#walk(segment: SealedSegment, visit: Visit): Generator<number, boolean> {
    const path = `${this.#job.directory}/${segmentFile(segment.baseOffset, LOG_SUFFIX)}`;
    const file = this.#disk.open(path);
    this.#isEnough = false;
    try {
      let position = 0;
      let offset = segment.baseOffset;
      while (position < segment.bytes && !this.#isEnough) {
        const slice = this.#slice(file, position, offset, segment.bytes, visit);
        if (slice === undefined) return false;
        this.#bytesRead += slice.position - position;
        yield slice.position - position;
        ({ position, nextOffset: offset } = slice);
      }
      return true;
    } finally {
      file.close();
    }
  }

  #slice(
    file: DiskFile,
    position: number,
    offset: number,
    end: number,
    visit: Visit,
  ): { readonly position: number; readonly nextOffset: number } | undefined {
    const bytesMax = Math.min(SLICE_BYTES, end - position);
    const unreadable: { position: number; offset: number; sentence: string }[] = [];
    const shrunk = (): { position: number; sentence: string } | undefined =>
      file.size >= end
        ? undefined
        : { position: file.size, sentence: `${file.path} ends at byte ${file.size}, and had ${end} bytes.` };
    const result = scan(file, {
      position,
      offset,
      gapsAllowed: true,
      bytesMax,
      batch: (bytes, at, batchPosition) => {
        if (this.#isEnough || unreadable.length > 0) return;
        try {
          visit(bytes, at, batchPosition);
        } catch (error) {
          // Whoever produced it can have written anything under a CRC that matches.
          if (!(error instanceof CorruptBatchError) && !(error instanceof UnsupportedCompressionError))
            throw error;
          const batchOffset = readBaseOffset(bytes, at);
          const sentence = `${file.path}, byte ${batchPosition}, offset ${batchOffset}: ${error.message}`;
          unreadable.push({ position: batchPosition, offset: batchOffset, sentence });
        }
      },
    });
    const damage = this.#isEnough || unreadable.length > 0 ? undefined : (result.fault ?? shrunk());
    if (damage === undefined && unreadable.length === 0) return result;
    this.#isDamaged = damage !== undefined;
    const { path } = file;
    const isDamage = this.#isDamaged;
    const fault = unreadable[0] ?? { ...damage, offset: result.nextOffset };
    this.#fault = {
      path,
      position: fault.position,
      offset: fault.offset,
      sentence: fault.sentence,
      isDamage,
    };
    return undefined;
  }
}

/** What lasts of a batch goes to the output; of the last one of a group, at position `end`, at least its header. */
function copyTo(output: CleanedSegment, cleaner: BatchCleaner, end: number): Visit {
  const take = (bytes: Uint8Array, length: number): void => output.append(bytes, 0, length);
  return (bytes, at, position) => {
    const length = batchBytes(bytes, at);
    const verdict = cleaner.judge(bytes, at);
    if (verdict === 'some') cleaner.encode(bytes, at, take);
    else if (verdict === 'all') output.append(bytes, at, length);
    else if (verdict === 'header') cleaner.encodeEmpty(bytes, at, take);
    else if (position + length === end) {
      if (readRecordCount(bytes, at) === 0) output.append(bytes, at, length);
      else cleaner.encodeEmpty(bytes, at, take);
    }
  };
}

/** False where there is no more room. Throws where the records cannot be read, and has taken none of them then. */
function collectKeysOf(bytes: Uint8Array, at: number, keys: KeyOffsets): boolean {
  const attributes = readAttributes(bytes, at);
  // Nothing may go because of a transaction that perhaps was aborted, nor because of a marker.
  if (isControl(attributes) || isTransactional(attributes)) return true;
  const section = sectionOf(bytes, at, decompress);
  if (!keys.hasRoomFor(readRecordCount(bytes, at), section.length)) return false;
  for (const records = new RecordWalker(section, bytes, at); records.next(); );
  const base = readBaseOffset(bytes, at);
  for (const records = new RecordWalker(section, bytes, at); records.next(); ) {
    if (records.keyBytes >= 0)
      keys.put(section, records.keyFrom, records.keyBytes, base + records.offsetDelta);
  }
  return true;
}

/** Neighbours that are written as one segment. */
export function groupSegments(
  job: Pick<CompactionJob, 'segments' | 'segmentBytes'>,
  cleanedTo: number,
): SealedSegment[][] {
  const groups: SealedSegment[][] = [];
  let group: SealedSegment[] = [];
  let bytes = 0;
  for (const segment of job.segments) {
    if (segment.baseOffset >= cleanedTo) break;
    const [first] = group;
    const fits =
      first !== undefined &&
      bytes + segment.bytes <= job.segmentBytes &&
      segment.nextOffset - first.baseOffset <= OFFSETS_A_SEGMENT_MAX;
    if (!fits) {
      group = [];
      groups.push(group);
      bytes = 0;
    }
    group.push(segment);
    bytes += segment.bytes;
  }
  return groups;
}
