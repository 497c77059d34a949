import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Cluster, RecordPlace } from '../../src/index.ts';
import { connect } from '../../src/index.ts';
import { Topics } from '../../src/runtime/topics.ts';
import { assertRefused, outcomeOf } from '../client/refusals.ts';
import { partitionOf, sleep, text, until, withCluster } from './fixtures.ts';

/** The partition of the topic that a broker leads. */
function ledBy(cluster: Cluster, broker: number): number {
  return [0, 1, 2].find((partition) => partitionOf(cluster, partition).leader === broker) as number;
}

function stateOf(cluster: Cluster, broker: number): string | undefined {
  return cluster.status().brokers.find(({ id }) => id === broker)?.state;
}

test('whoever writes to a broker that dies, or reads from it, hears of nothing but its successor', () =>
  withCluster({ brokers: 2 }, async (cluster, { threads }) => {
    const producer = cluster.producer();
    await producer.send('t', { value: 'v' });
    const { leader } = partitionOf(cluster);
    const beyond = cluster.read('t', { partition: 0, offset: 60, waitMs: 60_000 }).catch((error) => error);
    const poll = cluster.read('t', { partition: 0, offset: 1, waitMs: 60_000 });
    await sleep(20);
    const gone = threads[leader - 1].terminate();
    const sent = producer.send('t', { value: 'z' });
    await gone;
    assert.is((await beyond).code, 'OFFSET_OUT_OF_RANGE');
    assert.equal(await sent, { partition: 0, offset: 1 });
    assert.equal(
      (await poll).records.map(({ value }) => text(value)),
      ['z'],
    );
    assert.is(partitionOf(cluster).leader, 3 - leader);
    const { records } = await cluster.read('t', { partition: 0, offset: 0 });
    assert.equal(
      records.map(({ value }) => text(value)),
      ['v', 'z'],
    );
    assert.equal(partitionOf(cluster).isr, [3 - leader]);
    await assertRefused(cluster.inspect('t', { broker: leader, partition: 0 }), 'BROKER_FAILED');
    await assertRefused(cluster.read('t', { partition: 0, offset: 0, broker: leader }), 'BROKER_FAILED');
    assert.is(stateOf(cluster, leader), 'failed');
    await producer.close();
  }));

test('when a broker dies or comes back nobody goes through all topics, but for what it holds, once', () =>
  withCluster({ brokers: 3, partitions: 3 }, async (cluster) => {
    const written = Object.getOwnPropertyDescriptor(Topics.prototype, 'written') as PropertyDescriptor;
    let looks = 0;
    const counted = function (this: Topics): unknown {
      looks += 1;
      return written.get?.call(this);
    };
    Object.defineProperty(Topics.prototype, 'written', { ...written, get: counted });
    try {
      await cluster.faults.kill(2);
      assert.is(looks, 0);
      await cluster.faults.restart(2);
      await until('all are in sync', () =>
        [0, 1, 2].every((partition) => partitionOf(cluster, partition).isr.length === 3),
      );
      assert.is(looks, 1);
    } finally {
      Object.defineProperty(Topics.prototype, 'written', written);
    }
  }));

test('LESSONS 3: a dead follower leaves the ISR, and stalls neither acks=all nor anything else', () =>
  withCluster({ brokers: 3 }, async (cluster, { threads }) => {
    const producer = cluster.producer();
    await producer.send('t', { value: 'v' });
    const { leader, replicas } = partitionOf(cluster);
    const follower = replicas.find((id) => id !== leader) as number;
    const big = Array.from({ length: 2_000 }, () => ({ value: 'x'.repeat(1_000) }));
    const early = producer.sendBatch('t', big);
    await threads[follower - 1].terminate();
    await early;
    await until('the follower is out of the ISR', () => !partitionOf(cluster).isr.includes(follower));
    // More than a leader may be ahead of a follower that it waits for.
    for (let n = 0; n < 5; n++) await producer.sendBatch('t', big);
    assert.is(partitionOf(cluster).hwm, 12_001);
    assert.equal(partitionOf(cluster).replicas, replicas);
  }));

test('with too few replicas left acks=all is refused, also for what was appended before', () =>
  withCluster({ brokers: 2, config: { 'min.insync.replicas': 2 } }, async (cluster, { threads }) => {
    const producer = cluster.producer({ deliveryTimeoutMs: 1_000 });
    await producer.send('t', { value: 'v' });
    const { leader } = partitionOf(cluster);
    const sent = Promise.allSettled(
      Array.from({ length: 500 }, async () => {
        for (let n = 0; n < 200; n++) await producer.send('t', { value: 'x'.repeat(500) });
      }),
    );
    await threads[2 - leader].terminate();
    const codes = new Set<string>();
    for (const outcome of await sent) {
      if (outcome.status === 'rejected') codes.add(outcome.reason.code);
    }
    assert.ok(codes.size > 0);
    codes.delete('NOT_ENOUGH_REPLICAS');
    codes.delete('NOT_ENOUGH_REPLICAS_AFTER_APPEND');
    assert.is(codes.size, 0);
    const { leo } = partitionOf(cluster);
    await assertRefused(
      producer.send('t', { value: 'y' }),
      'NOT_ENOUGH_REPLICAS',
      /Partition 0 of 't' has min\.insync\.replicas 2, and of its 2 replicas fewer are in sync/,
    );
    assert.is(partitionOf(cluster).leo[leader], leo[leader]);
    await cluster.producer({ acks: 1 }).send('t', { value: 'z' });
  }));

test('the other brokers go on serving what needs the dead one for nothing', () =>
  withCluster({ brokers: 3, partitions: 3, replicationFactor: 1 }, async (cluster, { threads }) => {
    const producer = cluster.producer({ deliveryTimeoutMs: 1_000 });
    const records = Array.from({ length: 60 }, (_, n) => ({ key: `${n}`, value: `${n}` }));
    const places = await producer.sendBatch('t', records);
    await threads[1].terminate();
    const dead = places.find(({ partition }) => partitionOf(cluster, partition).replicas[0] === 2)?.partition;
    await until('nobody leads there', () => partitionOf(cluster, dead).leader === -1);
    let served = 0;
    const check = async ({ partition }: RecordPlace, n: number): Promise<void> => {
      const sent = producer.send('t', records[n]);
      if (partition === dead) await assertRefused(sent, 'LEADER_NOT_AVAILABLE', /broker 2, which alone has/);
      else if ((await sent).offset > 0) served++;
    };
    await Promise.all(places.map(check));
    assert.ok(served > 20);
    const alive = ledBy(cluster, 3);
    const { records: read } = await cluster.read('t', { partition: alive, offset: 0 });
    assert.ok(read.every(({ value }) => text(value) !== null));
    await cluster.admin.createTopic('later', { partitions: 4, replicationFactor: 2 });
    for (const { replicas } of cluster.status().topics[1].partitions) assert.not(replicas.includes(2));
    await producer.sendBatch('later', records);
    await assertRefused(
      cluster.admin.createTopic('wide', { replicationFactor: 3 }),
      'INVALID_REPLICATION_FACTOR',
    );
    // One that attaches now is given links to those that run.
    const client = await connect(cluster.handle);
    await client.producer().sendBatch('later', records);
    await client.close();
  }));

test('attached clients learn of a death as well', () =>
  withCluster({ brokers: 1, deliveryTimeoutMs: 700 }, async (cluster, { threads }) => {
    const client = await connect(cluster.handle);
    const producer = client.producer();
    await producer.send('t', { value: 'v' });
    const poll = outcomeOf(client.read('t', { partition: 0, offset: 1, waitMs: 100 }));
    const patient = outcomeOf(client.read('t', { partition: 0, offset: 1, waitMs: 60_000 }));
    await threads[0].terminate();
    await assertRefused(Promise.reject(await poll), 'LEADER_NOT_AVAILABLE', /broker 1, which alone has/);
    await assertRefused(producer.send('t', { value: 'v' }), 'LEADER_NOT_AVAILABLE', /700 ms/);
    const closed = client.close();
    await assertRefused(Promise.reject(await patient), 'CLOSED');
    await closed;
  }));

test('a cluster whose brokers have all died is closed without waiting', () =>
  withCluster({}, async (cluster, { threads }) => {
    const producer = cluster.producer();
    await producer.send('t', { value: 'v' });
    await Promise.all(threads.map((thread) => thread.terminate()));
    const startedMs = performance.now();
    await cluster.close();
    assert.ok(performance.now() - startedMs < 1_000);
    assert.equal(
      cluster.status().brokers.map(({ state }) => state),
      ['failed', 'failed', 'failed'],
    );
  }));

test.run();
