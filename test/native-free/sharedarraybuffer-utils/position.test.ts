import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  loadPosition,
  POSITION_END,
  storePosition,
} from '../../../native-free/sharedarraybuffer-utils/index.ts';
import { dyingAtomics } from './dying-atomics.ts';
import { isRangeError } from './errors.ts';
import { endWorkers, pause, Random, startWorker } from './messages.ts';
import { consistentPosition, isConsistent } from './position-values.ts';

const words = (): Int32Array => new Int32Array(new SharedArrayBuffer(64));

test('a position comes back as it was stored, at every power of two and around it', () => {
  const int32 = words();
  for (let exponent = 0; exponent <= 53; exponent += 1) {
    for (const value of [2 ** exponent - 1, 2 ** exponent, 2 ** exponent + 1]) {
      if (value >= POSITION_END) continue;
      storePosition(int32, 4, value);
      assert.is(loadPosition(int32, 4), value);
    }
  }
  assert.is(int32[3], 0);
  assert.is(int32[7], 0);
});

test('a position may jump anywhere, also back', () => {
  const int32 = words();
  const random = new Random(7);
  for (let round = 0; round < 100_000; round += 1) {
    const value = (random.next() & 0x1f_ffff) * 2 ** (random.next() & 31) + (random.next() & 0xff);
    const wanted = value % POSITION_END;
    storePosition(int32, 0, wanted);
    assert.is(loadPosition(int32, 0), wanted);
  }
});

test('what is no position is refused and leaves the old one in place', () => {
  const int32 = words();
  storePosition(int32, 0, 12345);
  for (const value of [-1, Number.NaN, POSITION_END, Number.POSITIVE_INFINITY]) {
    assert.throws(() => storePosition(int32, 0, value), isRangeError);
  }
  assert.is(loadPosition(int32, 0), 12345);
});

test('a writer that dies before any of its stores leaves the old position or the new one', () => {
  const values = [0, 5, 2 ** 32, 2 ** 32 - 1, 2 ** 52 + 3, 7, 2 ** 32 + 9];
  for (const before of values) {
    for (const after of values) {
      for (let survived = 0; survived < 4; survived += 1) {
        const int32 = words();
        storePosition(int32, 0, before);
        const died = dyingAtomics(survived, () => storePosition(int32, 0, after));
        const seen = loadPosition(int32, 0);
        assert.ok(seen === before || seen === after, `${before} to ${after} was seen as ${seen}`);
        if (!died) assert.is(seen, after);
        // The next writer is not confused by what the dead one left.
        storePosition(int32, 0, 2 ** 33 + 1);
        assert.is(loadPosition(int32, 0), 2 ** 33 + 1);
      }
    }
  }
});

test('the version wraps without selecting the wrong half', () => {
  const int32 = words();
  for (let round = 0; round < 10_000; round += 1) {
    const value = (round & 1) * 2 ** 40 + round;
    storePosition(int32, 0, value);
    assert.is(loadPosition(int32, 0), value);
  }
});

test('a reader never sees a mixture while another thread jumps about', async () => {
  const buffer = new SharedArrayBuffer(64);
  const int32 = new Int32Array(buffer);
  storePosition(int32, 0, consistentPosition(1));
  const exited = startWorker('./position-writer-worker.js', { buffer }).exited;
  while (Atomics.load(int32, 8) === 0) await pause(1);
  let loads = 0;
  let changes = 0;
  let last = 0;
  // On a busy machine the two threads may take long turns instead of running side by side.
  const startedMs = performance.now();
  const enough = (): boolean => performance.now() - startedMs > (changes < 100_000 ? 6000 : 1000);
  while (!enough()) {
    for (let round = 0; round < 1000; round += 1) {
      const value = loadPosition(int32, 0);
      if (!isConsistent(value)) assert.unreachable(`a mixture after ${loads} loads: ${value}`);
      if (value !== last) changes += 1;
      last = value;
      loads += 1;
    }
  }
  Atomics.store(int32, 8, 0);
  assert.is(await exited, 0);
  assert.ok(changes > 100, `the writer moved only ${changes} times in ${loads} loads`);
});

test.after.each(endWorkers);

test.run();
