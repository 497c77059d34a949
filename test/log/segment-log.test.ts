import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { batchBytes, readBaseOffset } from '../../src/log/record-batch.ts';
import { DamagedSegmentError } from '../../src/log/segment.ts';
import type { Guard } from '../../src/types.ts';
import { FaultyDisk } from './faulty-disk.ts';
import {
  append,
  batchAt,
  bytesOf,
  DIRECTORY,
  fill,
  openTestLog,
  readAll,
  segmentFiles,
} from './log-fixtures.ts';

/** A ring that a test can have overwritten. */
class TestGuard implements Guard {
  framePosition = 0;
  isIntact = true;
  isIntactSince = true;

  intact(): boolean {
    return this.isIntact;
  }

  intactSince(): boolean {
    return this.isIntactSince;
  }
}

test('what was appended is read back, byte for byte, across segments, from every offset', async () => {
  const { log, disk } = await openTestLog({ config: { 'segment.bytes': 16_384 } });
  const batches = fill(log, 300);
  assert.is(log.leo, 900);
  assert.ok(segmentFiles(disk).length > 2);
  assert.ok(readAll(log).equals(bytesOf(batches)));
  assert.ok(readAll(log, 0, 1).equals(bytesOf(batches)));
  for (let offset = 0; offset < log.leo; offset++) {
    const extent = log.read(offset, 1, log.leo);
    assert.ok(extent !== undefined, `offset ${offset}`);
    assert.is(readBaseOffset(extent.bytes, extent.from), offset - (offset % 3));
    assert.is(extent.to - extent.from, batchBytes(extent.bytes, extent.from));
  }
  assert.is(log.read(log.leo, 1_000, log.leo), undefined);
});

test('a read keeps to its bytes and to the end it was given', async () => {
  const { log } = await openTestLog();
  const [first, second, third] = fill(log, 3);
  const two = first.bytes.length + second.bytes.length;
  assert.ok(readAll(log, 0, two, 9).equals(bytesOf([first, second, third])));
  const extent = log.read(0, two, 9);
  assert.is(extent && extent.to - extent.from, two);
  const bounded = log.read(0, 1 << 20, 8);
  assert.is(bounded && bounded.to - bounded.from, two, 'the third batch reaches beyond the end');
  assert.is(log.read(0, 1 << 20, 2), undefined);
});

test('what is staged has an offset, and cannot be read before it was written', async () => {
  const { log } = await openTestLog();
  const batch = batchAt(0);
  append(log, batch);
  assert.is(log.leo, 3);
  assert.is(log.written, 0);
  assert.is(log.read(0, 1 << 20, 3), undefined);
  assert.is(log.flush(), true);
  assert.is(log.written, 3);
  assert.ok(readAll(log).equals(bytesOf([batch])));
});

test('many small batches go to the disk in one write', async () => {
  const disk = new MemoryDisk();
  let writes = 0;
  const counting = new Proxy(disk, {
    get: (target, name) => {
      const member = Reflect.get(target, name);
      if (name !== 'open') return typeof member === 'function' ? member.bind(target) : member;
      return (path: string, mode?: 'create') => {
        const file = target.open(path, mode);
        const write = file.write.bind(file);
        file.write = (position, pieces) => {
          if (path.endsWith('.log')) writes++;
          write(position, pieces);
        };
        return file;
      };
    },
  });
  const { log } = await openTestLog({ disk: counting });
  fill(log, 20);
  assert.is(writes, 1);
});

test('in memory, what a segment holds is not copied when it grows, if the one before it was as long', async () => {
  const { log } = await openTestLog({ config: { 'segment.bytes': 65_536 } });
  const memoryOf: Set<ArrayBufferLike | undefined>[] = [];
  for (let n = 0; n < 10_000 && log.segments.length < 5; n++) {
    const offset = log.leo;
    fill(log, 1);
    const segment = log.segments.length - 1;
    memoryOf[segment] ??= new Set();
    memoryOf[segment].add(log.read(offset, 1, log.leo)?.bytes.buffer);
  }
  const [first, ...others] = memoryOf.slice(0, 4).map(({ size }) => size);
  assert.ok(first > 1, 'of the first one nobody knows how long it will be');
  assert.equal(others, [1, 1, 1]);
});

test('a batch that is larger than a segment has a segment to itself', async () => {
  const { log, disk } = await openTestLog();
  const batches = [
    ...fill(log, 2),
    ...fill(log, 1, { valueBytes: 20_000 }),
    ...fill(log, 1, { valueBytes: 20_000 }),
    ...fill(log, 2),
  ];
  assert.ok(readAll(log).equals(bytesOf(batches)));
  assert.is(segmentFiles(disk).length, 4);
});

test('bytes that were overwritten while they were staged leave no trace', async () => {
  const disk = new MemoryDisk();
  const { log } = await openTestLog({ disk });
  const before = fill(log, 5);
  const guard = new TestGuard();
  for (let n = 0; n < 3; n++) {
    const { bytes } = batchAt(log.leo);
    assert.is(log.append(bytes, 0, bytes.length, guard), true);
  }
  guard.isIntactSince = false;
  assert.is(log.flush(), false);
  assert.is(log.leo, 15);
  assert.is(log.written, 15);
  assert.ok(readAll(log).equals(bytesOf(before)));
  const reopened = await openTestLog({ disk });
  assert.is(reopened.log.leo, 15);
  assert.equal(reopened.opened.cuts, []);
  const after = fill(reopened.log, 2);
  assert.ok(readAll(reopened.log).equals(bytesOf([...before, ...after])));
});

test('a frame that was overwritten before it was staged takes those before it along', async () => {
  const { log } = await openTestLog();
  const guard = new TestGuard();
  const { bytes } = batchAt(0);
  log.append(bytes, 0, bytes.length, guard);
  guard.isIntact = false;
  const torn = batchAt(77).bytes;
  assert.is(log.append(torn, 0, torn.length, guard), false);
  assert.is(log.leo, 0);
});

test('retention drops the oldest segments, but none that reach above what is committed', async () => {
  const { log, disk } = await openTestLog({ config: { 'retention.bytes': 20_000 } });
  fill(log, 300);
  assert.is(log.logStart, 0, 'nothing is committed');
  log.committed = Number.MAX_SAFE_INTEGER;
  const batches = fill(log, 600);
  assert.ok(log.logStart > 0);
  assert.ok(log.bytes >= 20_000 && log.bytes < 20_000 + 2 * 16_384 + 1, `${log.bytes}`);
  assert.is(segmentFiles(disk)[0], `${String(log.logStart).padStart(20, '0')}.log`);
  const kept = batches.filter(({ base }) => base >= log.logStart);
  assert.ok(readAll(log).subarray(-bytesOf(kept).length).equals(bytesOf(kept)));
});

test('a recycled file gives nothing back of what it held, whatever that looks like', async () => {
  const config = { 'retention.bytes': 0, 'segment.bytes': 16_384 };
  const disk = new MemoryDisk();
  const { log } = await openTestLog({ disk, config });
  log.committed = Number.MAX_SAFE_INTEGER;
  // Values that are batches themselves: those which the next segment will have, each at every place.
  const small = batchAt(0, { records: 1, valueBytes: 0 }).bytes.length;
  const bait = Buffer.concat(
    Array.from({ length: 100 }, (_, n) => batchAt(102 + n, { records: 1, valueBytes: 0 }).bytes),
  );
  for (let n = 0; n < 101; n++) {
    const value = n === 0 ? bait : Buffer.alloc(0);
    const { encodeBatch } = await import('./record-batch-fixtures.ts');
    const bytes = encodeBatch([{ value }], { baseOffset: log.leo, leaderEpoch: 0 });
    log.append(bytes, 0, bytes.length);
    log.flush();
  }
  assert.is(segmentFiles(disk).length, 1);
  const filler = batchAt(log.leo, { records: 1, valueBytes: 16_000 });
  append(log, filler);
  log.flush();
  // The filler has rolled the log; now the old file comes back, with its bait from byte 61 + on.
  for (let count = 1; count < 40; count++) {
    const next = batchAt(log.leo, { records: 1, valueBytes: 0 });
    append(log, next);
    log.flush();
    assert.is(next.bytes.length, small);
    const copy = await openTestLog({ disk: cloneOf(disk), config });
    assert.is(copy.log.leo, log.leo, `after ${count} batches`);
    assert.ok(readAll(copy.log).equals(readAll(log)));
  }
});

function cloneOf(disk: MemoryDisk): MemoryDisk {
  const copy = new MemoryDisk();
  copy.makeDirectory(DIRECTORY);
  for (const name of disk.list(DIRECTORY)) {
    const from = disk.open(`${DIRECTORY}/${name}`);
    const to = copy.open(`${DIRECTORY}/${name}`, 'create');
    to.write(0, [Uint8Array.from(from.read(0, from.size))]);
  }
  return copy;
}

test('after a truncation the log goes on from there, and what was cut never comes back', async () => {
  for (const offset of [0, 1, 3, 150, 449, 450, 451, 897, 898, 899, 900, 1_000]) {
    const disk = new MemoryDisk();
    const { log } = await openTestLog({ disk });
    const batches = fill(log, 300);
    log.truncateTo(offset);
    const kept = batches.filter(({ next }) => next <= offset);
    assert.is(log.leo, Math.min(offset - (offset % 3), 900));
    assert.ok(readAll(log).equals(bytesOf(kept)), `truncated to ${offset}`);
    const reopened = await openTestLog({ disk: cloneOf(disk) });
    assert.is(reopened.log.leo, log.leo);
    const after = fill(log, 100, { valueBytes: 17 });
    assert.ok(readAll(log).equals(bytesOf([...kept, ...after])));
  }
});

test('a truncation that meets damage claims nothing of what it has removed before', async () => {
  const disk = new FaultyDisk();
  const { log } = await openTestLog({ disk });
  fill(log, 300);
  await log.store();
  const names = segmentFiles(disk);
  const base = Number(names[1].slice(0, 20));
  // The magic byte of a batch in the midst of the second segment.
  disk.flipBit(`${DIRECTORY}/${names[1]}`, 8 * (batchAt(0).bytes.length * 40 + 16));
  assert.throws(
    () => log.truncateTo(base + 200),
    (error: unknown) => error instanceof DamagedSegmentError,
  );
  const end = Number(names[2].slice(0, 20));
  assert.is(log.leo, end);
  assert.is(log.written, end);
});

test('a read gives what lies before damage, and the next one, from there on, meets it', async () => {
  for (const [byte, what] of [
    [16, 'magic'],
    [7, 'base offset'],
  ] as const) {
    const disk = new FaultyDisk();
    const { log } = await openTestLog({ disk });
    const batches = fill(log, 20);
    await log.store();
    const before = bytesOf(batches.slice(0, 10));
    disk.flipBit(`${DIRECTORY}/${segmentFiles(disk)[0]}`, 8 * (before.length + byte));
    for (let look = 0; look < 2; look++) {
      const extent = log.read(3, 1 << 20, log.leo);
      assert.is(extent && extent.to - extent.from, before.length - batches[0].bytes.length, what);
      assert.throws(
        () => log.read(30, 1 << 20, log.leo),
        (error: unknown) => error instanceof DamagedSegmentError && error.position === before.length,
        what,
      );
    }
  }
});

test('a log that begins again elsewhere has forgotten everything', async () => {
  const disk = new MemoryDisk();
  const { log } = await openTestLog({ disk });
  fill(log, 300);
  log.restartAt(5_000);
  assert.is(log.logStart, 5_000);
  assert.is(log.leo, 5_000);
  assert.is(log.lastEpoch, -1);
  const batches = fill(log, 4);
  assert.ok(readAll(log).equals(bytesOf(batches)));
  const reopened = await openTestLog({ disk, logStart: 5_000 });
  assert.is(reopened.log.logStart, 5_000);
  assert.ok(readAll(reopened.log).equals(bytesOf(batches)));
});

test('deleted records are gone, with their segments, and the last one may go too', async () => {
  const { log, disk } = await openTestLog({ disk: new FaultyDisk() });
  const batches = fill(log, 300);
  const files = segmentFiles(disk).length;
  log.deleteBefore(500);
  assert.is(log.logStart, 500);
  assert.ok(segmentFiles(disk).length < files);
  assert.ok(readAll(log).equals(bytesOf(batches.filter(({ next }) => next > 500))));
  log.deleteBefore(900);
  assert.is(log.logStart, 900);
  assert.is(log.read(900, 1_000, 900), undefined);
  assert.is(segmentFiles(disk).length, 1);
  const after = fill(log, 3);
  assert.is(after[0].base, 900);
  assert.ok(readAll(log).equals(bytesOf(after)));
});

test('time closes segments and drops those that are too old', async () => {
  const start = 1_700_000_000_000;
  const config = { 'segment.ms': 1_000, 'retention.ms': 10_000 };
  const { log, disk } = await openTestLog({ config });
  log.committed = Number.MAX_SAFE_INTEGER;
  fill(log, 2, { timestamp: start });
  for (const laterMs of [0, 500, 999]) log.retain(start + laterMs);
  assert.is(segmentFiles(disk).length, 1);
  log.retain(start + 1_000);
  assert.is(segmentFiles(disk).length, 2);
  fill(log, 2, { timestamp: start + 5_000 });
  log.retain(start + 10_000);
  assert.is(log.logStart, 0);
  log.retain(start + 10_001);
  assert.is(log.logStart, 6);
  log.retain(start + 15_001);
  assert.is(log.logStart, 12);
  assert.is(log.leo, 12);
});

test('old records that arrive now close no segment at every look, and records without a time stay', async () => {
  const { log, disk } = await openTestLog({ config: { 'segment.ms': 60_000, 'retention.ms': 10_000 } });
  log.committed = Number.MAX_SAFE_INTEGER;
  const now = 1_700_000_000_000;
  fill(log, 1, { timestamp: -1 });
  for (let tick = 0; tick < 5; tick++) {
    log.retain(now + tick * 5_000);
    fill(log, 1, { timestamp: -1 });
  }
  assert.is(segmentFiles(disk).length, 1);
  assert.is(log.logStart, 0);
});

test('records that are not committed are not dropped by time', async () => {
  const { log } = await openTestLog({ config: { 'retention.ms': 1 } });
  fill(log, 2);
  log.retain(2_000_000_000_000);
  assert.is(log.logStart, 0);
  log.committed = 6;
  log.retain(2_000_000_000_000);
  assert.is(log.logStart, 6);
});

test('records are found by their time', async () => {
  const { log } = await openTestLog();
  const times = [10, 20, 20, 15, 30, 30, 90, 40, 50, 100];
  const offsets: number[] = [];
  for (let round = 0; round < 20; round++) {
    for (const time of times) {
      offsets.push(log.leo);
      append(log, batchAt(log.leo, { timestamp: round * 1_000 + time }));
    }
  }
  log.flush();
  for (let round = 0; round < 20; round++) {
    for (let time = 0; time <= 110; time += 5) {
      const wanted = round * 1_000 + time;
      const first = offsets.findIndex((_, n) => Math.floor(n / 10) * 1_000 + times[n % 10] >= wanted);
      const found = log.offsetForTimestamp(wanted, log.leo);
      assert.is(found?.offset, first === -1 ? undefined : offsets[first], `since ${wanted}`);
    }
  }
  assert.is(log.offsetForTimestamp(0, 0), undefined, 'nothing above the end is found');
});

test('an epoch ends where the next begins, and is known after a restart', async () => {
  const disk = new MemoryDisk();
  const { log } = await openTestLog({ disk });
  log.beginEpoch(2);
  fill(log, 10, { epoch: 2 });
  log.beginEpoch(5);
  log.beginEpoch(6);
  fill(log, 10, { epoch: 6 });
  log.beginEpoch(7);
  assert.is((await openTestLog({ disk })).log.lastEpoch, 6, 'nothing of the last one was written');
  await log.close();
  for (const each of [log, (await openTestLog({ disk })).log]) {
    assert.is(each.lastEpoch, 7);
    assert.equal(each.endOfEpoch(2), { epoch: 2, endOffset: 30 });
    assert.equal(each.endOfEpoch(5), { epoch: 2, endOffset: 30 });
    assert.equal(each.endOfEpoch(6), { epoch: 6, endOffset: 60 });
    assert.equal(each.endOfEpoch(7), { epoch: 7, endOffset: 60 });
    assert.equal(each.endOfEpoch(1), { epoch: -1, endOffset: 0 });
  }
  log.truncateTo(30);
  assert.is(log.lastEpoch, 2);
  assert.is((await openTestLog({ disk })).log.lastEpoch, 2);
});

test('a sync promises no more than what was not truncated since it began', async () => {
  const disk = new MemoryDisk();
  const { log } = await openTestLog({ disk });
  fill(log, 10);
  const first = log.sync();
  log.truncateTo(15);
  fill(log, 10);
  assert.is(await first, 15);
  assert.is(await log.sync(), 45);
});

test('only so many files are open, whatever is read', async () => {
  const { log } = await openTestLog({ openFilesMax: 3 });
  const batches = fill(log, 600);
  assert.ok(readAll(log).equals(bytesOf(batches)));
  await log.store();
  assert.ok(readAll(log, 0, 1).equals(bytesOf(batches)));
});

test.run();
