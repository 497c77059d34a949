import { Buffer } from 'node:buffer';
import { crc32c } from '../../native-free/crc32c/index.ts';
import { compress, decompress } from './codecs.ts';
import type { KeyOffsets } from './compaction-keys.ts';
import { RecordWalker, sectionOf } from './compaction-records.ts';
import { copyBytes } from './copy.ts';
import {
  BATCH_HEADER_BYTES,
  BatchAttribute,
  batchBytes,
  CRC_FROM,
  codecOf,
  isControl,
  isTransactional,
  nextOffset,
  readAttributes,
  readBaseOffset,
  readBaseSequence,
  readBaseTimestamp,
  readLeaderEpoch,
  readMaxTimestamp,
  readProducerEpoch,
  readProducerId,
  writeAttributes,
  writeBaseOffset,
  writeBatchHeader,
  writeCrc,
  writeLastOffsetDelta,
  writeLeaderEpoch,
  writeProducer,
} from './record-batch.ts';
import { varintBytes, varlongBytes, writeVarint, writeVarlong } from './varint.ts';

/** Sequence numbers of a producer begin again at 0 behind 2^31 - 1. */
const SEQUENCES = 2 ** 31;
/** A record's length, attributes, and two deltas: at most so many bytes before the key. */
const RECORD_HEAD_BYTES_MAX = 5 + 1 + 10 + 5;
const NO_TIMESTAMP = -1;

export interface CleaningRules {
  /** The last offset of each key between the clean part of the log and `cleanedTo`. */
  readonly keys: KeyOffsets;
  /** Batches that reach beyond are left alone. */
  readonly cleanedTo: number;
  readonly nowMs: number;
  /** For how long a tombstone is kept once everything that it deletes is gone. */
  readonly deleteRetentionMs: number;
  /** A batch that has grown beyond this is cut in two, lest nobody can fetch it. */
  readonly batchBytesMax: number;
  /** By idempotent producer: where its last batch ends. Of that one the header stays, so that its sequence can be told. */
  readonly producerEnds: ReadonlyMap<number, number>;
}

/** What becomes of a batch: it stays byte for byte, it goes, or some of it is encoded anew, which may be the header alone. */
export type Verdict = 'all' | 'none' | 'some' | 'header';

/** Decides record by record what compaction keeps of a batch, and encodes a batch anew that loses some. */
export class BatchCleaner {
  readonly #rules: CleaningRules;
  /** The records of the batch judged last that stay: what of them is encoded anew, and the rest as bytes. */
  #section: Uint8Array = Buffer.alloc(0);
  readonly #attributes: number[] = [];
  readonly #timestampDeltas: number[] = [];
  readonly #offsetDeltas: number[] = [];
  readonly #restFrom: number[] = [];
  readonly #ends: number[] = [];
  /** What the records' timestamps are relative to from now on. */
  #baseTimestamp = 0;
  #setsHorizon = false;
  #out = Buffer.allocUnsafeSlow(BATCH_HEADER_BYTES);
  /** Records that judge() found superfluous. */
  recordsDropped = 0;

  constructor(rules: CleaningRules) {
    this.#rules = rules;
  }

  judge(bytes: Uint8Array, at: number): Verdict {
    const attributes = readAttributes(bytes, at);
    if (nextOffset(bytes, at) > this.#rules.cleanedTo || isControl(attributes)) return 'all';
    const base = readBaseOffset(bytes, at);
    const baseTimestamp = readBaseTimestamp(bytes, at);
    const hasHorizon = (attributes & BatchAttribute.DELETE_HORIZON) !== 0;
    // A transaction may have been aborted, and then what it seemed to delete stands: its tombstones stay.
    const mayExpire = !isTransactional(attributes);
    const isExpired = mayExpire && hasHorizon && this.#rules.nowMs >= baseTimestamp;
    const { keys } = this.#rules;
    this.#clear(sectionOf(bytes, at, decompress));
    const records = new RecordWalker(this.#section, bytes, at);
    let count = 0;
    let hasTombstone = false;
    for (; records.next(); count++) {
      const { keyBytes, keyFrom, hasValue } = records;
      // Compacted topics take no records without a key; one from before it was compacted is never superseded.
      const isKeyed = keyBytes >= 0;
      if (isKeyed && keys.get(records.section, keyFrom, keyBytes) > base + records.offsetDelta) continue;
      const isTombstone = isKeyed && !hasValue;
      if (isTombstone && isExpired) continue;
      hasTombstone ||= isTombstone;
      this.#keep(records);
    }
    const kept = this.#ends.length;
    this.recordsDropped += count - kept;
    if (kept === 0) return this.#isLastOfProducer(bytes, at) ? (count === 0 ? 'all' : 'header') : 'none';
    this.#baseTimestamp = baseTimestamp;
    this.#setsHorizon = hasTombstone && mayExpire && !hasHorizon && this.#moveToHorizon(baseTimestamp);
    return kept === count && !this.#setsHorizon ? 'all' : 'some';
  }

  /** The batch that was judged last, with the records that stay: in one piece, or more if it has grown too large. */
  encode(bytes: Uint8Array, at: number, take: (bytes: Buffer, length: number) => void): void {
    this.#encode(bytes, at, 0, this.#ends.length, readBaseOffset(bytes, at), nextOffset(bytes, at), take);
  }

  /** A batch without records in the place of one: where a log's batches end can be read from its last one. */
  encodeEmpty(bytes: Uint8Array, at: number, take: (bytes: Buffer, length: number) => void): void {
    this.#clear(this.#section);
    this.#finish(bytes, at, 0, BATCH_HEADER_BYTES, NO_TIMESTAMP, NO_TIMESTAMP);
    this.#place(bytes, at, readBaseOffset(bytes, at), nextOffset(bytes, at));
    this.#seal(BATCH_HEADER_BYTES, readAttributes(bytes, at) & BatchAttribute.TRANSACTIONAL, take);
  }

  #isLastOfProducer(bytes: Uint8Array, at: number): boolean {
    const end = this.#rules.producerEnds.get(readProducerId(bytes, at));
    return end !== undefined && end === nextOffset(bytes, at);
  }

  #clear(section: Uint8Array): void {
    this.#section = section;
    for (const list of [
      this.#attributes,
      this.#timestampDeltas,
      this.#offsetDeltas,
      this.#restFrom,
      this.#ends,
    ])
      list.length = 0;
  }

  #keep(records: RecordWalker): void {
    this.#attributes.push(records.attributes);
    this.#timestampDeltas.push(records.timestampDelta);
    this.#offsetDeltas.push(records.offsetDelta);
    this.#restFrom.push(records.restFrom);
    this.#ends.push(records.end);
  }

  /**
   * From now on it is certain that nothing is left of what the tombstones delete, so their time begins to run: the
   * base timestamp becomes its end. False where the timestamps are too strange to be relative to that: such tombstones
   * stay for good.
   */
  #moveToHorizon(baseTimestamp: number): boolean {
    const { nowMs, deleteRetentionMs } = this.#rules;
    const horizonMs = Math.min(nowMs + deleteRetentionMs, Number.MAX_SAFE_INTEGER);
    const shiftMs = baseTimestamp - horizonMs;
    const deltas = this.#timestampDeltas;
    if (!deltas.every((delta) => Number.isSafeInteger(delta) && Number.isSafeInteger(delta + shiftMs)))
      return false;
    for (let index = 0; index < deltas.length; index++) deltas[index] += shiftMs;
    this.#baseTimestamp = horizonMs;
    return true;
  }

  #encode(
    bytes: Uint8Array,
    at: number,
    from: number,
    to: number,
    base: number,
    next: number,
    take: (bytes: Buffer, length: number) => void,
  ): void {
    const attributes = readAttributes(bytes, at);
    const codec = codecOf(attributes);
    const batchBase = readBaseOffset(bytes, at);
    let size = this.#writeRecords(from, to, base - batchBase);
    if (codec !== 0) {
      const packed = compress(codec, this.#out.subarray(BATCH_HEADER_BYTES, size));
      size = BATCH_HEADER_BYTES + packed.length;
      this.#reserve(size);
      this.#out.set(packed, BATCH_HEADER_BYTES);
    }
    if (size > Math.max(this.#rules.batchBytesMax, batchBytes(bytes, at)) && to - from > 1) {
      const middle = (from + to) >>> 1;
      const middleOffset = batchBase + this.#offsetDeltas[middle];
      this.#encode(bytes, at, from, middle, base, middleOffset, take);
      this.#encode(bytes, at, middle, to, middleOffset, next, take);
      return;
    }
    this.#finish(bytes, at, to - from, size, this.#baseTimestamp, this.#maxTimestamp(bytes, at, from, to));
    this.#place(bytes, at, base, next);
    this.#seal(size, this.#setsHorizon ? attributes | BatchAttribute.DELETE_HORIZON : attributes, take);
  }

  /** Writes records behind the place of the header, and returns where they end. */
  #writeRecords(from: number, to: number, firstDelta: number): number {
    const section = this.#section;
    let sizeMax = BATCH_HEADER_BYTES;
    for (let index = from; index < to; index++)
      sizeMax += RECORD_HEAD_BYTES_MAX + this.#ends[index] - this.#restFrom[index];
    this.#reserve(sizeMax);
    const out = this.#out;
    let position = BATCH_HEADER_BYTES;
    for (let index = from; index < to; index++) {
      const timestampDelta = this.#timestampDeltas[index];
      const offsetDelta = this.#offsetDeltas[index] - firstDelta;
      const rest = section.subarray(this.#restFrom[index], this.#ends[index]);
      const length = 1 + varlongBytes(timestampDelta) + varintBytes(offsetDelta) + rest.length;
      position = writeVarint(out, position, length);
      out[position++] = this.#attributes[index];
      position = writeVarlong(out, position, timestampDelta);
      position = writeVarint(out, position, offsetDelta);
      copyBytes(out, position, rest);
      position += rest.length;
    }
    return position;
  }

  #maxTimestamp(bytes: Uint8Array, at: number, from: number, to: number): number {
    const before = readMaxTimestamp(bytes, at);
    if ((readAttributes(bytes, at) & BatchAttribute.LOG_APPEND_TIME) !== 0) return before;
    let max = Number.NEGATIVE_INFINITY;
    for (let index = from; index < to; index++)
      max = Math.max(max, this.#baseTimestamp + this.#timestampDeltas[index]);
    return Number.isSafeInteger(max) ? max : before;
  }

  #reserve(size: number): void {
    if (size <= this.#out.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(size, 2 * this.#out.length));
    this.#out.copy(larger);
    this.#out = larger;
  }

  #finish(
    bytes: Uint8Array,
    at: number,
    count: number,
    size: number,
    baseTimestamp: number,
    max: number,
  ): void {
    writeBatchHeader(this.#out, 0, size, count, baseTimestamp, max);
    writeLeaderEpoch(this.#out, 0, readLeaderEpoch(bytes, at));
  }

  /** The offsets that the batch stands for, and the sequence numbers that go with them. */
  #place(bytes: Uint8Array, at: number, base: number, next: number): void {
    writeBaseOffset(this.#out, 0, base);
    writeLastOffsetDelta(this.#out, 0, next - 1 - base);
    const sequence = readBaseSequence(bytes, at);
    const first = sequence < 0 ? sequence : (sequence + base - readBaseOffset(bytes, at)) % SEQUENCES;
    writeProducer(this.#out, 0, readProducerId(bytes, at), readProducerEpoch(bytes, at), first);
  }

  #seal(size: number, attributes: number, take: (bytes: Buffer, length: number) => void): void {
    writeAttributes(this.#out, 0, attributes);
    writeCrc(this.#out, 0, crc32c(this.#out.subarray(CRC_FROM, size)));
    take(this.#out, size);
  }
}
