import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { TakenBatches } from '../../src/core/taken-batches.ts';

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
