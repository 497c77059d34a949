import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KeyOffsets } from '../../src/log/compaction-keys.ts';

function put(keys: KeyOffsets, key: Uint8Array, offset: number): void {
  const around = Buffer.concat([Buffer.from('<<'), key, Buffer.from('>>')]);
  keys.put(around, 2, key.length, offset);
}

function get(keys: KeyOffsets, key: Uint8Array): number {
  return keys.get(key, 0, key.length);
}

test('every key has the last of its offsets, and no other key has one', () => {
  const key = fc.oneof(fc.uint8Array({ maxLength: 2 }), fc.uint8Array({ minLength: 60, maxLength: 70 }));
  fc.assert(
    fc.property(fc.array(key), fc.array(key), (added, others) => {
      const keys = new KeyOffsets(1 << 20);
      const model = new Map<string, number>();
      added.forEach((bytes, offset) => {
        put(keys, bytes, offset);
        model.set(Buffer.from(bytes).toString('hex'), offset);
      });
      assert.is(keys.count, model.size);
      for (const bytes of [...added, ...others])
        assert.is(get(keys, bytes), model.get(Buffer.from(bytes).toString('hex')) ?? -1);
    }),
  );
});

test('keys whose hashes are the same are told apart', () => {
  // Among so many keys, several pairs share their 32 bits of hash.
  const keys = new KeyOffsets(64 << 20);
  const count = 300_000;
  for (let offset = 0; offset < count; offset++) put(keys, Buffer.from(`key ${offset}`), offset);
  assert.is(keys.count, count);
  for (let offset = 0; offset < count; offset++)
    if (get(keys, Buffer.from(`key ${offset}`)) !== offset) assert.unreachable(`key ${offset}`);
  assert.is(get(keys, Buffer.from('key')), -1);
});

test('offsets are exact up to 2^53', () => {
  const keys = new KeyOffsets(1 << 20);
  put(keys, Buffer.from('a'), Number.MAX_SAFE_INTEGER);
  assert.is(get(keys, Buffer.from('a')), Number.MAX_SAFE_INTEGER);
});

test('there is room up to the bound, and always for the first keys', () => {
  const keys = new KeyOffsets(100_000);
  assert.is(keys.hasRoomFor(1_000_000, 1 << 30), true);
  put(keys, Buffer.from('a'), 0);
  assert.is(keys.hasRoomFor(1, 100_000), false);
  let offset = 1;
  for (; keys.hasRoomFor(1, 16); offset++) put(keys, Buffer.from(`key number ${offset}`.padEnd(16)), offset);
  // Two thirds of 4,096 slots of 16 bytes, and 20 bytes for each key, are just within it.
  assert.ok(offset > 1600 && offset < 2732, `${offset} keys`);
});

test.run();
