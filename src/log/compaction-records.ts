import {
  BATCH_HEADER_BYTES,
  batchBytes,
  codecOf,
  RECORD_BYTES_MIN,
  readAttributes,
  readBaseOffset,
  readLastOffsetDelta,
  readRecordCount,
} from './record-batch.ts';
import { CorruptBatchError, UnsupportedCompressionError } from './record-batch-fault.ts';
import type { Decompress } from './record-batch-reader.ts';
import { VarintReader } from './varint-reader.ts';

/** A batch that is stored took less than this when it was produced; what unfolds to more was never produced here. */
const DECOMPRESSED_BYTES_MAX = 64 << 20;

/** The records of a batch, not compressed. Throws where they cannot be had. */
export function sectionOf(bytes: Uint8Array, at: number, decompress: Decompress): Uint8Array {
  const section = bytes.subarray(at + BATCH_HEADER_BYTES, at + batchBytes(bytes, at));
  const codec = codecOf(readAttributes(bytes, at));
  if (codec === 0 || readRecordCount(bytes, at) === 0) return section;
  try {
    return decompress(codec, section, DECOMPRESSED_BYTES_MAX);
  } catch (cause) {
    if (cause instanceof UnsupportedCompressionError) throw cause;
    const base = readBaseOffset(bytes, at);
    throw new CorruptBatchError(`The records of the batch at offset ${base} do not decompress.`, { cause });
  }
}

/** What compaction could not do with a batch, if anything: it needs to read all of it, and a key in every record. */
export function compactionObstacle(
  bytes: Uint8Array,
  at: number,
  decompress: Decompress,
): 'no key' | 'unsupported codec' | 'unreadable' | undefined {
  try {
    const section = sectionOf(bytes, at, decompress);
    let isKeyed = true;
    for (const records = new RecordWalker(section, bytes, at); records.next(); )
      if (records.keyBytes < 0) isKeyed = false;
    return isKeyed ? undefined : 'no key';
  } catch (error) {
    if (error instanceof UnsupportedCompressionError) return 'unsupported codec';
    if (error instanceof CorruptBatchError) return 'unreadable';
    throw error;
  }
}

/**
 * Goes from record to record of one batch, by the lengths that stand in it, and tells where in the section the parts
 * of the present one lie. Nothing is copied or made for a record: compaction only asks for keys.
 */
export class RecordWalker {
  readonly section: Uint8Array;
  readonly #source: VarintReader;
  readonly #count: number;
  readonly #lastDelta: number;
  #index = 0;
  attributes = 0;
  timestampDelta = 0;
  offsetDelta = -1;
  /** What follows the offset delta, from the key's length on. */
  restFrom = 0;
  keyFrom = 0;
  /** -1: the record has no key. */
  keyBytes = -1;
  /** False for a tombstone. */
  hasValue = false;
  end = 0;

  /** `section` holds the records of the batch whose header lies at `at`. */
  constructor(section: Uint8Array, bytes: Uint8Array, at: number) {
    this.section = section;
    this.#source = new VarintReader(section, 0, section.length);
    this.#count = readRecordCount(bytes, at);
    this.#lastDelta = readLastOffsetDelta(bytes, at);
  }

  /** Goes to the next record; false behind the last one. */
  next(): boolean {
    const source = this.#source;
    source.at = this.end;
    source.end = this.section.length;
    if (this.#index === this.#count) {
      if (source.at !== source.end) throw new CorruptBatchError('Bytes remain behind the last record.');
      return false;
    }
    this.#index += 1;
    const length = source.readVarint();
    const end = source.at + length;
    if (length < RECORD_BYTES_MIN - 1 || end > this.section.length)
      throw new CorruptBatchError('A record is shorter than its fields, or longer than its batch.');
    source.end = end;
    this.end = end;
    this.attributes = source.readByte();
    this.timestampDelta = source.readVarlong();
    const offsetDelta = source.readVarint();
    if (offsetDelta <= this.offsetDelta || offsetDelta > this.#lastDelta)
      throw new CorruptBatchError('The offsets of the records are out of order, or beyond the batch.');
    this.offsetDelta = offsetDelta;
    this.restFrom = source.at;
    this.keyBytes = source.readVarint();
    this.keyFrom = source.at;
    source.at += Math.max(0, this.keyBytes);
    const valueBytes = source.readVarint();
    this.hasValue = valueBytes !== -1;
    if (this.keyBytes < -1 || valueBytes < -1 || source.at + valueBytes > end)
      throw new CorruptBatchError('A key or value is longer than its record, or of negative length.');
    return true;
  }
}
