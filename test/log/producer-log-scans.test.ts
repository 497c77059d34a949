import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FaultyDisk } from './faulty-disk.ts';
import { append, batchAt, type ModelBatch, openTestLog } from './log-fixtures.ts';
import { appendProduced, known, Producers, truth } from './producer-fixtures.ts';

/** A log of many segments that was killed before the last of them were stored. */
async function leftUnstored(): Promise<{
  disk: FaultyDisk;
  recoveryPoint: number;
  producers: Producers;
  batches: ModelBatch[];
}> {
  const disk = new FaultyDisk();
  const { log } = await openTestLog({ disk });
  const producers = new Producers(11);
  const batches = appendProduced(log, producers, 30);
  log.flush();
  await log.store();
  batches.push(...appendProduced(log, producers, 250));
  log.flush();
  const { recoveryPoint } = log;
  assert.ok(recoveryPoint > 0);
  return { disk: disk.kill(), recoveryPoint, producers, batches };
}

test('what a scan has seen of producers is not read again', async () => {
  const { disk, recoveryPoint, producers, batches } = await leftUnstored();
  const { log } = await openTestLog({ disk, recoveryPoint });
  assert.ok(log.unstored.length > 10);
  const before = disk.count('read');
  batches.push(...appendProduced(log, producers, 10));
  assert.equal(known(log.producers.states), truth(batches));
  log.flush();
  await log.store();
  // The snapshot where the scans begin, and the batch that was written before anybody asked.
  assert.is(disk.count('read') - before, 2);
  assert.equal(known(log.producers.states), truth(batches));
});

test('a log that was scanned and is cut reads no more of its producers than the segment that was cut', async () => {
  const { disk, recoveryPoint, batches } = await leftUnstored();
  for (const end of [batches[40].next, batches[200].next]) {
    for (const isAsked of [false, true]) {
      const killed = disk.kill();
      const { log } = await openTestLog({ disk: killed, recoveryPoint });
      if (isAsked) assert.equal(known(log.producers.states), truth(batches));
      log.truncateTo(end);
      const before = killed.count('read');
      const left = batches.filter(({ next }) => next <= end);
      const more = appendProduced(log, new Producers(12), 20, 1);
      log.flush();
      assert.equal(known(log.producers.states), truth([...left, ...more]));
      assert.ok(killed.count('read') - before <= 4, `${killed.count('read') - before} reads`);
    }
  }
});

test('what a scan has seen of a segment that was cut is not believed when it has grown again', async () => {
  const { disk, recoveryPoint, batches } = await leftUnstored();
  const { log } = await openTestLog({ disk, recoveryPoint });
  const { leo } = log;
  const last = log.segments.at(-1)?.baseOffset ?? 0;
  const left = batches.filter(({ base }) => base < last + 3);
  log.truncateTo(left.at(-1)?.next ?? 0);
  while (log.leo < leo) append(log, batchAt(log.leo, { records: 1, valueBytes: 10, epoch: 1 }));
  log.flush();
  assert.is(log.segments.at(-1)?.baseOffset, last);
  assert.equal(known(log.producers.states), truth(left));
});

test('a marker that a scan has seen is forgotten when the log is cut before it', async () => {
  const disk = new FaultyDisk();
  const { log } = await openTestLog({ disk });
  const batches = [
    batchAt(0, { records: 1, producer: [1, 0, 0] }),
    batchAt(1, { records: 1, producer: [1, 3, -1] }),
  ];
  for (const batch of batches) append(log, batch);
  log.flush();
  const { log: again } = await openTestLog({ disk: disk.kill() });
  assert.equal(known(again.producers.states), truth(batches));
  again.truncateTo(1);
  assert.equal(known(again.producers.states), truth(batches.slice(0, 1)));
});

test.run();
