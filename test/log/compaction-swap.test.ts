import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type CleanedGroup, dropCleaned, finishSwaps, swapIn } from '../../src/log/compaction-swap.ts';
import { segmentFile } from '../../src/log/file-names.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { DamagedSegmentError } from '../../src/log/segment.ts';
import {
  basesOf,
  batchOf,
  DIRECTORY,
  drain,
  jobOf,
  recordsOf,
  writeSegments,
} from './compaction-fixtures.ts';

/** Three segments with one key each: two groups of one segment, and one that nothing is done to. */
function cleaned(): { disk: MemoryDisk; groups: readonly CleanedGroup[] } {
  const disk = new MemoryDisk();
  const batch = (base: number): Buffer =>
    batchOf(base, [
      { key: 'a', value: `${base}` },
      { key: `key ${base}`, value: 'v' },
    ]);
  writeSegments(disk, [[batch(0)], [batch(2)], [batch(4)]]);
  const { groups } = drain(disk, jobOf(disk, { segmentBytes: 0 }));
  assert.is(groups.length, 2);
  return { disk, groups };
}

function offsets(disk: MemoryDisk): number[] {
  return recordsOf(disk).map(({ offset }) => offset);
}

test('the owner hears of each group in the turn in which its files take their place', async () => {
  const { disk, groups } = cleaned();
  const seen: number[][] = [];
  const owner = { stands: () => true, swapped: () => void seen.push(offsets(disk)) };
  assert.is(await swapIn(disk, DIRECTORY, groups, owner), true);
  assert.equal(seen, [
    [1, 2, 3, 4, 5],
    [1, 3, 4, 5],
  ]);
});

for (const asked of [1, 2, 3, 4]) {
  test(`a log that has changed when it is asked for the ${asked}. time keeps the segments it has`, async () => {
    const { disk, groups } = cleaned();
    let asks = 0;
    let swaps = 0;
    const owner = {
      stands: () => {
        asks += 1;
        return asks < asked;
      },
      swapped: () => {
        swaps += 1;
      },
    };
    assert.is(await swapIn(disk, DIRECTORY, groups, owner), false);
    // Each group is asked for twice, and none after one that was refused.
    assert.equal([asks, swaps], [asked, asked > 2 ? 1 : 0]);
    assert.equal(offsets(disk), asked > 2 ? [1, 2, 3, 4, 5] : [0, 1, 2, 3, 4, 5]);
    assert.is(disk.list(DIRECTORY).length, 9);
  });
}

test('what compaction has left unfinished is dropped at the next start', () => {
  const { disk } = cleaned();
  assert.is(disk.list(DIRECTORY).length, 15);
  assert.equal(finishSwaps(disk, DIRECTORY), []);
  assert.equal([disk.list(DIRECTORY).length, offsets(disk).length], [9, 6]);
});

test('a swap that is complete is finished at the next start, and says so', () => {
  const { disk, groups } = cleaned();
  for (const suffix of ['.index', '.timeindex', '.log']) {
    const path = `${DIRECTORY}/${segmentFile(groups[1].baseOffset, suffix)}`;
    disk.rename(`${path}.cleaned`, `${path}.swap`);
  }
  assert.equal(finishSwaps(disk, DIRECTORY), [2]);
  assert.equal(offsets(disk), [0, 1, 3, 4, 5]);
});

test('a complete swap that has become unreadable is left to people, and nothing is removed for it', () => {
  const { disk } = cleaned();
  const path = `${DIRECTORY}/${segmentFile(2, '.log')}`;
  disk.rename(`${path}.cleaned`, `${path}.swap`);
  const file = disk.open(`${path}.swap`);
  file.write(file.size - 1, [Buffer.from([0xff])]);
  assert.throws(
    () => finishSwaps(disk, DIRECTORY),
    (error: unknown) =>
      error instanceof DamagedSegmentError &&
      error.path === `${path}.swap` &&
      /is damaged at byte 0: .*CRC/.test(error.message),
  );
  assert.equal([basesOf(disk), offsets(disk).length], [[0, 2, 4], 6]);
});

test('dropping what is not there is fine', () => {
  const { disk } = cleaned();
  dropCleaned(disk, DIRECTORY, 0);
  dropCleaned(disk, DIRECTORY, 0);
  assert.is(disk.list(DIRECTORY).length, 12);
});

test.run();
