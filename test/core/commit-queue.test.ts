import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CommitQueue, NOBODY, type PendingBatch, TakenBatches } from '../../src/core/commit-queue.ts';

function batch(baseOffset: number, records: number, deadlineMs = 1_000): PendingBatch {
  const nextOffset = baseOffset + records;
  return {
    baseOffset,
    nextOffset,
    appendedAtMs: 0,
    client: 1,
    correlation: baseOffset,
    waitsFor: 'committed',
    deadlineMs,
  };
}

function settled(batches: TakenBatches, end: number): number[] {
  const times: number[] = [];
  batches.settle(end, (time) => times.push(time));
  return times;
}

function taken(): TakenBatches {
  const batches = new TakenBatches();
  for (const [end, time] of [
    [3, 100],
    [5, 101],
    [9, 102],
  ])
    batches.push(end, time);
  return batches;
}

function takeAll(queue: CommitQueue, hwm: number): number[] {
  const taken: number[] = [];
  for (let next = queue.take(hwm); next !== undefined; next = queue.take(hwm)) taken.push(next.baseOffset);
  return taken;
}

test('LESSONS 1: a batch is found by its last offset and answered with its first', () => {
  const queue = new CommitQueue();
  queue.push(batch(10, 5));
  assert.is(queue.take(14), undefined);
  assert.is(queue.take(15)?.baseOffset, 10);
});

test('an HWM within a batch does not commit it, one that passes several commits them in order', () => {
  const queue = new CommitQueue();
  for (const base of [0, 4, 8, 12]) queue.push(batch(base, 4));
  assert.equal(takeAll(queue, 3), []);
  assert.equal(takeAll(queue, 11), [0, 4]);
  assert.is(queue.size, 2);
  assert.equal(takeAll(queue, 16), [8, 12]);
  assert.is(queue.size, 0);
  assert.is(queue.take(1_000), undefined);
});

test('whatever is pushed and taken, the queue agrees with a plain array', () => {
  const step = fc.oneof(
    fc.record({ push: fc.integer({ min: 1, max: 400 }) }),
    fc.record({ advance: fc.integer({ min: 0, max: 2_000 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = new CommitQueue();
      let model: PendingBatch[] = [];
      let end = 0;
      let hwm = 0;
      for (const each of steps) {
        if ('push' in each) {
          for (let n = 0; n < each.push; n++) {
            const next = batch(end, 1 + (n % 3));
            queue.push(next);
            model.push(next);
            end = next.nextOffset;
          }
        } else {
          hwm = Math.min(end, hwm + each.advance);
          const taken = takeAll(queue, hwm);
          assert.equal(
            taken,
            model.filter(({ nextOffset }) => nextOffset <= hwm).map(({ baseOffset }) => baseOffset),
          );
          model = model.filter(({ nextOffset }) => nextOffset > hwm);
        }
        assert.is(queue.size, model.length);
      }
    }),
    { numRuns: 60 },
  );
});

test('LESSONS 35: settled batches leave the list, also where the list is never empty', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const queue = new CommitQueue();
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let n = 0; n < 10; n++) queue.push(batch(n, 1));
  for (let n = 10; n < 500_000; n++) {
    queue.push(batch(n, 1));
    assert.is(queue.take(n - 9)?.baseOffset, n - 10);
  }
  collect();
  assert.is(queue.size, 10);
  assert.ok(process.memoryUsage().heapUsed - before < 4 << 20, 'the list has grown');
});

test('those who are told that they wait in vain are told once, and the batches stay pending', () => {
  const queue = new CommitQueue();
  queue.push(batch(0, 2));
  queue.push({ ...batch(2, 1), client: NOBODY });
  queue.push(batch(3, 4));
  assert.equal(
    queue.disown().map(({ baseOffset }) => baseOffset),
    [0, 3],
  );
  assert.equal(queue.disown(), []);
  assert.equal(takeAll(queue, 7), [0, 2, 3]);
});

test('those who wait for the leader alone are told when it is as far, each once; the others wait on', () => {
  const queue = new CommitQueue();
  for (const base of [0, 4, 8]) queue.push({ ...batch(base, 4), waitsFor: 'stable' });
  queue.push(batch(12, 4));
  queue.push({ ...batch(16, 4), waitsFor: 'stable', client: NOBODY });
  const told: number[] = [];
  const tell = (client: number, { baseOffset }: PendingBatch): void => {
    assert.is(client, 1);
    told.push(baseOffset);
  };
  queue.tellStable(7, tell);
  assert.equal(told, [0]);
  assert.is(queue.size, 5, 'what is told stays pending');
  queue.tellStable(20, tell);
  queue.tellStable(20, tell);
  assert.equal(told, [0, 4, 8]);
  assert.equal(
    [queue.take(20), queue.take(20), queue.take(20), queue.take(20)].map((taken) => taken?.client),
    [NOBODY, NOBODY, NOBODY, 1],
  );
});

test('whoever waits for the leader alone is told once, however the HWM and the stable end move', () => {
  const step = fc.oneof(
    fc.record({ push: fc.integer({ min: 1, max: 300 }) }),
    fc.record({ stable: fc.integer({ min: 0, max: 1_000 }) }),
    fc.record({ commit: fc.integer({ min: 0, max: 1_000 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = new CommitQueue();
      const told: number[] = [];
      const expected: number[] = [];
      let end = 0;
      let stable = 0;
      let hwm = 0;
      for (const each of steps) {
        if ('push' in each) {
          for (let n = 0; n < each.push; n++) queue.push({ ...batch(end++, 1), waitsFor: 'stable' });
        } else if ('stable' in each) {
          while (stable < Math.min(end, hwm + each.stable)) expected.push(stable++);
          queue.tellStable(stable, (_, { baseOffset }) => told.push(baseOffset));
        } else {
          hwm = Math.min(stable, hwm + each.commit);
          takeAll(queue, hwm);
        }
        assert.equal(told, expected);
        assert.is(queue.size, end - hwm);
      }
    }),
    { numRuns: 60 },
  );
});

test('who waits for the leader alone does not mind that too few replicas are left', () => {
  const queue = new CommitQueue();
  queue.push({ ...batch(0, 1), waitsFor: 'stable' });
  queue.push(batch(1, 1));
  assert.equal(
    queue.disown().map(({ baseOffset }) => baseOffset),
    [1],
  );
});

test('who waits for a batch that is there is told with it, also for one of an earlier leader', () => {
  const queue = new CommitQueue();
  // As a follower this leader had taken all up to 8.
  queue.push(batch(8, 4));
  queue.push({ ...batch(12, 4), waitsFor: 'stable' });
  queue.tellStable(12, () => {});
  queue.join({ ...batch(4, 4), correlation: 100 });
  queue.join({ ...batch(8, 4), correlation: 101 });
  queue.join({ ...batch(12, 4), correlation: 102, waitsFor: 'stable' });
  const told: number[] = [];
  queue.tellStable(16, (_, { correlation }) => told.push(correlation));
  assert.equal(told, [12, 102]);
  const taken = [8, 12, 12, 16, 16].map((hwm) => queue.take(hwm)?.correlation);
  assert.equal(taken, [100, 8, 101, 12, 102]);
  assert.is(queue.size, 0);
});

test('when all waiting ends, everybody who was not told is told once, and nothing stays', () => {
  const queue = new CommitQueue();
  for (const base of [0, 1, 2]) queue.push({ ...batch(base, 1), waitsFor: 'stable' });
  for (const base of [3, 4]) queue.push(batch(base, 1));
  queue.push({ ...batch(5, 1), client: NOBODY });
  queue.tellStable(2, () => {});
  queue.take(1);
  assert.equal(
    queue.abandon().map(({ baseOffset, client }) => [baseOffset, client]),
    [
      [2, 1],
      [3, 1],
      [4, 1],
    ],
  );
  assert.is(queue.size, 0);
  assert.equal(queue.abandon(), []);
});

test('who has waited long enough is told once, and the batches stay pending', () => {
  const queue = new CommitQueue();
  queue.push(batch(0, 2, 500));
  queue.push(batch(2, 1, 300));
  queue.push({ ...batch(3, 1, 100), client: NOBODY });
  queue.push(batch(4, 1, 900));
  const late = (nowMs: number): number[] => queue.expire(nowMs).map(({ correlation }) => correlation);
  assert.equal(late(299), []);
  assert.equal(late(300), [2]);
  assert.equal(late(300), []);
  assert.equal(late(899), [0]);
  assert.is(queue.size, 4);
  const told: number[] = [];
  for (let next = queue.take(4); next !== undefined; next = queue.take(4)) told.push(next.client);
  assert.equal(told, [NOBODY, NOBODY, NOBODY]);
  assert.equal(late(2_000), [4]);
});

test('who was answered in time is not told that he has waited', () => {
  const queue = new CommitQueue();
  queue.push({ ...batch(0, 1, 100), waitsFor: 'stable' });
  queue.push(batch(1, 1, 100));
  queue.tellStable(1, () => {});
  queue.take(1);
  queue.push(batch(2, 1, 50));
  assert.equal(
    queue.expire(60).map(({ correlation }) => correlation),
    [2],
  );
  assert.equal(
    queue.expire(100).map(({ correlation }) => correlation),
    [1],
  );
});

test('batches below the end are settled in their order, each once', () => {
  const batches = taken();
  assert.equal(settled(batches, 2), []);
  assert.equal(settled(batches, 5), [100, 101]);
  assert.equal(settled(batches, 8), []);
  batches.push(11, 103);
  assert.equal(settled(batches, 20), [102, 103]);
  assert.equal(settled(batches, 20), []);
});

test('what was not kept is never settled', () => {
  const batches = taken();
  batches.truncateTo(5);
  batches.push(6, 200);
  assert.equal(settled(batches, 20), [100, 101, 200]);
  const others = taken();
  others.clear();
  assert.equal(settled(others, 20), []);
});

test.run();
