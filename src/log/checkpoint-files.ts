// The small text files that lie beside segments, as Apache Kafka writes them, and how files are replaced whole. None of
// Kafka's formats has a checksum: what damage turns into other well-formed text is not seen here, so whoever uses a value
// holds it against the log.
import { Buffer } from 'node:buffer';
import { type Disk, DiskError, type DiskFile } from './disk.ts';
import type { EpochStart } from './epoch-list.ts';

/** Of each partition: its epochs in `leader-epoch-checkpoint`, its topic's id in this one. */
export const PARTITION_METADATA_FILE = 'partition.metadata';

/** Of each broker's directory. */
export const META_PROPERTIES_FILE = 'meta.properties';
export const CLEAN_SHUTDOWN_FILE = '.kafka_cleanshutdown';
/** Ours: written before the marker of a clean end, and taken away with it. What it says: closed-logs.ts. */
export const CLOSED_LOGS_FILE = 'closed-logs-checkpoint';
export const RECOVERY_POINTS_FILE = 'recovery-point-offset-checkpoint';
export const LOG_STARTS_FILE = 'log-start-offset-checkpoint';
export const HIGH_WATERMARKS_FILE = 'replication-offset-checkpoint';
export const CLEANER_OFFSETS_FILE = 'cleaner-offset-checkpoint';

export interface PartitionOffset {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

export interface MetaProperties {
  readonly clusterId: string;
  readonly nodeId: number;
  /** A uuid as Kafka writes it, as all of ours are: 16 bytes in 22 characters of base64url. */
  readonly directoryId: string;
}

/** A file that does not say what it should. 'newer' is no damage: a later version of Tidemark or Kafka wrote it. */
export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';
  readonly path: string;
  readonly reason: 'damaged' | 'newer';

  constructor(path: string, reason: 'damaged' | 'newer', sentence: string) {
    super(sentence);
    this.path = path;
    this.reason = reason;
  }
}

const INT32_MAX = 2 ** 31 - 1;
const SHOWN_MAX = 60;
const READ_BYTES = 256 * 1024;

function damaged(path: string, line: number, expected: string, found: string | undefined): CheckpointError {
  const printable = found?.replace(/[^ -~]/g, '?');
  const shown = printable === undefined ? 'missing' : `'${printable.slice(0, SHOWN_MAX)}'`;
  return new CheckpointError(
    path,
    'damaged',
    `${path} is damaged: line ${line} should be ${expected}, and is ${shown}.`,
  );
}

function requireVersion(path: string, line: number, expected: string, text: string, known: number): void {
  const prefix = expected.slice(0, -String(known).length);
  const version = text.startsWith(prefix) ? wholeNumber(text.slice(prefix.length), INT32_MAX) : undefined;
  if (version === known) return;
  if (version === undefined || version < known) throw damaged(path, line, `'${expected}'`, text);
  throw newer(path, version, known);
}

function newer(path: string, version: number, known: number): CheckpointError {
  return new CheckpointError(
    path,
    'newer',
    `${path} has version ${version}; this version of Tidemark reads ${known}. Use the version that wrote it.`,
  );
}

/** Only the one way of writing a number that encoders have: no signs, no leading zeros, exact as a number of ours. */
function wholeNumber(text: string | undefined, max: number): number | undefined {
  if (text === undefined || !/^(0|[1-9]\d{0,15})$/.test(text)) return undefined;
  const number = Number(text);
  return number <= max ? number : undefined;
}

function requireWhole(what: string, number: number): void {
  if (!Number.isSafeInteger(number) || number < 0) throw new Error(`${number} is no ${what} to write down`);
}

/** Lines, each with its end; a last line without one was cut off, and comes as one line more than there should be. */
function linesOf(bytes: Uint8Array): string[] {
  const lines = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1').split('\n');
  if (lines.at(-1) === '') lines.pop();
  else lines.push('(no end of line)');
  return lines;
}

function encodeTable(entries: readonly string[]): Buffer {
  return Buffer.from(`0\n${entries.length}\n${entries.map((entry) => `${entry}\n`).join('')}`, 'latin1');
}

function decodeTable<T>(
  path: string,
  bytes: Uint8Array,
  expected: string,
  parse: (fields: readonly string[], before: T | undefined) => T | undefined,
): T[] {
  const lines = linesOf(bytes);
  if (lines.length === 0) throw damaged(path, 1, "the version, '0'", undefined);
  requireVersion(path, 1, '0', lines[0], 0);
  const count = wholeNumber(lines[1], INT32_MAX);
  if (count === undefined) throw damaged(path, 2, 'the number of entries', lines[1]);
  const entries: T[] = [];
  for (let line = 2; line < lines.length && line < count + 2; line++) {
    const entry = parse(lines[line].split(' '), entries.at(-1));
    if (entry === undefined) throw damaged(path, line + 1, expected, lines[line]);
    entries.push(entry);
  }
  if (lines.length > count + 2)
    throw damaged(path, count + 3, `the end after ${count} entries`, lines[count + 2]);
  if (entries.length < count)
    throw damaged(path, lines.length + 1, `${expected}, one of ${count} entries`, undefined);
  return entries;
}

export function encodeEpochs(entries: readonly EpochStart[]): Buffer {
  return encodeTable(
    entries.map(({ epoch, startOffset }) => {
      requireWhole('epoch', epoch);
      requireWhole('offset', startOffset);
      return `${epoch} ${startOffset}`;
    }),
  );
}

export function decodeEpochs(path: string, bytes: Uint8Array): EpochStart[] {
  const expected = "'<epoch> <start offset>', both above those before";
  return decodeTable<EpochStart>(path, bytes, expected, (fields, before) => {
    const epoch = wholeNumber(fields[0], INT32_MAX);
    const startOffset = wholeNumber(fields[1], Number.MAX_SAFE_INTEGER);
    if (epoch === undefined || startOffset === undefined || fields.length !== 2) return undefined;
    const ascends = before === undefined || (epoch > before.epoch && startOffset > before.startOffset);
    return ascends ? { epoch, startOffset } : undefined;
  });
}

/** Any of Kafka's offset checkpoints: recovery points, log starts, high watermarks, the cleaner's offsets. */
export function encodeOffsets(entries: readonly PartitionOffset[]): Buffer {
  return encodeTable(
    entries.map(({ topic, partition, offset }) => {
      if (!isTopic(topic)) throw new Error(`'${topic}' is no topic to write down`);
      requireWhole('partition', partition);
      requireWhole('offset', offset);
      return `${topic} ${partition} ${offset}`;
    }),
  );
}

export function decodeOffsets(path: string, bytes: Uint8Array): PartitionOffset[] {
  const seen = new Set<string>();
  const expected = "'<topic> <partition> <offset>', each partition once";
  return decodeTable<PartitionOffset>(path, bytes, expected, (fields) => {
    const [topic] = fields;
    const partition = wholeNumber(fields[1], INT32_MAX);
    const offset = wholeNumber(fields[2], Number.MAX_SAFE_INTEGER);
    if (!isTopic(topic) || partition === undefined || offset === undefined || fields.length !== 3)
      return undefined;
    const key = `${topic} ${partition}`;
    if (seen.has(key)) return undefined;
    seen.add(key);
    return { topic, partition, offset };
  });
}

function isTopic(text: string): boolean {
  return /^[a-zA-Z0-9._-]{1,249}$/.test(text) && text !== '.' && text !== '..';
}

/** The last of the 22 characters holds two bits alone: the other ways to write those are not ours. */
function isUuid(text: string | undefined): text is string {
  return text !== undefined && /^[a-zA-Z0-9_-]{21}[AQgw]$/.test(text);
}

/** `topicId` as Kafka writes it. */
export function encodePartitionMetadata(topicId: string): Buffer {
  if (!isUuid(topicId)) throw new Error(`'${topicId}' is no topic id to write down`);
  return Buffer.from(`version: 0\ntopic_id: ${topicId}`, 'latin1');
}

/** The topic's id. */
export function decodePartitionMetadata(path: string, bytes: Uint8Array): string {
  // Kafka leaves the last line without its end. There is one length only, so a file that was cut off shows.
  const [version, second, ...more] = Buffer.from(bytes).toString('latin1').split('\n');
  requireVersion(path, 1, 'version: 0', version, 0);
  const topicId = second?.startsWith('topic_id: ') ? second.slice('topic_id: '.length) : undefined;
  if (!isUuid(topicId)) throw damaged(path, 2, "'topic_id: <22 characters of base64url>'", second);
  if (more.length > 0) throw damaged(path, 3, 'the end of the file', more[0]);
  return topicId;
}

export function encodeMetaProperties({ clusterId, nodeId, directoryId }: MetaProperties): Buffer {
  requireWhole('node id', nodeId);
  if (!isClusterId(clusterId) || !isUuid(directoryId))
    throw new Error(`'${clusterId}', '${directoryId}' are no ids to write down`);
  return Buffer.from(
    `version=1\ncluster.id=${clusterId}\nnode.id=${nodeId}\ndirectory.id=${directoryId}\n`,
    'latin1',
  );
}

/** In any order and with comments, which Kafka writes above; but nothing that is not known. */
export function decodeMetaProperties(path: string, bytes: Uint8Array): MetaProperties {
  const values = new Map<string, string>();
  linesOf(bytes).forEach((line, index) => {
    if (line.startsWith('#') || line === '') return;
    const [, key, value] = /^(version|cluster\.id|node\.id|directory\.id)=(.*)$/.exec(line) ?? [];
    if (key === undefined || values.has(key))
      throw damaged(path, index + 1, 'version, cluster.id, node.id or directory.id, each once', line);
    values.set(key, value);
  });
  const version = wholeNumber(values.get('version'), INT32_MAX);
  if (version !== undefined && version > 1) throw newer(path, version, 1);
  const field = (key: string, value: string | undefined): CheckpointError => {
    const found = value === undefined ? 'missing' : `'${value.replace(/[^ -~]/g, '?').slice(0, SHOWN_MAX)}'`;
    return new CheckpointError(path, 'damaged', `${path} is damaged: ${key} is ${found}.`);
  };
  if (version !== 1) throw field('version', values.get('version'));
  const nodeId = wholeNumber(values.get('node.id'), INT32_MAX);
  if (nodeId === undefined) throw field('node.id', values.get('node.id'));
  const clusterId = values.get('cluster.id');
  if (!isClusterId(clusterId)) throw field('cluster.id', clusterId);
  const directoryId = values.get('directory.id');
  if (!isUuid(directoryId)) throw field('directory.id', directoryId);
  return { clusterId, nodeId, directoryId };
}

function isClusterId(text: string | undefined): text is string {
  return text !== undefined && /^[a-zA-Z0-9._-]{1,100}$/.test(text);
}

export function encodeCleanShutdown(brokerEpoch: number): Buffer {
  requireWhole('broker epoch', brokerEpoch);
  return Buffer.from(`{"version":0,"brokerEpoch":${brokerEpoch}}`, 'latin1');
}

/** The epoch of the broker that shut down. */
export function decodeCleanShutdown(path: string, bytes: Uint8Array): number {
  const text = Buffer.from(bytes).toString('latin1');
  const [, versionText, epochText] = /^\{"version":(\d+),"brokerEpoch":(\d+)\}$/.exec(text) ?? [];
  const version = wholeNumber(versionText, INT32_MAX);
  const brokerEpoch = wholeNumber(epochText, Number.MAX_SAFE_INTEGER);
  if (version !== undefined && version > 0) throw newer(path, version, 0);
  if (version === undefined || brokerEpoch === undefined)
    throw damaged(path, 1, `'{"version":0,"brokerEpoch":<number>}'`, text);
  return brokerEpoch;
}

/** All of a file, in memory of its own; undefined where there is none. */
export function readWhole(disk: Disk, path: string): Buffer | undefined {
  let file: DiskFile;
  try {
    file = disk.open(path);
  } catch (error) {
    if (error instanceof DiskError && error.code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const bytes = Buffer.alloc(file.size);
    // In parts, because what a disk reads into stays as large as it once was.
    for (let at = 0; at < bytes.length; at += READ_BYTES) file.read(at, READ_BYTES).copy(bytes, at);
    return bytes;
  } finally {
    file.close();
  }
}

/**
 * The bytes become all of an open file. One that served before is never emptied first: ext4 takes that for the begin of
 * a replacement, and brings it to the device when the file is closed, where nobody asked for it.
 */
export function writeWhole(file: DiskFile, bytes: Uint8Array): void {
  if (bytes.length > 0) file.write(0, [bytes]);
  if (file.size > bytes.length) file.truncate(bytes.length);
}

/** What a file says, by one of the decoders above; undefined where there is none. */
export function readDecoded<T>(
  disk: Disk,
  path: string,
  decode: (path: string, bytes: Uint8Array) => T,
): T | undefined {
  const bytes = readWhole(disk, path);
  return bytes === undefined ? undefined : decode(disk.locate(path), bytes);
}

/** Replacements that wait for the device, by disk and path. */
const replacing = new WeakMap<Disk, Map<string, Promise<void>>>();

function replacingOn(disk: Disk): Map<string, Promise<void>> {
  const known = replacing.get(disk);
  if (known !== undefined) return known;
  const fresh = new Map<string, Promise<void>>();
  replacing.set(disk, fresh);
  return fresh;
}

/**
 * Puts these bytes in the place of a file, durably: whatever happens, the file is the old one or the new one, and the
 * new one once this has resolved. Replacements of the same path follow one another in the order of the calls.
 */
export function replaceFile(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const waiting = replacingOn(disk);
  const before = waiting.get(path);
  const replace = (): Promise<void> => replaceDurably(disk, path, bytes);
  const mine = before === undefined ? replace() : before.then(replace, replace);
  const forget = (): void => {
    if (waiting.get(path) === mine) waiting.delete(path);
  };
  waiting.set(path, mine);
  mine.then(forget, forget);
  return mine;
}

async function replaceDurably(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const temporary = writeTemporary(disk, path, bytes);
  const file = disk.open(temporary);
  try {
    await file.sync();
  } finally {
    file.close();
  }
  disk.rename(temporary, path);
  await disk.syncDirectory(path.slice(0, Math.max(0, path.lastIndexOf('/'))));
}

/**
 * The same without waiting for the device: the file is the old one or the new one after the process was killed, and
 * after a power cut it may be anything.
 */
export function replaceFileNow(disk: Disk, path: string, bytes: Uint8Array): void {
  if (replacingOn(disk).has(path)) throw new Error(`${path} is being replaced durably at this moment`);
  disk.rename(writeTemporary(disk, path, bytes), path);
}

/** Beside the file, under Kafka's name for it. One that was left behind by a crash is written over. */
function writeTemporary(disk: Disk, path: string, bytes: Uint8Array): string {
  const temporary = `${path}.tmp`;
  const file = disk.open(temporary, 'create');
  try {
    writeWhole(file, bytes);
  } finally {
    file.close();
  }
  return temporary;
}
