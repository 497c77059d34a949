import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { WriterPool } from '../../src/client/writer-pool.ts';
import type { BatchWriter } from '../../src/log/record-batch-writer.ts';

const KIB = 1024;
const CAPACITY = 64 * KIB;

function filled(writer: BatchWriter, bytes: number): BatchWriter {
  assert.ok(writer.tryAppend(1_700_000_000_000, null, 'x'.repeat(bytes)));
  return writer;
}

test('a writer comes back empty, the one that was used last first', () => {
  const pool = new WriterPool(16 * KIB, CAPACITY);
  const one = filled(pool.take(CAPACITY), 10);
  const other = filled(pool.take(CAPACITY), 10);
  assert.is.not(one, other);
  pool.giveBack(one);
  pool.giveBack(other);
  assert.is(pool.take(CAPACITY), other);
  assert.is(pool.take(CAPACITY), one);
  assert.ok(one.isEmpty);
  assert.is.not(pool.take(CAPACITY), one);
});

test('as many writers are kept as unacknowledged records fill, and what they have grown by counts', () => {
  const pool = new WriterPool(16 * KIB, CAPACITY);
  const writers = Array.from({ length: 8 }, () => filled(pool.take(CAPACITY), 15 * KIB));
  for (const writer of writers) pool.giveBack(writer);
  const kept = Math.floor(CAPACITY / writers[0].allocatedBytes);
  const again = writers.map(() => pool.take(CAPACITY));
  assert.is(again.filter((writer) => writers.includes(writer)).length, kept);
  for (const writer of again) pool.giveBack(writer);
  assert.is(writers.includes(pool.take(CAPACITY)), false, 'small ones were given back last');
});

test('memory that one large record has made grow is not kept', () => {
  const pool = new WriterPool(16 * KIB, CAPACITY);
  const large = filled(pool.take(CAPACITY), 17 * KIB);
  pool.giveBack(large);
  assert.is.not(pool.take(CAPACITY), large);
});

test('writers for batches of another size are not mixed up, and make room where they are in the way', () => {
  const pool = new WriterPool(16 * KIB, CAPACITY);
  const small = filled(pool.take(CAPACITY / 2), 15 * KIB);
  pool.giveBack(small);
  const large = filled(pool.take(CAPACITY), 15 * KIB);
  pool.giveBack(large);
  assert.is(pool.take(CAPACITY / 2), small);
  assert.is(pool.take(CAPACITY), large);
  const many = Array.from({ length: 4 }, () => filled(pool.take(CAPACITY / 2), 15 * KIB));
  for (const writer of many) pool.giveBack(writer);
  pool.giveBack(large);
  assert.is(pool.take(CAPACITY), large);
  assert.is(many.includes(pool.take(CAPACITY / 2)), false);
});

test('however small the buffer, a batch of the usual size is kept', () => {
  const pool = new WriterPool(16 * KIB, 1);
  const writer = filled(pool.take(CAPACITY), 15 * KIB);
  pool.giveBack(writer);
  assert.is(pool.take(CAPACITY), writer);
});

test.run();
