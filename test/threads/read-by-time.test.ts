import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ReadOptions } from '../../src/index.ts';
import { assertRefused } from '../client/refusals.ts';
import { text, until, withCluster } from './fixtures.ts';

const TIMES = [100, 300, 200, 400, 2 ** 33, 2 ** 33];

test('a read by timestamp begins with the first record that is not older, at the leader and at a follower', () =>
  withCluster({}, async (cluster) => {
    const producer = cluster.producer();
    // One batch each, so that batches are told apart as well as records.
    for (const [n, timestamp] of TIMES.entries()) await producer.send('t', { value: `${n}`, timestamp });
    const from = async (timestamp: number, broker?: number): Promise<(string | null)[]> => {
      const { records } = await cluster.read('t', { partition: 0, timestamp, broker });
      return records.map(({ value }) => text(value));
    };
    const all = ['0', '1', '2', '3', '4', '5'];
    assert.equal(await from(0), all);
    assert.equal(await from(101), all.slice(1));
    assert.equal(await from(350), all.slice(3));
    assert.equal(await from(401), all.slice(4));
    for (const broker of [1, 2, 3]) {
      await until(
        'the replica knows that all is committed',
        async () => (await from(0, broker)).length === 6,
      );
      assert.equal(await from(2 ** 33, broker), all.slice(4), `broker ${broker}`);
    }
  }));

test('where every record is older the read begins at the end, and may wait there', () =>
  withCluster({ brokers: 1 }, async (cluster) => {
    const producer = cluster.producer();
    await producer.sendBatch('t', [
      { value: 'a', timestamp: 1 },
      { value: 'b', timestamp: 2 },
    ]);
    assert.equal(await cluster.read('t', { partition: 0, timestamp: 3 }), {
      records: [],
      nextOffset: 2,
      hwm: 2,
    });
    const waiting = cluster.read('t', { partition: 0, timestamp: 3, waitMs: 5_000 });
    await producer.send('t', { value: 'c', timestamp: 3 });
    const { records } = await waiting;
    assert.equal(
      records.map(({ offset, timestamp }) => [offset, timestamp]),
      [[2, 3]],
    );
  }));

test('LogAppendTime: records carry the time at which the leader took them', () =>
  withCluster({ topicConfig: { 'message.timestamp.type': 'LogAppendTime' } }, async (cluster) => {
    const before = Date.now();
    await cluster.producer().send('t', { value: 'a', timestamp: 5 });
    const { records } = await cluster.read('t', { partition: 0, timestamp: before });
    assert.is(records.length, 1);
    assert.ok(records[0].timestamp >= before && records[0].timestamp <= Date.now());
  }));

test('a read begins at an offset or at a timestamp: one of them, and a sound one', () =>
  withCluster({ brokers: 1 }, async (cluster) => {
    const read = (options: Partial<ReadOptions>) => cluster.read('t', { partition: 0, ...options });
    await assertRefused(read({ offset: 0, timestamp: 0 }), 'INVALID_ARGUMENT', /an offset or at a timestamp/);
    await assertRefused(read({}), 'INVALID_ARGUMENT', /^offset must be/);
    for (const timestamp of [-1, 1.5, Number.NaN])
      await assertRefused(read({ timestamp }), 'INVALID_ARGUMENT', /^timestamp must be/);
  }));

test.run();
