import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { connect } from '../../src/index.ts';
import { assertRefused, outcomeOf } from '../client/refusals.ts';
import { numbered, partitionOf, sleep, withCluster } from './fixtures.ts';

/** What would have ended a user's process. */
const unhandled: unknown[] = [];
process.on('unhandledRejection', (error) => unhandled.push(error));

test('a client and its cluster may be closed at the same time, in either order', async () => {
  for (const first of ['client', 'cluster'] as const) {
    await withCluster({ brokers: 2 }, async (cluster) => {
      const client = await connect(cluster.handle);
      const sent = client.producer().sendBatch('t', numbered(1_000, 100));
      const outcome = outcomeOf(sent);
      const closes =
        first === 'client' ? [client.close(), cluster.close()] : [cluster.close(), client.close()];
      for (const close of closes) assert.is(await outcomeOf(close), undefined, `${first} first`);
      assert.is.not(await outcome, 'still pending');
      await client.close();
    });
  }
  await sleep(20);
  assert.equal(unhandled, []);
});

test('a closed client refuses every call with CLOSED', () =>
  withCluster({ brokers: 1 }, async (cluster) => {
    const client = await connect(cluster.handle);
    await client.close();
    await assertRefused(client.status(), 'CLOSED');
    await assertRefused(client.admin.createTopic('u'), 'CLOSED');
    await assertRefused(client.read('unknown', { partition: 0, offset: 0 }), 'CLOSED');
    await assertRefused((async () => client.producer())(), 'CLOSED');
    await assertRefused(connect(client as never), 'INVALID_ARGUMENT');
  }));

test('a closed cluster refuses sends to topics that it never knew with CLOSED too', () =>
  withCluster({ brokers: 1 }, async (cluster) => {
    const producer = cluster.producer();
    await cluster.close();
    await assertRefused(producer.send('unknown', { value: 'v' }), 'CLOSED');
    await assertRefused(producer.sendBatch('unknown', numbered(2)), 'CLOSED');
  }));

test('closing the cluster waits for a producer that is being closed', () =>
  withCluster({}, async (cluster) => {
    const producer = cluster.producer();
    const sent = outcomeOf(producer.sendBatch('t', numbered(20_000, 100)));
    const closed = producer.close();
    await cluster.close();
    assert.is(((await sent) as unknown[]).length, 20_000);
    await closed;
  }));

test('records that are changed while they wait for room are written as they were sent', () =>
  withCluster({}, async (cluster) => {
    const producer = cluster.producer({ bufferBytes: 300, batchBytes: 100 });
    const bytes = new Uint8Array(50);
    const sent: Promise<unknown>[] = [];
    for (let n = 0; n < 40; n++) {
      bytes.fill(n);
      sent.push(producer.send('t', { value: bytes }));
    }
    const records = Array.from({ length: 50 }, () => ({ value: 'v'.repeat(50), headers: { a: 'b' } }));
    sent.push(producer.sendBatch('t', records));
    for (const record of records) (record as { value: unknown }).value = 5;
    records.length = 0;
    await Promise.all(sent);
    const { records: read } = await cluster.read('t', { partition: 0, offset: 0 });
    assert.is(read.length, 90);
    for (let n = 0; n < 40; n++) assert.is(read[n].value?.[49], n);
    for (const { value, headers } of read.slice(40)) {
      assert.is(Buffer.from(value ?? []).toString(), 'v'.repeat(50));
      assert.is(headers[0][0], 'a');
    }
    assert.equal(unhandled, []);
  }));

test('nobody attaches to a closed cluster, and it is said at once', () =>
  withCluster({ brokers: 1 }, async (cluster) => {
    const { handle } = cluster;
    await cluster.close();
    const startedMs = performance.now();
    await assertRefused(connect(handle), 'CLOSED');
    await assertRefused(connect({ kind: 'tidemark-cluster' } as never), 'INVALID_ARGUMENT');
    assert.ok(performance.now() - startedMs < 1_000);
  }));

test('a producer that was closed is let go of', () =>
  withCluster({ brokers: 1 }, async (cluster) => {
    for (let n = 0; n < 20; n++) {
      const producer = cluster.producer();
      await producer.send('t', { value: 'v' });
      await producer.close();
      await producer.close();
    }
    assert.is(partitionOf(cluster).hwm, 20);
  }));

test.run();
