// Topics that are deleted, grow and change while they are used.
// time limit: 90 s
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster, connect } from '../../src/index.ts';
import { assertRefused } from '../client/refusals.ts';
import { assertReplicated, numbered, partitionOf, sleep, text, until, withCluster } from './fixtures.ts';

async function withDirectory(run: (path: string) => Promise<void>): Promise<void> {
  const path = mkdtempSync(join(tmpdir(), 'tidemark-topics-'));
  try {
    await run(path);
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

/** Those of partitions. */
function directoriesOf(path: string, broker: number): string[] {
  return readdirSync(join(path, `broker-${broker}`), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== '__cluster_metadata-0')
    .map(({ name }) => name);
}

test('a deleted topic is gone for everybody, files and all, and its name may be used again', () =>
  withDirectory((dataDir) =>
    withCluster({ durability: 'os', dataDir, partitions: 2 }, async (cluster) => {
      const client = await connect(cluster.handle);
      const producers = [cluster.producer(), client.producer()];
      for (const producer of producers) await producer.sendBatch('t', numbered(100));
      const poll = cluster.read('t', { partition: 0, offset: partitionOf(cluster).hwm, waitMs: 60_000 });
      const polled = poll.catch((error) => error.code);
      await sleep(20);
      await cluster.admin.deleteTopic('t');
      assert.equal(await client.admin.listTopics(), []);
      assert.is(await polled, 'UNKNOWN_TOPIC_OR_PARTITION');
      for (const producer of producers)
        await assertRefused(producer.send('t', { value: 'v' }), 'UNKNOWN_TOPIC_OR_PARTITION');
      await assertRefused(cluster.admin.deleteTopic('t'), 'UNKNOWN_TOPIC_OR_PARTITION');
      await assertRefused(client.read('t', { partition: 0, offset: 0 }), 'UNKNOWN_TOPIC_OR_PARTITION');
      await until('the files are gone', () => directoriesOf(dataDir, 1).length === 0);
      await cluster.admin.createTopic('t', { partitions: 1, replicationFactor: 3 });
      for (const [n, producer] of producers.entries())
        assert.equal(await producer.send('t', { value: `${n}` }), { partition: 0, offset: n });
      await assertReplicated(cluster, 2);
      assert.equal(directoriesOf(dataDir, 2), ['t-0']);
      await client.close();
    }),
  ));

test('a topic is deleted and created again under load, and no record of the one is found in the other', () =>
  withCluster({ partitions: 2 }, async (cluster) => {
    const client = await connect(cluster.handle);
    let round = 0;
    let isOver = false;
    const load = async (producer: ReturnType<Cluster['producer']>): Promise<void> => {
      while (!isOver) await producer.send('t', { value: `${round}` }).catch(() => sleep(1));
    };
    const loads = [cluster.producer(), client.producer()].map(load);
    for (; round < 10; round++) {
      await sleep(20);
      await cluster.admin.deleteTopic('t');
      await cluster.admin.createTopic('t', { partitions: 2 });
    }
    isOver = true;
    await Promise.all(loads);
    for (const partition of [0, 1]) {
      const { records } = await cluster.read('t', { partition, offset: 0 });
      // What was sent while the last one was being made may have been taken by it.
      for (const { value } of records) assert.ok(Number(text(value)) >= 9, `${text(value)}`);
    }
    await client.close();
  }));

test('what a crash has left of a deleted topic goes after the next start', () =>
  withDirectory(async (dataDir) => {
    await withCluster({ durability: 'os', dataDir }, async (cluster) => {
      await cluster.producer().send('t', { value: 'v' });
    });
    const left = join(dataDir, 'broker-2', 'AAAAAAAAAAAAAAAAAAAAAA-delete');
    mkdirSync(left);
    writeFileSync(join(left, '00000000000000000000.log'), 'x');
    const cluster = await Cluster.start({ dataDir });
    try {
      assert.is(cluster.status().brokers.length, 3);
      await until('it is gone', () => !directoriesOf(dataDir, 2).some((name) => name.endsWith('-delete')));
      await cluster.producer().send('t', { value: 'v' });
    } finally {
      await cluster.close();
    }
  }));

test('what a broker held of a topic that was deleted without it goes when it starts', () =>
  withDirectory((dataDir) =>
    withCluster({ durability: 'os', dataDir }, async (cluster) => {
      await cluster.producer().send('t', { value: 'v' });
      await cluster.faults.kill(2);
      await cluster.admin.deleteTopic('t');
      assert.equal(directoriesOf(dataDir, 2), ['t-0']);
      await cluster.faults.restart(2);
      await until('the files are gone', () => directoriesOf(dataDir, 2).length === 0);
    }),
  ));

test('what a broker held of a topic that was deleted when its disk had failed goes when it starts', () =>
  withDirectory((dataDir) =>
    withCluster({ durability: 'os', dataDir, topicConfig: { 'segment.bytes': 16_384 } }, async (cluster) => {
      await cluster.admin.createTopic('u');
      await cluster.producer().send('u', { value: 'v' });
      const [, failing] = partitionOf(cluster).replicas;
      rmSync(join(dataDir, `broker-${failing}`, 't-0'), { recursive: true });
      await cluster.producer().sendBatch('t', numbered(40, 1_000));
      await until('its disk has failed', () => cluster.status().brokers[failing - 1].state === 'offline');
      await cluster.admin.deleteTopic('u');
      assert.equal(directoriesOf(dataDir, failing), ['u-0']);
      await cluster.faults.restart(failing);
      await until('it is in sync again', () => partitionOf(cluster).isr.length === 3);
      await until('the files are gone', () => !directoriesOf(dataDir, failing).includes('u-0'));
      await assertReplicated(cluster, 40);
    }),
  ));

test('a topic whose only replica is damaged can be deleted, and then nothing is at fault any more', () =>
  withDirectory(async (dataDir) => {
    await withCluster({ brokers: 1, durability: 'os', dataDir }, async (cluster) => {
      for (let n = 0; n < 20; n++) await cluster.producer().send('t', { value: 'x'.repeat(1_000) });
    });
    const home = join(dataDir, 'broker-1');
    const file = join(home, 't-0', '00000000000000000000.log');
    const bytes = readFileSync(file);
    bytes[5_000] ^= 1;
    writeFileSync(file, bytes);
    for (const name of ['.kafka_cleanshutdown', 'recovery-point-offset-checkpoint']) rmSync(join(home, name));
    const cluster = await Cluster.start({ dataDir });
    try {
      assert.is(partitionOf(cluster).leader, -1);
      await cluster.admin.deleteTopic('t');
      await until('the files are gone', () => directoriesOf(dataDir, 1).length === 0);
      await cluster.admin.createTopic('t');
      await cluster.producer().send('t', { value: 'v' });
    } finally {
      await cluster.close();
    }
    assert.equal(directoriesOf(dataDir, 1), ['t-0']);
    assert.ok(existsSync(join(home, '.kafka_cleanshutdown')));
  }));

test('a topic is given more partitions, which all clients use', () =>
  withCluster({}, async (cluster) => {
    const client = await connect(cluster.handle);
    const producers = [cluster.producer(), client.producer()];
    for (const producer of producers) await producer.sendBatch('t', numbered(10));
    await cluster.admin.createPartitions('t', 3);
    await assertRefused(cluster.admin.createPartitions('t', 3), 'INVALID_PARTITIONS', /has 3 partitions/);
    await assertRefused(cluster.admin.createPartitions('u', 3), 'UNKNOWN_TOPIC_OR_PARTITION');
    assert.equal(
      [0, 1, 2].map((partition) => partitionOf(cluster, partition).replicas.length),
      [3, 3, 3],
    );
    const keyed = Array.from({ length: 60 }, (_, n) => ({ key: `${n}`, value: `${n}` }));
    for (const producer of producers) {
      const used = (): Promise<number> =>
        producer
          .sendBatch('t', keyed)
          .then((places) => new Set(places.map(({ partition }) => partition)).size);
      await until('all of them are used', async () => (await used()) === 3);
    }
    const total = [0, 1, 2].reduce((sum, partition) => sum + partitionOf(cluster, partition).hwm, 0);
    await assertReplicated(cluster, total);
    await client.close();
  }));

test('a configuration is changed while the topic is used, and goes back to its defaults', () =>
  withDirectory((dataDir) =>
    withCluster({ durability: 'os', dataDir, topicConfig: { 'retention.ms': 1000 } }, async (cluster) => {
      const { admin } = cluster;
      const big = { value: 'x'.repeat(20_000) };
      const producer = cluster.producer();
      await producer.send('t', big);
      await admin.alterTopicConfig('t', {
        set: { 'max.message.bytes': 1_000, 'min.insync.replicas': 3 },
        remove: ['retention.ms'],
      });
      const config = await admin.describeTopicConfig('t');
      assert.equal(config['max.message.bytes'], { value: 1_000, source: 'topic' });
      assert.is(config['retention.ms'].source, 'default');
      await assertRefused(producer.send('t', big), 'MESSAGE_TOO_LARGE');
      await cluster.faults.kill(
        partitionOf(cluster).isr.find((id) => id !== partitionOf(cluster).leader) as number,
      );
      // One with less patience: others try again until the replicas are back.
      const hasty = cluster.producer({ deliveryTimeoutMs: 1_000 });
      await assertRefused(hasty.send('t', { value: 'v' }), 'NOT_ENOUGH_REPLICAS');
      await admin.alterTopicConfig('t', { remove: ['min.insync.replicas', 'max.message.bytes'] });
      await producer.send('t', big);
      await assertRefused(
        admin.alterTopicConfig('t', { set: { 'cleanup.policy': 'compact' } }),
        'INVALID_CONFIG',
      );
      await assertRefused(
        admin.alterTopicConfig('t', { remove: ['nope'] as never }),
        'INVALID_CONFIG',
        /Unknown configuration property 'nope'/,
      );
      await assertRefused(admin.alterTopicConfig('u', {}), 'UNKNOWN_TOPIC_OR_PARTITION');
      await assertRefused(admin.describeTopicConfig('u'), 'UNKNOWN_TOPIC_OR_PARTITION');
    }),
  ));

test('live logs go by the new retention', () =>
  withCluster({ topicConfig: { 'segment.bytes': 16_384 } }, async (cluster) => {
    const producer = cluster.producer({ batchBytes: 4_096 });
    await producer.sendBatch('t', numbered(200, 1_000));
    assert.is(partitionOf(cluster).logStart, 0);
    await cluster.admin.alterTopicConfig('t', { set: { 'retention.bytes': 16_384 } });
    await producer.sendBatch('t', numbered(200, 1_000));
    assert.ok(partitionOf(cluster).logStart > 150, `${partitionOf(cluster).logStart}`);
  }));

test('every broker and every attached thread can say up to where it goes by the metadata', () =>
  withCluster({ partitions: 1 }, async (cluster) => {
    const client = await connect(cluster.handle);
    await cluster.admin.alterTopicConfig('t', { set: { 'retention.ms': 60_000 } });
    const { offset } = cluster.status().quorum;
    assert.ok(offset > 0);
    await until('all have heard of it', () => {
      const { brokers } = cluster.status();
      return (
        brokers.every(({ metadataOffset }) => metadataOffset >= offset) && client.metadataOffset >= offset
      );
    });
    await cluster.admin.deleteTopic('t');
    const later = cluster.status().quorum.offset;
    assert.ok(later > offset);
    await until('the client has heard of the end', () => client.metadataOffset >= later);
    await client.close();
  }));

test.run();
