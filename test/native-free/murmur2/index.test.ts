import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { murmur2, toPositive } from '../../../native-free/murmur2/index.ts';
import { rowsOf } from '../kernels/fixtures.ts';

test('keys hash as they do in Kafka, so that they go to the same partitions', () => {
  const rows = rowsOf<{ hex: string; murmur2: number; positive: number }>('murmur2.json');
  assert.ok(rows.length > 20);
  for (const row of rows) {
    const hash = murmur2(Buffer.from(row.hex, 'hex'));
    assert.is(hash, row.murmur2, row.hex);
    assert.is(toPositive(hash), row.positive, row.hex);
  }
});

test('a positive hash is not the absolute value', () => {
  assert.is(toPositive(-1), 0x7fff_ffff);
  assert.is(toPositive(-(2 ** 31)), 0);
});

test.run();
