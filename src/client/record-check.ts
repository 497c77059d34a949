import { isUint8Array } from 'node:util/types';
import { didYouMean } from '../did-you-mean.ts';
import { isPlainObject, show, TidemarkError } from '../errors.ts';
import { loneBatchBytes } from '../log/record-batch-writer.ts';
import type { HeaderValueInput, RecordInput } from '../types.ts';

/** A batch header and a record's own fields take less than this. */
const OVERHEAD_BYTES = 128;

/** An upper bound of the bytes of a key or value: a UTF-16 unit takes at most three bytes as UTF-8. */
function bytesAtMost(data: Uint8Array | string | null | undefined, what: string): number {
  if (data === null || data === undefined) return 0;
  if (typeof data === 'string') return 3 * data.length;
  if (data instanceof Uint8Array || isUint8Array(data)) return data.length;
  throw new TidemarkError(
    'INVALID_RECORD',
    `A record's ${what} must be a Uint8Array, a string or null; got ${show(data)}. Encode other values first, for example with JSON.stringify.`,
  );
}

function headersAtMost(headers: RecordInput['headers']): number {
  if (headers === undefined) return 0;
  if (!Array.isArray(headers) && !isPlainObject(headers)) {
    throw new TidemarkError(
      'INVALID_RECORD',
      `A record's headers must be an object or an array of [name, value] pairs; got ${show(headers)}.`,
    );
  }
  let bytes = 0;
  for (const pair of Array.isArray(headers) ? headers : Object.entries(headers)) {
    if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== 'string') {
      throw new TidemarkError('INVALID_RECORD', "A record's header must be a pair of a name and a value.");
    }
    bytes += 10 + 3 * pair[0].length + bytesAtMost(pair[1], 'header value');
  }
  return bytes;
}

function ownBytes<T extends Uint8Array | string | null | undefined>(data: T): T | Uint8Array {
  return data === null || data === undefined || typeof data === 'string'
    ? data
    : Uint8Array.from(data as Uint8Array);
}

/** A checked record with bytes of its own, for one that is written later. */
export function snapshotOf({ key, value, headers, timestamp }: RecordInput): RecordInput {
  const pairs = headers === undefined ? [] : Array.isArray(headers) ? headers : Object.entries(headers);
  const own = pairs.map(([name, data]): [string, HeaderValueInput] => [name, ownBytes(data)]);
  return { key: ownBytes(key), value: ownBytes(value), headers: headers && own, timestamp };
}

/** What a topic asks of its records. */
export interface RecordRules {
  /** Of a whole batch. */
  readonly maxBytes: number;
  /** A compacted topic keeps the last record of each key. */
  readonly needsKey: boolean;
}

const FIELDS = ['key', 'value', 'headers', 'timestamp'];
/** What a record that was read has besides: it may be sent on as it is, and goes where its key says. */
const READ_FIELDS = ['topic', 'partition', 'offset'];

/** A misspelt field would be lost in silence, with what it holds. */
export function checkFields(record: RecordInput): void {
  for (const name in record) {
    // Comparisons rather than a list: this is asked of every field of every record.
    if (name !== 'value' && name !== 'key' && name !== 'headers' && name !== 'timestamp')
      checkOtherField(record, name);
  }
}

function checkOtherField(record: RecordInput, name: string): void {
  if (READ_FIELDS.includes(name) && 'partition' in record && 'offset' in record) return;
  const advice =
    name === 'partition'
      ? ' Records go where their key says: give those a key that are to lie in one partition.'
      : `${didYouMean(name, FIELDS)} Known: ${FIELDS.join(', ')}.`;
  throw new TidemarkError('INVALID_RECORD', `A record has no field '${name}'.${advice}`);
}

function refuseForeign(record: unknown): never {
  throw new TidemarkError('INVALID_RECORD', `A record must be an object with a value; got ${show(record)}.`);
}

/**
 * Throws unless the record can be written to the topic; then nothing was written. To look at all fields of each record
 * takes half as long as all the rest: here it is done where one is missing, and of a call's first record by checkFields.
 */
export function checkRecord(record: RecordInput, { maxBytes, needsKey }: RecordRules): void {
  if (record === null || typeof record !== 'object' || Array.isArray(record) || isUint8Array(record))
    refuseForeign(record);
  const { key, value, headers, timestamp } = record;
  if (value === undefined || (record as { partition?: unknown }).partition !== undefined) {
    // A Map or a Date would be taken for a record that says nothing.
    if (value === undefined && key === undefined && !isPlainObject(record)) refuseForeign(record);
    checkFields(record);
  }
  if (needsKey && (key === undefined || key === null)) {
    throw new TidemarkError(
      'INVALID_RECORD',
      'A record needs a key here: the topic is compacted, which keeps the last record of each key. Give it one, or create the topic with cleanup.policy delete.',
    );
  }
  const bytes =
    OVERHEAD_BYTES + bytesAtMost(key, 'key') + bytesAtMost(value, 'value') + headersAtMost(headers);
  if (timestamp !== undefined && !Number.isSafeInteger(timestamp)) {
    throw new TidemarkError(
      'INVALID_RECORD',
      `A record's timestamp must be a whole number of milliseconds since 1970; got ${show(timestamp)}.`,
    );
  }
  if (bytes <= maxBytes) return;
  const exact = loneBatchBytes(key, value, headers);
  if (exact <= maxBytes) return;
  throw new TidemarkError(
    'MESSAGE_TOO_LARGE',
    `The record takes ${exact} bytes, and the topic's max.message.bytes is ${maxBytes}. Split it, or create the topic with a larger max.message.bytes.`,
  );
}
