import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { partitionOfKey } from '../../src/client/partitioner.ts';
import { rowsOf } from '../native-free/kernels/fixtures.ts';

test("a key goes where Kafka's own clients send it", () => {
  const rows = rowsOf<{ hex: string; positive: number }>('murmur2.json');
  for (const { hex, positive } of rows) {
    const key = new Uint8Array(Buffer.from(hex, 'hex'));
    for (const partitions of [1, 2, 3, 12, 1000]) {
      assert.is(partitionOfKey(key, partitions), positive % partitions, `${hex} of ${partitions}`);
    }
  }
});

test('a string goes where its UTF-8 bytes go', () => {
  for (const key of ['', 'a', 'foobar', 'größe', '鍵', '🗝️', 'x'.repeat(1000)]) {
    const bytes = new Uint8Array(Buffer.from(key));
    for (const partitions of [2, 7, 64]) {
      assert.is(partitionOfKey(key, partitions), partitionOfKey(bytes, partitions), key);
    }
  }
  // Murmur2 of 'foobar' in Kafka's own tests is -790332482.
  assert.is(partitionOfKey('foobar', 100), (-790_332_482 & 0x7fff_ffff) % 100);
});

test('many keys are spread over all partitions', () => {
  const counts = new Array(10).fill(0);
  for (let n = 0; n < 10_000; n++) counts[partitionOfKey(`customer-${n}`, 10)]++;
  for (const count of counts) assert.ok(count > 800 && count < 1_200, `${counts}`);
});

test.run();
