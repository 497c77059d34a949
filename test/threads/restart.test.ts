import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster, type ClusterOptions, connect } from '../../src/index.ts';
import { readMetadata } from '../../src/runtime/metadata-reading.ts';
import { assertRefused } from '../client/refusals.ts';
import { withDirectory } from '../runtime/directory-fixtures.ts';
import { assertReplicated, numbered, partitionOf, text, until } from './fixtures.ts';

async function withKept(
  dataDir: string,
  run: (cluster: Cluster) => Promise<void>,
  options: ClusterOptions = {},
): Promise<void> {
  const cluster = await Cluster.start({ brokers: 3, dataDir, ...options });
  try {
    await run(cluster);
  } finally {
    await cluster.close();
  }
}

async function valuesOf(cluster: Cluster, topic = 't', partition = 0): Promise<(string | null)[]> {
  const values: (string | null)[] = [];
  const { logStart, hwm } = partitionOf(cluster, partition, topic);
  for (let offset = logStart; offset < hwm; ) {
    const { records, nextOffset } = await cluster.read(topic, { partition, offset });
    values.push(...records.map(({ value }) => text(value)));
    offset = nextOffset;
  }
  return values;
}

test('a cluster that was closed starts again with everything it had', () =>
  withDirectory(async (dataDir) => {
    let clusterId = '';
    const values = Array.from({ length: 1_000 }, (_, n) => `${n}`);
    await withKept(dataDir, async (cluster) => {
      clusterId = cluster.status().clusterId;
      await cluster.admin.createTopic('t', { config: { 'min.insync.replicas': 2 } });
      await cluster.admin.createTopic('other', { partitions: 4, replicationFactor: 2 });
      await cluster.producer().sendBatch('t', numbered(1_000));
    });
    for (let broker = 1; broker <= 3; broker++)
      assert.ok(existsSync(join(dataDir, `broker-${broker}`, '.kafka_cleanshutdown')));
    assert.not.ok(existsSync(join(dataDir, '.lock')));
    for (let round = 1; round <= 3; round++) {
      await withKept(dataDir, async (cluster) => {
        assert.is(cluster.status().clusterId, clusterId);
        assert.equal(cluster.recovery, []);
        assert.not.ok(existsSync(join(dataDir, 'broker-1', '.kafka_cleanshutdown')));
        const { hwm, epoch, isr } = partitionOf(cluster);
        assert.equal([hwm, epoch, isr.length], [values.length, round, 3]);
        assert.is(cluster.status().topics.find(({ name }) => name === 'other')?.partitions.length, 4);
        assert.equal(await valuesOf(cluster), values);
        const place = await cluster.producer().send('t', { value: `round ${round}` });
        assert.is(place.offset, values.length);
        values.push(`round ${round}`);
        await assertReplicated(cluster, values.length);
        await cluster.admin.createTopic(`made in ${round}`.replaceAll(' ', '-'));
      });
    }
  }));

test('a topic keeps the configuration it was given, and takes the rest from the cluster', () =>
  withDirectory(async (dataDir) => {
    await withKept(dataDir, async (cluster) => {
      await cluster.admin.createTopic('t', { config: { 'max.message.bytes': 300 } });
    });
    const config = { 'min.insync.replicas': 3, 'max.message.bytes': 1_000 };
    await withKept(
      dataDir,
      async (cluster) => {
        const producer = cluster.producer();
        const large = producer.send('t', { value: 'x'.repeat(400) });
        await assertRefused(large, 'MESSAGE_TOO_LARGE', /is 300/);
        await producer.send('t', { value: 'x' });
      },
      { config },
    );
    const image = await readMetadata(dataDir, assert.unreachable);
    assert.equal(image?.topic('t')?.config, { 'max.message.bytes': 300 });
  }));

test('durability fsync keeps records too, and may follow os', () =>
  withDirectory(async (dataDir) => {
    await withKept(dataDir, async (cluster) => {
      await cluster.admin.createTopic('t');
      await cluster.producer().sendBatch('t', numbered(100));
    });
    await withKept(
      dataDir,
      async (cluster) => {
        await cluster.producer({ acks: 1 }).sendBatch('t', numbered(100, 0, 100));
        await assertReplicated(cluster, 200);
      },
      { durability: 'fsync' },
    );
    await withKept(dataDir, async (cluster) => {
      assert.is((await valuesOf(cluster)).length, 200);
    });
  }));

test('a directory in use is refused, and the cluster that uses it is not disturbed', () =>
  withDirectory(async (dataDir) => {
    await withKept(dataDir, async (cluster) => {
      await cluster.admin.createTopic('t');
      await assertRefused(Cluster.start({ brokers: 3, dataDir }), 'DATA_DIRECTORY_LOCKED', /this process/);
      await cluster.producer().send('t', { value: 'v' });
    });
  }));

test('records that were deleted stay deleted, at every replica', () =>
  withDirectory(async (dataDir) => {
    await withKept(dataDir, async (cluster) => {
      await cluster.admin.createTopic('t', { partitions: 2 });
      const producer = cluster.producer();
      for (let n = 0; n < 50; n++) await producer.send('t', { key: 'k', value: `${n}` });
      const [partition] = [0, 1].filter((id) => partitionOf(cluster, id).hwm > 0);
      const { admin } = cluster;
      await assertRefused(
        admin.deleteRecords('t', { [partition]: 51 }),
        'OFFSET_OUT_OF_RANGE',
        /up to 50; 51 lies above/,
      );
      const wrong = { x: 1 } as unknown as Record<number, number>;
      const sentence = /offsets under the numbers of partitions, .* got the name 'x'/;
      await assertRefused(admin.deleteRecords('t', wrong), 'INVALID_ARGUMENT', sentence);
      await assertRefused(admin.deleteRecords('t', { 7: 1 }), 'UNKNOWN_TOPIC_OR_PARTITION', /no partition 7/);
      assert.equal(await admin.deleteRecords('t', { [partition]: 20 }), { [partition]: 20 });
      assert.equal(await admin.deleteRecords('t', { [partition]: 10 }), { [partition]: 20 });
      await assertRefused(
        cluster.read('t', { partition, offset: 19 }),
        'OFFSET_OUT_OF_RANGE',
        /from 20 up to 50/,
      );
      assert.is((await valuesOf(cluster, 't', partition))[0], '20');
    });
    await withKept(dataDir, async (cluster) => {
      const [partition] = [0, 1].filter((id) => partitionOf(cluster, id).hwm > 0);
      assert.is(partitionOf(cluster, partition).logStart, 20);
      assert.is((await valuesOf(cluster, 't', partition))[0], '20');
      assert.equal(await cluster.admin.deleteRecords('t', { [partition]: -1 }), { [partition]: 50 });
      assert.is((await cluster.producer().send('t', { key: 'k', value: 'v' })).offset, 50);
    });
  }));

test('a replica whose directory is gone gets everything from its leader, and does not lead', () =>
  withDirectory(async (dataDir) => {
    let leader = 0;
    await withKept(dataDir, async (cluster) => {
      await cluster.admin.createTopic('t');
      await cluster.producer().sendBatch('t', numbered(500, 100));
      leader = partitionOf(cluster).leader;
    });
    rmSync(join(dataDir, `broker-${leader}`, 't-0'), { recursive: true });
    await withKept(dataDir, async (cluster) => {
      assert.is.not(partitionOf(cluster).leader, leader);
      assert.is(partitionOf(cluster).hwm, 500);
      await until('the lost replica is back', () => partitionOf(cluster).leo[leader] === 500);
      await until('it is in sync', () => partitionOf(cluster).isr.length === 3);
      assert.equal(partitionOf(cluster).isr, partitionOf(cluster).replicas);
      await assertReplicated(cluster, 500);
    });
  }));

test('a broker that died is not in sync after a restart before it has caught up, and then it is', () =>
  withDirectory(async (dataDir) => {
    const threads: Worker[] = [];
    const collect = (thread: Worker): unknown => threads.push(thread);
    process.on('worker', collect);
    await withKept(dataDir, async (cluster) => {
      process.off('worker', collect);
      await cluster.admin.createTopic('t', { config: { 'min.insync.replicas': 2 } });
      const producer = cluster.producer();
      await producer.sendBatch('t', numbered(100));
      const follower = partitionOf(cluster).replicas[1];
      await threads[follower - 1].terminate();
      await until('it has left the ISR', () => partitionOf(cluster).isr.length === 2);
      await producer.sendBatch('t', numbered(100, 0, 100));
      const image = await readMetadata(dataDir, assert.unreachable);
      assert.equal(image?.partitionOf('t', 0)?.isr, partitionOf(cluster).isr);
    });
    await withKept(dataDir, async (cluster) => {
      await until('all are in sync', () => partitionOf(cluster).isr.length === 3);
      await assertReplicated(cluster, 200);
      await cluster.producer().sendBatch('t', numbered(100, 0, 200));
      await assertReplicated(cluster, 300);
    });
  }));

test('a broker whose disk fails leaves the ISR and tells why, and the others go on', () =>
  withDirectory(async (dataDir) => {
    await withKept(dataDir, async (cluster) => {
      const config = { 'segment.bytes': 16_384, 'min.insync.replicas': 2 };
      await cluster.admin.createTopic('t', { config });
      const producer = cluster.producer();
      await producer.send('t', { value: 'v' });
      const failing = partitionOf(cluster).replicas[1];
      rmSync(join(dataDir, `broker-${failing}`, 't-0'), { recursive: true });
      // The next segment finds no directory.
      for (let n = 0; n < 40; n++) await producer.send('t', { value: 'x'.repeat(1_000) });
      await until('it has left the ISR', () => partitionOf(cluster).isr.length === 2);
      const broker = cluster.status().brokers[failing - 1];
      assert.is(broker.state, 'offline');
      assert.match(
        broker.error ?? '',
        new RegExp(
          `disk failed.*t-0.*Check the disk, then start the broker again, with .cluster.faults.restart\\(${failing}\\). or`,
        ),
      );
      await producer.sendBatch('t', numbered(100));
      await assertRefused(
        cluster.admin.createTopic('u', { replicationFactor: 3 }),
        'INVALID_REPLICATION_FACTOR',
        new RegExp(`2 are running. Broker ${failing} has taken .*ENOENT.*start the broker again`),
      );
      await cluster.admin.createTopic('u');
      assert.is(partitionOf(cluster, 0, 'u').replicas.length, 2);
      await assertRefused(
        cluster.read('t', { partition: 0, offset: 0, broker: failing }),
        'KAFKA_STORAGE_ERROR',
        new RegExp(
          `from broker ${failing}\\. .*t-0/\\d+\\.log: ENOENT.*start the broker again.*such as .broker: \\d.`,
        ),
      );
    });
    await withKept(dataDir, async (cluster) => {
      await until('all are in sync', () => partitionOf(cluster).isr.length === 3);
      await assertReplicated(cluster, 141);
    });
  }));

test('a broker whose disk failed comes back into a running cluster once it is started again', () =>
  withDirectory(async (dataDir) => {
    await withKept(dataDir, async (cluster) => {
      await cluster.admin.createTopic('t', { config: { 'segment.bytes': 16_384 } });
      const { leader } = partitionOf(cluster);
      rmSync(join(dataDir, `broker-${leader}`, 't-0'), { recursive: true });
      const large = numbered(40, 1_000);
      // The next segment finds no directory.
      await cluster.producer().sendBatch('t', large);
      await until('another broker leads', () => ![-1, leader].includes(partitionOf(cluster).leader));
      assert.is(cluster.status().brokers[leader - 1].state, 'offline');
      await cluster.producer().sendBatch('t', large);
      await cluster.faults.restart(leader);
      await until('it is in sync again', () => partitionOf(cluster).isr.length === 3);
      assert.is(cluster.status().brokers[leader - 1].state, 'running');
      await cluster.producer().sendBatch('t', large);
      const { hwm, leo } = partitionOf(cluster);
      assert.ok(hwm === 120 && leo[leader] >= hwm, `${hwm}, ${leo[leader]}`);
      await assertReplicated(cluster, hwm);
    });
  }));

test('what only a leader could take whose disk fails tells why, in another thread too', () =>
  withDirectory(async (dataDir) => {
    await withKept(dataDir, async (cluster) => {
      await cluster.admin.createTopic('t', { replicationFactor: 1, config: { 'segment.bytes': 16_384 } });
      const client = await connect(cluster.handle);
      await client.producer().send('t', { value: 'v' });
      const { leader } = partitionOf(cluster);
      rmSync(join(dataDir, `broker-${leader}`, 't-0'), { recursive: true });
      const records = Array.from({ length: 40 }, () => ({ value: 'x'.repeat(1_000) }));
      const sent = [cluster, client].map((each) =>
        each.producer({ deliveryTimeoutMs: 300 }).sendBatch('t', records),
      );
      const alone = new RegExp(
        `300 ms.*broker ${leader}, which alone has all of its records.*restart\\(${leader}\\)`,
      );
      await Promise.all(sent.map((places) => assertRefused(places, 'LEADER_NOT_AVAILABLE', alone)));
      const read = client.read('t', { partition: 0, offset: 0, broker: leader });
      await assertRefused(read, 'KAFKA_STORAGE_ERROR', /ENOENT.*start the broker again/);
      await client.close();
    });
  }));

test('without any sound replica a partition is offline, and says what to do', () =>
  withDirectory(async (dataDir) => {
    await withKept(dataDir, async (cluster) => {
      await cluster.admin.createTopic('t', { replicationFactor: 1 });
      await cluster.admin.createTopic('sound', { replicationFactor: 3 });
      for (let n = 0; n < 20; n++) await cluster.producer().send('t', { value: 'x'.repeat(1_000) });
      await cluster.producer().send('sound', { value: 'v' });
    });
    const file = join(dataDir, 'broker-1', 't-0', '00000000000000000000.log');
    const bytes = readFileSync(file);
    bytes[5_000] ^= 1;
    writeFileSync(file, bytes);
    rmSync(join(dataDir, 'broker-1', '.kafka_cleanshutdown'));
    rmSync(join(dataDir, 'broker-1', 'recovery-point-offset-checkpoint'));
    await withKept(dataDir, async (cluster) => {
      const status = partitionOf(cluster);
      assert.equal([status.leader, status.hwm], [-1, -1]);
      assert.match(status.error ?? '', /has no leader.*damaged at byte.*npx tidemark log repair .*t-0/);
      await assertRefused(
        cluster.producer({ deliveryTimeoutMs: 100 }).send('t', { value: 'v' }),
        'LEADER_NOT_AVAILABLE',
        /tidemark log repair/,
      );
      await assertRefused(
        cluster.read('t', { partition: 0, offset: 0, timeoutMs: 100 }),
        'LEADER_NOT_AVAILABLE',
      );
      await assertRefused(cluster.admin.deleteRecords('t', { 0: 1 }), 'LEADER_NOT_AVAILABLE');
      await cluster.producer().send('sound', { value: 'w' });
    });
    assert.equal(readFileSync(file), bytes);
    // It is looked at again at every start, until somebody has mended it.
    await withKept(dataDir, async (cluster) => {
      assert.is(partitionOf(cluster).leader, -1);
    });
    bytes[5_000] ^= 1;
    writeFileSync(file, bytes);
    await withKept(dataDir, async (cluster) => {
      assert.is((await valuesOf(cluster)).length, 20);
    });
  }));

test('a damaged replica with peers sets the segment aside and gets it from its leader', () =>
  withDirectory(async (dataDir) => {
    await withKept(dataDir, async (cluster) => {
      await cluster.admin.createTopic('t');
      for (let n = 0; n < 20; n++) await cluster.producer().send('t', { value: 'x'.repeat(1_000) });
    });
    const home = join(dataDir, 'broker-1');
    const file = join(home, 't-0', '00000000000000000000.log');
    const bytes = readFileSync(file);
    bytes[5_000] ^= 1;
    writeFileSync(file, bytes);
    rmSync(join(home, '.kafka_cleanshutdown'));
    rmSync(join(home, 'recovery-point-offset-checkpoint'));
    await withKept(dataDir, async (cluster) => {
      assert.is.not(partitionOf(cluster).leader, 1);
      const [report] = cluster.recovery;
      assert.equal(
        [report.broker, report.topic, report.partition, report.action, report.file],
        [1, 't', 0, 'set aside', file],
      );
      assert.ok(existsSync(`${file}.damaged`));
      await until('the replica is whole again', () => partitionOf(cluster).leo[1] === 20);
      await assertReplicated(cluster, 20);
    });
  }));

test.run();
