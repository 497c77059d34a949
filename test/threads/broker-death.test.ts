import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Cluster } from '../../src/index.ts';
import { connect } from '../../src/index.ts';
import { assertRefused } from '../client/refusals.ts';
import { partitionOf, sleep, text, until, withCluster } from './fixtures.ts';

/** The partition of the topic that a broker leads. */
function ledBy(cluster: Cluster, broker: number): number {
  return [0, 1, 2].find((partition) => partitionOf(cluster, partition).leader === broker) as number;
}

function stateOf(cluster: Cluster, broker: number): string | undefined {
  return cluster.status().brokers.find(({ id }) => id === broker)?.state;
}

test('what is under way to a broker that dies fails with BROKER_FAILED, and so does what comes later', () =>
  withCluster({ brokers: 2 }, async (cluster, { threads }) => {
    const producer = cluster.producer();
    await producer.send('t', { value: 'v' });
    const { leader } = partitionOf(cluster);
    const follower = 3 - leader;
    // Without its follower the leader commits nothing: these stay under way.
    await threads[follower - 1].terminate();
    await until('the follower is gone', () => stateOf(cluster, follower) === 'failed');
    const sent = [
      producer.send('t', { value: 'w' }),
      producer.sendBatch('t', [{ value: 'x' }, { value: 'y' }]),
    ];
    const poll = cluster.read('t', { partition: 0, offset: 1, waitMs: 60_000 });
    await sleep(20);
    await threads[leader - 1].terminate();
    for (const each of [...sent, poll])
      await assertRefused(each, 'BROKER_FAILED', new RegExp(`^Broker ${leader} has failed`));
    const error = await assertRefused(producer.send('t', { value: 'z' }), 'BROKER_FAILED');
    assert.is(error.retriable, true);
    assert.instance(error.cause, Error);
    await assertRefused(cluster.read('t', { partition: 0, offset: 0 }), 'BROKER_FAILED');
    await assertRefused(cluster.inspect('t', { broker: leader, partition: 0 }), 'BROKER_FAILED');
    assert.is(stateOf(cluster, leader), 'failed');
    await producer.close();
  }));

test('the other brokers go on serving what needs the dead one for nothing', () =>
  withCluster({ brokers: 3, partitions: 3, replicationFactor: 1 }, async (cluster, { threads }) => {
    const producer = cluster.producer();
    const records = Array.from({ length: 60 }, (_, n) => ({ key: `${n}`, value: `${n}` }));
    const places = await producer.sendBatch('t', records);
    await threads[1].terminate();
    const dead = ledBy(cluster, 2);
    let served = 0;
    for (const [n, { partition }] of places.entries()) {
      const sent = producer.send('t', records[n]);
      if (partition === dead) await assertRefused(sent, 'BROKER_FAILED');
      else served += (await sent).offset > 0 ? 1 : 0;
    }
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
  withCluster({ brokers: 1 }, async (cluster, { threads }) => {
    const client = await connect(cluster.handle);
    const producer = client.producer();
    await producer.send('t', { value: 'v' });
    const poll = client.read('t', { partition: 0, offset: 1, waitMs: 60_000 });
    await sleep(20);
    await threads[0].terminate();
    await assertRefused(poll, 'BROKER_FAILED', /^Broker 1 has failed/);
    await assertRefused(producer.send('t', { value: 'v' }), 'BROKER_FAILED');
    await client.close();
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
