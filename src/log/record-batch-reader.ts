// The records of a batch, decoded from bytes that nobody has vouched for, and that may lie in a ring which its
// writer is about to overwrite. (The layout of a record is pictured in record-batch-writer.ts.)
//
// Whatever is handed out is a copy. Copying each key and value into memory of its own costs 260 ns for 256 bytes,
// because an ArrayBuffer is dear to make; a view of an existing one costs 25 ns. So the records are copied in slabs
// of 32 KiB, and keys and values are views of these. The price is retention: who keeps one small value keeps its
// slab alive, and who posts it to another thread copies the slab, but never a whole batch of megabytes. (Node's
// own Buffer pool makes the same bargain.) Slabs of 16 KiB cost 5 ns more a record, those of 64 KiB nothing less.
import { Buffer } from 'node:buffer';
import {
  BATCH_HEADER_BYTES,
  BatchAttribute,
  batchBytes,
  checkBatch,
  codecOf,
  isControl,
  nextOffset,
  RECORD_BYTES_MIN,
  readAttributes,
  readBaseOffset,
  readBaseTimestamp,
  readLastOffsetDelta,
  readMaxTimestamp,
  readRecordCount,
} from './record-batch.ts';
import { batchFaultSentence, CorruptBatchError, UnsupportedCompressionError } from './record-batch-fault.ts';
import { VarintReader } from './varint-reader.ts';

export type DecodedHeader = readonly [name: string, value: Uint8Array | null];

/** Is called once per record, in the order of offsets. Plain arguments, so that the caller makes the one object. */
export type RecordVisitor = (
  offset: number,
  timestamp: number,
  key: Uint8Array | null,
  value: Uint8Array | null,
  headers: readonly DecodedHeader[],
) => void;

/** Decodes at most `limitBytes`, or throws. The result is copied before anybody sees it, so it may be reused memory. */
export type Decompress = (codec: number, bytes: Uint8Array, limitBytes: number) => Uint8Array;

export interface ReadOptions {
  /** Records below are passed over: a fetch may begin in the middle of a batch. */
  readonly fromOffset?: number;
  readonly decompress?: Decompress;
  readonly decompressedBytesMax?: number;
  /** Control records are left out unless asked for, because none of them is for users. */
  readonly includeControl?: boolean;
}

/** A batch of a few KiB can claim to unfold into gigabytes. Sixty-four times the usual largest batch is plenty. */
const DECOMPRESSED_BYTES_MAX = 64 << 20;
const SLAB_BYTES = 32 << 10;
const WORD_BYTES = 8;
const noHeaders: readonly DecodedHeader[] = Object.freeze([]);
const noText = Buffer.alloc(0);
const codecNames = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];

/**
 * Visits the records of the batch at `at`, reading nothing at or beyond `end`, and returns the offset behind the
 * batch. Throws a CorruptBatchError where the bytes are no batch; records before the fault were visited by then,
 * so check the CRC first.
 */
export function readRecords(
  bytes: Uint8Array,
  at: number,
  end: number,
  visit: RecordVisitor,
  options: ReadOptions = {},
): number {
  if (at < 0 || end > bytes.length) throw new RangeError('The batch lies outside of the bytes.');
  // The header is copied before it is judged, so that what was judged is what is used.
  const header = new Uint8Array(BATCH_HEADER_BYTES);
  header.set(bytes.subarray(at, Math.min(end, at + BATCH_HEADER_BYTES)));
  const fault = checkBatch(header, 0, end - at, Number.MAX_SAFE_INTEGER);
  if (fault !== 0) throw new CorruptBatchError(batchFaultSentence(fault));
  const attributes = readAttributes(header, 0);
  const next = nextOffset(header, 0);
  const from = options.fromOffset ?? 0;
  if (from >= next || (isControl(attributes) && options.includeControl !== true)) return next;

  const codec = codecOf(attributes);
  const section = bytes.subarray(at + BATCH_HEADER_BYTES, at + batchBytes(header, 0));
  visitSection(codec === 0 ? section : unfold(codec, section, options), header, from, visit);
  return next;
}

function unfold(codec: number, section: Uint8Array, options: ReadOptions): Uint8Array {
  const { decompress, decompressedBytesMax = DECOMPRESSED_BYTES_MAX } = options;
  if (decompress === undefined) {
    throw new UnsupportedCompressionError(
      `Batches compressed with ${codecNames[codec]} cannot be read here.`,
    );
  }
  let records: Uint8Array;
  try {
    records = decompress(codec, section, decompressedBytesMax);
  } catch (error) {
    if (error instanceof UnsupportedCompressionError) throw error;
    throw new CorruptBatchError(`The records do not decompress with ${codecNames[codec]}.`, { cause: error });
  }
  if (records.length <= decompressedBytesMax) return records;
  throw new CorruptBatchError(`The records decompress to more than ${decompressedBytesMax} bytes.`);
}

function visitSection(section: Uint8Array, header: Uint8Array, from: number, visit: RecordVisitor): void {
  const count = readRecordCount(header, 0);
  const baseOffset = readBaseOffset(header, 0);
  const lastDelta = readLastOffsetDelta(header, 0);
  const baseTimestamp = readBaseTimestamp(header, 0);
  const isAppendTime = (readAttributes(header, 0) & BatchAttribute.LOG_APPEND_TIME) !== 0;
  const appendTime = readMaxTimestamp(header, 0);
  // Deltas are read in place and the rest from a slab, each byte once: a ring that is overwritten meanwhile
  // yields nonsense, and the caller finds out that it was lapped, but nothing is judged and then read anew.
  const source = new VarintReader(section, 0, section.length);
  const slab = new Slab(section);
  let previousDelta = -1;
  for (let index = 0; index < count; index++) {
    source.end = section.length;
    const length = source.readVarint();
    const end = source.at + length;
    if (length < RECORD_BYTES_MIN - 1 || end > section.length) {
      throw new CorruptBatchError('A record is shorter than its fields, or longer than its batch.');
    }
    source.end = end;
    source.readByte();
    const timestampDelta = source.readVarlong();
    const offsetDelta = source.readVarint();
    if (offsetDelta <= previousDelta || offsetDelta > lastDelta) {
      throw new CorruptBatchError('The offsets of the records are out of order, or beyond the batch.');
    }
    previousDelta = offsetDelta;
    if (baseOffset + offsetDelta >= from) {
      slab.moveTo(source.at, end);
      const key = slab.readField();
      const value = slab.readField();
      const headers = slab.readHeaders();
      if (slab.at !== slab.end) throw new CorruptBatchError('A record is longer than its fields.');
      visit(
        baseOffset + offsetDelta,
        isAppendTime ? appendTime : baseTimestamp + timestampDelta,
        key,
        value,
        headers,
      );
    }
    source.at = end;
  }
  if (source.at !== section.length) throw new CorruptBatchError('Bytes remain behind the last record.');
}

/** A private copy of a stretch of the records, and the place in it up to which the present record is read. */
class Slab extends VarintReader {
  readonly #section: Uint8Array;
  #text: Buffer = noText;
  /** The place in the section that the slab's first byte would have; the first few bytes may be padding. */
  #from = 0;
  /** The end in the section of what the slab holds. */
  #to = 0;

  constructor(section: Uint8Array) {
    super(noText, 0, 0);
    this.#section = section;
  }

  /** Goes to the stretch [from, end) of the section; a stretch never lies before the last one. */
  moveTo(from: number, end: number): void {
    if (end > this.#to) this.#fill(from, end);
    this.at = from - this.#from;
    this.end = end - this.#from;
  }

  /** A key, a value or a header's value. */
  readField(): Uint8Array | null {
    const size = this.readVarint();
    if (size === -1) return null;
    const from = this.#pass(size);
    return new Uint8Array(this.bytes.buffer, from, size);
  }

  readHeaders(): readonly DecodedHeader[] {
    const count = this.readVarint();
    if (count === 0) return noHeaders;
    // A header takes two bytes at least; a count that cannot be true must not size an array.
    if (count < 0 || count * 2 > this.end - this.at) {
      throw new CorruptBatchError('The header count of a record does not fit its length.');
    }
    const headers: DecodedHeader[] = [];
    for (let index = 0; index < count; index++) headers.push([this.#readName(), this.readField()]);
    return headers;
  }

  #readName(): string {
    const size = this.readVarint();
    const from = this.#pass(size);
    return this.#text.toString('utf8', from, from + size);
  }

  /** Passes over `size` bytes and returns where they begin. */
  #pass(size: number): number {
    const from = this.at;
    if (size < 0 || size > this.end - from) {
      throw new CorruptBatchError('A key, value or header is longer than its record, or of negative length.');
    }
    this.at = from + size;
    return from;
  }

  #fill(from: number, end: number): void {
    const to = Math.min(this.#section.length, Math.max(end, from + SLAB_BYTES));
    // Shared memory is copied by words only between places that lie alike within their words, and byte by byte,
    // several times slower, between others.
    const shift = (this.#section.byteOffset + from) % WORD_BYTES;
    this.#text = Buffer.allocUnsafeSlow(shift + to - from);
    this.bytes = new Uint8Array(this.#text.buffer);
    this.bytes.set(this.#section.subarray(from, to), shift);
    this.#from = from - shift;
    this.#to = to;
  }
}
