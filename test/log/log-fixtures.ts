// A log on some disk, with batches that a test can tell apart.
import { type TopicConfigInput, topicConfig } from '../../src/config.ts';
import type { Disk } from '../../src/log/disk.ts';
import { newLog } from '../../src/log/known-log.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { OpenFiles } from '../../src/log/open-files.ts';
import { type LogSettings, type OpenedLog, openLog } from '../../src/log/open-log.ts';
import { batchBytes, nextOffset } from '../../src/log/record-batch.ts';
import type { SegmentLog } from '../../src/log/segment-log.ts';
import { encodeBatch } from './record-batch-fixtures.ts';

export const DIRECTORY = 't-0';

export interface TestLog {
  readonly disk: Disk;
  readonly log: SegmentLog;
  readonly opened: OpenedLog;
}

export interface TestLogOptions extends Partial<Omit<LogSettings, 'config'>> {
  readonly disk?: Disk;
  readonly config?: TopicConfigInput;
  readonly openFilesMax?: number;
}

/** Small segments that keep everything, so that a test meets many of them. */
const SMALL: TopicConfigInput = {
  'segment.bytes': 16_384,
  'retention.bytes': -1,
  'index.interval.bytes': 256,
};

export async function tryOpen(options: TestLogOptions = {}): Promise<OpenedLog> {
  const { disk = new MemoryDisk(), config, openFilesMax = 100, ...settings } = options;
  return openLog(new OpenFiles(disk, openFilesMax), {
    directory: DIRECTORY,
    isClean: false,
    wasPowerLost: false,
    recoveryPoint: 0,
    logStart: 0,
    ...settings,
    config: topicConfig({ ...SMALL, ...config }),
  });
}

export async function openTestLog(options: TestLogOptions = {}): Promise<TestLog> {
  const disk = options.disk ?? new MemoryDisk();
  const opened = await tryOpen({ ...options, disk });
  if (opened.log === undefined) throw new Error(`the log is damaged: ${opened.damage?.sentence}`);
  return { disk, log: opened.log, opened };
}

/** A new log in memory, at once. */
export function newTestLog(config: TopicConfigInput = {}): SegmentLog {
  return newLog(new OpenFiles(new MemoryDisk(), 100), DIRECTORY, topicConfig({ ...SMALL, ...config }));
}

export interface ModelBatch {
  readonly base: number;
  readonly next: number;
  readonly timestamp: number;
  readonly bytes: Uint8Array;
}

interface BatchAtOptions {
  readonly records?: number;
  readonly valueBytes?: number;
  readonly epoch?: number;
  readonly timestamp?: number;
  readonly producer?: readonly [id: number, epoch: number, sequence: number] | undefined;
}

/** Records that no other batch has. */
export function batchAt(
  base: number,
  {
    records = 3,
    valueBytes = 30,
    epoch = 0,
    timestamp = 1_700_000_000_000 + base,
    producer,
  }: BatchAtOptions = {},
): ModelBatch {
  const all = Array.from({ length: records }, (_, n) => ({
    timestamp,
    value: Buffer.alloc(valueBytes, `${base + n} `),
  }));
  const bytes = encodeBatch(all, {
    baseOffset: base,
    leaderEpoch: epoch,
    ...(producer && { producer }),
  });
  return { base, next: base + records, timestamp, bytes };
}

/** Appends behind a margin, because a batch lies anywhere in shared memory. */
export function append(log: SegmentLog, batch: ModelBatch): void {
  const around = new Uint8Array(batch.bytes.length + 20).fill(0xee);
  around.set(batch.bytes, 7);
  log.append(around, 7, batch.bytes.length);
}

export function fill(
  log: SegmentLog,
  batches: number,
  options: Parameters<typeof batchAt>[1] = {},
): ModelBatch[] {
  const all: ModelBatch[] = [];
  for (let n = 0; n < batches; n++) {
    const batch = batchAt(log.leo, options);
    append(log, batch);
    all.push(batch);
  }
  log.flush();
  return all;
}

/** All batches from an offset on, through as many reads as it takes. */
export function readAll(log: SegmentLog, from = log.logStart, maxBytes = 1 << 20, end = log.leo): Buffer {
  const pieces: Buffer[] = [];
  for (let offset = from; ; ) {
    const extent = log.read(offset, maxBytes, end);
    if (extent === undefined) return Buffer.concat(pieces);
    const piece = Buffer.from(extent.bytes.subarray(extent.from, extent.to));
    pieces.push(piece);
    for (let at = 0; at < piece.length; at += batchBytes(piece, at)) offset = nextOffset(piece, at);
  }
}

export function bytesOf(batches: readonly ModelBatch[]): Buffer {
  return Buffer.concat(batches.map(({ bytes }) => bytes));
}

/** The `.log` files of the partition, in the order of their offsets. */
export function segmentFiles(disk: Disk): string[] {
  return disk
    .list(DIRECTORY)
    .filter((name) => name.endsWith('.log'))
    .sort();
}
