import { gunzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { crc32cByTable } from '../../native-free/crc32c/index.ts';
import * as header from '../../src/log/record-batch.ts';
import { BatchFault, batchFaultSentence } from '../../src/log/record-batch-fault.ts';
import { attributesOf, encodeBatch, goldenBatch, goldenBatches, readBatch } from './record-batch-fixtures.ts';

const LARGE = 1 << 20;

test('every source has written batches, and Java all of them', () => {
  const counts = new Map<string, number>();
  for (const { source } of goldenBatches()) counts.set(source, (counts.get(source) ?? 0) + 1);
  assert.equal(Object.fromEntries(counts), {
    'kafka-clients-3.9.1': 26,
    'kafkajs-2.2.4': 14,
    'platformatic-kafka-1.35.0': 19,
    'kafka-python-3.0.12': 17,
    'aiokafka-0.14.0': 17,
  });
});

test('the writer makes the same bytes as other clients, CRC included', () => {
  let compared = 0;
  for (const { source, golden, bytes } of goldenBatches()) {
    const { codec, control, empty, offsets, logAppendTime } = golden;
    if (codec || control || empty || offsets || logAppendTime) continue;
    const ours = encodeBatch(golden.records, {
      // Clients differ in the producer fields of a producer that is not idempotent (see the vectors' README).
      producer: golden.producer ?? [
        -1,
        header.readProducerEpoch(bytes, 0),
        header.readBaseSequence(bytes, 0),
      ],
      attributes: attributesOf(golden),
      baseOffset: golden.baseOffset ?? 0,
      leaderEpoch: header.readLeaderEpoch(bytes, 0),
    });
    assert.equal(
      Buffer.from(ours).toString('hex'),
      Buffer.from(bytes).toString('hex'),
      `${source}: ${golden.name}`,
    );
    compared++;
  }
  assert.is(compared, 77);
});

test('without a producer the writer stamps what Java stamps', () => {
  const { golden, bytes } = goldenBatch('kafka-clients', 'one plain record');
  assert.equal(encodeBatch(golden.records), bytes);
});

test('a control batch is written as Java writes it', () => {
  const { golden, bytes } = goldenBatch('kafka-clients', 'commit marker');
  const ours = encodeBatch(golden.records, {
    producer: golden.producer,
    attributes: header.BatchAttribute.CONTROL | header.BatchAttribute.TRANSACTIONAL,
    baseOffset: golden.baseOffset,
    leaderEpoch: golden.leaderEpoch,
  });
  assert.equal(ours, bytes);
});

test('the reader reads what other clients have written', () => {
  let read = 0;
  for (const { source, golden, bytes } of goldenBatches()) {
    if ((golden.codec ?? 0) > 1) continue;
    const records = readBatch(bytes, {
      includeControl: true,
      decompress: (_codec, section) => gunzipSync(section),
    });
    const expected = golden.records.map((record, index) => ({
      ...record,
      timestamp: golden.logAppendTime ?? record.timestamp,
      offset: golden.offsets?.[index] ?? (golden.baseOffset ?? 0) + index,
    }));
    assert.equal(records, expected, `${source}: ${golden.name}`);
    read++;
  }
  assert.is(read, 87);
});

test('the header fields of other clients are read where they lie', () => {
  for (const { source, golden, bytes } of goldenBatches()) {
    const what = `${source}: ${golden.name}`;
    const { records, producer, baseOffset = 0 } = golden;
    const lastOffset = golden.lastOffset ?? golden.offsets?.at(-1) ?? baseOffset + records.length - 1;
    assert.is(header.batchBytes(bytes, 0), bytes.length, what);
    assert.is(bytes[16], 2, what);
    assert.is(header.readBaseOffset(bytes, 0), baseOffset, what);
    assert.is(header.nextOffset(bytes, 0), lastOffset + 1, what);
    assert.is(header.readRecordCount(bytes, 0), records.length, what);
    assert.is(header.readCrc(bytes, 0), crc32cByTable(bytes.subarray(header.CRC_FROM)), what);
    assert.is(header.codecOf(header.readAttributes(bytes, 0)), golden.codec ?? 0, what);
    assert.is(header.isControl(header.readAttributes(bytes, 0)), golden.control !== undefined, what);
    const transactional = golden.transactional === true || golden.control !== undefined;
    assert.is(
      (header.readAttributes(bytes, 0) & header.BatchAttribute.TRANSACTIONAL) !== 0,
      transactional,
      what,
    );
    assert.is(header.readProducerId(bytes, 0), producer?.[0] ?? -1, what);
    if (golden.leaderEpoch !== undefined)
      assert.is(header.readLeaderEpoch(bytes, 0), golden.leaderEpoch, what);
    if (producer !== undefined) {
      assert.is(header.readProducerEpoch(bytes, 0), producer[1], what);
      assert.is(header.readBaseSequence(bytes, 0), producer[2], what);
    }
    if (records.length > 0) {
      const timestamps = golden.logAppendTime
        ? [golden.logAppendTime]
        : records.map(({ timestamp }) => timestamp);
      assert.is(header.readMaxTimestamp(bytes, 0), Math.max(...timestamps), what);
      assert.is(header.readBaseTimestamp(bytes, 0), records[0].timestamp, what);
    }
  }
});

test('a broker takes what other clients produce, and tells what only brokers may write', () => {
  const refused: Record<string, number | undefined> = {};
  for (const { source, golden, bytes } of goldenBatches()) {
    assert.is(header.checkBatch(bytes, 0, bytes.length, LARGE), 0, `${source}: ${golden.name}`);
    const fault = header.checkProducedBatch(bytes, 0, bytes.length, LARGE);
    if (fault !== 0) refused[golden.name] = batchFaultSentence(fault).length > 0 ? fault : undefined;
  }
  assert.equal(refused, {
    'gaps left by compaction': BatchFault.COUNT_MISMATCH,
    'commit marker': BatchFault.CONTROL_FROM_CLIENT,
    'abort marker': BatchFault.CONTROL_FROM_CLIENT,
    'empty after compaction': BatchFault.COUNT_MISMATCH,
  });
});

test.run();
