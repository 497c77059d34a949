import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster, connect, type Producer, type TidemarkError } from '../../src/index.ts';
import { assertRefused, outcomeOf, refusal } from '../client/refusals.ts';
import { withDirectory } from '../runtime/directory-fixtures.ts';
import { numbered, until, withCluster } from './fixtures.ts';

interface Ended {
  readonly code: number | null;
  readonly output: string;
  readonly endedAtMs: number;
}

function runScript(): Promise<Ended> {
  const script = fileURLToPath(new URL('./closing-script.js', import.meta.url));
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'pipe'], timeout: 15_000 });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        output += chunk;
      });
    }
    child.on('close', (code) => resolve({ code, output, endedAtMs: Date.now() }));
  });
}

test('a program ends by itself once its cluster is closed, and stays alive while a send is pending', async () => {
  const { code, output, endedAtMs } = await runScript();
  const closed = /^closed (\d+)\n$/.exec(output);
  assert.is(code, 0, output);
  assert.ok(closed, output);
  const tookMs = endedAtMs - Number(closed?.[1]);
  assert.ok(tookMs < 1_000, `it took ${tookMs} ms to end`);
});

test('a closed cluster refuses every call with CLOSED, at once', () =>
  withCluster({}, async (cluster) => {
    const producer = cluster.producer();
    await producer.send('t', { value: 'v' });
    await cluster.close();
    const startedMs = performance.now();
    await assertRefused(producer.send('t', { value: 'v' }), 'CLOSED');
    await assertRefused(producer.sendBatch('t', numbered(3)), 'CLOSED');
    await assertRefused(cluster.read('t', { partition: 0, offset: 0, waitMs: 60_000 }), 'CLOSED');
    await assertRefused(cluster.inspect('t', { broker: 1, partition: 0 }), 'CLOSED');
    await assertRefused(cluster.admin.createTopic('u'), 'CLOSED');
    assert.throws(() => cluster.producer(), /The cluster is closed/);
    await producer.flush();
    await producer.close();
    await cluster.close();
    await cluster[Symbol.asyncDispose]();
    assert.ok(performance.now() - startedMs < 1_000);
    assert.equal(
      cluster.status().brokers.map(({ state }) => state),
      ['closed', 'closed', 'closed'],
    );
    assert.is(cluster.status().topics[0].partitions[0].hwm, 1);
    assert.is(cluster.metrics().length, 3);
  }));

test('closing sends what producers have buffered, and fails reads that wait', () =>
  withCluster({}, async (cluster) => {
    await cluster.admin.createTopic('idle');
    const sends = [cluster.producer(), cluster.producer({ acks: 1 })].map((producer: Producer) =>
      producer.sendBatch('t', numbered(2_000, 100)),
    );
    const poll = outcomeOf(cluster.read('t', { partition: 0, offset: 0, waitMs: 60_000 }));
    const idle = outcomeOf(cluster.read('idle', { partition: 0, offset: 0, waitMs: 60_000 }));
    const closing = cluster.close();
    for (const places of await Promise.all(sends)) assert.is(places.length, 2_000);
    await closing;
    assert.is.not(await poll, 'still pending');
    assert.is(refusal('CLOSED')(await idle), true);
    assert.is(cluster.status().topics[0].partitions[0].hwm, 4_000);
  }));

test('whoever is closed is named: a cluster, or one client of it', () =>
  withCluster({}, async (cluster) => {
    const [one, other] = [await connect(cluster.handle), await connect(cluster.handle)];
    const sender = one.producer();
    await sender.send('t', { value: 'v' });
    const waiting = outcomeOf(one.read('t', { partition: 0, offset: 1, waitMs: 60_000 }));
    await one.close();
    assert.match(`${await waiting}`, /The client was closed before the request was answered/);
    const client = /^The client is closed; connect again\.$/;
    await assertRefused(one.read('t', { partition: 0, offset: 0 }), 'CLOSED', client);
    await assertRefused(sender.send('t', { value: 'v' }), 'CLOSED', client);
    await assertRefused(one.admin.listTopics(), 'CLOSED', client);
    await assertRefused(one.status(), 'CLOSED', client);
    assert.throws(() => one.producer(), refusal('CLOSED', client));
    const orphan = other.producer();
    await orphan.send('t', { value: 'v' });
    await cluster.close();
    const ended = /^The cluster is closed; start another one/;
    await assertRefused(cluster.read('t', { partition: 0, offset: 0 }), 'CLOSED', ended);
    await until('it has heard of the end', async () => refusal('CLOSED')(await outcomeOf(other.status())));
    await assertRefused(other.read('t', { partition: 0, offset: 0 }), 'CLOSED', ended);
    await assertRefused(orphan.send('t', { value: 'v' }), 'CLOSED', ended);
    await assertRefused(other.admin.listTopics(), 'CLOSED', ended);
    assert.throws(() => other.producer(), refusal('CLOSED', ended));
    await assertRefused(connect(cluster.handle), 'CLOSED', ended);
  }));

test('changes that a close meets fail with CLOSED, whatever they had got to', () =>
  withCluster({ sessionMs: 60_000 }, async (cluster) => {
    // It answers nothing, so that nothing comes to an end before the close.
    await cluster.faults.pause(2);
    const changes = [
      cluster.admin.createTopic('u', { replicationFactor: 2 }),
      cluster.addBroker(),
      cluster.stopBroker(3),
      cluster.faults.disk(2, 'slow'),
    ].map(outcomeOf);
    const closing = cluster.close();
    for (const outcome of await Promise.all(changes))
      if (outcome instanceof Error) assert.is((outcome as TidemarkError).code, 'CLOSED', `${outcome}`);
    await closing;
  }));

test('a broker that is being added when the cluster is closed is refused with CLOSED', () =>
  withCluster({}, async (cluster) => {
    // It may be refused before the close has ended, when nobody would have caught it yet.
    const added = outcomeOf(cluster.addBroker());
    await cluster.close();
    const outcome = await added;
    if (outcome !== 4) assert.is((outcome as TidemarkError).code, 'CLOSED', `${outcome}`);
  }));

test('a closed producer refuses, and the cluster goes on', () =>
  withCluster({}, async (cluster) => {
    const producer = cluster.producer();
    const buffered = producer.send('t', { value: 'buffered' });
    await producer.close();
    assert.equal(await buffered, { partition: 0, offset: 0 });
    await assertRefused(producer.send('t', { value: 'v' }), 'CLOSED', /producer is closed/);
    assert.equal(await cluster.producer().send('t', { value: 'v' }), { partition: 0, offset: 1 });
  }));

test('clusters of one process keep apart', () =>
  withCluster({ brokers: 2 }, (one) =>
    withCluster({ brokers: 1 }, async (other) => {
      await one.producer().sendBatch('t', numbered(5));
      await other.producer().sendBatch('t', numbered(3));
      assert.is.not(one.status().clusterId, other.status().clusterId);
      const client = await connect(other.handle);
      assert.is((await client.read('t', { partition: 0, offset: 0 })).nextOffset, 3);
      await client.close();
      await other.close();
      assert.is((await one.read('t', { partition: 0, offset: 0 })).nextOffset, 5);
    }),
  ));

for (const brokers of [1, 3]) {
  test(`${brokers} brokers whose directory was taken away end all the same, and their cluster says what it could not write`, () =>
    withDirectory(async (root) => {
      const dataDir = join(root, 'data');
      const listeners = process.listenerCount('exit');
      const cluster = await Cluster.start({ brokers, dataDir });
      await cluster.admin.createTopic('t');
      await cluster.producer().send('t', { value: 'v' });
      rmSync(dataDir, { recursive: true });
      for (let round = 1; round <= 2; round++)
        await assertRefused(
          cluster.close(),
          'KAFKA_STORAGE_ERROR',
          /^The cluster has ended, but .*__cluster_metadata-0.*: ENOENT, it does not exist\. Look/,
        );
      assert.ok(cluster.status().brokers.every(({ state }) => state === 'closed' || state === 'failed'));
      assert.is(process.listenerCount('exit'), listeners, 'the directory was not let go of');
      await assertRefused(connect(cluster.handle), 'CLOSED');
      await using next = await Cluster.start({ brokers, dataDir });
      assert.equal(next.status().topics, []);
    }));
}

test('nothing is left of a cluster that was closed', () =>
  withCluster({}, async (cluster) => {
    const before = process.getActiveResourcesInfo().filter((name) => name === 'MessagePort').length;
    const client = await connect(cluster.handle);
    await client.close();
    await cluster.close();
    await until('its ports are closed', () => {
      const ports = process.getActiveResourcesInfo().filter((name) => name === 'MessagePort').length;
      return ports < before || ports === 0;
    });
  }));

test.run();
