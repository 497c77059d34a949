// A producer's accumulator for one partition: records in, the bytes of one uncompressed RecordBatch out.
//
//    record:  length          varint    of all that follows
//             attributes      i8        0, none is defined
//             timestamp delta varlong   to the batch's first record; may be negative
//             offset delta    varint    0, 1, 2 ...
//             key             varint length, bytes; length -1 is null
//             value           varint length, bytes; length -1 is null, a tombstone
//             headers         varint count, then per header: varint length, UTF-8 name; varint length, bytes
//
// One thread owns a writer. Its memory is private: the finished bytes are copied once, to where they are wanted.
import { Buffer } from 'node:buffer';
import { types } from 'node:util';
import type { HeadersInput, HeaderValueInput } from '../types.ts';
import {
  BATCH_HEADER_BYTES,
  CRC_FROM,
  writeAttributes,
  writeBatchHeader,
  writeCrc,
  writeProducer,
} from './record-batch.ts';
import { varintBytes, varlongBytes, writeVarint, writeVarlong } from './varint.ts';

type HeaderPair = readonly [name: string, value: RecordData];

/** What a key, a value or a header's value may be. Strings become UTF-8. */
export type RecordData = HeaderValueInput | undefined;

/** Of an idle partition's writer, which grows only once records come. */
const INITIAL_BYTES = 1024;
/** Up to here a loop over the bytes beats the call that copies or encodes them (measured on Node 20). */
const SHORT_DATA_BYTES = 8;
const SHORT_TEXT_BYTES = 16;

export class BatchWriter {
  readonly capacityBytes: number;
  #bytes: Uint8Array;
  /** The same memory as #bytes: only a Buffer can write strings at a position. */
  #text: Buffer;
  /** Position behind the last whole record. What lies beyond it is scratch. */
  #end = BATCH_HEADER_BYTES;
  #count = 0;
  #baseTimestamp = 0;
  #maxTimestamp = 0;
  #attributes = 0;
  #producerId = -1;
  #producerEpoch = -1;
  #baseSequence = -1;

  constructor(capacityBytes: number) {
    if (
      !Number.isInteger(capacityBytes) ||
      capacityBytes < BATCH_HEADER_BYTES ||
      capacityBytes > 0x7fffffff
    ) {
      throw new RangeError(
        `A batch holds between ${BATCH_HEADER_BYTES} bytes and 2 GiB, not ${capacityBytes}.`,
      );
    }
    this.capacityBytes = capacityBytes;
    this.#text = Buffer.allocUnsafeSlow(Math.min(INITIAL_BYTES, capacityBytes));
    this.#bytes = new Uint8Array(this.#text.buffer);
  }

  /** Records so far. */
  get count(): number {
    return this.#count;
  }

  /** Size so far, header included. */
  get bytes(): number {
    return this.#end;
  }

  /** Of memory, which records make grow. */
  get allocatedBytes(): number {
    return this.#bytes.length;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /**
   * Adds a record, or returns false and leaves the batch as it was, because the record does not fit: not in this
   * batch if it holds others, in no batch of this capacity if it is empty. Throws a TypeError on data or a timestamp
   * of the wrong kind.
   */
  tryAppend(timestampMs: number, key: RecordData, value: RecordData, headers?: HeadersInput): boolean {
    const count = this.#count;
    if (count === 0) this.#baseTimestamp = checkedTimestamp(timestampMs);
    const timestampDelta = timestampMs - this.#baseTimestamp;
    // A delta that is no exact integer comes of a bad timestamp, or of two good ones too far apart for one batch.
    if (!Number.isSafeInteger(timestampDelta)) {
      checkedTimestamp(timestampMs);
      return false;
    }
    const keyBytes = dataBytes(key);
    const valueBytes = dataBytes(value);
    const pairs = headers === undefined ? noHeaders : headerPairs(headers);
    const body =
      1 +
      varlongBytes(timestampDelta) +
      varintBytes(count) +
      fieldBytes(keyBytes) +
      fieldBytes(valueBytes) +
      (pairs.length === 0 ? 1 : headersBytes(pairs));
    const start = this.#end;
    const end = start + varintBytes(body) + body;
    if (end > this.#bytes.length && !this.#grow(end)) return false;

    const bytes = this.#bytes;
    let at = writeVarint(bytes, start, body);
    bytes[at++] = 0;
    at = writeVarlong(bytes, at, timestampDelta);
    at = writeVarint(bytes, at, count);
    at = this.#writeField(at, key, keyBytes);
    at = this.#writeField(at, value, valueBytes);
    if (pairs.length === 0) bytes[at] = 0;
    else this.#writeHeaders(at, pairs);
    if (count === 0 || timestampMs > this.#maxTimestamp) this.#maxTimestamp = timestampMs;
    this.#end = end;
    this.#count = count + 1;
    return true;
  }

  /** Stamps the producer of an idempotent batch; holds until reset. */
  setProducer(id: number, epoch: number, baseSequence: number): void {
    this.#producerId = id;
    this.#producerEpoch = epoch;
    this.#baseSequence = baseSequence;
  }

  /** Sets the header's attribute bits, such as BatchAttribute.TRANSACTIONAL; holds until reset. */
  setAttributes(attributes: number): void {
    this.#attributes = attributes;
  }

  /**
   * Writes the header and returns the batch's size. The CRC field is left 0: the caller copies the bytes into
   * shared memory and computes it there. Records may still be added, and finish be called again.
   */
  finish(): number {
    if (this.#count === 0) throw new Error('A batch without records cannot be finished.');
    const bytes = this.#bytes;
    writeBatchHeader(bytes, 0, this.#end, this.#count, this.#baseTimestamp, this.#maxTimestamp);
    writeAttributes(bytes, 0, this.#attributes);
    writeProducer(bytes, 0, this.#producerId, this.#producerEpoch, this.#baseSequence);
    return this.#end;
  }

  /** As finish, with the CRC in place, for users without a kernel. */
  finishWithCrc(crc32c: (bytes: Uint8Array) => number): number {
    const size = this.finish();
    writeCrc(this.#bytes, 0, crc32c(this.#bytes.subarray(CRC_FROM, size)));
    return size;
  }

  /** The encoded batch, valid until the next append or reset: the memory is reused. */
  bytesView(): Uint8Array {
    return this.#bytes.subarray(0, this.#end);
  }

  /** Forgets records, producer and attributes, and keeps the memory. */
  reset(): void {
    this.#end = BATCH_HEADER_BYTES;
    this.#count = 0;
    this.#attributes = 0;
    this.setProducer(-1, -1, -1);
  }

  #grow(needed: number): boolean {
    if (needed > this.capacityBytes) return false;
    const doubled = Math.max(needed, this.#bytes.length * 2);
    const text = Buffer.allocUnsafeSlow(Math.min(this.capacityBytes, doubled));
    const bytes = new Uint8Array(text.buffer);
    bytes.set(this.bytesView());
    this.#text = text;
    this.#bytes = bytes;
    return true;
  }

  #writeField(at: number, data: RecordData, size: number): number {
    const bytes = this.#bytes;
    const from = writeVarint(bytes, at, size);
    if (data === null || data === undefined) return from;
    if (typeof data === 'string') this.#writeText(from, data, size);
    else if (size > SHORT_DATA_BYTES) bytes.set(data, from);
    else for (let index = 0; index < size; index++) bytes[from + index] = data[index];
    return from + size;
  }

  #writeText(from: number, text: string, size: number): void {
    if (size !== text.length) {
      this.#text.write(text, from, size, 'utf8');
    } else if (size > SHORT_TEXT_BYTES) {
      // As many bytes as characters means that all of them are ASCII.
      this.#text.write(text, from, size, 'latin1');
    } else {
      const bytes = this.#bytes;
      for (let index = 0; index < size; index++) bytes[from + index] = text.charCodeAt(index);
    }
  }

  #writeHeaders(from: number, pairs: readonly HeaderPair[]): void {
    let at = writeVarint(this.#bytes, from, pairs.length);
    for (const [name, value] of pairs) {
      at = this.#writeField(at, name, dataBytes(name));
      at = this.#writeField(at, value, dataBytes(value));
    }
  }
}

/** Size of a batch that holds this record and no other: what is held against max.message.bytes. */
export function loneBatchBytes(key: RecordData, value: RecordData, headers?: HeadersInput): number {
  const pairs = headers === undefined ? noHeaders : headerPairs(headers);
  // Attributes and both deltas take one byte each in a batch's first record.
  const body = 3 + fieldBytes(dataBytes(key)) + fieldBytes(dataBytes(value)) + headersBytes(pairs);
  return BATCH_HEADER_BYTES + varintBytes(body) + body;
}

const noHeaders: readonly HeaderPair[] = [];

function headerPairs(headers: HeadersInput): readonly HeaderPair[] {
  if (Array.isArray(headers)) return headers;
  const named = headers as Readonly<Record<string, RecordData>>;
  // Object.entries would take 80 ns longer.
  return Object.keys(named).map((name) => [name, named[name]]);
}

function headersBytes(pairs: readonly HeaderPair[]): number {
  let size = varintBytes(pairs.length);
  for (const [name, value] of pairs) {
    if (typeof name !== 'string') throw new TypeError('The name of a record header must be a string.');
    size += fieldBytes(dataBytes(name)) + fieldBytes(dataBytes(value));
  }
  return size;
}

/** Bytes of a key, value or header as stored, or -1 for null. */
function dataBytes(data: RecordData): number {
  if (data === null || data === undefined) return -1;
  if (typeof data === 'string') return Buffer.byteLength(data);
  // Test runners and vm contexts hand in a Uint8Array of another realm, which instanceof does not know.
  if (data instanceof Uint8Array || types.isUint8Array(data)) return (data as Uint8Array).length;
  throw new TypeError('A record key, value or header must be a Uint8Array, a string or null.');
}

function fieldBytes(size: number): number {
  return varintBytes(size) + Math.max(size, 0);
}

function checkedTimestamp(timestampMs: number): number {
  if (Number.isSafeInteger(timestampMs)) return timestampMs;
  throw new TypeError('A record timestamp must be a whole number of milliseconds.');
}
