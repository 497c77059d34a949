import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compact } from '../../src/log/compaction.ts';
import { swapIn } from '../../src/log/compaction-swap.ts';
import type { Disk } from '../../src/log/disk.ts';
import { LOG_SUFFIX, segmentFile } from '../../src/log/file-names.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import {
  BatchAttribute,
  checkBatch,
  nextOffset,
  readBaseOffset,
  readBaseSequence,
  readProducerId,
  readRecordCount,
} from '../../src/log/record-batch.ts';
import {
  type BatchShape,
  basesOf,
  batchOf,
  checkIndexes,
  compactNow,
  DIRECTORY,
  drain,
  jobOf,
  NOW_MS,
  type Put,
  readLog,
  recordsOf,
  sealed,
  willing,
  writeSegments,
} from './compaction-fixtures.ts';

/** 'a=1' puts, 'a' deletes, '=1' has no key. */
function puts(text: string): Put[] {
  return text.split(' ').map((word) => {
    const [key, value] = word.split('=');
    return { key: key === '' ? null : key, value: value ?? null };
  });
}

/** Segments as texts, batches between bars: 'a=1 b=1 | a=2'. */
function logOf(segments: readonly string[], shape: BatchShape = {}): MemoryDisk {
  const disk = new MemoryDisk();
  let base = 0;
  writeSegments(
    disk,
    segments.map((segment) =>
      segment.split(' | ').map((text) => {
        const batch = puts(text);
        base += batch.length;
        return batchOf(base - batch.length, batch, shape);
      }),
    ),
  );
  return disk;
}

function show(disk: Disk): string {
  return recordsOf(disk)
    .map(({ offset, key, value }) => `${offset}:${key ?? ''}${value === null ? '' : `=${value}`}`)
    .join(' ');
}

test('the last record of each key stays, at its offset', async () => {
  const disk = logOf(['a=1 b=1 | a=2 c=1', 'b=2 | d=1 a=3']);
  const { cleanedTo, recordsDropped, fault } = await compactNow(disk);
  assert.is(show(disk), '3:c=1 4:b=2 5:d=1 6:a=3');
  assert.equal([cleanedTo, recordsDropped, fault], [7, 3, undefined]);
});

test('a key of the dirty part makes records of the clean part superfluous, and not the other way round', async () => {
  const disk = logOf(['a=1 b=1', 'a=2']);
  await compactNow(disk, { firstDirtyOffset: 2, segmentBytes: 0 });
  assert.is(show(disk), '1:b=1 2:a=2');
});

test('nothing is cleaned because of records that are not to be cleaned themselves', async () => {
  const disk = logOf(['a=1 | a=2 | a=3 a=4', 'a=5']);
  const { cleanedTo } = await compactNow(disk, { uncleanableFrom: 3 });
  assert.is(cleanedTo, 2);
  assert.is(show(disk), '1:a=2 2:a=3 3:a=4 4:a=5');
});

test('batches that lose nothing stay byte for byte, and those that lose some keep all that is not about records', async () => {
  const disk = logOf(['a=1 b=1 c=1 | d=1 e=1', 'a=2'], { producer: [77, 2, 10] });
  const before = readLog(disk);
  await compactNow(disk);
  const [first, second, third] = readLog(disk);
  assert.equal([second.bytes, third.bytes], [before[1].bytes, before[2].bytes]);
  assert.equal([first.baseOffset, first.nextOffset, first.attributes], [0, 3, 0]);
  assert.equal([readProducerId(first.bytes, 0), readBaseSequence(first.bytes, 0)], [77, 10]);
  assert.equal(first.records, before[0].records.slice(1));
});

test('small neighbours become one segment, and the others are removed', async () => {
  const disk = logOf(['a=1 b=1', 'a=2 c=1', 'a=3', 'd=1']);
  const { groups } = await compactNow(disk);
  assert.equal(basesOf(disk), [0]);
  assert.equal(groups[0].replaced, [0, 2, 4, 5]);
  assert.equal(
    disk.list(DIRECTORY),
    ['.index', '.log', '.timeindex'].map((suffix) => segmentFile(0, suffix)),
  );
  assert.is(show(disk), '1:b=1 3:c=1 4:a=3 5:d=1');
});

test('a segment that loses nothing is not written', async () => {
  const disk = logOf(['a=1 b=1', 'c=1 d=1']);
  const { groups, bytesWritten } = await compactNow(disk, { segmentBytes: 0 });
  assert.equal([groups.length, bytesWritten], [0, 0]);
  assert.equal(basesOf(disk), [0, 2]);
});

test('a segment of which nothing is left keeps a batch without records, so that its end is known', async () => {
  const disk = logOf(['a=1 | a=2 b=1', 'a=3 b=2']);
  await compactNow(disk, { segmentBytes: 0 });
  const [empty, full] = readLog(disk);
  assert.equal([empty.baseOffset, empty.nextOffset, readRecordCount(empty.bytes, 0)], [1, 3, 0]);
  assert.is(full.records.length, 2);
  const again = await compactNow(disk, { segmentBytes: 0, firstDirtyOffset: 5 });
  assert.is(again.groups.length, 0);
  await compactNow(disk, { firstDirtyOffset: 5 });
  assert.equal([readLog(disk).length, show(disk)], [1, '3:a=3 4:b=2']);
});

test("of each producer's last batch the header stays, so that its sequence is known, until another one comes", async () => {
  const producer = (id: number, sequence: number): BatchShape => ({ producer: [id, 3, sequence] });
  const disk = new MemoryDisk();
  writeSegments(disk, [
    [batchOf(0, puts('a=1 b=1'), producer(7, 40)), batchOf(2, puts('a=2'), producer(8, 0))],
    [batchOf(3, puts('a=3'), producer(8, 1)), batchOf(4, puts('a=4 b=2 c=1'), {})],
  ]);
  const producerEnds = new Map([
    [7, 2],
    [8, 4],
  ]);
  await compactNow(disk, { producerEnds });
  const found = readLog(disk).map(({ bytes }) => [
    readProducerId(bytes, 0),
    readBaseSequence(bytes, 0),
    readBaseOffset(bytes, 0),
    nextOffset(bytes, 0),
    readRecordCount(bytes, 0),
  ]);
  assert.equal(found, [
    [7, 40, 0, 2, 0],
    [8, 1, 3, 4, 0],
    [-1, -1, 4, 7, 3],
  ]);
  // There is nothing more to do about it, and it goes with its time.
  const settled = drain(disk, jobOf(disk, { producerEnds, segmentBytes: 1 }));
  assert.equal(settled.groups, []);
  await compactNow(disk, { producerEnds: new Map([[8, 4]]) });
  assert.equal(
    readLog(disk).map(({ bytes }) => readProducerId(bytes, 0)),
    [8, -1],
  );
});

test('a tombstone outlives what it deletes by delete.retention.ms, and everything before it is gone first', async () => {
  const disk = logOf(['a=1 b=1', 'a c=1', 'd=1']);
  const settings = { segmentBytes: 0, deleteRetentionMs: 500 };
  await compactNow(disk, { ...settings, nowMs: NOW_MS });
  assert.is(show(disk), '1:b=1 2:a 3:c=1 4:d=1');
  const [, marked] = readLog(disk);
  assert.equal([marked.attributes, marked.baseTimestamp], [BatchAttribute.DELETE_HORIZON, NOW_MS + 500]);
  assert.equal(
    recordsOf(disk).map(({ timestamp }) => timestamp),
    [1, 2, 3, 4].map((offset) => NOW_MS + offset),
  );
  const kept = await compactNow(disk, { ...settings, firstDirtyOffset: 5, nowMs: NOW_MS + 499 });
  assert.is(kept.groups.length, 0);
  await compactNow(disk, { ...settings, firstDirtyOffset: 5, nowMs: NOW_MS + 500 });
  assert.is(show(disk), '1:b=1 3:c=1 4:d=1');
});

test('records without a key, from before the topic was compacted, stay', async () => {
  const disk = logOf(['=1 a=1 =2 | a=2 =3']);
  await compactNow(disk);
  assert.is(show(disk), '0:=1 2:=2 3:a=2 4:=3');
});

for (const [codec, name] of [
  [1, 'gzip'],
  [2, 'snappy'],
  [3, 'lz4'],
] as const) {
  test(`batches compressed with ${name} are cleaned, and compressed anew`, async () => {
    const disk = logOf(['a=1 b=1 c=1', 'a=2'], { codec });
    await compactNow(disk);
    assert.is(show(disk), '1:b=1 2:c=1 3:a=2');
    for (const { attributes } of readLog(disk)) assert.is(attributes, codec);
  });
}

test('what cannot be decompressed ends the cleaning before it, and says where it is', async () => {
  const disk = logOf(['a=1 | a=2 | a=3 b=1', 'a=4']);
  const file = disk.open(`${DIRECTORY}/${segmentFile(0, LOG_SUFFIX)}`);
  const third = readLog(disk)[2];
  third.bytes.writeInt16BE(4, 21);
  file.write(file.size - third.bytes.length, [sealed(third.bytes)]);
  const { cleanedTo, fault, groups } = drain(disk, jobOf(disk, { segmentBytes: 0 }));
  assert.is(cleanedTo, 2);
  assert.is(groups.length, 1);
  assert.is(
    fault?.sentence,
    `topic-0/00000000000000000000.log, byte ${file.size - third.bytes.length}, offset 2: Records that are compressed with zstd cannot be read here.`,
  );
});

test('records that no producer could mean end the cleaning before them, and delete nothing', async () => {
  const disk = logOf(['b=0 a=1 b=1 d=1 | c=1 a=2 b=2', 'c=2']);
  const file = disk.open(`${DIRECTORY}/${segmentFile(0, LOG_SUFFIX)}`);
  const second = readLog(disk)[1];
  // The last record claims another length, so the two before it were read by then.
  second.bytes[second.bytes.length - 9] += 2;
  file.write(file.size - second.bytes.length, [sealed(second.bytes)]);
  const { cleanedTo, fault, groups, recordsDropped } = drain(disk, jobOf(disk, { segmentBytes: 0 }));
  assert.equal([cleanedTo, groups.length, recordsDropped], [4, 1, 1]);
  assert.match(fault?.sentence ?? '', /offset 4: A record/);
});

test('a damaged segment is not touched, nor is anything because of what it holds', () => {
  const disk = logOf(['a=1 b=1', 'a=2 | b=2', 'c=1']);
  const file = disk.open(`${DIRECTORY}/${segmentFile(2, LOG_SUFFIX)}`);
  const job = jobOf(disk);
  file.write(file.size - 1, [Buffer.from([0xff])]);
  const { cleanedTo, fault, groups } = drain(disk, job);
  assert.equal([cleanedTo, groups.length], [0, 0]);
  assert.match(fault?.sentence ?? '', /^topic-0\/00000000000000000002\.log, byte \d+: .*CRC/);
});

test('a segment that has become shorter is damage', () => {
  const disk = logOf(['a=1 b=1 | a=2', 'c=1']);
  const job = jobOf(disk);
  const first = readLog(disk)[0].bytes.length;
  disk.open(`${DIRECTORY}/${segmentFile(0, LOG_SUFFIX)}`).truncate(first);
  const { fault, groups, cleanedTo } = drain(disk, job);
  assert.equal([cleanedTo, groups.length, fault?.position], [0, 0, first]);
});

test('control batches stay, and what a transaction wrote deletes nothing and stays deleted', async () => {
  const disk = new MemoryDisk();
  const producer = [5, 0, 0] as const;
  const transactional = { attributes: BatchAttribute.TRANSACTIONAL, producer };
  const control = { attributes: BatchAttribute.TRANSACTIONAL | BatchAttribute.CONTROL, producer };
  const marker = batchOf(4, puts('x=marker'), control);
  writeSegments(disk, [
    [batchOf(0, puts('a=1 b=1')), batchOf(2, puts('a=2 b'), transactional), marker],
    [batchOf(5, puts('a=3'))],
  ]);
  const result = await compactNow(disk, { deleteRetentionMs: 0 });
  await compactNow(disk, { firstDirtyOffset: result.cleanedTo, nowMs: NOW_MS + 1_000_000 });
  assert.is(show(disk), '1:b=1 3:b 5:a=3');
  assert.equal(readLog(disk)[2].bytes, marker);
});

test('where keys have no room, less of the log is cleaned, batch by batch', async () => {
  const disk = new MemoryDisk();
  const batches: Buffer[] = [];
  for (let base = 0; base < 4000; base += 10) {
    const keys = Array.from({ length: 10 }, (_, index) => ({ key: `key ${base + index}`, value: 'v' }));
    batches.push(batchOf(base, keys));
  }
  batches.push(
    batchOf(4000, [{ key: 'key 0', value: 'w' }]),
    batchOf(4001, [{ key: 'key 3999', value: 'w' }]),
  );
  writeSegments(disk, [batches]);
  const first = await compactNow(disk, { mapBytesMax: 60_000 });
  assert.ok(first.cleanedTo >= 1000 && first.cleanedTo < 4000 && first.cleanedTo % 10 === 0);
  let { cleanedTo } = first;
  let runs = 1;
  for (; cleanedTo < 4002; runs++) {
    ({ cleanedTo } = await compactNow(disk, { mapBytesMax: 60_000, firstDirtyOffset: cleanedTo }));
  }
  assert.ok(runs > 2);
  const offsets = recordsOf(disk).map(({ offset }) => offset);
  assert.equal([offsets.length, offsets[0], offsets.at(-3)], [4000, 1, 3998]);
});

test('tombstones that make a batch too large to be fetched are spread over several', async () => {
  const disk = new MemoryDisk();
  const tombstones = Array.from({ length: 64 }, (_, index) => ({ key: `key ${index}`, value: null }));
  const batch = batchOf(0, tombstones, { producer: [9, 1, 2 ** 31 - 20] });
  writeSegments(disk, [[batch], [batchOf(64, puts('x=1'))]]);
  await compactNow(disk, { batchBytesMax: 300, deleteRetentionMs: 86_400_000 });
  const all = readLog(disk);
  const parts = all.slice(0, -1);
  assert.ok(parts.length > 1);
  for (const [index, { bytes, baseOffset, nextOffset, attributes }] of parts.entries()) {
    assert.ok(bytes.length <= batch.length);
    assert.is(nextOffset, all[index + 1].baseOffset);
    assert.is(attributes, BatchAttribute.DELETE_HORIZON);
    assert.is(readBaseSequence(bytes, 0), (2 ** 31 - 20 + baseOffset) % 2 ** 31);
  }
  assert.equal(
    recordsOf(disk).map(({ offset, key, timestamp }) => [offset, key, timestamp]),
    [...tombstones, { key: 'x' }].map(({ key }, offset) => [offset, key, NOW_MS + offset]),
  );
});

test('a compaction that is given up leaves nothing behind', () => {
  const disk = logOf(['a=1 b=1', 'a=2 c=1', 'a=3']);
  const names = disk.list(DIRECTORY);
  for (let steps = 0; ; steps++) {
    const running = compact(disk, jobOf(disk, { segmentBytes: 0 }));
    let ended = false;
    for (let step = 0; step < steps && !ended; step++) ended = running.next().done === true;
    if (ended) {
      assert.ok(steps > 5);
      break;
    }
    running.return(undefined as never);
    assert.equal(disk.list(DIRECTORY), names);
  }
});

test('whatever stands in a batch whose CRC matches, compaction ends with a fault or with a sound log', () => {
  const texts = ['a=1 b=1 c a=2', '=1 a b=3 c=1 d=5', 'a=4 e'];
  const place = fc.record({ batch: fc.nat(2), at: fc.nat(), byte: fc.nat(255) });
  return fc.assert(
    fc.asyncProperty(fc.array(place, { minLength: 1, maxLength: 3 }), fc.nat(3), async (places, codec) => {
      const disk = logOf([texts.join(' | '), 'a=9'], { codec });
      const file = disk.open(`${DIRECTORY}/${segmentFile(0, LOG_SUFFIX)}`);
      const job = jobOf(disk, { deleteRetentionMs: 0 });
      const batches = readLog(disk).map(({ bytes }) => bytes);
      for (const { batch, at, byte } of places) {
        const bytes = batches[batch];
        // From the timestamps on: the fields before are what a broker has looked at.
        bytes[27 + (at % (bytes.length - 27))] = byte;
        sealed(bytes);
        // What the header alone gives away is damage, and has a test of its own.
        fc.pre(checkBatch(bytes, 0, bytes.length, bytes.length) === 0);
      }
      file.write(0, batches.slice(0, 3));
      const { groups, fault, cleanedTo } = drain(disk, job);
      assert.ok(fault === undefined ? cleanedTo === job.segments[1].nextOffset : fault.sentence.length > 20);
      assert.is(await swapIn(disk, DIRECTORY, groups, willing()), true);
      // Every segment is scanned for it.
      assert.is(jobOf(disk).segments.at(-1)?.nextOffset, job.segments[1].nextOffset);
    }),
    { numRuns: 1000 },
  );
});

test('the indexes of a cleaned segment are those of its batches', async () => {
  const disk = new MemoryDisk();
  const batches = Array.from({ length: 60 }, (_, index) =>
    batchOf(2 * index, puts(`a=${index} k${index}=${'v'.repeat(index)}`)),
  );
  writeSegments(disk, [batches.slice(0, 30), batches.slice(30)]);
  await compactNow(disk, { segmentBytes: 1 << 20 });
  assert.equal(basesOf(disk), [0]);
  checkIndexes(disk);
  const stored = disk.open(`${DIRECTORY}/${segmentFile(0, '.timeindex')}`);
  assert.ok(stored.size > 12);
});

test.run();
