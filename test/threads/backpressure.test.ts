import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { RecordPlace } from '../../src/index.ts';
import { outcomeOf, refusal } from '../client/refusals.ts';
import { assertReplicated, numbered, occupy, partitionOf, until, withCluster } from './fixtures.ts';

test('sends beyond a small buffer wait, the bound holds, and all get through in order', () =>
  withCluster({}, async (cluster) => {
    const producer = cluster.producer({ bufferBytes: 20_000, batchBytes: 4_000 });
    const sends: Promise<RecordPlace>[] = [];
    let most = 0;
    for (const record of numbered(5_000, 500)) {
      sends.push(producer.send('t', record));
      most = Math.max(most, producer.bufferedBytes);
    }
    const watch = setInterval(() => {
      most = Math.max(most, producer.bufferedBytes);
    }, 1);
    const places = await Promise.all(sends);
    clearInterval(watch);
    assert.equal(
      places.map(({ offset }) => offset),
      places.map((_, n) => n),
    );
    assert.ok(most > 15_000 && most < 20_000 + 600, `${most} bytes were buffered`);
    assert.is(producer.bufferedBytes, 0);
    await assertReplicated(cluster, 5_000);
  }));

test('more than the channels hold can be under way: nothing is lost, and nothing is stuck', () =>
  withCluster({ partitions: 3 }, async (cluster) => {
    for (const acks of [0, 1, 'all'] as const) {
      const producer = cluster.producer({ acks, bufferBytes: 64 << 20, batchBytes: 200_000 });
      const value = new Uint8Array(20_000);
      await Promise.all(Array.from({ length: 20 }, () => producer.sendBatch('t', Array(50).fill({ value }))));
      await producer.close();
    }
    const committed = () =>
      [0, 1, 2].reduce((sum, partition) => sum + partitionOf(cluster, partition).hwm, 0);
    await until('all is committed', () => committed() === 3_000);
    await assertReplicated(cluster, 3_000);
  }));

test('answers larger than a channel come one after the other', () =>
  withCluster({}, async (cluster) => {
    const producer = cluster.producer();
    const value = new Uint8Array(900_000);
    for (let n = 0; n < 4; n++) await producer.send('t', { value });
    const reads = Array.from({ length: 30 }, (_, n) =>
      cluster.read('t', { partition: 0, offset: n % 4, maxBytes: 1 }),
    );
    for (const [n, { records }] of (await Promise.all(reads)).entries()) {
      assert.equal([records.length, records[0].offset, records[0].value?.length], [1, n % 4, 900_000]);
    }
    assert.equal(await producer.send('t', { value: 'after' }), { partition: 0, offset: 4 });
  }));

test('a send that finds no room for maxBlockMs is refused, and one that is not answered in time as well', () =>
  withCluster({ brokers: 1, deliveryTimeoutMs: 300 }, async (cluster, { threads }) => {
    const producer = cluster.producer({ bufferBytes: 1_000, batchBytes: 500, maxBlockMs: 200 });
    await producer.send('t', { value: 'v' });
    // Twice: for longer than a send waits for room, also where this thread gets little of the processor.
    occupy(threads[0]);
    occupy(threads[0]);
    const sends = numbered(20, 200).map((record) => outcomeOf(producer.send('t', record)));
    const outcomes = await Promise.all(sends);
    const late = outcomes.filter((outcome) => refusal('BUFFER_EXHAUSTED', /for 200 ms/)(outcome));
    const unanswered = outcomes.filter((outcome) => refusal('REQUEST_TIMED_OUT', /in 300 ms/)(outcome));
    // The batch that was still gathering is sent after the others have failed; the broker may be free by then.
    const placed = outcomes.filter((outcome) => !(outcome instanceof Error));
    assert.equal(
      [late.length > 10, unanswered.length > 0, late.length + unanswered.length + placed.length],
      [true, true, 20],
    );
    const written = 1 + unanswered.length + placed.length;
    assert.is(producer.bufferedBytes, 0);
    // What was sent is written, though its fate was not known; what found no room is not.
    await until('the broker has caught up', () => partitionOf(cluster).hwm === written);
    assert.equal(await producer.send('t', { value: 'w' }), { partition: 0, offset: written });
  }));

test.run();
