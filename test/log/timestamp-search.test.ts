import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  readMaxTimestamp,
  writeAppendTime,
  writeAttributes,
  writeBaseOffset,
} from '../../src/log/record-batch.ts';
import { firstRecordSince } from '../../src/log/timestamp-search.ts';
import { newTestLog } from './log-fixtures.ts';
import { encodeBatch } from './record-batch-fixtures.ts';

function batchOf(base: number, timestamps: readonly number[]): Uint8Array {
  const batch = encodeBatch(timestamps.map((timestamp) => ({ value: Buffer.from('x'), timestamp })));
  writeBaseOffset(batch, 0, base);
  return batch;
}

test('the first record counts that is not older, also where later ones are older again', () => {
  const batch = batchOf(10, [100, 300, 200, 300]);
  const since = (timestamp: number) => firstRecordSince(batch, 0, timestamp);
  assert.equal(since(0), { offset: 10, timestamp: 100 });
  assert.equal(since(100), { offset: 10, timestamp: 100 });
  assert.equal(since(101), { offset: 11, timestamp: 300 });
  assert.equal(since(300), { offset: 11, timestamp: 300 });
  assert.is(since(301), undefined);
});

test("with LogAppendTime every record has the batch's time", () => {
  const batch = batchOf(10, [100, 300]);
  writeAppendTime(batch, 0, 5_000);
  assert.is(readMaxTimestamp(batch, 0), 5_000);
  assert.equal(firstRecordSince(batch, 0, 4_000), { offset: 10, timestamp: 5_000 });
});

test('of a compressed batch it is the beginning', () => {
  const batch = batchOf(10, [100, 300]);
  writeAttributes(batch, 0, 3);
  assert.equal(firstRecordSince(batch, 0, 200), { offset: 10, timestamp: 300 });
  assert.is(firstRecordSince(batch, 0, 301), undefined);
});

test('a batch whose records make no sense is answered by its beginning, and ends nobody', () => {
  const batch = batchOf(10, [100, 300]);
  batch.fill(0xff, 61);
  assert.equal(firstRecordSince(batch, 0, 200), { offset: 10, timestamp: 300 });
});

test('a log in memory finds what a look at every record finds, below the end that is asked for', () => {
  const batches = fc.array(fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 4 }), {
    maxLength: 30,
  });
  fc.assert(
    fc.property(batches, fc.integer({ min: 0, max: 60 }), fc.nat(30), (all, timestamp, endBatch) => {
      const log = newTestLog();
      const times: number[] = [];
      let end = 0;
      for (const [index, each] of all.entries()) {
        const batch = batchOf(log.leo, each);
        log.append(batch, 0, batch.length);
        log.flush();
        times.push(...each);
        if (index < endBatch) end = log.leo;
      }
      const offset = times.findIndex((time, index) => time >= timestamp && index < end);
      assert.equal(
        log.offsetForTimestamp(timestamp, end),
        offset === -1 ? undefined : { offset, timestamp: times[offset] },
      );
    }),
  );
});

test.run();
