// time limit: 90 s
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Client } from '../../src/client/connect.ts';
import { type Cluster, connect } from '../../src/index.ts';
import { endingThreads } from '../../src/runtime/thread-end.ts';
import { assertRefused, outcomeOf, refusal } from '../client/refusals.ts';
import type { AttachedTask } from './attached-worker.ts';
import { assertReplicated, numbered, partitionOf, text, until, withCluster } from './fixtures.ts';

interface Written {
  readonly places: readonly { partition: number; offset: number; value: string }[];
  readonly topics: readonly string[];
}

function attach(cluster: Cluster, task: Partial<AttachedTask> = {}): Worker {
  const workerData = { handle: cluster.handle, name: 'w', records: 100, end: 'close', ...task };
  return new Worker(new URL('./attached-worker.js', import.meta.url), { workerData });
}

async function writtenBy(worker: Worker): Promise<Written> {
  const [[message], [code]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')]);
  assert.is(code, 0);
  return message as Written;
}

/** Until the brokers have taken all that threads had published before they ended. */
async function quiet(cluster: Cluster): Promise<void> {
  const producer = cluster.producer();
  await until('nothing is on its way', async () => {
    const before = partitionOf(cluster).hwm;
    await producer.send('t', { value: 'probe' });
    return partitionOf(cluster).hwm === before + 1;
  });
}

test('several threads write at once, and every record is where its writer was told', () =>
  withCluster({ partitions: 3 }, async (cluster) => {
    const workers = ['a', 'b', 'c'].map((name) => attach(cluster, { name, records: 500 }));
    const own = cluster.producer().sendBatch('t', numbered(500));
    const all = await Promise.all(workers.map(writtenBy));
    await own;
    await assertReplicated(cluster, 2_000);
    const values = new Map<string, string | null>();
    for (const partition of [0, 1, 2]) {
      for (let offset = 0; offset < partitionOf(cluster, partition).hwm; ) {
        const { records, nextOffset } = await cluster.read('t', { partition, offset });
        for (const record of records) values.set(`${partition} ${record.offset}`, text(record.value));
        offset = nextOffset;
      }
    }
    for (const { places } of all) {
      assert.is(places.length, 500);
      for (const { partition, offset, value } of places)
        assert.is(values.get(`${partition} ${offset}`), value);
    }
  }));

test('an attached thread creates topics that everybody sees', () =>
  withCluster({}, async (cluster) => {
    const { topics, places } = await writtenBy(attach(cluster, { topic: 'theirs' }));
    assert.equal([...topics].sort(), ['t', 'theirs']);
    const { records } = await cluster.read('theirs', { partition: 0, offset: 99 });
    assert.is(text(records[0].value), places[99].value);
  }));

test('while the main thread stands still, an attached thread goes on writing with acks all', () =>
  withCluster({}, async (cluster) => {
    const acknowledged = new Int32Array(new SharedArrayBuffer(4));
    const worker = attach(cluster, { acknowledged, records: 1_000_000 });
    try {
      await until('it writes', () => Atomics.load(acknowledged, 0) > 0);
      const before = Atomics.load(acknowledged, 0);
      const untilMs = performance.now() + 1_000;
      while (performance.now() < untilMs);
      const during = Atomics.load(acknowledged, 0) - before;
      assert.ok(during > 500, `${during} records were acknowledged`);
    } finally {
      await endingThreads(() => worker.terminate());
    }
  }));

test('a thread that ends without letting go does no harm', () =>
  withCluster({}, async (cluster) => {
    for (let n = 0; n < 3; n++) {
      const [code] = await once(attach(cluster, { end: 'desert', records: 50 }), 'exit');
      assert.is(code, 0);
    }
    const producer = cluster.producer();
    const { offset } = await producer.send('t', { value: 'after' });
    assert.ok(offset >= 150);
    const { places } = await writtenBy(attach(cluster));
    assert.is(places.length, 100);
    await quiet(cluster);
    await assertReplicated(cluster, partitionOf(cluster).hwm);
  }));

test('a thread that is terminated at any moment does no harm', () =>
  withCluster({}, async (cluster) => {
    for (let n = 0; n < 8; n++) {
      const acknowledged = new Int32Array(new SharedArrayBuffer(4));
      const worker = attach(cluster, { acknowledged, records: 1_000_000 });
      await until('it writes', () => Atomics.load(acknowledged, 0) > 100 * n);
      await endingThreads(() => worker.terminate());
    }
    await quiet(cluster);
    await assertReplicated(cluster, partitionOf(cluster).hwm);
  }));

test('what threads held that ended without letting go is used again', () =>
  withCluster({ brokers: 12 }, async (cluster) => {
    // Their links to twelve brokers take 100 MB each: the shared memory of 4 GiB would hold forty of them.
    for (let n = 0; n < 50; n++) {
      const [code] = await once(attach(cluster, { end: 'desert', records: 10 }), 'exit');
      assert.is(code, 0);
    }
    const { places } = await writtenBy(attach(cluster));
    assert.is(places.length, 100);
  }));

test('the thread that started the cluster may attach to it as well, and links are used again', () =>
  withCluster({ brokers: 2 }, async (cluster) => {
    for (let n = 0; n < 12; n++) {
      const client = await connect(cluster.handle);
      const producer = client.producer();
      assert.equal(await producer.send('t', { value: `${n}` }), { partition: 0, offset: n });
      const { records } = await client.read('t', { partition: 0, offset: n, waitMs: 1_000 });
      assert.is(text(records[0].value), `${n}`);
      await client.close();
      await client.close();
      await assertRefused(producer.send('t', { value: 'late' }), 'CLOSED');
      await assertRefused(client.read('t', { partition: 0, offset: 0 }), 'CLOSED');
    }
  }));

test("a client's errors are the cluster's", () =>
  withCluster({ brokers: 2 }, async (cluster) => {
    const client = await connect(cluster.handle);
    await assertRefused(client.admin.createTopic('t'), 'TOPIC_ALREADY_EXISTS', /'t' exists already/);
    await assertRefused(client.admin.createTopic('a b'), 'INVALID_TOPIC_EXCEPTION');
    await assertRefused(
      client.admin.createTopic('u', { replicationFactor: 3 }),
      'INVALID_REPLICATION_FACTOR',
    );
    await assertRefused(client.producer().send('nope', { value: 'v' }), 'UNKNOWN_TOPIC_OR_PARTITION');
    await assertRefused(client.read('nope', { partition: 0, offset: 0 }), 'UNKNOWN_TOPIC_OR_PARTITION');
    assert.equal(await client.status(), cluster.status());
    await client.close();
  }));

test('a cluster that is closed under a client fails what the client has under way', () =>
  withCluster({}, async (cluster) => {
    const client = await connect(cluster.handle);
    const producer = client.producer();
    await producer.send('t', { value: 'v' });
    const poll = outcomeOf(client.read('t', { partition: 0, offset: 1, waitMs: 60_000 }));
    await cluster.close();
    await assertRefused(Promise.reject(await poll), 'CLOSED');
    await assertRefused(producer.send('t', { value: 'v' }), 'CLOSED');
    await assertRefused(client.read('t', { partition: 0, offset: 0 }), 'CLOSED');
    await producer.close();
    await client.close();
  }));

test('whoever asks while a broker hangs waits for its session, and no longer', () =>
  withCluster({ partitions: 3, replicationFactor: 1, sessionMs: 500 }, async (cluster) => {
    const hanging = 2;
    await cluster.faults.pause(hanging);
    const created = outcomeOf(cluster.admin.createTopic('u', { replicationFactor: 2 }));
    const changed = outcomeOf(cluster.admin.alterTopicConfig('t', { set: { 'retention.ms': 1_000_000 } }));
    // Both within the ten seconds after which an outcome is none.
    const client = (await outcomeOf(connect(cluster.handle))) as Client;
    assert.ok(client instanceof Client, `${client}`);
    // Without the one that hangs, if it was missed before it was asked.
    const refused = await created;
    const isRefused = refusal('BROKER_FAILED', /Broker 2 has given no sign of life/)(refused);
    assert.ok(isRefused || refused === undefined, `${refused}`);
    assert.is(await changed, undefined);
    // Some for each partition, of which the broker that hangs holds one.
    const sent = client.producer().sendBatch(
      't',
      numbered(60).map(({ value }) => ({ key: value as string, value })),
    );
    await cluster.faults.resume(hanging);
    assert.is(new Set((await sent).map(({ partition }) => partition)).size, 3);
    await cluster.admin.createTopic('v', { replicationFactor: 3 });
    await client.close();
  }));

test.run();
