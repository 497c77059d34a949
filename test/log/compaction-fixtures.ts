import * as assert from 'uvu/assert';
import { crc32c } from '../../native-free/crc32c/index.ts';
import { compress, decompress } from '../../src/log/codecs.ts';
import {
  type CompactionJob,
  type CompactionResult,
  compact,
  type SealedSegment,
} from '../../src/log/compaction.ts';
import { type CleanedGroup, type SwapOwner, swapIn } from '../../src/log/compaction-swap.ts';
import type { Disk } from '../../src/log/disk.ts';
import {
  baseOffsetOf,
  INDEX_SUFFIX,
  LOG_SUFFIX,
  segmentFile,
  TIME_INDEX_SUFFIX,
} from '../../src/log/file-names.ts';
import {
  BATCH_HEADER_BYTES,
  BatchAttribute,
  batchBytes,
  CRC_FROM,
  nextOffset,
  readAttributes,
  readBaseOffset,
  readBaseTimestamp,
  writeAttributes,
  writeCrc,
} from '../../src/log/record-batch.ts';
import { type SegmentScan, scanSegment } from '../../src/log/segment-scan.ts';
import { encodeBatch, readBatch } from './record-batch-fixtures.ts';

export const DIRECTORY = 'topic-0';
export const INTERVAL_BYTES = 200;
export const NOW_MS = 1_700_000_000_000;

/** A value of null is a tombstone; a key of null is no key. */
export interface Put {
  readonly key: string | null;
  readonly value: string | null;
}

export interface StoredRecord extends Put {
  readonly offset: number;
  readonly timestamp: number;
  readonly headers: string;
}

export interface StoredBatch {
  readonly baseOffset: number;
  readonly nextOffset: number;
  readonly attributes: number;
  readonly baseTimestamp: number;
  readonly bytes: Buffer;
  readonly records: readonly StoredRecord[];
}

export interface BatchShape {
  readonly codec?: number;
  readonly attributes?: number;
  readonly producer?: readonly [id: number, epoch: number, sequence: number];
}

/** A batch as it lies in a log. */
export function batchOf(base: number, puts: readonly Put[], shape: BatchShape = {}): Buffer {
  const { codec = 0, attributes = 0, producer } = shape;
  const records = puts.map(({ key, value }, index) => ({
    timestamp: NOW_MS + base + index,
    key: key === null ? null : Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    headers: base % 3 === 0 ? ([['h', Buffer.from([index])]] as const) : [],
  }));
  const plain = encodeBatch(records, { baseOffset: base, leaderEpoch: 3, attributes, producer });
  if (codec === 0) return Buffer.from(plain);
  const packed = compress(codec, plain.subarray(BATCH_HEADER_BYTES));
  const bytes = Buffer.concat([plain.subarray(0, BATCH_HEADER_BYTES), packed]);
  bytes.writeInt32BE(bytes.length - 12, 8);
  writeAttributes(bytes, 0, attributes | codec);
  return sealed(bytes);
}

export function sealed(bytes: Buffer): Buffer {
  writeCrc(bytes, 0, crc32c(bytes.subarray(CRC_FROM)));
  return bytes;
}

/** Writes segments, each a list of batches, with their indexes; gives them as jobs want them. */
export function writeSegments(disk: Disk, segments: readonly (readonly Buffer[])[]): void {
  disk.makeDirectory(DIRECTORY);
  for (const batches of segments) {
    const base = readBaseOffset(batches[0], 0);
    const file = disk.open(`${DIRECTORY}/${segmentFile(base, LOG_SUFFIX)}`, 'create');
    file.write(0, batches);
    file.close();
    const { offsets, times } = scanned(disk, base);
    writeFile(disk, base, INDEX_SUFFIX, offsets);
    writeFile(disk, base, TIME_INDEX_SUFFIX, times);
  }
}

function writeFile(disk: Disk, base: number, suffix: string, bytes: Uint8Array): void {
  const file = disk.open(`${DIRECTORY}/${segmentFile(base, suffix)}`, 'create');
  file.write(0, [bytes]);
  file.close();
}

function readFile(disk: Disk, base: number, suffix: string): Buffer {
  const file = disk.open(`${DIRECTORY}/${segmentFile(base, suffix)}`);
  const bytes = Buffer.from(file.read(0, file.size));
  file.close();
  return bytes;
}

function scanned(disk: Disk, baseOffset: number): SegmentScan {
  const file = disk.open(`${DIRECTORY}/${segmentFile(baseOffset, LOG_SUFFIX)}`);
  const found = scanSegment(file, { baseOffset, intervalBytes: INTERVAL_BYTES, gapsAllowed: true });
  file.close();
  assert.is(found.fault?.sentence, undefined);
  return found;
}

/** What was appended is on the device before anything is compacted. */
export async function syncSegments(disk: Disk): Promise<void> {
  for (const name of disk.list(DIRECTORY)) {
    const file = disk.open(`${DIRECTORY}/${name}`);
    await file.sync();
    file.close();
  }
  await disk.syncDirectory(DIRECTORY);
  await disk.syncDirectory('');
}

export function basesOf(disk: Disk): number[] {
  const bases = disk.list(DIRECTORY).map((name) => baseOffsetOf(name, LOG_SUFFIX));
  return bases.filter((base) => base !== undefined).sort((a, b) => a - b);
}

/** What the log holds, checked to be sound: CRCs, offsets within and between segments. */
export function readLog(disk: Disk): StoredBatch[] {
  const batches: StoredBatch[] = [];
  let least = 0;
  for (const base of basesOf(disk)) {
    assert.ok(base >= least, `the segment of ${base} begins before ${least}, where the one before it ends`);
    least = scanned(disk, base).nextOffset;
    const bytes = readFile(disk, base, LOG_SUFFIX);
    for (let at = 0; at < bytes.length; at += batchBytes(bytes, at)) {
      batches.push(storedBatch(Buffer.from(bytes.subarray(at, at + batchBytes(bytes, at)))));
    }
  }
  return batches;
}

export function storedBatch(bytes: Buffer): StoredBatch {
  const control = (readAttributes(bytes, 0) & BatchAttribute.CONTROL) !== 0;
  const records = control ? [] : readBatch(bytes, { decompress });
  return {
    baseOffset: readBaseOffset(bytes, 0),
    nextOffset: nextOffset(bytes, 0),
    attributes: readAttributes(bytes, 0),
    baseTimestamp: readBaseTimestamp(bytes, 0),
    bytes,
    records: records.map(({ offset, timestamp, key, value, headers }) => ({
      offset,
      timestamp,
      key: key === null ? null : Buffer.from(key).toString(),
      value: value === null ? null : Buffer.from(value).toString(),
      headers: headers.map(([name, data]) => `${name}=${Buffer.from(data ?? []).toString('hex')}`).join(),
    })),
  };
}

export function recordsOf(disk: Disk): StoredRecord[] {
  return readLog(disk).flatMap(({ records }) => records);
}

/** All segments of the directory as sealed ones. */
function sealedSegments(disk: Disk): SealedSegment[] {
  return basesOf(disk).map((baseOffset) => {
    const { nextOffset: next, bytes } = scanned(disk, baseOffset);
    return { baseOffset, nextOffset: next, bytes };
  });
}

export function jobOf(disk: Disk, given: Partial<CompactionJob> = {}): CompactionJob {
  return {
    directory: DIRECTORY,
    segments: sealedSegments(disk),
    firstDirtyOffset: 0,
    uncleanableFrom: Number.MAX_SAFE_INTEGER,
    deleteRetentionMs: 1000,
    segmentBytes: 4096,
    indexIntervalBytes: INTERVAL_BYTES,
    batchBytesMax: 1 << 20,
    nowMs: NOW_MS,
    producerEnds: new Map(),
    mapBytesMax: 1 << 20,
    ...given,
  };
}

export function drain(disk: Disk, job: CompactionJob): CompactionResult {
  const running = compact(disk, job);
  for (;;) {
    const step = running.next();
    if (step.done) return step.value;
    assert.ok(step.value > 0 && step.value <= 2 << 20);
  }
}

/** An owner whose log has not changed meanwhile. */
export function willing(swapped: (group: CleanedGroup) => void = () => {}): SwapOwner {
  return { stands: () => true, swapped };
}

/** Compacts and swaps in, as the owner of a log does. */
export async function compactNow(disk: Disk, given: Partial<CompactionJob> = {}): Promise<CompactionResult> {
  const result = drain(disk, jobOf(disk, given));
  assert.is(await swapIn(disk, DIRECTORY, result.groups, willing()), true);
  return result;
}

/** That the index files of every segment are those that a scan would make. */
export function checkIndexes(disk: Disk): void {
  for (const base of basesOf(disk)) {
    const { offsets, times } = scanned(disk, base);
    assert.equal(readFile(disk, base, INDEX_SUFFIX), Buffer.from(offsets));
    // A sealed segment's time index ends with its largest timestamp, which a scan cannot know to be the end.
    const stored = readFile(disk, base, TIME_INDEX_SUFFIX);
    assert.equal(stored.subarray(0, times.length), Buffer.from(times));
    assert.ok(stored.length <= times.length + 12);
  }
}
