// Files of dropped segments serve again: when they may, and how many of them are kept.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { SegmentLog } from '../../src/log/segment-log.ts';
import { FaultyDisk } from './faulty-disk.ts';
import { bytesOf, DIRECTORY, fill, type ModelBatch, openTestLog, readAll } from './log-fixtures.ts';

const COMMITTED = Number.MAX_SAFE_INTEGER;
const NOW_MS = 1_700_000_000_000;

/** Log files and spares. */
const filesOf = (disk: FaultyDisk): string[] => disk.list(DIRECTORY).filter((name) => /\.log/.test(name));

async function busyLog(isKept: boolean): Promise<{ disk: FaultyDisk; log: SegmentLog }> {
  const disk = new FaultyDisk();
  Object.defineProperty(disk, 'isKept', { value: isKept });
  const { log } = await openTestLog({ disk, config: { 'retention.bytes': 0 } });
  return { disk, log };
}

/** Nothing of it can be dropped until all of it is written: it takes many files. */
function burst(log: SegmentLog): void {
  log.committed = 0;
  fill(log, 120, { valueBytes: 400 });
  log.committed = COMMITTED;
  fill(log, 20, { valueBytes: 400 });
}

test('a file that nobody looks for after a power cut serves again at once, and no sync is waited for', async () => {
  for (const isKept of [true, false]) {
    const { disk, log } = await busyLog(isKept);
    disk.holdSyncs();
    log.committed = COMMITTED;
    fill(log, 600);
    const spares = filesOf(disk).filter((name) => name.endsWith('.deleted')).length;
    if (isKept) assert.ok(spares > 3, `${spares} wait for the device`);
    else assert.ok(filesOf(disk).length <= 3, `${filesOf(disk)}`);
    assert.ok(readAll(log).length > 0);
  }
});

test('a busy log keeps the files that it needs again, and one at rest gives them back', async () => {
  const { disk, log } = await busyLog(false);
  burst(log);
  log.retain(NOW_MS);
  const most = filesOf(disk).length;
  assert.ok(most > 6, `${most} files`);
  for (let round = 0; round < 5; round++) {
    burst(log);
    log.retain(NOW_MS);
    assert.ok(filesOf(disk).length >= most - 1, `${filesOf(disk).length} of ${most} in round ${round}`);
  }
  log.retain(NOW_MS);
  const spares = filesOf(disk).filter((name) => name.endsWith('.deleted'));
  assert.is(spares.length, 2);
});

test('a file that serves again at once is renamed once', async () => {
  const { disk, log } = await busyLog(false);
  log.committed = COMMITTED;
  fill(log, 600);
  const before = disk.count('rename');
  const { logStart } = log;
  const bases = new Set<number>();
  for (let n = 0; n < 600; n++) {
    fill(log, 1);
    bases.add(log.segments.at(-1)?.baseOffset ?? -1);
  }
  assert.ok(log.logStart > logStart && bases.size > 5);
  assert.ok(disk.count('rename') - before <= bases.size, `${disk.count('rename') - before} of ${bases.size}`);
});

test('whatever a kill interrupts while files serve again, what is left is the log, in its order', async () => {
  const killed: { disk: FaultyDisk; logStart: number; written: number }[] = [];
  let log: SegmentLog | undefined;
  const disk: FaultyDisk = new FaultyDisk({
    observe: () => {
      if (log === undefined) return;
      const { logStart, written } = log;
      killed.push({ disk: disk.kill(), logStart, written });
    },
  });
  Object.defineProperty(disk, 'isKept', { value: false });
  ({ log } = await openTestLog({ disk, config: { 'retention.bytes': 20_000 } }));
  const batches: ModelBatch[] = [];
  for (let n = 0; n < 150; n++) {
    batches.push(...fill(log, 1, { valueBytes: 400 }));
    log.flush();
    log.committed = log.leo;
  }
  assert.ok(log.logStart > 0);
  for (const { disk: left, logStart, written } of killed) {
    const { log: again } = await openTestLog({ disk: left });
    assert.ok(again.logStart <= logStart && again.leo >= written);
    const there = batches.filter(({ base, next }) => base >= again.logStart && next <= again.leo);
    assert.ok(readAll(again).equals(bytesOf(there)));
  }
});

test.run();
