// Brokers that are added and removed while the cluster runs.
// time limit: 60 s
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster, connect } from '../../src/index.ts';
import { readMetadata } from '../../src/runtime/metadata-reading.ts';
import { assertRefused } from '../client/refusals.ts';
import { assertReplicated, numbered, partitionOf, until, withCluster } from './fixtures.ts';

test('standalone becomes three, and new topics use all of them', () =>
  withCluster({ brokers: 1, durability: 'os' }, async (cluster) => {
    const client = await connect(cluster.handle);
    const producers = [cluster.producer(), client.producer()];
    for (const producer of producers) await producer.sendBatch('t', numbered(10));
    assert.is(await cluster.addBroker(), 2);
    assert.is(await cluster.addBroker(), 3);
    await cluster.admin.createTopic('wide', { partitions: 3, replicationFactor: 3 });
    for (const producer of producers) {
      await until('it reaches all brokers', async () => {
        const sent = producer.sendBatch(
          'wide',
          numbered(30).map(({ value }) => ({ key: value as string, value })),
        );
        return sent.then(
          () => true,
          () => false,
        );
      });
    }
    for (const producer of producers) await producer.sendBatch('t', numbered(10));
    assert.equal(
      new Set([0, 1, 2].map((partition) => partitionOf(cluster, partition, 'wide').leader)).size,
      3,
    );
    const total = [0, 1, 2].reduce((sum, partition) => sum + partitionOf(cluster, partition, 'wide').hwm, 0);
    await assertReplicated(cluster, total, 'wide');
    await assertReplicated(cluster, 40);
    await cluster.faults.kill(1);
    await producers[0].sendBatch('wide', numbered(30));
    await client.close();
  }));

test('a broker is removed once it holds nothing, and its directory stays', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'tidemark-members-'));
  let cluster = await Cluster.start({ brokers: 3, dataDir });
  try {
    await cluster.admin.createTopic('t', { replicationFactor: 3 });
    await assertRefused(
      cluster.removeBroker(2),
      'INVALID_ARGUMENT',
      /Broker 2 holds replicas of 1 partitions, .*'t'/,
    );
    await cluster.producer().send('t', { value: 'v' });
    await cluster.admin.deleteTopic('t');
    const path = await cluster.removeBroker(2);
    assert.is(path, join(dataDir, 'broker-2'));
    assert.ok(existsSync(path as string));
    await assertRefused(cluster.removeBroker(2), 'INVALID_ARGUMENT', /no broker 2/);
    assert.equal(
      cluster.status().brokers.map(({ id }) => id),
      [1, 3],
    );
    await cluster.admin.createTopic('u', { partitions: 2, replicationFactor: 2 });
    await cluster.producer().sendBatch('u', numbered(10));
    await cluster.close();
    const image = await readMetadata(dataDir, assert.unreachable);
    assert.equal(
      image?.brokers().map(({ id }) => id),
      [1, 3],
    );
    // Without a number it is what the directory has.
    cluster = await Cluster.start({ dataDir });
    await assertReplicated(cluster, 10, 'u');
    assert.is(await cluster.addBroker(), 4);
    await cluster.close();
    await assertRefused(Cluster.start({ brokers: 2, dataDir }), 'DATA_DIRECTORY_INVALID', /brokers: 3/);
    cluster = await Cluster.start({ brokers: 3, dataDir });
    await cluster.removeBroker(4);
    await cluster.admin.deleteTopic('u');
    await cluster.removeBroker(1);
    await assertRefused(cluster.removeBroker(3), 'INVALID_ARGUMENT', /the only one/);
  } finally {
    await cluster.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
});

test('a broker may die before it has heard of a newcomer', async () => {
  await withCluster({}, async (cluster) => {
    await cluster.faults.pause(2);
    const added = cluster.addBroker();
    await cluster.faults.kill(2);
    assert.is(await added, 4);
    await cluster.faults.restart(2);
    await cluster.producer().sendBatch('t', numbered(5));
    await assertReplicated(cluster, 5);
  });
});

test.run();
