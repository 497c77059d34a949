// The same log as brokers keep it, before and after a repair.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { inspectPartition } from '../../src/log/inspection.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { batchBytes, nextOffset, readBaseOffset, readRecordCount } from '../../src/log/record-batch.ts';
import { repairPartition } from '../../src/log/repair.ts';
import { fill, openTestLog, readAll, segmentFiles, tryOpen } from './log-fixtures.ts';
import { flip, get } from './partition-fixtures.ts';

const strict = { gapsAllowed: false };

test('a log that was closed has nothing wrong, and neither has one whose process was killed', async () => {
  for (const isClosed of [true, false]) {
    const disk = new MemoryDisk();
    const { log } = await openTestLog({ disk });
    for (let epoch = 0; epoch < 4; epoch++) {
      log.beginEpoch(epoch);
      fill(log, 100, { epoch });
    }
    await log.store();
    if (isClosed) await log.close();
    const found = inspectPartition(disk, 't-0', strict);
    assert.equal(found.problems, []);
    assert.is(found.segments.at(-1)?.nextOffset, 1200);
    assert.ok(found.segments.length > 2);
  }
});

test('recycled and truncated segments have nothing wrong', async () => {
  const disk = new MemoryDisk();
  const { log } = await openTestLog({ disk, config: { 'retention.bytes': 20_000 } });
  log.committed = Number.MAX_SAFE_INTEGER;
  for (let round = 0; round < 40; round++) {
    fill(log, 20);
    if (round % 7 === 3) log.truncateTo(log.leo - 10);
    const found = inspectPartition(disk, 't-0', strict);
    assert.equal(found.problems, [], `round ${round}`);
    assert.is(found.segments.at(-1)?.nextOffset, log.leo);
  }
  assert.ok(log.logStart > 0);
});

test('a log that is refused for its damage is opened after the repair, without the batch that was hit', async () => {
  const disk = new MemoryDisk();
  const { log } = await openTestLog({ disk });
  const written = fill(log, 300);
  await log.close();
  const [, second] = segmentFiles(disk);
  const path = `t-0/${second}`;
  const hit = readBaseOffset(get(disk, path), 0);
  flip(disk, path, 80);
  assert.is((await tryOpen({ disk })).log, undefined);

  const kept = await repairPartition(disk, inspectPartition(disk, 't-0', strict), { keepDropped: true });
  assert.is(kept.length, 1);
  for (const isClean of [true, false]) {
    const { log: again } = await openTestLog({ disk, isClean });
    assert.is(again.leo, 900);
    const bytes = readAll(again);
    const found: number[] = [];
    for (let at = 0; at < bytes.length; at += batchBytes(bytes, at)) {
      if (readRecordCount(bytes, at) > 0) found.push(readBaseOffset(bytes, at));
      else assert.equal([readBaseOffset(bytes, at), nextOffset(bytes, at)], [hit, hit + 3]);
    }
    assert.equal(
      found,
      written.map(({ base }) => base).filter((base) => base !== hit),
    );
    assert.is(readRecordCount(readAll(again, hit, 1), 0), 0);
  }
  const { log: last } = await openTestLog({ disk });
  fill(last, 10);
  assert.is(last.leo, 930);
  assert.equal(inspectPartition(disk, 't-0', strict).problems, []);
});

test.run();
