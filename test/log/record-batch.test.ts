import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as batch from '../../src/log/record-batch.ts';
import { BatchFault, batchFaultSentence } from '../../src/log/record-batch-fault.ts';
import { encodeBatch } from './record-batch-fixtures.ts';

const LARGE = 1 << 20;
const plain = (): Uint8Array => encodeBatch([{ value: new Uint8Array(10) }, { value: null }]);

/** The fault after one change to an otherwise good batch. */
function faultAfter(change: (bytes: Uint8Array, view: DataView) => void, check = batch.checkBatch): number {
  const bytes = plain();
  change(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.length));
  return check(bytes, 0, bytes.length, LARGE);
}

test('stamping the base offset and the leader epoch touches nothing that the CRC covers', () => {
  const bytes = plain();
  const before = bytes.slice();
  batch.writeBaseOffset(bytes, 0, 2 ** 53 - 10);
  batch.writeLeaderEpoch(bytes, 0, 0x7ffffffe);
  assert.is(batch.readBaseOffset(bytes, 0), 2 ** 53 - 10);
  assert.is(batch.readLeaderEpoch(bytes, 0), 0x7ffffffe);
  assert.is(batch.nextOffset(bytes, 0), 2 ** 53 - 8);
  assert.equal(bytes.subarray(16), before.subarray(16));
  assert.equal(bytes.subarray(8, 12), before.subarray(8, 12));
});

test('64-bit fields are exact at every power of two up to 2^53, and below zero', () => {
  const bytes = new Uint8Array(batch.BATCH_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  for (let power = 0; power < 53; power++) {
    for (const value of [2 ** power - 1, 2 ** power, 2 ** power + 1, -(2 ** power), -(2 ** power) - 1]) {
      batch.writeBaseOffset(bytes, 0, value);
      assert.is(view.getBigInt64(0), BigInt(value));
      assert.is(batch.readBaseOffset(bytes, 0), value);
    }
  }
});

test('fields are read and written where a DataView finds them', () => {
  const bytes = new Uint8Array(100);
  const at = 7;
  batch.writeBatchHeader(bytes, at, 93, 3, 1_700_000_000_000, 1_700_000_000_009);
  batch.writeCrc(bytes, at, 0xfedcba98);
  batch.writeAttributes(bytes, at, batch.BatchAttribute.TRANSACTIONAL | batch.BatchAttribute.CONTROL | 4);
  batch.writeProducer(bytes, at, 2 ** 40 + 5, 32767, 2 ** 31 - 1);
  const view = new DataView(bytes.buffer, at);
  assert.is(view.getInt32(8), 81);
  assert.is(view.getInt8(16), 2);
  assert.is(view.getUint32(17), 0xfedcba98);
  assert.is(view.getInt16(21), 0x34);
  assert.is(view.getInt32(23), 2);
  assert.is(view.getBigInt64(27), 1_700_000_000_000n);
  assert.is(view.getBigInt64(35), 1_700_000_000_009n);
  assert.is(view.getBigInt64(43), 2n ** 40n + 5n);
  assert.is(view.getInt16(51), 32767);
  assert.is(view.getInt32(53), 2 ** 31 - 1);
  assert.is(view.getInt32(57), 3);
  assert.is(batch.readCrc(bytes, at), 0xfedcba98);
  assert.is(batch.readAttributes(bytes, at), 0x34);
  view.setInt16(21, -2);
  view.setInt16(51, -1);
  assert.is(batch.readAttributes(bytes, at), -2);
  assert.is(batch.readProducerEpoch(bytes, at), -1);
});

test('a batch is read beyond the second GiB of an arena', () => {
  const at = 2 ** 31 + 4096 + 3;
  const arena = new Uint8Array(new SharedArrayBuffer(2 ** 31 + 65536));
  const bytes = encodeBatch([{ value: new Uint8Array(5) }], { baseOffset: 2 ** 40 + 1, leaderEpoch: 6 });
  arena.set(bytes, at);
  assert.is(batch.checkBatch(arena, at, bytes.length, LARGE), 0);
  assert.is(batch.batchBytes(arena, at), bytes.length);
  assert.is(batch.readCrc(arena, at), batch.readCrc(bytes, 0));
  batch.writeBaseOffset(arena, at, 2 ** 40 + 7);
  assert.is(batch.nextOffset(arena, at), 2 ** 40 + 8);
  assert.is(batch.readLeaderEpoch(arena, at), 6);
});

test('a good batch passes both checks, and needs no byte less', () => {
  const bytes = plain();
  for (const check of [batch.checkBatch, batch.checkProducedBatch]) {
    assert.is(check(bytes, 0, bytes.length, bytes.length), 0);
    assert.is(check(bytes, 0, bytes.length, bytes.length - 1), BatchFault.TOO_LARGE);
    assert.is(check(bytes, 0, bytes.length - 1, LARGE), BatchFault.BODY_CUT);
    assert.is(check(bytes, 0, batch.BATCH_HEADER_BYTES, LARGE), BatchFault.BODY_CUT);
    assert.is(check(bytes, 0, batch.BATCH_HEADER_BYTES - 1, LARGE), BatchFault.HEADER_CUT);
    assert.is(check(bytes, 0, 0, LARGE), BatchFault.HEADER_CUT);
  }
});

test('each field that cannot be true has its fault', () => {
  const faults: [number, (bytes: Uint8Array, view: DataView) => void][] = [
    [BatchFault.OLD_FORMAT, (bytes) => bytes.fill(1, 16, 17)],
    [BatchFault.OLD_FORMAT, (bytes) => bytes.fill(0)],
    [BatchFault.LENGTH_TOO_SMALL, (_, view) => view.setInt32(8, 48)],
    [BatchFault.LENGTH_TOO_SMALL, (_, view) => view.setInt32(8, -1)],
    [BatchFault.LENGTH_TOO_SMALL, (_, view) => view.setInt32(8, -(2 ** 31))],
    [BatchFault.TOO_LARGE, (_, view) => view.setInt32(8, 2 ** 31 - 1)],
    [BatchFault.OFFSET_OUT_OF_RANGE, (_, view) => view.setInt32(0, -1)],
    [BatchFault.OFFSET_OUT_OF_RANGE, (_, view) => view.setBigInt64(0, 2n ** 53n)],
    [BatchFault.OFFSET_OUT_OF_RANGE, (_, view) => view.setBigInt64(0, 2n ** 53n - 2n)],
    [BatchFault.OFFSET_OUT_OF_RANGE, (_, view) => view.setInt32(23, -1)],
    [BatchFault.UNKNOWN_CODEC, (_, view) => view.setInt16(21, 5)],
    [BatchFault.COUNT_OUT_OF_RANGE, (_, view) => view.setInt32(57, -1)],
    [BatchFault.COUNT_OUT_OF_RANGE, (_, view) => view.setInt32(57, 3)],
  ];
  for (const [fault, change] of faults)
    assert.is(faultAfter(change), fault, batchFaultSentence(fault as BatchFault));
  assert.is(
    faultAfter((_, view) => view.setBigInt64(0, 2n ** 53n - 3n)),
    0,
  );
});

test('more records than the bytes can hold are refused, unless they are compressed', () => {
  const claim = (view: DataView): void => {
    view.setInt32(57, 1000);
    view.setInt32(23, 999);
  };
  assert.is(
    faultAfter((_, view) => claim(view)),
    BatchFault.COUNT_OUT_OF_RANGE,
  );
  const compressed = (_: Uint8Array, view: DataView): void => {
    claim(view);
    view.setInt16(21, 3);
  };
  assert.is(faultAfter(compressed), 0);
});

test('what compaction may leave behind is no fault in a log, and one in a produce request', () => {
  const gap = (_: Uint8Array, view: DataView): void => view.setInt32(23, 7);
  const empty = (_: Uint8Array, view: DataView): void => view.setInt32(57, 0);
  for (const change of [gap, empty]) {
    assert.is(faultAfter(change), 0);
    assert.is(faultAfter(change, batch.checkProducedBatch), BatchFault.COUNT_MISMATCH);
  }
});

test('a producer may write neither control records nor half of its identity', () => {
  const produced = (producer: [number, number, number], attributes: number): number => {
    const bytes = encodeBatch([{ value: new Uint8Array(1) }], { producer, attributes });
    return batch.checkProducedBatch(bytes, 0, bytes.length, LARGE);
  };
  const { CONTROL, TRANSACTIONAL } = batch.BatchAttribute;
  assert.is(produced([-1, -1, -1], 0), 0);
  assert.is(produced([-1, 0, 0], 0), 0);
  assert.is(produced([9, 0, 0], TRANSACTIONAL), 0);
  assert.is(produced([-1, -1, -1], CONTROL), BatchFault.CONTROL_FROM_CLIENT);
  assert.is(produced([-1, -1, -1], TRANSACTIONAL), BatchFault.PRODUCER_MISSING);
  assert.is(produced([9, 0, -1], 0), BatchFault.SEQUENCE_MISSING);
  assert.is(produced([9, -1, 0], 0), BatchFault.SEQUENCE_MISSING);
});

test('every fault has a sentence of its own', () => {
  const sentences = Object.values(BatchFault).map(batchFaultSentence);
  assert.is(new Set(sentences).size, Object.keys(BatchFault).length);
  for (const sentence of sentences) assert.match(sentence, /^[A-Z].*\.$/);
});

test.run();
