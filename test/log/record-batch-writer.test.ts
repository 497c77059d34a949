import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { crc32cByTable } from '../../native-free/crc32c/index.ts';
import {
  BATCH_HEADER_BYTES,
  batchBytes,
  CRC_FROM,
  readCrc,
  readProducerId,
} from '../../src/log/record-batch.ts';
import { BatchWriter, loneBatchBytes, type RecordData } from '../../src/log/record-batch-writer.ts';
import type { HeadersInput } from '../../src/types.ts';
import { type PlainRecord, readBatch } from './record-batch-fixtures.ts';

const NOW = 1_700_000_000_000;

function plain(data: RecordData): Uint8Array | null {
  if (data === null || data === undefined) return null;
  return typeof data === 'string' ? new TextEncoder().encode(data) : new Uint8Array(data);
}

/** What was read back, without the offsets. */
function readBack(writer: BatchWriter): PlainRecord[] {
  writer.finishWithCrc(crc32cByTable);
  return readBatch(writer.bytesView()).map(({ offset: _, ...record }) => record);
}

function only(writer: BatchWriter): PlainRecord {
  const records = readBack(writer);
  assert.is(records.length, 1);
  return records[0];
}

test('a record that does not fit is refused, and the batch stays as it was', () => {
  const writer = new BatchWriter(200);
  assert.ok(writer.tryAppend(NOW, 'k', new Uint8Array(100)));
  writer.finishWithCrc(crc32cByTable);
  const before = writer.bytesView().slice();
  assert.not(writer.tryAppend(NOW + 7, 'k', new Uint8Array(100)));
  assert.is(writer.count, 1);
  assert.is(writer.bytes, before.length);
  writer.finishWithCrc(crc32cByTable);
  assert.equal(writer.bytesView(), before);
  assert.ok(writer.tryAppend(NOW + 1, null, 'small'), 'a smaller one still fits');
  assert.equal(
    readBack(writer).map(({ timestamp }) => timestamp),
    [NOW, NOW + 1],
  );
});

test('a batch is filled to its last byte, and never beyond', () => {
  // Larger than an idle writer's memory, so that the capacity is what bounds it.
  const value = new Uint8Array(5000);
  const size = loneBatchBytes('key', value);
  const exact = new BatchWriter(size);
  assert.ok(exact.tryAppend(NOW, 'key', value));
  assert.is(exact.finish(), size);
  const short = new BatchWriter(size - 1);
  assert.not(short.tryAppend(NOW, 'key', value));
  assert.ok(short.isEmpty);
  assert.ok(short.tryAppend(NOW, 'key', 'a record too large leaves room for one that is not'));
  assert.is(only(short).timestamp, NOW);
});

test('a refused first record leaves no trace of its timestamp', () => {
  const writer = new BatchWriter(100);
  assert.not(writer.tryAppend(NOW + 99_999, null, new Uint8Array(100)));
  assert.ok(writer.tryAppend(NOW, null, 'v'));
  assert.is(only(writer).timestamp, NOW);
});

test('an idle writer holds a KiB, and grows with its records up to the capacity', () => {
  const writer = new BatchWriter(100_000);
  assert.ok(writer.bytesView().buffer.byteLength <= 1024);
  const values: number[] = [];
  while (writer.tryAppend(NOW, null, new Uint8Array(700).fill(writer.count))) values.push(values.length);
  assert.ok(writer.bytes > 99_000 && writer.bytes <= 100_000);
  assert.is(writer.bytesView().buffer.byteLength, 100_000);
  assert.equal(
    readBack(writer).map(({ value }) => value?.[699]),
    values,
  );
});

test('the memory is private and used again after reset, and nothing of the old batch remains', () => {
  const writer = new BatchWriter(4096);
  writer.tryAppend(NOW + 5, 'key', 'the first batch', { h: 'x' });
  writer.setProducer(7, 1, 3);
  writer.setAttributes(0x10);
  writer.finishWithCrc(crc32cByTable);
  const { buffer } = writer.bytesView();
  assert.instance(buffer, ArrayBuffer);
  writer.reset();
  assert.ok(writer.isEmpty);
  assert.is(writer.bytes, BATCH_HEADER_BYTES);
  writer.tryAppend(NOW, null, 'second');
  writer.finishWithCrc(crc32cByTable);
  const fresh = new BatchWriter(4096);
  fresh.tryAppend(NOW, null, 'second');
  fresh.finishWithCrc(crc32cByTable);
  assert.equal(writer.bytesView(), fresh.bytesView());
  assert.is(readProducerId(writer.bytesView(), 0), -1);
  assert.is(writer.bytesView().buffer, buffer);
});

test('finish leaves the CRC to the caller, and may come again after more records', () => {
  const writer = new BatchWriter(4096);
  writer.tryAppend(NOW, null, 'one');
  assert.is(writer.finish(), writer.bytes);
  assert.is(readCrc(writer.bytesView(), 0), 0);
  writer.tryAppend(NOW, null, 'two');
  assert.is(writer.finishWithCrc(crc32cByTable), writer.bytes);
  const bytes = writer.bytesView();
  assert.is(batchBytes(bytes, 0), bytes.length);
  assert.is(readCrc(bytes, 0), crc32cByTable(bytes.subarray(CRC_FROM)));
  assert.is(readBack(writer).length, 2);
});

test('an empty batch cannot be finished', () => {
  assert.throws(() => new BatchWriter(1000).finish(), /without records/);
});

test('a capacity that holds no header is refused', () => {
  for (const capacity of [0, 60, 1.5, Number.NaN, 2 ** 31])
    assert.throws(() => new BatchWriter(capacity), /2 GiB/);
  assert.not(new BatchWriter(61).tryAppend(NOW, null, null));
});

test('strings of every length and script become UTF-8', () => {
  const scripts = ['a', 'é', '値', '🌊', '\u0000', '\ud800', '\udfff'];
  for (const script of scripts) {
    for (let length = 0; length <= 40; length++) {
      for (const text of [script.repeat(length), 'x'.repeat(length) + script, script + 'x'.repeat(length)]) {
        const writer = new BatchWriter(4096);
        assert.ok(writer.tryAppend(NOW, text, text, { [text]: text }));
        const { key, value, headers } = only(writer);
        assert.equal(key, plain(text));
        assert.equal(value, plain(text));
        assert.equal(headers, [[new TextDecoder().decode(plain(text) as Uint8Array), plain(text)]]);
      }
    }
  }
});

test('bytes of every short length are copied whole', () => {
  for (let length = 0; length <= 70; length++) {
    const data = Uint8Array.from({ length }, (_, index) => index + 1);
    const writer = new BatchWriter(4096);
    writer.tryAppend(NOW, data, data);
    assert.equal(only(writer), { timestamp: NOW, key: data, value: data, headers: [] });
  }
});

test('headers keep the order of their entries, and pairs may repeat a name', () => {
  const written = (headers: HeadersInput): PlainRecord['headers'] => {
    const writer = new BatchWriter(4096);
    writer.tryAppend(NOW, null, null, headers);
    return only(writer).headers;
  };
  const bytes = Uint8Array.of(1, 2);
  assert.equal(written({ z: 'last', a: bytes, n: null }), [
    ['z', plain('last')],
    ['a', bytes],
    ['n', null],
  ]);
  const pairs: [string, string | null][] = [
    ['a', '1'],
    ['b', null],
    ['a', '2'],
  ];
  assert.equal(
    written(pairs),
    pairs.map(([name, value]) => [name, plain(value)]),
  );
  assert.equal(written({}), []);
  assert.equal(written([]), []);
});

test('what is neither bytes nor a string is refused in words, and the batch stays as it was', () => {
  const writer = new BatchWriter(4096);
  writer.tryAppend(NOW, null, 'good');
  const size = writer.bytes;
  const bad = (value: unknown): RecordData => value as RecordData;
  for (const value of [5, {}, [1, 2], true, new Uint16Array(3), new ArrayBuffer(4), 7n]) {
    assert.throws(() => writer.tryAppend(NOW, bad(value), 'v'), /must be a Uint8Array, a string or null/);
    assert.throws(() => writer.tryAppend(NOW, 'k', bad(value)), /must be a Uint8Array, a string or null/);
    assert.throws(() => writer.tryAppend(NOW, 'k', 'v', { h: value as string }), /must be a Uint8Array/);
  }
  assert.throws(
    () => writer.tryAppend(NOW, 'k', 'v', [[null as unknown as string, 'v']]),
    /name of a record header/,
  );
  assert.is(writer.bytes, size);
  assert.is(only(writer).timestamp, NOW);
});

test('a timestamp that is no whole number is refused, in the first record and in later ones', () => {
  const writer = new BatchWriter(4096);
  const bad = [Number.NaN, 1.5, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2 ** 60];
  for (const timestamp of bad) assert.throws(() => writer.tryAppend(timestamp, null, 'v'), /whole number/);
  assert.ok(writer.isEmpty);
  writer.tryAppend(NOW, null, 'v');
  for (const timestamp of bad) assert.throws(() => writer.tryAppend(timestamp, null, 'v'), /whole number/);
  assert.is(only(writer).timestamp, NOW);
});

test('two good timestamps too far apart for an exact delta go to different batches', () => {
  const writer = new BatchWriter(4096);
  writer.tryAppend(Number.MIN_SAFE_INTEGER, null, 'v');
  assert.not(writer.tryAppend(Number.MAX_SAFE_INTEGER, null, 'v'));
  assert.is(only(writer).timestamp, Number.MIN_SAFE_INTEGER);
  writer.reset();
  assert.ok(writer.tryAppend(Number.MAX_SAFE_INTEGER, null, 'v'));
  assert.is(only(writer).timestamp, Number.MAX_SAFE_INTEGER);
});

test('bytes of another realm and in shared memory are taken', () => {
  const foreign = runInNewContext('Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)') as Uint8Array;
  assert.not(foreign instanceof Uint8Array);
  const shared = new Uint8Array(new SharedArrayBuffer(300)).fill(9);
  const writer = new BatchWriter(4096);
  writer.tryAppend(NOW, foreign, shared);
  assert.equal(only(writer).key, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
  assert.equal(only(writer).value, new Uint8Array(300).fill(9));
});

const arbitraryData = fc.oneof(
  fc.constant(null),
  fc.uint8Array({ maxLength: 90 }),
  fc.string({ maxLength: 40 }),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
);
const arbitraryRecord = fc.record({
  timestamp: fc.oneof(
    fc.integer({ min: NOW - 100, max: NOW + 100 }),
    fc.integer({ min: -(2 ** 51), max: 2 ** 51 }),
  ),
  key: arbitraryData,
  value: arbitraryData,
  headers: fc.array(fc.tuple(fc.string({ unit: 'grapheme', maxLength: 9 }), arbitraryData), { maxLength: 4 }),
});

test('any records come back as they went in', () => {
  const property = fc.property(fc.array(arbitraryRecord, { minLength: 1, maxLength: 90 }), (records) => {
    const writer = new BatchWriter(1 << 20);
    for (const { timestamp, key, value, headers } of records) {
      assert.ok(writer.tryAppend(timestamp, key, value, headers));
    }
    const expected = records.map(({ timestamp, key, value, headers }) => ({
      timestamp,
      key: plain(key),
      value: plain(value),
      headers: headers.map(([name, data]) => [name, plain(data)]),
    }));
    assert.equal(readBack(writer), expected);
  });
  fc.assert(property, { numRuns: 300 });
});

test('the size of a lone record is known before it is written', () => {
  const property = fc.property(arbitraryRecord, ({ timestamp, key, value, headers }) => {
    const writer = new BatchWriter(1 << 20);
    writer.tryAppend(timestamp, key, value, headers);
    assert.is(loneBatchBytes(key, value, headers), writer.finish());
    assert.is(loneBatchBytes(key, value), loneBatchBytes(key, value, []));
  });
  fc.assert(property, { numRuns: 500 });
});

test.run();
