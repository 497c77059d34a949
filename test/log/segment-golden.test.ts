// Kafka's own log code wrote the files in test/vectors/segments: what we write of the same batches is the same, byte for
// byte, and what we read of those files is what Kafka reads.
import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type TopicConfigInput, topicConfig } from '../../src/config.ts';
import {
  CLEAN_SHUTDOWN_FILE,
  CLEANER_OFFSETS_FILE,
  decodeCleanShutdown,
  decodeMetaProperties,
  decodeOffsets,
  decodePartitionMetadata,
  encodeCleanShutdown,
  encodeMetaProperties,
  encodeOffsets,
  encodePartitionMetadata,
  HIGH_WATERMARKS_FILE,
  LOG_STARTS_FILE,
  META_PROPERTIES_FILE,
  PARTITION_METADATA_FILE,
  RECOVERY_POINTS_FILE,
} from '../../src/log/checkpoint-files.ts';
import type { Disk } from '../../src/log/disk.ts';
import {
  EPOCHS_FILE,
  INDEX_SUFFIX,
  LOG_SUFFIX,
  segmentFile,
  TIME_INDEX_SUFFIX,
} from '../../src/log/file-names.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { OpenFiles } from '../../src/log/open-files.ts';
import { type LogSettings, type OpenedLog, openLog } from '../../src/log/open-log.ts';
import {
  batchBytes,
  codecOf,
  nextOffset,
  readAttributes,
  readBaseOffset,
  readLeaderEpoch,
  readMaxTimestamp,
} from '../../src/log/record-batch.ts';
import type { SegmentLog } from '../../src/log/segment-log.ts';
import { append, batchAt, bytesOf, readAll } from './log-fixtures.ts';

/** What Kafka said of a partition that it wrote; test/vectors/segments/README.md explains the fields. */
interface Answers {
  readonly logStart: number;
  readonly leo: number;
  readonly segments: readonly number[];
  readonly epochEnds: readonly (readonly [asked: number, epoch: number, endOffset: number])[];
  readonly times: readonly (readonly [asked: number, offset: number | null, timestamp: number | null])[];
}

type StoredFile = { readonly text: string } | { readonly gzip: string } | { readonly base64: string };

const vectors = JSON.parse(
  readFileSync(new URL('../../../test/vectors/segments/kafka-3.9.1.json', import.meta.url), 'utf8'),
) as { answers: Record<string, Answers>; files: Record<string, StoredFile> };

const kafkaFiles = new Map(
  Object.entries(vectors.files).map(([path, file]) => {
    if ('text' in file) return [path, Buffer.from(file.text, 'latin1')];
    return [
      path,
      'gzip' in file ? gunzipSync(Buffer.from(file.gzip, 'base64')) : Buffer.from(file.base64, 'base64'),
    ];
  }),
);

const partitions: Readonly<Record<string, TopicConfigInput>> = {
  'orders-0': { 'segment.bytes': 65_536, 'cleanup.policy': 'delete' },
  'table-0': { 'segment.bytes': 16_384, 'cleanup.policy': 'compact' },
};
const names = Object.keys(partitions);

/** All that a log writes by itself. */
const OURS = [LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX, EPOCHS_FILE];

function fileOfKafka(path: string): Buffer {
  const bytes = kafkaFiles.get(path);
  if (bytes === undefined) throw new Error(`there is no vector ${path}`);
  return bytes;
}

function filesOfKafka(name: string): Map<string, Buffer> {
  const files = [...kafkaFiles].filter(
    ([path]) => path.startsWith(`${name}/`) && OURS.some((suffix) => path.endsWith(suffix)),
  );
  return new Map(files);
}

function filesOn(disk: Disk, name: string): Map<string, Buffer> {
  const found = new Map<string, Buffer>();
  for (const entry of disk.list(name)) {
    if (!OURS.some((suffix) => entry.endsWith(suffix))) continue;
    const file = disk.open(`${name}/${entry}`);
    found.set(`${name}/${entry}`, Buffer.from(file.read(0, file.size)));
    file.close();
  }
  return found;
}

/** The directory as Kafka left it, with the files that are none of ours. */
function diskOfKafka(name: string): MemoryDisk {
  const disk = new MemoryDisk();
  disk.makeDirectory(name);
  for (const [path, bytes] of kafkaFiles) if (path.startsWith(`${name}/`)) replace(disk, path, bytes);
  return disk;
}

function replace(disk: Disk, path: string, bytes: Uint8Array): void {
  const file = disk.open(path, 'create');
  file.truncate(0);
  file.write(0, [bytes]);
  file.close();
}

function logBytes(name: string): Buffer {
  return Buffer.concat(
    vectors.answers[name].segments.map((base) => fileOfKafka(`${name}/${segmentFile(base, LOG_SUFFIX)}`)),
  );
}

function batchesOf(name: string): Buffer[] {
  const all = logBytes(name);
  const batches: Buffer[] = [];
  for (let at = 0; at < all.length; at += batchBytes(all, at))
    batches.push(all.subarray(at, at + batchBytes(all, at)));
  return batches;
}

async function tryOpen(disk: Disk, name: string, settings: Partial<LogSettings> = {}): Promise<OpenedLog> {
  return openLog(new OpenFiles(disk, 100), {
    directory: name,
    isClean: false,
    wasPowerLost: false,
    recoveryPoint: 0,
    logStart: 0,
    ...settings,
    config: topicConfig({
      ...partitions[name],
      'index.interval.bytes': 4096,
      'retention.bytes': -1,
      'retention.ms': -1,
    }),
  });
}

async function open(disk: Disk, name: string, settings: Partial<LogSettings> = {}): Promise<SegmentLog> {
  const { log, damage, cuts } = await tryOpen(disk, name, settings);
  assert.equal(cuts, []);
  if (log === undefined) throw new Error(`the log is damaged: ${damage?.sentence}`);
  return log;
}

/** Appends them where epochs began as they do in Kafka's partition, also those that have left no batch. */
function appendAll(log: SegmentLog, name: string, flushEvery: number): void {
  const { epochEnds, logStart } = vectors.answers[name];
  if (logStart > 0) log.restartAt(logStart);
  const begun = epochEnds.filter(([asked, epoch]) => asked === epoch);
  const starts = begun.map(([epoch], index) => ({ epoch, offset: begun[index - 1]?.[2] ?? logStart }));
  batchesOf(name).forEach((batch, index) => {
    for (const { epoch, offset } of starts) if (offset === log.leo) log.beginEpoch(epoch);
    log.append(batch, 0, batch.length);
    if (index % flushEvery === 0) log.flush();
  });
  for (const { epoch, offset } of starts) if (offset === log.leo) log.beginEpoch(epoch);
}

function checkSame(found: ReadonlyMap<string, Buffer>, expected: ReadonlyMap<string, Buffer>): void {
  assert.equal([...found.keys()].sort(), [...expected.keys()].sort());
  for (const [path, bytes] of expected) {
    const ours = found.get(path) as Buffer;
    const at = ours.findIndex((byte, index) => byte !== bytes[index]);
    assert.ok(
      ours.equals(bytes),
      `${path} of ${ours.length} bytes, ${bytes.length} expected, differs at ${at}`,
    );
  }
}

/** Everything that a reader asks, against what Kafka answered. */
function checkAnswers(log: SegmentLog, name: string): void {
  const { logStart, leo, segments, epochEnds, times } = vectors.answers[name];
  assert.equal([log.logStart, log.leo, log.written], [logStart, leo, leo]);
  assert.equal(
    log.sealed.map(({ baseOffset }) => baseOffset),
    segments.slice(0, -1),
  );
  const batches = batchesOf(name);
  for (const batch of batches) {
    const extent = log.read(nextOffset(batch, 0) - 1, 1, leo);
    const read = extent === undefined ? undefined : extent.bytes.subarray(extent.from, extent.to);
    assert.ok(read !== undefined && batch.equals(read), `the batch at ${readBaseOffset(batch, 0)}`);
  }
  for (const [asked, epoch, endOffset] of epochEnds) {
    // Of what lies before its first epoch Kafka repeats the question, and we say that there is none.
    const isBefore = epoch < readLeaderEpoch(batches[0], 0);
    assert.equal(log.endOfEpoch(asked), { epoch: isBefore ? -1 : epoch, endOffset }, `epoch ${asked}`);
  }
  assert.is(log.lastEpoch, epochEnds.at(-1)?.[1]);
  for (const [asked, offset, timestamp] of times) {
    const found = log.offsetForTimestamp(asked, leo);
    if (offset === null) {
      assert.is(found, undefined);
      continue;
    }
    const batch = batches.find((each) => nextOffset(each, 0) > offset) as Buffer;
    // Of a batch that zstd has compressed Kafka finds the record, and we, who cannot read it, the batch.
    const isUnreadable = codecOf(readAttributes(batch, 0)) === 4;
    const expected = isUnreadable
      ? { offset: readBaseOffset(batch, 0), timestamp: readMaxTimestamp(batch, 0) }
      : { offset, timestamp };
    assert.equal(found, expected, `timestamp ${asked}`);
  }
}

test('the vectors hold what this file is about', () => {
  const all = names.flatMap(batchesOf);
  assert.ok(all.length > 500);
  const codecs = new Set(all.map((batch) => codecOf(readAttributes(batch, 0))));
  assert.equal([...codecs].sort(), [0, 1, 2, 3, 4]);
  assert.ok(new Set(all.map((batch) => readLeaderEpoch(batch, 0))).size > 5);
  const times = all.map((batch) => readMaxTimestamp(batch, 0));
  assert.ok(times.includes(-1));
  assert.ok(times.some((time, index) => time >= 0 && time < times[index - 1] - 100_000));
  assert.ok(
    all.some((batch, index) => index > 0 && readBaseOffset(batch, 0) > nextOffset(all[index - 1], 0)),
  );
});

for (const flushEvery of [1, 7, Number.MAX_SAFE_INTEGER]) {
  const written = flushEvery < 1e6 ? `after every ${flushEvery}` : 'when the log wants to';
  test(`the same batches make Kafka's files, byte for byte, flushed ${written}`, async () => {
    for (const name of names) {
      const disk = new MemoryDisk();
      const log = await open(disk, name);
      appendAll(log, name, flushEvery);
      await log.close();
      checkSame(filesOn(disk, name), filesOfKafka(name));
    }
  });
}

test('sealed segments are what Kafka seals, while the log goes on', async () => {
  for (const name of names) {
    const disk = new MemoryDisk();
    const log = await open(disk, name);
    appendAll(log, name, 1);
    await log.store();
    const active = segmentFile(vectors.answers[name].segments.at(-1) as number, '');
    const isSealed = ([path]: readonly [string, Buffer]): boolean => !path.includes(active);
    checkSame(
      new Map([...filesOn(disk, name)].filter(isSealed)),
      new Map([...filesOfKafka(name)].filter(isSealed)),
    );
    checkAnswers(log, name);
  }
});

test("a log that Kafka closed is read as Kafka reads it, and closed again without a byte's difference", async () => {
  for (const name of names) {
    const disk = diskOfKafka(name);
    const log = await open(disk, name, { isClean: true, logStart: vectors.answers[name].logStart });
    checkAnswers(log, name);
    await log.close();
    checkSame(filesOn(disk, name), filesOfKafka(name));
  }
});

test('a reader that comes to a gap between two segments goes on behind it, after whatever end', async () => {
  for (const name of names) {
    for (const isClean of [true, false]) {
      const log = await open(diskOfKafka(name), name, { isClean, logStart: vectors.answers[name].logStart });
      assert.ok(readAll(log).equals(logBytes(name)), `${name}, ${isClean ? 'closed' : 'not closed'}`);
    }
  }
});

test('a log that is truncated into a gap between two segments ends before it', async () => {
  const name = 'table-0';
  const batches = batchesOf(name);
  const { segments, logStart } = vectors.answers[name];
  let gaps = 0;
  for (const isClean of [true, false]) {
    for (const base of segments.slice(1)) {
      const last = batches.findLast((batch) => readBaseOffset(batch, 0) < base) as Buffer;
      const before = nextOffset(last, 0);
      if (before === base) continue;
      gaps += 1;
      const log = await open(diskOfKafka(name), name, { isClean, logStart });
      log.truncateTo(base - 1);
      assert.is(log.leo, before);
    }
  }
  assert.ok(gaps > 1);
});

test('a log that Kafka left without closing it is scanned, and has the same indexes afterwards', async () => {
  for (const name of names) {
    for (const recoveryPoint of [0, ...vectors.answers[name].segments]) {
      const disk = diskOfKafka(name);
      const log = await open(disk, name, { recoveryPoint });
      checkAnswers(log, name);
      await log.close();
      checkSame(filesOn(disk, name), filesOfKafka(name));
    }
  }
});

test('the zeros that a killed Kafka leaves behind its active files are no part of the log', async () => {
  for (const name of names) {
    const disk = diskOfKafka(name);
    const { segments } = vectors.answers[name];
    const recoveryPoint = segments.at(-1) as number;
    for (const [suffix, length] of [
      [LOG_SUFFIX, 65_536],
      [INDEX_SUFFIX, 4096],
      [TIME_INDEX_SUFFIX, 4092],
    ] as const) {
      const path = `${name}/${segmentFile(recoveryPoint, suffix)}`;
      const file = disk.open(path);
      file.truncate(length);
      file.close();
    }
    const log = await open(disk, name, { recoveryPoint });
    checkAnswers(log, name);
    await log.close();
    checkSame(filesOn(disk, name), filesOfKafka(name));
  }
});

test('a torn end is cut off of what Kafka wrote, wherever it is torn', async () => {
  const name = 'orders-0';
  const base = vectors.answers[name].segments.at(-1) as number;
  const path = `${name}/${segmentFile(base, LOG_SUFFIX)}`;
  const whole = fileOfKafka(path);
  const last = batchesOf(name).at(-1) as Buffer;
  const end = whole.length - last.length;
  for (let bytes = 1; bytes < last.length; bytes++) {
    const disk = diskOfKafka(name);
    replace(disk, path, whole.subarray(0, end + bytes));
    const { log, cuts } = await tryOpen(disk, name, { recoveryPoint: base });
    assert.is(log?.leo, readBaseOffset(last, 0));
    // An offset begins with zeros, and zeros are what nobody wrote.
    const isSeen = last.subarray(0, bytes).some((byte) => byte !== 0);
    assert.equal(
      cuts.map((cut) => [cut.file, cut.position, cut.bytes, cut.fromOffset, cut.action]),
      isSeen ? [[path, end, bytes, log?.leo, 'cut']] : [],
    );
    assert.is(filesOn(disk, name).get(path)?.length, end);
  }
});

test('a log of Kafka that goes on here has indexes of all that it holds', async () => {
  for (const name of names) {
    const disk = diskOfKafka(name);
    const { leo, logStart } = vectors.answers[name];
    const log = await open(disk, name, { isClean: true, logStart });
    // Younger than all of Kafka's, so that the time index has to follow.
    const young = { epoch: log.lastEpoch, timestamp: 1_800_000_000_000, valueBytes: 300 };
    const appended = Array.from({ length: 8 }, (_, n) => batchAt(leo + 3 * n, young));
    for (const batch of appended) append(log, batch);
    await log.close();
    const clean = filesOn(disk, name);
    const again = await open(disk, name, { isClean: true, logStart });
    assert.is(again.leo, leo + 24);
    assert.ok(readAll(again, leo).equals(bytesOf(appended)));
    assert.equal(again.offsetForTimestamp(young.timestamp, again.leo), {
      offset: leo,
      timestamp: young.timestamp,
    });
    await again.close();
    checkSame(filesOn(disk, name), clean);
    await (await open(disk, name, { logStart })).close();
    for (const [path, bytes] of filesOn(disk, name)) {
      // A time index has an entry more where the log was closed in between.
      if (path.endsWith(TIME_INDEX_SUFFIX))
        assert.equal(clean.get(path)?.subarray(-12), bytes.subarray(-12), path);
      else assert.ok(clean.get(path)?.equals(bytes), path);
    }
  }
});

test("Kafka's checkpoints of a whole directory are read, and written again as they were", () => {
  const offsets = (path: string): Record<string, number> => {
    const entries = decodeOffsets(path, fileOfKafka(path));
    assert.ok(encodeOffsets(entries).equals(fileOfKafka(path)), path);
    return Object.fromEntries(
      entries.map(({ topic, partition, offset }) => [`${topic}-${partition}`, offset]),
    );
  };
  const [orders, table] = names.map((name) => vectors.answers[name].leo);
  assert.equal(offsets(RECOVERY_POINTS_FILE), { 'orders-0': orders, 'table-0': table });
  assert.equal(offsets(HIGH_WATERMARKS_FILE), { 'orders-0': orders, 'table-0': table - 5 });
  assert.equal(offsets(LOG_STARTS_FILE), { 'table-0': 1000 });
  assert.equal(offsets(CLEANER_OFFSETS_FILE), { 'table-0': 1100 });
  const shutdown = fileOfKafka(CLEAN_SHUTDOWN_FILE);
  assert.is(decodeCleanShutdown(CLEAN_SHUTDOWN_FILE, shutdown), 17);
  assert.ok(encodeCleanShutdown(17).equals(shutdown));
});

test("Kafka's ids of a partition and of a directory are read, and written again as they were", () => {
  for (const [name, topicId] of [
    ['orders-0', 'tZk1mVqCSpWfV3n0aQeXyA'],
    ['table-0', '9m-3hFf0QPuT_B2xJwLk4g'],
  ]) {
    const path = `${name}/${PARTITION_METADATA_FILE}`;
    assert.is(decodePartitionMetadata(path, fileOfKafka(path)), topicId);
    assert.ok(encodePartitionMetadata(topicId).equals(fileOfKafka(path)));
  }
  const properties = {
    clusterId: 'WqZ3kJm1RPyO5c7x2tVn8Q',
    nodeId: 2,
    directoryId: 'Xn6bUo0ZQdKcM4rT1hGs7w',
  };
  const bytes = fileOfKafka(META_PROPERTIES_FILE);
  assert.equal(decodeMetaProperties(META_PROPERTIES_FILE, bytes), properties);
  // Java writes properties in the order of their hashes, below a comment with the time.
  const lines = (text: Buffer): string[] =>
    text
      .toString('latin1')
      .split('\n')
      .filter((line) => !line.startsWith('#'))
      .sort();
  assert.equal(lines(encodeMetaProperties(properties)), lines(bytes));
});

test.run();
