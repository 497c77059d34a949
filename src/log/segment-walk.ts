// Goes through a segment file from end to end, whatever has happened to it: where a scan stops at a fault, this looks
// for the next batch that is sound, and says what lies between.
import type { DiskFile } from './disk.ts';
import {
  BATCH_HEADER_BYTES,
  batchBytes,
  checkBatch,
  nextOffset,
  readBaseOffset,
  readLastOffsetDelta,
  readLeaderEpoch,
  readMaxTimestamp,
  readRecordCount,
} from './record-batch.ts';
import { findSoundBatch, type ScanFault, scan } from './scan.ts';

export interface Damage {
  /**
   * 'lost': something that is no batch, or nothing, where offsets should be, and sound batches behind it. 'end': the
   * same with nothing sound behind it. 'offset', 'epoch': a batch that is sound but for this number, which its CRC
   * does not cover, and which the batches around it tell. 'overlap': the next segment begins before this one ends.
   */
  readonly kind: 'lost' | 'end' | 'offset' | 'epoch' | 'overlap';
  readonly position: number;
  readonly bytes: number;
  /** The offsets that are concerned, from the first to behind the last; the end is -1 where nobody can tell it. */
  readonly fromOffset: number;
  readonly toOffset: number;
  /** Of an 'offset' or 'epoch': what the number should be. */
  readonly rightNumber: number;
  /** Of the batch before; -1 where there is none. */
  readonly epochBefore: number;
  readonly sentence: string;
}

export interface WalkOptions {
  readonly baseOffset: number;
  /** Where the next segment begins; undefined of a log's last segment, which may hold more than was written to it. */
  readonly endOffset: number | undefined;
  readonly gapsAllowed: boolean;
  /** As a scan's. */
  readonly batch?: (bytes: Uint8Array, at: number, position: number) => void;
  readonly damage?: (damage: Damage) => void;
  /** After every few megabytes; false ends the walk. */
  readonly goOn?: (position: number) => boolean;
}

export interface WalkResult {
  readonly fileBytes: number;
  /** In sound batches. */
  readonly soundBytes: number;
  readonly batches: number;
  readonly records: number;
  readonly nextOffset: number;
  readonly maxTimestamp: number;
  readonly lastEpoch: number;
  /** Room behind the last batch of a file that was preallocated or recycled. */
  readonly unusedBytes: number;
  readonly damages: readonly Damage[];
}

const PIECE_BYTES = 4 << 20;

/** What is remembered of a batch until the one after it was seen. */
interface Seen {
  readonly position: number;
  readonly size: number;
  readonly base: number;
  readonly next: number;
  readonly epoch: number;
}

export function walkSegment(file: DiskFile, options: WalkOptions): WalkResult {
  return new Walk(file, options).run();
}

class Walk implements WalkResult {
  readonly #file: DiskFile;
  readonly #options: WalkOptions;
  readonly damages: Damage[] = [];
  readonly fileBytes: number;
  soundBytes = 0;
  batches = 0;
  records = 0;
  nextOffset: number;
  maxTimestamp = -1;
  lastEpoch = -1;
  unusedBytes = 0;
  #position = 0;
  #previous: Seen | undefined;
  #beforePrevious: Seen | undefined;

  constructor(file: DiskFile, options: WalkOptions) {
    this.#file = file;
    this.#options = options;
    this.fileBytes = file.size;
    this.nextOffset = options.baseOffset;
  }

  run(): WalkResult {
    const { goOn = () => true } = this.#options;
    let isOver = false;
    while (!isOver && this.#position < this.fileBytes) {
      const { fault } = this.#scan(PIECE_BYTES);
      isOver = fault !== undefined && !this.#passOver(fault);
      if (!goOn(this.#position)) return this.#result();
    }
    this.#meetNextSegment();
    return this.#result();
  }

  #result(): WalkResult {
    const { fileBytes, soundBytes, batches, records, nextOffset, maxTimestamp, lastEpoch } = this;
    const damages = [...this.damages].sort((one, other) => one.position - other.position);
    const { unusedBytes } = this;
    return {
      fileBytes,
      soundBytes,
      batches,
      records,
      nextOffset,
      maxTimestamp,
      lastEpoch,
      unusedBytes,
      damages,
    };
  }

  #scan(bytesMax: number): { fault: ScanFault | undefined } {
    const result = scan(this.#file, {
      position: this.#position,
      offset: this.nextOffset,
      gapsAllowed: this.#options.gapsAllowed,
      bytesMax,
      batch: (bytes, at, position) => {
        const base = readBaseOffset(bytes, at);
        this.#options.batch?.(bytes, at, position);
        this.#note(bytes, at, position, base);
      },
    });
    this.#position = result.position;
    this.nextOffset = result.nextOffset;
    return result;
  }

  #note(bytes: Uint8Array, at: number, position: number, base: number): void {
    const size = batchBytes(bytes, at);
    const next = base + readLastOffsetDelta(bytes, at) + 1;
    const epoch = this.#checkEpoch(readLeaderEpoch(bytes, at), { position, size, base, next, epoch: 0 });
    this.#beforePrevious = this.#previous;
    this.#previous = { position, size, base, next, epoch };
    this.lastEpoch = epoch;
    this.soundBytes += size;
    this.batches += 1;
    this.records += readRecordCount(bytes, at);
    this.maxTimestamp = Math.max(this.maxTimestamp, readMaxTimestamp(bytes, at));
  }

  /** Epochs ascend. Where one goes back, the batch before it is wrong if those around it agree without it. */
  #checkEpoch(epoch: number, batch: Seen): number {
    const previous = this.#previous;
    if (previous === undefined || epoch >= previous.epoch) return epoch;
    const isPreviousWrong = (this.#beforePrevious?.epoch ?? -1) <= epoch;
    const wrong = isPreviousWrong ? previous : batch;
    const [found, right] = isPreviousWrong ? [previous.epoch, epoch] : [epoch, previous.epoch];
    const sentence = `The batch has leader epoch ${found}, where the batches around it have ${right}.`;
    this.#add('epoch', wrong.position, 0, wrong.base, wrong.next, sentence, right);
    return isPreviousWrong ? epoch : previous.epoch;
  }

  /** Finds where sound batches go on; false where that is nowhere. */
  #passOver(fault: ScanFault): boolean {
    // The walk itself judges epochs, and goes on with the same batch.
    if (fault.kind === 'epoch') return true;
    const isLast = this.#options.endOffset === undefined;
    if (fault.kind === 'end-mark' && isLast) return this.#stopUnused();
    if (fault.kind === 'offset' && this.#renumber()) return true;
    const found = this.#findNext();
    if (found === undefined) {
      // Older batches stand in a recycled file to which nothing was written yet.
      if (fault.kind === 'offset' && isLast) return this.#stopUnused();
      this.#add(
        'end',
        this.#position,
        this.fileBytes - this.#position,
        this.nextOffset,
        this.#claimedEnd(),
        fault.reason,
      );
      this.nextOffset = Math.max(this.nextOffset, this.#options.endOffset ?? 0);
      this.#position = this.fileBytes;
      return false;
    }
    this.#lose(found, this.#rightBase(found), fault.reason);
    return true;
  }

  /**
   * The next sound batch. Where bytes are lost offsets are too, so one that claims the very next offset has lost a part
   * of its number to the damage.
   */
  #findNext(): number | undefined {
    let found: number | undefined = this.#position;
    do {
      found = findSoundBatch(this.#file, found + 1, this.nextOffset);
    } while (found !== undefined && this.#rightBase(found) <= this.nextOffset);
    return found;
  }

  /** Where a batch behind damage begins: as it says, unless the two behind it, or the next segment, know better. */
  #rightBase(position: number): number {
    const header = this.#header(position);
    const base = readBaseOffset(header, 0);
    const span = nextOffset(header, 0) - base;
    const followingAt = position + batchBytes(header, 0);
    const following = this.#followingBase(followingAt);
    if (this.#options.gapsAllowed || following === undefined || following === base + span) return base;
    if (followingAt < this.fileBytes) {
      const second = this.#header(followingAt);
      const third = this.#followingBase(followingAt + batchBytes(second, 0));
      if (third !== nextOffset(second, 0)) return base;
    }
    return following - span;
  }

  #stopUnused(): boolean {
    this.unusedBytes = this.fileBytes - this.#position;
    this.#position = this.fileBytes;
    return false;
  }

  /** A batch that is sound in itself and does not begin where it should: who is wrong, its number or those before it? */
  #renumber(): boolean {
    const position = this.#position;
    const expected = this.nextOffset;
    let base = -1;
    let span = 0;
    const alone = scan(this.#file, {
      position,
      offset: 0,
      gapsAllowed: true,
      bytesMax: 1,
      batch: (bytes, at) => {
        base = readBaseOffset(bytes, at);
        span = nextOffset(bytes, at) - base;
      },
    });
    if (alone.batches === 0) return false;
    const following = this.#followingBase(alone.position);
    // Behind nothing else stands what is older: only a recycled file begins with that.
    const fits = following === undefined ? position > 0 || base > expected : following === expected + span;
    if (!this.#options.gapsAllowed && fits) {
      const sentence = `The batch begins at offset ${base}, where the batches around it leave room for ${expected} only.`;
      this.#add('offset', position, 0, expected, expected + span, sentence, expected);
      const header = this.#header(position);
      this.#note(header, 0, position, expected);
      this.nextOffset = expected + span;
      this.#position = alone.position;
      return true;
    }
    const previous = this.#previous;
    if (base < expected && this.#options.gapsAllowed && previous !== undefined) {
      const start = this.#beforePrevious?.next ?? this.#options.baseOffset;
      if (previous.next !== expected || base < start || previous.base <= base) return false;
      // Where gaps are allowed, a batch with too large a number shows by the one after it.
      this.#position = previous.position;
      this.soundBytes -= previous.size;
      this.batches -= 1;
      this.nextOffset = start;
      this.#previous = this.#beforePrevious;
      this.#lose(
        position,
        base,
        `The batch begins at offset ${previous.base}, and the one after it at ${base}.`,
      );
      return true;
    }
    if (base < expected) return false;
    this.#lose(position, base, `The batch begins at offset ${base}, where ${expected} was expected.`);
    return true;
  }

  /** Where the batch at `position` begins, or the next segment; undefined where there is none. */
  #followingBase(position: number): number | undefined {
    if (position >= this.fileBytes) return this.#options.endOffset;
    const header = this.#header(position);
    const isBatch = checkBatch(header, 0, this.fileBytes - position, Number.MAX_SAFE_INTEGER) === 0;
    return isBatch ? readBaseOffset(header, 0) : undefined;
  }

  /** What the header of a batch that is not sound says of its end, if it can be believed. */
  #claimedEnd(): number {
    const { endOffset } = this.#options;
    if (endOffset !== undefined) return endOffset;
    const header = this.#header(this.#position);
    const isSane =
      header.length === BATCH_HEADER_BYTES &&
      checkBatch(header, 0, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER) === 0 &&
      readBaseOffset(header, 0) === this.nextOffset;
    return isSane ? nextOffset(header, 0) : -1;
  }

  #header(position: number): Uint8Array {
    return Uint8Array.from(this.#file.read(position, BATCH_HEADER_BYTES));
  }

  #lose(to: number, toOffset: number, sentence: string): void {
    this.#add('lost', this.#position, to - this.#position, this.nextOffset, toOffset, sentence);
    this.#position = to;
    this.nextOffset = toOffset;
  }

  #meetNextSegment(): void {
    const { endOffset, gapsAllowed } = this.#options;
    if (endOffset === undefined || this.nextOffset === endOffset) return;
    const [from, to] = [this.nextOffset, endOffset];
    if (from > to) {
      const sentence = `The segment ends at offset ${from}, and the next one begins at ${to}.`;
      this.#add('overlap', this.fileBytes, 0, to, from, sentence);
    } else if (!gapsAllowed) {
      const sentence = `The segment ends at offset ${from}, and the next one begins at ${to}.`;
      this.#add('lost', this.fileBytes, 0, from, to, sentence);
    }
  }

  #add(
    kind: Damage['kind'],
    position: number,
    bytes: number,
    fromOffset: number,
    toOffset: number,
    sentence: string,
    rightNumber = -1,
  ): void {
    const epochBefore = this.lastEpoch;
    const damage = { kind, position, bytes, fromOffset, toOffset, rightNumber, epochBefore, sentence };
    this.damages.push(damage);
    this.#options.damage?.(damage);
  }
}
