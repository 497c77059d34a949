import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Arena } from '../../src/runtime/arena.ts';
import { VITALS_BYTES, Vitals } from '../../src/runtime/vitals.ts';

function newVitals(): Vitals {
  const arena = new Arena();
  return new Vitals(arena, arena.allocate(VITALS_BYTES));
}

test('a beat is told to the millisecond, and none as none', () => {
  const vitals = newVitals();
  assert.is(vitals.lastBeatMs(5_000), undefined);
  vitals.beat(5_000.75);
  assert.is(vitals.lastBeatMs(5_200.5), 5_000);
  vitals.beat(0.25);
  assert.is(typeof vitals.lastBeatMs(1), 'number');
});

test('a machine may have run for years: the time of a beat is right where a word of milliseconds ends', () => {
  const vitals = newVitals();
  for (const startMs of [2 ** 31 - 100, 2 ** 32 - 100, 400 * 24 * 3_600_000]) {
    vitals.beat(startMs);
    assert.is(vitals.lastBeatMs(startMs + 3_000), startMs);
  }
});

test.run();
