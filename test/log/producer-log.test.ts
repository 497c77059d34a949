// time limit: 120 s
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Disk } from '../../src/log/disk.ts';
import { SNAPSHOT_SUFFIX } from '../../src/log/file-names.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import type { SegmentLog } from '../../src/log/segment-log.ts';
import type { Guard } from '../../src/types.ts';
import { FaultyDisk } from './faulty-disk.ts';
import {
  append,
  batchAt,
  DIRECTORY,
  fill,
  type ModelBatch,
  openTestLog,
  type TestLogOptions,
} from './log-fixtures.ts';
import { appendProduced, type Known, known, Producers, truth } from './producer-fixtures.ts';
import { seededRandom } from './seeded-random.ts';

/** What is known of batches from an offset on. */
function since(offset: number, all: Known): Known {
  return all
    .map(
      ([id, epoch, batches]) => [id, epoch, batches.filter((batch) => batch.baseOffset >= offset)] as const,
    )
    .filter(([, , batches]) => batches.length > 0);
}

/** What each of them has to go on from. */
function lasts(all: Known): Known {
  return all.map(([id, epoch, batches]) => [id, epoch, batches.slice(-1)] as const);
}

function snapshots(disk: Disk): string[] {
  return disk.list(DIRECTORY).filter((name) => name.endsWith(SNAPSHOT_SUFFIX));
}

/** A log of several segments whose snapshots are on the disk, and its batches. */
async function filled(options: TestLogOptions = {}): Promise<{ log: SegmentLog; batches: ModelBatch[] }> {
  const { log } = await openTestLog(options);
  const batches = appendProduced(log, new Producers(3), 90);
  log.flush();
  await log.store();
  batches.push(...appendProduced(log, new Producers(4), 5));
  log.flush();
  return { log, batches };
}

test('what a log knows of its producers is what its batches say, staged or written', async () => {
  const { log } = await openTestLog({ disk: new FaultyDisk() });
  const producers = new Producers(1);
  const batches: ModelBatch[] = [];
  for (let n = 0; n < 100; n++) {
    batches.push(...appendProduced(log, producers, 1));
    assert.equal(known(log.producers.states), truth(batches));
  }
});

test('after a kill the newest snapshot and the batches behind it say the same', async () => {
  const disk = new FaultyDisk();
  const { batches } = await filled({ disk });
  assert.ok(snapshots(disk).length >= 3);
  const { log } = await openTestLog({ disk: disk.kill() });
  assert.equal(known(log.producers.states), truth(batches));
});

test('a log that is cut anywhere knows what the batches that are left say', async () => {
  for (const makeDisk of [() => new FaultyDisk(), () => new MemoryDisk()]) {
    const { batches } = await filled({ disk: makeDisk() });
    for (let count = 0; count <= batches.length; count += 3) {
      const { log } = await filled({ disk: makeDisk() });
      const left = batches.slice(0, count);
      log.truncateTo(left.at(-1)?.next ?? 0);
      assert.equal(known(log.producers.states), truth(left));
      const more = appendProduced(log, new Producers(9), 40, 1);
      assert.equal(known(log.producers.states), truth([...left, ...more]));
    }
  }
});

test('a snapshot that is damaged, cut short or missing costs reading, and changes nothing', async () => {
  const disk = new FaultyDisk();
  const { batches } = await filled({ disk });
  const newest = `${DIRECTORY}/${snapshots(disk).at(-1)}`;
  const { size } = disk.open(newest);
  for (let at = 0; at < size; at += 7) {
    const damaged = disk.kill();
    const file = damaged.open(newest);
    const [byte] = file.read(at, 1);
    file.write(at, [Uint8Array.of(byte ^ (1 << (at % 8)))]);
    const { log } = await openTestLog({ disk: damaged });
    assert.equal(known(log.producers.states), truth(batches), `byte ${at}`);
  }
  for (let length = 0; length < size; length += 11) {
    const cut = disk.kill();
    cut.open(newest).truncate(length);
    const { log } = await openTestLog({ disk: cut });
    assert.equal(known(log.producers.states), truth(batches), `length ${length}`);
  }
  const bare = disk.kill();
  for (const name of snapshots(bare)) bare.remove(`${DIRECTORY}/${name}`);
  const { log } = await openTestLog({ disk: bare });
  assert.equal(known(log.producers.states), truth(batches));
});

test('a snapshot of a log that was cut and has grown again in another reign is not believed', async () => {
  const disk = new FaultyDisk();
  const { log, batches } = await filled({ disk });
  const name = snapshots(disk).at(-1) as string;
  const path = `${DIRECTORY}/${name}`;
  const old = Buffer.from(disk.open(path).read(0, disk.open(path).size));
  const offset = Number(name.slice(0, 20));
  const left = batches.slice(0, 20);
  log.truncateTo((left.at(-1) as ModelBatch).next);
  const producers = new Producers(12);
  while (log.leo < offset + 20) left.push(...appendProduced(log, producers, 1, 1));
  log.flush();
  // A power cut has taken its removal back, and nothing else.
  disk.open(path, 'create').write(0, [old]);
  const again = await openTestLog({ disk: disk.kill() });
  assert.equal(known(again.log.producers.states), truth(left));
});

test('a snapshot beyond the end of the log is gone before the log grows there again', async () => {
  const disk = new FaultyDisk();
  const { log } = await openTestLog({ disk });
  const batches = appendProduced(log, new Producers(2), 4);
  log.flush();
  const stray = `${DIRECTORY}/00000000000000009999.snapshot`;
  disk.open(stray, 'create').write(0, [log.producers.at(log.leo)]);
  const after = disk.kill();
  const again = await openTestLog({ disk: after });
  assert.equal(snapshots(after), []);
  assert.equal(known(again.log.producers.states), truth(batches));
});

test('a clean end leaves a snapshot of the end where there are producers, and nothing where there are none', async () => {
  const disk = new FaultyDisk();
  const { log } = await openTestLog({ disk });
  fill(log, 3);
  await log.close();
  assert.equal(snapshots(disk), []);
  const { log: second } = await openTestLog({ disk, isClean: true, recoveryPoint: log.leo });
  const batches = appendProduced(second, new Producers(2), 7);
  await second.close();
  assert.equal(snapshots(disk), [`${String(second.leo).padStart(20, '0')}.snapshot`]);
  const { log: third } = await openTestLog({ disk, isClean: true, recoveryPoint: second.leo });
  assert.equal(known(third.producers.states), truth(batches));
  // That of the last end alone stays.
  batches.push(...appendProduced(third, new Producers(21), 1));
  await third.close();
  assert.equal(snapshots(disk), [`${String(third.leo).padStart(20, '0')}.snapshot`]);
});

test('producers whose batches retention has dropped are known still, also after a kill', async () => {
  const disk = new FaultyDisk();
  const { log } = await openTestLog({ disk, config: { 'retention.bytes': 20_000 } });
  const producers = new Producers(5);
  const batches = [batchAt(0, { producer: [77, 3, 0] })];
  append(log, batches[0]);
  for (let round = 0; round < 8; round++) {
    batches.push(...appendProduced(log, producers, 30));
    log.flush();
    log.committed = log.leo;
    // As housekeeping does.
    log.retain(0);
    await log.store();
  }
  assert.ok(log.logStart > 0);
  assert.equal(known(log.producers.states), truth(batches));
  const offsets = snapshots(disk).map((name) => Number(name.slice(0, 20)));
  // A few from before the log's start wait to serve again, and more do not gather.
  assert.equal(
    offsets.filter((offset) => offset >= log.logStart),
    log.segments.map(({ baseOffset }) => baseOffset),
  );
  assert.ok(offsets.filter((offset) => offset < log.logStart).length <= 4, `${offsets}`);
  const again = await openTestLog({ disk: disk.kill(), logStart: log.logStart });
  assert.equal(known(again.log.producers.states), truth(batches));
});

test('a kill takes no producer whose batches were dropped since the last round of housekeeping', async () => {
  const disk = new FaultyDisk();
  const config = { 'segment.bytes': 16_384, 'retention.bytes': 16_384 };
  const { log } = await openTestLog({ disk, config });
  const batches = [batchAt(0, { producer: [77, 3, 0] })];
  append(log, batches[0]);
  const producers = new Producers(5);
  for (let n = 0; n < 200; n++) {
    batches.push(...appendProduced(log, producers, 1));
    log.flush();
    log.committed = log.leo;
    if (n % 7 > 0) continue;
    const again = await openTestLog({ disk: disk.kill(), config, logStart: log.logStart });
    assert.equal(lasts(known(again.log.producers.states)), lasts(truth(batches)), `${n}`);
  }
  assert.ok(log.logStart > 0);
});

test('what the batches of a log tell is written nowhere else', async () => {
  const disk = new FaultyDisk();
  const config = { 'segment.bytes': 16_384, 'retention.bytes': 16_384 };
  const { log } = await openTestLog({ disk, config });
  for (let n = 0; n < 200; n++) {
    append(log, batchAt(log.leo, { valueBytes: 400, producer: [1, 0, n] }));
    log.flush();
    log.committed = log.leo;
    if (n % 20 === 0) await log.store([]);
  }
  assert.ok(log.logStart > 0);
  assert.equal(snapshots(disk), []);
});

test('a snapshot from before the oldest batch is not gone on from', async () => {
  const disk = new FaultyDisk();
  const { log } = await openTestLog({ disk, config: { 'retention.bytes': 20_000 } });
  const producers = new Producers(5);
  const batches = appendProduced(log, producers, 5);
  log.flush();
  const old = log.producers.at(log.leo);
  const oldPath = `${DIRECTORY}/${String(log.leo).padStart(20, '0')}.snapshot`;
  while (log.logStart === 0) {
    batches.push(...appendProduced(log, producers, 10));
    log.flush();
    log.committed = log.leo;
  }
  const killed = disk.kill();
  for (const name of snapshots(killed)) killed.remove(`${DIRECTORY}/${name}`);
  killed.open(oldPath, 'create').write(0, [old]);
  const { log: again } = await openTestLog({ disk: killed, logStart: log.logStart });
  assert.equal(
    known(again.producers.states),
    truth(batches.filter(({ base }) => base >= again.segments[0].baseOffset)),
  );
});

test('a log that was followed from its beginning, or scanned, is never read for its producers', async () => {
  let disk = new FaultyDisk();
  const { log } = await openTestLog({ disk });
  const reads = async (written: SegmentLog, on: FaultyDisk): Promise<number> => {
    const before = on.count('read');
    for (let round = 0; round < 5; round++) {
      fill(written, 20, { valueBytes: 400 });
      await written.store();
    }
    return on.count('read') - before;
  };
  assert.is(await reads(log, disk), 0);
  assert.ok(snapshots(disk).length >= 5);
  disk = disk.kill();
  const { log: again } = await openTestLog({ disk });
  const before = disk.count('read');
  for (const name of snapshots(disk)) disk.remove(`${DIRECTORY}/${name}`);
  assert.equal(known(again.producers.states), []);
  assert.is(disk.count('read'), before);
  assert.is(await reads(again, disk), 0);
});

test('in memory a log that is cut knows the producers whose batches were dropped', async () => {
  const { log } = await openTestLog({ config: { 'retention.bytes': 20_000 } });
  const producers = new Producers(5);
  const batches = [batchAt(0, { producer: [77, 3, 0] })];
  append(log, batches[0]);
  while (log.logStart === 0) {
    batches.push(...appendProduced(log, producers, 10));
    log.flush();
    log.committed = log.leo;
  }
  const end = log.leo;
  appendProduced(log, producers, 5);
  log.truncateTo(end);
  assert.equal(known(log.producers.states), truth(batches));
});

test('records that are deleted leave their producers known', async () => {
  const disk = new FaultyDisk();
  const { log, batches } = await filled({ disk });
  log.committed = log.leo;
  log.deleteBefore(log.leo);
  await log.store();
  assert.equal(known(log.producers.states), truth(batches));
  const { log: again } = await openTestLog({ disk: disk.kill(), logStart: log.leo });
  assert.equal(known(again.producers.states), truth(batches));
});

test('a log that begins anew knows what it was told, and what comes then', async () => {
  const disk = new FaultyDisk();
  const { log, batches } = await filled({ disk });
  const told = log.producers.at(log.leo);
  const { log: other } = await openTestLog({ disk: new FaultyDisk() });
  appendProduced(other, new Producers(30), 3);
  other.restartAt(log.leo, told);
  assert.equal(known(other.producers.states), truth(batches));
  const more = appendProduced(other, new Producers(31), 3);
  assert.equal(known(other.producers.states), truth([...batches, ...more]));
  other.restartAt(log.leo);
  assert.equal(known(other.producers.states), []);
});

test('of bytes that were overwritten while they were taken no producer is known', async () => {
  const { log } = await openTestLog();
  const batches = appendProduced(log, new Producers(6), 3);
  log.flush();
  let isWhole = true;
  const guard: Guard = { framePosition: 0, intact: () => true, intactSince: () => isWhole };
  const take = (): ModelBatch => {
    const batch = batchAt(log.leo, { producer: [50, 0, 0] });
    log.append(batch.bytes, 0, batch.bytes.length, guard);
    return batch;
  };
  isWhole = false;
  take();
  assert.is(log.flush(), false);
  assert.equal(known(log.producers.states), truth(batches));
  isWhole = true;
  batches.push(take());
  assert.equal(known(log.producers.states), truth(batches.slice(0, -1)), 'nobody knows yet');
  assert.is(log.flush(), true);
  assert.equal(known(log.producers.states), truth(batches));
});

test('what a disk has not written was never there', async () => {
  const disk = new FaultyDisk();
  const { log } = await openTestLog({ disk });
  const batches = appendProduced(log, new Producers(7), 3);
  log.flush();
  appendProduced(log, new Producers(8), 1);
  disk.fail({ kind: 'write', nth: 1, code: 'EIO' });
  assert.throws(() => log.flush());
  assert.equal(known(log.producers.states), truth(batches));
});

test('whatever a log goes through, and wherever it is killed, it knows what its batches say', async () => {
  for (let seed = 1; seed <= 25; seed++) {
    const random = seededRandom(seed);
    let disk = new FaultyDisk({ seed });
    const producers = new Producers(seed);
    const config = { 'segment.bytes': 16_384, 'retention.bytes': 40_000 };
    let { log } = await openTestLog({ disk, config });
    let batches: ModelBatch[] = [];
    let epoch = 0;
    let wasCut = false;
    for (let step = 0; step < 60; step++) {
      const choice = random(10);
      if (choice < 5) batches.push(...appendProduced(log, producers, 1 + random(20), epoch));
      else if (choice < 6) await log.store();
      else if (choice < 7) {
        log.flush();
        const { logStart } = log;
        const cut = batches.filter(({ next }) => next <= logStart + random(Math.max(1, log.leo - logStart)));
        const end = Math.max(logStart, cut.at(-1)?.next ?? 0);
        batches = batches.filter(({ next }) => next <= end);
        wasCut ||= end < log.leo;
        log.truncateTo(end);
        epoch += 1;
      } else if (choice < 8) {
        log.flush();
        log.committed = log.leo;
        log.retain(0);
        await log.store();
      } else {
        log.flush();
        const isClean = choice === 9;
        if (isClean) await log.close();
        const { logStart, recoveryPoint } = log;
        disk = disk.kill();
        ({ log } = await openTestLog({ disk, config, isClean, logStart, recoveryPoint }));
      }
      if (random(3) > 0) continue;
      const { logStart, producers: found } = log;
      const seen = known(found.states);
      const all = truth(batches);
      const which = `seed ${seed}, step ${step}`;
      if (!wasCut) assert.equal(lasts(seen), lasts(all), which);
      // Where a log was cut, a kill may lose what is known of batches that retention has taken, and of nothing else.
      assert.equal(since(logStart, seen), since(logStart, all), which);
      for (const [id, epoch, tail] of seen) {
        const { 2: whole = [] } = all.find(([each, itsEpoch]) => each === id && itsEpoch === epoch) ?? [];
        assert.equal(tail, whole.slice(whole.length - tail.length), which);
      }
    }
  }
});

test.run();
