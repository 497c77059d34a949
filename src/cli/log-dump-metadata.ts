// What the files of a metadata voter hold, as people read it: kinds and records of its log's entries, snapshots, and the
// small files beside them.
import { isUtf8 } from 'node:buffer';
import { crc32c } from '../../native-free/crc32c/index.ts';
import { decodeChecked } from '../log/quorum-store.ts';
import {
  batchBytes,
  CRC_FROM,
  checkBatch,
  readBaseOffset,
  readCrc,
  readLeaderEpoch,
} from '../log/record-batch.ts';
import { CorruptBatchError, UnsupportedCompressionError } from '../log/record-batch-fault.ts';
import { readRecords } from '../log/record-batch-reader.ts';
import type { Output } from './output.ts';

/** A record that is shown, or what else a value holds. */
interface Shown {
  readonly text: string;
  readonly value: unknown;
}

interface KeyedValue {
  readonly key: string;
  readonly value: Uint8Array;
}

/** Of an entry: its kind, and its term. */
const KEY = /^(data|noop|config) (\d+)$/;

const SNAPSHOT_NAME = /^(\d{20})-(\d{10})\.checkpoint$/;

export function isSnapshotFile(name: string): boolean {
  return SNAPSHOT_NAME.test(name);
}

/** A line of text, and one with its checksum. */
export function isCheckedFile(name: string): boolean {
  return name === 'quorum-state' || name === 'voter-id';
}

/**
 * The entry of a batch that is sound: kind and term, and what it says, a line for each metadata record. False where it is
 * none of ours: Kafka's directory has the same name.
 */
export function dumpEntry(bytes: Uint8Array, at: number, withRecords: boolean, output: Output): boolean {
  const [found, ...others] = valuesIn(bytes, at) ?? [];
  const [, kind, term] = KEY.exec(found?.key ?? '') ?? [];
  if (kind === undefined || others.length > 0) return false;
  const shown = linesOf(found.value);
  const index = readBaseOffset(bytes, at);
  const count = kind === 'data' ? `  records ${shown.length}` : '';
  output.line(`  entry ${index}  ${kind}  term ${term}${count}`, {
    index,
    kind,
    term: Number(term),
    ...(withRecords && { content: shown.map(({ value }) => value) }),
  });
  if (withRecords) output.text(shown.map(({ text }) => `    ${text}`));
  return true;
}

/** False where it is damaged. */
export function dumpSnapshot(name: string, bytes: Uint8Array, output: Output): boolean {
  const isSound =
    checkBatch(bytes, 0, bytes.length, bytes.length) === 0 &&
    batchBytes(bytes, 0) === bytes.length &&
    readCrc(bytes, 0) === crc32c(bytes.subarray(CRC_FROM));
  const place = isSound ? { index: readBaseOffset(bytes, 0), term: readLeaderEpoch(bytes, 0) } : undefined;
  const found = isSound ? valuesIn(bytes, 0) : undefined;
  // Index and term are under no checksum: the name holds them a second time, the index behind the snapshot's.
  const [, next, term] = SNAPSHOT_NAME.exec(name) ?? [];
  const isPlaced = place?.index === Number(next) - 1 && place.term === Number(term);
  if (found === undefined || place === undefined || !isPlaced) {
    const sentence =
      'The file is damaged, or no snapshot that Tidemark has written: it is not one batch with its CRC, of the entry and the term in its name.';
    output.line(sentence, { damage: sentence });
    return false;
  }
  output.line(`snapshot of entry ${place.index}  term ${place.term}`, { snapshot: place });
  for (const { key, value } of found)
    for (const { text, value: content } of linesOf(value))
      output.line(`  ${key}  ${text}`, { [key]: content });
  return true;
}

/** False where it is damaged. */
export function dumpChecked(path: string, bytes: Uint8Array, output: Output): boolean {
  const line = decodeChecked(bytes);
  if (line === undefined) {
    const sentence = `${path} is damaged, or not written by Tidemark: its checksum does not hold.`;
    output.line(sentence, { damage: sentence });
    return false;
  }
  for (const { text, value } of linesOf(Buffer.from(line)))
    output.line(text, typeof value === 'object' && value !== null ? value : { value });
  return true;
}

/** Undefined where the batch's CRC is right and its records are none. */
function valuesIn(bytes: Uint8Array, at: number): KeyedValue[] | undefined {
  const found: KeyedValue[] = [];
  try {
    readRecords(bytes, at, at + batchBytes(bytes, at), (_offset, _timestamp, key, value) => {
      found.push({ key: Buffer.from(key ?? []).toString(), value: value ?? new Uint8Array(0) });
    });
    return found;
  } catch (error) {
    if (error instanceof CorruptBatchError || error instanceof UnsupportedCompressionError) return undefined;
    throw error;
  }
}

/** A list of records has a line for each; what is no JSON is shown as text, or as bytes. */
function linesOf(value: Uint8Array): Shown[] {
  if (value.length === 0) return [];
  if (!isUtf8(value)) {
    const hex = Buffer.from(value).toString('hex');
    return [{ text: `0x${hex}`, value: { base64: Buffer.from(value).toString('base64') } }];
  }
  const text = Buffer.from(value).toString();
  try {
    const parsed: unknown = JSON.parse(text);
    return [parsed].flat().map((each) => ({ text: JSON.stringify(each), value: each }));
  } catch {
    return [{ text, value: text }];
  }
}
