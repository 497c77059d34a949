import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { BATCH_HEADER_BYTES, BatchAttribute } from '../../src/log/record-batch.ts';
import { CorruptBatchError, UnsupportedCompressionError } from '../../src/log/record-batch-fault.ts';
import { type Decompress, readRecords } from '../../src/log/record-batch-reader.ts';
import { encodeBatch, goldenBatch, type PlainRecord, readBatch } from './record-batch-fixtures.ts';

const ten = Array.from({ length: 10 }, (_, index) => ({
  key: Uint8Array.of(index),
  value: new Uint8Array(20),
}));

/** A batch of one record whose bytes, without their length, are given. */
function batchOf(...record: number[]): Uint8Array {
  return batchWithSection(record.length * 2, ...record);
}

/** A batch that says it has one record, with this behind its header. */
function batchWithSection(...section: number[]): Uint8Array {
  const bytes = new Uint8Array(BATCH_HEADER_BYTES + section.length);
  bytes.set(encodeBatch([{ value: null }]).subarray(0, BATCH_HEADER_BYTES));
  bytes.set(section, BATCH_HEADER_BYTES);
  new DataView(bytes.buffer).setInt32(8, bytes.length - 12);
  return bytes;
}

function corrupt(bytes: Uint8Array, sentence: RegExp): void {
  let thrown: unknown;
  try {
    readBatch(bytes);
  } catch (error) {
    thrown = error;
  }
  assert.instance(thrown, CorruptBatchError, String(sentence));
  assert.match((thrown as CorruptBatchError).message, sentence);
  assert.is((thrown as CorruptBatchError).code, 'CORRUPT_MESSAGE');
}

/** The batch with its records taken for compressed ones. */
function compressed(records: Partial<PlainRecord>[]): Uint8Array {
  return encodeBatch(records, { attributes: 3 });
}

test('a fetch that begins inside a batch gets the records from there on', () => {
  const bytes = encodeBatch(ten, { baseOffset: 100 });
  for (let from = 98; from <= 112; from++) {
    const offsets = readBatch(bytes, { fromOffset: from }).map(({ offset }) => offset);
    const expected = ten.map((_, index) => 100 + index).filter((offset) => offset >= from);
    assert.equal(offsets, expected);
  }
});

test('a fetch that begins in a gap left by compaction gets the record behind it', () => {
  const { bytes } = goldenBatch('kafka-clients', 'gaps left by compaction');
  const offsets = (fromOffset: number): number[] =>
    readBatch(bytes, { fromOffset }).map(({ offset }) => offset);
  assert.equal(offsets(100), [100, 103, 250]);
  assert.equal(offsets(101), [103, 250]);
  assert.equal(offsets(104), [250]);
  assert.equal(offsets(251), []);
});

test('the offset behind the batch is returned, whether or not records were visited', () => {
  const visitNone = (): void => assert.unreachable();
  const bytes = encodeBatch(ten, { baseOffset: 100 });
  assert.is(
    readRecords(bytes, 0, bytes.length, () => {}),
    110,
  );
  assert.is(readRecords(bytes, 0, bytes.length, visitNone, { fromOffset: 110 }), 110);
  const empty = goldenBatch('kafka-clients', 'empty after compaction').bytes;
  assert.is(readRecords(empty, 0, empty.length, visitNone), 70);
  const marker = goldenBatch('kafka-clients', 'commit marker').bytes;
  assert.is(readRecords(marker, 0, marker.length, visitNone), 56);
});

test('control records are shown to nobody who has not asked for them', () => {
  const bytes = encodeBatch(ten, { attributes: BatchAttribute.CONTROL });
  assert.is(readBatch(bytes).length, 0);
  assert.is(readBatch(bytes, { includeControl: true }).length, 10);
});

test('keys and values are copies: what happens to the source afterwards does not reach them', () => {
  const batch = encodeBatch([
    { key: Uint8Array.of(1, 2), value: Uint8Array.of(3, 4), headers: [['h', Uint8Array.of(5)]] },
  ]);
  for (let at = 0; at < 9; at++) {
    const ring = new Uint8Array(new SharedArrayBuffer(4096)).fill(0xee);
    ring.set(batch, at);
    const [record] = readBatch(ring, undefined, at, at + batch.length);
    ring.fill(0);
    assert.equal(record.key, Uint8Array.of(1, 2));
    assert.equal(record.value, Uint8Array.of(3, 4));
    assert.equal(record.headers, [['h', Uint8Array.of(5)]]);
    assert.instance(record.key?.buffer, ArrayBuffer);
  }
});

test('a batch in a Buffer is copied as well, though slicing a Buffer does not copy', () => {
  const source = Buffer.from(encodeBatch([{ value: Uint8Array.of(7, 7) }]));
  const [record] = readBatch(source);
  source.fill(0);
  assert.equal(record.value, Uint8Array.of(7, 7));
  assert.not.instance(record.value, Buffer);
});

test('who keeps a small value of a large batch keeps 32 KiB and no more', () => {
  const values = Array.from({ length: 2000 }, (_, index) => ({ value: new Uint8Array(400).fill(index) }));
  const records = readBatch(encodeBatch(values));
  assert.is(records.length, 2000);
  for (const [index, { value }] of records.entries()) {
    assert.equal(value, values[index].value);
    assert.ok((value as Uint8Array).buffer.byteLength <= 32 * 1024 + 8);
  }
});

test('records larger than a slab lie among small ones', () => {
  const sizes = [10, 100_000, 0, 32_768, 5, 32_760, 70_000, 1];
  const records = sizes.map((size, index) => ({
    key: Uint8Array.of(index),
    value: new Uint8Array(size).fill(index + 1),
  }));
  const read = readBatch(encodeBatch(records));
  assert.equal(
    read.map(({ key, value }) => ({ key, value })),
    records,
  );
});

test('a compressed batch without a decoder is refused by the name of its codec', () => {
  for (const name of ['gzip', 'snappy', 'lz4', 'zstd']) {
    const { bytes } = goldenBatch('kafka-clients', `compressed with ${name}`);
    try {
      readBatch(bytes);
      assert.unreachable();
    } catch (error) {
      assert.instance(error, UnsupportedCompressionError);
      assert.is((error as UnsupportedCompressionError).code, 'UNSUPPORTED_COMPRESSION_TYPE');
      assert.match((error as Error).message, name);
    }
  }
});

test('a decoder gets the codec, the records alone and a limit', () => {
  const bytes = compressed(ten);
  const calls: unknown[][] = [];
  const decompress: Decompress = (codec, section, limitBytes) => {
    calls.push([codec, section.length, limitBytes]);
    return section;
  };
  assert.is(readBatch(bytes, { decompress, decompressedBytesMax: 5000 }).length, 10);
  assert.equal(calls, [[3, bytes.length - BATCH_HEADER_BYTES, 5000]]);
});

test('a decoder may use its memory again', () => {
  const scratch = new Uint8Array(1000);
  const decompress: Decompress = (_codec, section) => {
    scratch.fill(0).set(section);
    return scratch.subarray(0, section.length);
  };
  const first = readBatch(compressed([{ value: Uint8Array.of(1, 1) }]), { decompress });
  const second = readBatch(compressed([{ value: Uint8Array.of(2, 2) }]), { decompress });
  assert.equal(
    [...first, ...second].map(({ value }) => value),
    [Uint8Array.of(1, 1), Uint8Array.of(2, 2)],
  );
});

test('a decoder that fails, or exceeds its limit, has found a corrupt batch', () => {
  const cause = new Error('no such block');
  const failing: Decompress = () => {
    throw cause;
  };
  try {
    readBatch(compressed(ten), { decompress: failing });
    assert.unreachable();
  } catch (error) {
    assert.instance(error, CorruptBatchError);
    assert.is((error as Error).cause, cause);
  }
  const excessive: Decompress = () => new Uint8Array(101);
  const read = (): unknown =>
    readBatch(compressed(ten), { decompress: excessive, decompressedBytesMax: 100 });
  assert.throws(read, /more than 100 bytes/);
  const refusing: Decompress = () => {
    throw new UnsupportedCompressionError('not this one');
  };
  assert.throws(() => readBatch(compressed(ten), { decompress: refusing }), /not this one/);
});

test('each way in which a record can be wrong has its sentence', () => {
  const sound = [0, 0, 0, 2, 65, 2, 66, 0];
  assert.is(readBatch(batchOf(...sound)).length, 1);
  const shortOrLong = /shorter than its fields, or longer than its batch/;
  corrupt(batchWithSection(10, 0, 0, 0, 1, 1, 0, 0), shortOrLong);
  corrupt(batchWithSection(1, ...sound), shortOrLong);
  corrupt(batchWithSection(18, ...sound), shortOrLong);
  corrupt(batchWithSection(0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0), shortOrLong);
  corrupt(batchWithSection(0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0), /does not fit 32 bits/);
  corrupt(batchWithSection(16, ...sound, 0), /remain behind the last record/);
  corrupt(batchOf(0, 0, 1, 2, 65, 2, 66, 0), /offsets of the records are out of order/);
  corrupt(batchOf(0, 0, 2, 2, 65, 2, 66, 0), /offsets of the records are out of order/);
  corrupt(batchOf(0, 0, 0, 3, 65, 2, 66, 0), /longer than its record, or of negative length/);
  corrupt(batchOf(0, 0, 0, 10, 65, 2, 66, 0), /longer than its record, or of negative length/);
  corrupt(batchOf(0, 0, 0, 2, 65, 6, 66, 0), /longer than its record, or of negative length/);
  corrupt(batchOf(0, 0, 0, 2, 65, 4, 66, 0), /middle of a field/);
  corrupt(batchOf(0, 0, 0, 2, 65, 2, 66, 0, 0), /longer than its fields/);
  corrupt(batchOf(0, 0, 0, 2, 65, 2, 66, 1, 0), /header count/);
  corrupt(batchOf(0, 0, 0, 2, 65, 2, 66, 0x80, 0x80, 0x04), /header count/);
  corrupt(batchOf(0, 0, 0, 1, 1, 2, 1, 1, 0), /longer than its record, or of negative length/);
  corrupt(batchOf(0, 0, 0, 1, 1, 2, 6, 65, 1), /longer than its record, or of negative length/);
  corrupt(batchWithSection(10, 0, 0x80, 0x80, 0x80, 0x80, 0, 0), shortOrLong);
  corrupt(batchOf(0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80), /middle of a field/);
});

test('a record that is passed over may not borrow from the next one', () => {
  const two = encodeBatch([{ value: null }, { value: null }]);
  // The timestamp delta and the offset delta of the first record now run beyond its end.
  two.fill(0x80, BATCH_HEADER_BYTES + 2, BATCH_HEADER_BYTES + 7);
  two[BATCH_HEADER_BYTES + 7] = 0;
  assert.throws(() => readBatch(two, { fromOffset: 1 }), /middle of a field/);
});

test('records out of order, and counts that do not match, are corrupt', () => {
  const two = encodeBatch([{ value: null }, { value: null }]);
  const swapped = two.slice();
  swapped[BATCH_HEADER_BYTES + 3] = 2;
  corrupt(swapped, /out of order/);
  const fewer = two.slice();
  new DataView(fewer.buffer).setInt32(57, 1);
  corrupt(fewer, /remain behind the last record/);
  const header = two.slice(0, 40);
  corrupt(header, /ends before its 61-byte header/);
  corrupt(two.slice(0, -1), /longer than the bytes at hand/);
});

test('a record count beyond the records of a compressed batch is corrupt', () => {
  const bytes = compressed([{ value: null }]);
  const view = new DataView(bytes.buffer);
  view.setInt32(57, 2 ** 31 - 1);
  view.setInt32(23, 2 ** 31 - 2);
  assert.throws(() => readBatch(bytes, { decompress: (_codec, section) => section }), /middle of a field/);
});

test('an end beyond the memory is a fault of the caller', () => {
  const bytes = encodeBatch(ten);
  assert.throws(() => readRecords(bytes, 0, bytes.length + 1, () => {}), RangeError);
  assert.throws(() => readRecords(bytes, -1, bytes.length, () => {}), RangeError);
});

test.run();
