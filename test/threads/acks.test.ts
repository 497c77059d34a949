import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { percentiles } from '../../src/runtime/histogram.ts';
import { assertRefused } from '../client/refusals.ts';
import { assertReplicated, numbered, partitionOf, until, withCluster } from './fixtures.ts';

test('with acks 0 the records arrive, though nobody tells where', () =>
  withCluster({}, async (cluster) => {
    const producer = cluster.producer({ acks: 0 });
    const places = await producer.sendBatch('t', numbered(1_000, 50));
    assert.ok(places.every(({ partition, offset }) => partition === 0 && offset === -1));
    assert.equal(await producer.send('t', { value: 'last' }), { partition: 0, offset: -1 });
    await until('all records are committed', () => partitionOf(cluster).hwm === 1_001);
    await assertReplicated(cluster, 1_001);
  }));

test('with acks 1 the leader has the records when the promise resolves', () =>
  withCluster({}, async (cluster) => {
    const producer = cluster.producer({ acks: 1 });
    for (let n = 0; n < 200; n++) {
      assert.equal(await producer.send('t', { value: `${n}` }), { partition: 0, offset: n });
      const { leader, leo } = partitionOf(cluster);
      assert.is(leo[leader], n + 1);
    }
    await assertReplicated(cluster, 200);
  }));

test('with acks all every replica has the records when the promise resolves', () =>
  withCluster({}, async (cluster) => {
    const producer = cluster.producer({ acks: 'all' });
    for (let n = 0; n < 200; n++) {
      assert.equal(await producer.send('t', { value: `${n}` }), { partition: 0, offset: n });
      const { hwm, leo } = partitionOf(cluster);
      assert.is(hwm, n + 1);
      assert.equal(leo, { 1: n + 1, 2: n + 1, 3: n + 1 });
    }
  }));

test('LESSONS 1: a batch of many records is acknowledged with the offset of each', () =>
  withCluster({}, async (cluster) => {
    const producer = cluster.producer();
    for (let n = 0; n < 20; n++) {
      const places = await producer.sendBatch('t', numbered(50));
      assert.equal(
        places.map(({ offset }) => offset),
        Array.from({ length: 50 }, (_, record) => n * 50 + record),
      );
    }
  }));

test('LESSONS 2: under load the HWM never goes back and is never above any LEO', () =>
  withCluster({ partitions: 2 }, async (cluster) => {
    const producer = cluster.producer({ batchBytes: 3_000 });
    const seen = [0, 0];
    let samples = 0;
    for (let round = 0; round < 40; round++) {
      let pending = true;
      const sent = producer.sendBatch('t', numbered(500, 100)).then(() => {
        pending = false;
      });
      while (pending) {
        for (const partition of [0, 1]) {
          // status() looks at the HWM before it looks at the LEOs, which only go up.
          const { hwm, leo } = partitionOf(cluster, partition);
          assert.ok(hwm >= seen[partition], `HWM went from ${seen[partition]} to ${hwm}`);
          for (const end of Object.values(leo)) assert.ok(hwm <= end, `HWM ${hwm} above ${end}`);
          seen[partition] = hwm;
          samples++;
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
      await sent;
    }
    assert.ok(samples > 100, `${samples} samples`);
    await assertReplicated(cluster, 20_000);
  }));

test('LESSONS 5: with too few replicas acks all is refused, and nothing is appended anywhere', () =>
  withCluster({ brokers: 2, topicConfig: { 'min.insync.replicas': 3 } }, async (cluster) => {
    const refused = cluster.producer({ acks: 'all' });
    for (let n = 0; n < 3; n++) {
      const error = await assertRefused(refused.send('t', { value: 'v' }), 'NOT_ENOUGH_REPLICAS');
      assert.is(error.retriable, true);
      assert.match(
        error.message,
        /min\.insync\.replicas 3 and a replication factor of 2, .* can never be kept/,
      );
    }
    await assertRefused(refused.sendBatch('t', numbered(10)), 'NOT_ENOUGH_REPLICAS');
    assert.equal(partitionOf(cluster).leo, { 1: 0, 2: 0 });

    const taken = cluster.producer({ acks: 1 });
    assert.equal(await taken.send('t', { value: 'v' }), { partition: 0, offset: 0 });
    await until('the follower has it', () =>
      Object.values(partitionOf(cluster).leo).every((leo) => leo === 1),
    );
    assert.is(partitionOf(cluster).hwm, 0, 'the HWM does not advance while the ISR is too small');
    assert.equal((await cluster.read('t', { partition: 0, offset: 0 })).records, []);
    const batches = cluster.metrics().reduce((sum, { counters }) => sum + counters.batchesAppended, 0);
    assert.is(batches, 1);
  }));

test('a standalone broker commits by itself', () =>
  withCluster({ brokers: 1 }, async (cluster) => {
    assert.equal(await cluster.producer().send('t', { value: 'v' }), { partition: 0, offset: 0 });
    const { hwm, leo, replicas, isr, leader } = partitionOf(cluster);
    assert.equal(
      { hwm, leo, replicas, isr, leader },
      { hwm: 1, leo: { 1: 1 }, replicas: [1], isr: [1], leader: 1 },
    );
  }));

test('LESSONS 7: an acknowledgement waits for the followers and for no timer', () =>
  withCluster({}, async (cluster) => {
    const producer = cluster.producer({ acks: 'all' });
    const timesMs: number[] = [];
    for (let n = 0; n < 200; n++) {
      const startedMs = performance.now();
      await producer.send('t', { value: 'v' });
      timesMs.push(performance.now() - startedMs);
    }
    const median = timesMs.sort((a, b) => a - b)[100];
    assert.ok(median < 20, `the median is ${median} ms`);
    const [{ lagHwm }] = cluster.metrics();
    assert.ok(percentiles(lagHwm).p50 < 20);
  }));

test('metrics tell what each broker has done', () =>
  withCluster({}, async (cluster) => {
    const producer = cluster.producer();
    for (let n = 0; n < 10; n++) await producer.sendBatch('t', numbered(5));
    const sum = (counts: Uint32Array): number => counts.reduce((total, count) => total + count, 0);
    // A follower notes how long it took after it has told that it is done.
    await until('all is noted', () =>
      cluster.metrics().every(({ broker, lagFollower }) => broker === 1 || sum(lagFollower) >= 10),
    );
    const metrics = cluster.metrics();
    assert.equal(
      metrics.map(({ broker }) => broker),
      [1, 2, 3],
    );
    for (const { broker, counters, lagHwm, lagFollower } of metrics) {
      assert.equal(counters, {
        batchesAppended: broker === 1 ? 10 : 0,
        batchesRefused: 0,
        corruptFrames: 0,
        laps: 0,
        catchUps: 0,
        damagedSegments: 0,
        readsRefused: 0,
        requestsFenced: 0,
        requestsTimedOut: 0,
        isrShrinks: 0,
        isrExpansions: 0,
        corruptRequests: 0,
        unfitFrames: 0,
        wishesRefused: 0,
        wishesFenced: 0,
        sequencesRefused: 0,
        duplicateBatches: 0,
      });
      assert.is(sum(lagHwm), broker === 1 ? 10 : 0);
      assert.is(sum(lagFollower), broker === 1 ? 0 : 10);
    }
  }));

test('status tells brokers, leaders, replicas and where they stand', () =>
  withCluster({ partitions: 3, replicationFactor: 2 }, async (cluster) => {
    const { clusterId, quorum, brokers, topics } = cluster.status();
    assert.match(clusterId, /^[\w-]{22}$/);
    assert.equal(quorum.voters, [1, 2, 3]);
    assert.ok(quorum.voters.includes(quorum.leaderId as number));
    const { offset: metadataOffset } = quorum;
    // They hear of it behind what it was about.
    await until('all brokers have heard', () =>
      cluster.status().brokers.every((broker) => broker.metadataOffset === metadataOffset),
    );
    assert.equal(
      brokers.map((broker) => ({ ...broker, metadataOffset })),
      [1, 2, 3].map((id) => ({ id, state: 'running', endpoint: null, rack: null, metadataOffset })),
    );
    assert.equal(
      topics.map(({ name }) => name),
      ['t'],
    );
    assert.equal(new Set(topics[0].partitions.map(({ leader }) => leader)).size, 3);
    for (const [n, partition] of topics[0].partitions.entries()) {
      assert.is(partition.id, n);
      assert.is(partition.epoch, 0);
      assert.is(partition.hwm, 0);
      assert.is(partition.replicas.length, 2);
      assert.equal(partition.isr, partition.replicas);
      assert.is(partition.leader, partition.replicas[0]);
      assert.equal(Object.keys(partition.leo).map(Number).sort(), [...partition.replicas].sort());
    }
  }));

test.run();
