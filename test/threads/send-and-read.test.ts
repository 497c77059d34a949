import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { partitionOfKey } from '../../src/client/partitioner.ts';
import type { Cluster, ReadRecord, RecordInput } from '../../src/index.ts';
import { assertRefused } from '../client/refusals.ts';
import { assertReplicated, numbered, partitionOf, sleep, text, until, withCluster } from './fixtures.ts';

/** Everything that is committed in a partition, through as many reads as it takes. */
async function readAll(cluster: Cluster, partition = 0, maxBytes?: number): Promise<ReadRecord[]> {
  const all: ReadRecord[] = [];
  for (let offset = 0; ; ) {
    const { records, nextOffset, hwm } = await cluster.read('t', { partition, offset, maxBytes });
    all.push(...records);
    if (nextOffset === hwm) return all;
    assert.ok(nextOffset > offset, 'a read that is not at the end goes on');
    offset = nextOffset;
  }
}

const values = (records: readonly ReadRecord[]): (string | null)[] => records.map(({ value }) => text(value));

test('keys, values, headers, timestamps and tombstones come back as they were sent', () =>
  withCluster({}, async (cluster) => {
    const producer = cluster.producer();
    const bytes = Uint8Array.from({ length: 256 }, (_, n) => n);
    const startedMs = Date.now();
    const sent: RecordInput[] = [
      { key: 'key', value: 'värde ✓' },
      { key: bytes, value: bytes, timestamp: 1_500_000_000_123 },
      { key: null, value: null },
      { value: '', headers: { one: '1', two: bytes, none: null } },
      {
        value: 'pairs',
        headers: [
          ['same', 'a'],
          ['same', 'b'],
        ],
        timestamp: 0,
      },
      {},
    ];
    const places = await producer.sendBatch('t', sent);
    assert.equal(
      places,
      [0, 1, 2, 3, 4, 5].map((offset) => ({ partition: 0, offset })),
    );
    const { records, nextOffset, hwm } = await cluster.read('t', { partition: 0, offset: 0 });
    assert.equal([nextOffset, hwm], [6, 6]);
    assert.equal(values(records), ['värde ✓', text(bytes), null, '', 'pairs', null]);
    assert.equal(
      records.map(({ key }) => key && Buffer.from(key).toString('hex')),
      [Buffer.from('key').toString('hex'), Buffer.from(bytes).toString('hex'), null, null, null, null],
    );
    assert.equal(
      records[3].headers.map(([name, value]) => [name, text(value)]),
      [
        ['one', '1'],
        ['two', text(bytes)],
        ['none', null],
      ],
    );
    assert.equal(
      records[4].headers.map(([name, value]) => [name, text(value)]),
      [
        ['same', 'a'],
        ['same', 'b'],
      ],
    );
    assert.equal([records[1].timestamp, records[4].timestamp], [1_500_000_000_123, 0]);
    for (const { timestamp } of [records[0], records[2], records[5]]) {
      assert.ok(timestamp >= startedMs && timestamp <= Date.now());
    }
    for (const [n, { topic, partition, offset }] of records.entries()) {
      assert.equal([topic, partition, offset], ['t', 0, n]);
    }
  }));

test('what a read gives is a copy, private to the reader', () =>
  withCluster({}, async (cluster) => {
    const producer = cluster.producer();
    await producer.send('t', { key: 'the key', value: 'the value', headers: { name: 'the header' } });
    const { records } = await cluster.read('t', { partition: 0, offset: 0 });
    for (const data of [records[0].key, records[0].value, records[0].headers[0][1]]) {
      assert.instance(data?.buffer, ArrayBuffer);
      data?.fill(0);
    }
    await producer.sendBatch('t', numbered(2_000, 100));
    const [again] = (await cluster.read('t', { partition: 0, offset: 0 })).records;
    assert.equal(
      [text(again.key), text(again.value), text(again.headers[0][1])],
      ['the key', 'the value', 'the header'],
    );
  }));

test('every record lies where its promise said, keyed and unkeyed ones mixed, and offsets have no gaps', () =>
  withCluster({ partitions: 4 }, async (cluster) => {
    const producer = cluster.producer({ batchBytes: 2_000 });
    const records = Array.from({ length: 3_000 }, (_, n) => ({
      key: n % 3 === 0 ? undefined : `key ${n % 11}`,
      value: `value ${n}`,
    }));
    const places = await Promise.all([
      ...records.slice(0, 1_500).map((record) => producer.send('t', record)),
      producer.sendBatch('t', records.slice(1_500)),
    ]).then((all) => all.flat());
    const found = new Map<string, string | null>();
    for (let partition = 0; partition < 4; partition++) {
      const all = await readAll(cluster, partition, 5_000);
      assert.equal(
        all.map(({ offset }) => offset),
        all.map((_, n) => n),
      );
      for (const { offset, value } of all) found.set(`${partition} ${offset}`, text(value));
    }
    assert.is(found.size, 3_000);
    for (const [n, { partition, offset }] of places.entries()) {
      assert.is(found.get(`${partition} ${offset}`), `value ${n}`);
      const { key } = records[n];
      if (key !== undefined) assert.is(partition, partitionOfKey(key, 4));
    }
    await assertReplicated(cluster, 3_000);
  }));

test('records of one key keep their order', () =>
  withCluster({ partitions: 3 }, async (cluster) => {
    const producer = cluster.producer({ batchBytes: 500 });
    for (let n = 0; n < 1_000; n++) void producer.send('t', { key: 'k', value: `${n}` });
    await producer.flush();
    const all = await readAll(cluster, partitionOfKey('k', 3));
    assert.equal(
      values(all).map(Number),
      all.map((_, n) => n),
    );
    assert.is(all.length, 1_000);
  }));

test('LESSONS 6: a read from the middle of a batch begins with the record asked for, at its own offset', () =>
  withCluster({}, async (cluster) => {
    await cluster.producer().sendBatch('t', numbered(10));
    await cluster.producer().sendBatch('t', numbered(10, 0, 10));
    for (const offset of [0, 1, 5, 9, 10, 13, 19]) {
      const { records, nextOffset, hwm } = await cluster.read('t', { partition: 0, offset });
      assert.equal([nextOffset, hwm], [20, 20]);
      assert.equal(
        records.map((record) => [record.offset, Number(text(record.value))]),
        Array.from({ length: 20 - offset }, (_, n) => [offset + n, offset + n]),
      );
    }
  }));

test('maxBytes bounds a read, and one batch comes even if it is larger', () =>
  withCluster({}, async (cluster) => {
    const producer = cluster.producer();
    for (let n = 0; n < 5; n++) await producer.sendBatch('t', numbered(10, 100, n * 10));
    const read = (maxBytes: number) => cluster.read('t', { partition: 0, offset: 0, maxBytes });
    assert.is((await read(1)).nextOffset, 10);
    assert.is((await read(2_500)).nextOffset, 20);
    assert.is((await read(1 << 30)).nextOffset, 50);
    assert.equal(values(await readAll(cluster, 0, 1)).length, 50);
  }));

test('the largest batch that a topic may be given goes through, and is read', () =>
  withCluster({ topicConfig: { 'max.message.bytes': 2 * 1024 * 1024 - 4096 } }, async (cluster) => {
    const producer = cluster.producer();
    const value = new Uint8Array(2 * 1024 * 1024 - 4096 - 61 - 14).map((_, n) => n * 7);
    for (let n = 0; n < 6; n++) await producer.send('t', { value });
    const { records, nextOffset } = await cluster.read('t', { partition: 0, offset: 4, maxBytes: 1 });
    assert.is(nextOffset, 5);
    assert.is(Buffer.compare(records[0].value as Uint8Array, value), 0);
    await assertReplicated(cluster, 6);
  }));

test('a read at the end gives nothing, at once, and one beyond it is refused', () =>
  withCluster({}, async (cluster) => {
    const startedMs = performance.now();
    assert.equal(await cluster.read('t', { partition: 0, offset: 0 }), {
      records: [],
      nextOffset: 0,
      hwm: 0,
    });
    await cluster.producer().send('t', { value: 'v' });
    assert.equal(await cluster.read('t', { partition: 0, offset: 1 }), {
      records: [],
      nextOffset: 1,
      hwm: 1,
    });
    assert.ok(performance.now() - startedMs < 1_000);
    await assertRefused(
      cluster.read('t', { partition: 0, offset: 2 }),
      'OFFSET_OUT_OF_RANGE',
      /offsets from 0 up to 1; 2 is not among them/,
    );
    await assertRefused(
      cluster.read('t', { partition: 0, offset: 2 ** 53 - 1, waitMs: 5_000 }),
      'OFFSET_OUT_OF_RANGE',
    );
  }));

test('a long poll is answered by a later send, as soon as that is committed', () =>
  withCluster({}, async (cluster) => {
    const producer = cluster.producer();
    await producer.send('t', { value: 'before' });
    const startedMs = performance.now();
    const polls = [1, 2].map(() => cluster.read('t', { partition: 0, offset: 1, waitMs: 20_000 }));
    await sleep(30);
    await producer.send('t', { value: 'after' });
    for (const poll of polls) {
      const { records, nextOffset, hwm } = await poll;
      assert.equal([values(records), nextOffset, hwm], [['after'], 2, 2]);
    }
    assert.ok(performance.now() - startedMs < 5_000);
  }));

test('a long poll without a record is answered when its time is up', () =>
  withCluster({}, async (cluster) => {
    const startedMs = performance.now();
    const answer = await cluster.read('t', { partition: 0, offset: 0, waitMs: 150 });
    const tookMs = performance.now() - startedMs;
    assert.equal(answer, { records: [], nextOffset: 0, hwm: 0 });
    assert.ok(tookMs >= 145 && tookMs < 2_000, `${tookMs} ms`);
  }));

test('a follower answers with the same records, and knows what was acknowledged', () =>
  withCluster({}, async (cluster) => {
    const producer = cluster.producer();
    const { leader, replicas } = partitionOf(cluster);
    for (let n = 0; n < 50; n++) {
      await producer.send('t', { value: `${n}` });
      for (const broker of replicas) {
        const { records, hwm } = await cluster.read('t', { partition: 0, offset: n, broker });
        assert.equal([values(records), hwm], [[`${n}`], n + 1], `broker ${broker} of leader ${leader}`);
      }
    }
  }));

test('a long poll at a follower is answered as soon as what came is committed', () =>
  withCluster({ partitions: 2 }, async (cluster) => {
    const producer = cluster.producer();
    const startedMs = performance.now();
    for (let n = 0; n < 20; n++) {
      for (const broker of partitionOf(cluster).replicas) {
        const { hwm } = partitionOf(cluster);
        const poll = cluster.read('t', { partition: 0, offset: hwm, waitMs: 20_000, broker });
        // With and without a pause in which the follower falls asleep.
        if (n % 2 === 0) await sleep(5);
        const { partition } = await producer.send('t', { key: 'a', value: `${n}` });
        assert.is(partition, 0);
        assert.equal(values((await poll).records), [`${n}`]);
      }
    }
    assert.ok(performance.now() - startedMs < 15_000);
  }));

test('retention drops the oldest records everywhere, and says where the log begins', () =>
  withCluster({ topicConfig: { 'retention.bytes': 100_000, 'segment.bytes': 32_768 } }, async (cluster) => {
    const producer = cluster.producer({ batchBytes: 4_000 });
    for (let n = 0; n < 40; n++) await producer.sendBatch('t', numbered(100, 100, n * 100));
    const refusal = await assertRefused(
      cluster.read('t', { partition: 0, offset: 0 }),
      'OFFSET_OUT_OF_RANGE',
    );
    const first = Number(/offsets from (\d+) up to 4000/.exec(refusal.message)?.[1]);
    assert.ok(first > 0 && first < 4_000, refusal.message);
    const { records } = await cluster.read('t', { partition: 0, offset: first });
    assert.equal([records[0].offset, Number.parseInt(text(records[0].value) ?? '', 10)], [first, first]);
    await until('all replicas have everything', () =>
      Object.values(partitionOf(cluster).leo).every((leo) => leo === 4_000),
    );
    for (const broker of partitionOf(cluster).replicas) {
      const { logStart } = await cluster.inspect('t', { broker, partition: 0 });
      assert.ok(logStart > 0, `broker ${broker}`);
    }
  }));

test.run();
