// Leaders are killed, stopped and made to hang while producers write and somebody reads. None of them hears of it: every
// record is acknowledged, stands in the log once, where its writer was told, and those of a key in their order.
// time limit: 180 s
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Client,
  type Cluster,
  connect,
  type ProducerOptions,
  type RecordPlace,
  type TidemarkError,
} from '../../src/index.ts';
import { assertRefused, outcomeOf } from '../client/refusals.ts';
import { assertReplicated, numbered, partitionOf, sleep, text, until, withCluster } from './fixtures.ts';

const PARTITIONS = 2;
const SESSION_MS = 600;
const WINDOW = 40;

interface Writer {
  readonly name: string;
  /** What became of each of its records, in the order of the sends. */
  stop(): Promise<(RecordPlace | TidemarkError)[]>;
}

/** Sends records of one key, some tens of them at a time on their way. */
function startWriter(client: Cluster | Client, name: string, options: ProducerOptions = {}): Writer {
  const producer = client.producer({ batchBytes: 300, ...options });
  const outcomes: Promise<RecordPlace | TidemarkError>[] = [];
  let isOver = false;
  const run = async (): Promise<void> => {
    for (let n = 0; !isOver; n++) {
      outcomes.push(producer.send('t', { key: name, value: `${name} ${n}` }).catch((error) => error));
      if (n >= WINDOW) await outcomes[n - WINDOW];
      if (n % 10 === 0) await sleep(1);
    }
    await producer.close();
  };
  const running = run();
  return {
    name,
    stop: async () => {
      isOver = true;
      await running;
      return Promise.all(outcomes);
    },
  };
}

/** Follows a partition to its end, again and again, until it is stopped. */
function startReader(client: Cluster | Client, partition: number) {
  const seen: { offset: number; value: string }[] = [];
  let isOver = false;
  const run = async (): Promise<void> => {
    for (let offset = 0; !isOver; ) {
      const { records, nextOffset } = await client.read('t', { partition, offset, waitMs: 100 });
      for (const record of records) seen.push({ offset: record.offset, value: text(record.value) as string });
      offset = nextOffset;
    }
  };
  // What goes wrong is told when it is stopped.
  const running = run().catch((error) => error);
  return {
    stop: async () => {
      isOver = true;
      assert.is(await running, undefined);
      return seen;
    },
  };
}

async function allInSync(cluster: Cluster): Promise<void> {
  for (let partition = 0; partition < PARTITIONS; partition++)
    await until('all replicas are in sync', () => partitionOf(cluster, partition).isr.length === 3);
}

/** By value: where it stands. */
async function contents(cluster: Cluster): Promise<Map<string, RecordPlace[]>> {
  const found = new Map<string, RecordPlace[]>();
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const { hwm } = partitionOf(cluster, partition);
    for (let offset = 0; offset < hwm; ) {
      const read = await cluster.read('t', { partition, offset });
      for (const record of read.records) {
        const value = text(record.value) as string;
        found.set(value, [...(found.get(value) ?? []), { partition, offset: record.offset }]);
      }
      offset = read.nextOffset;
    }
  }
  return found;
}

/** Every record was acknowledged, stands there and nowhere else, and behind the one before it. */
async function checkWriters(cluster: Cluster, writers: readonly Writer[]): Promise<void> {
  const outcomes = new Map<Writer, (RecordPlace | TidemarkError)[]>();
  for (const writer of writers) outcomes.set(writer, await writer.stop());
  await allInSync(cluster);
  const found = await contents(cluster);
  let total = 0;
  for (const [{ name }, places] of outcomes) {
    let last = -1;
    for (const [n, place] of places.entries()) {
      if (place instanceof Error) throw new Error(`${name} ${n}: ${place.message}`, { cause: place });
      assert.equal(found.get(`${name} ${n}`), [place], `${name} ${n}`);
      assert.ok(place.offset > last, `${name} ${n} at ${place.offset}, behind ${last}`);
      last = place.offset;
    }
    total += places.length;
  }
  assert.is(found.size, total, 'nothing else was written');
  await assertReplicated(cluster, total);
}

for (const durability of ['memory', 'os', 'fsync'] as const) {
  test(`LESSONS 24: ${durability}: leaders that are killed under load cost time, and nothing else`, () =>
    withCluster({ durability, partitions: PARTITIONS }, async (cluster) => {
      const client = await connect(cluster.handle);
      const writers = [startWriter(cluster, 'a'), startWriter(cluster, 'b'), startWriter(client, 'c')];
      const reader = startReader(client, 0);
      for (let n = 0; n < 6; n++) {
        await sleep(80);
        const { leader } = partitionOf(cluster, n % PARTITIONS);
        await cluster.faults.kill(leader);
        await sleep(40);
        await cluster.faults.restart(leader);
        await allInSync(cluster);
      }
      await checkWriters(cluster, writers);
      const seen = await reader.stop();
      assert.ok(seen.length > 0);
      for (const [n, { offset }] of seen.entries()) assert.is(offset, n, 'LESSONS 6: read once, in order');
      await client.close();
    }));
}

test('leaders that hand over, and others that hang, cost time, and nothing else', () =>
  withCluster({ partitions: PARTITIONS, durability: 'os', sessionMs: SESSION_MS }, async (cluster) => {
    const client = await connect(cluster.handle);
    const writers = [startWriter(cluster, 'a'), startWriter(client, 'b')];
    for (let n = 0; n < 4; n++) {
      await sleep(50);
      const { leader } = partitionOf(cluster, n % PARTITIONS);
      if (n % 2 === 0) await cluster.stopBroker(leader);
      else await cluster.faults.pause(leader);
      await until('another one leads', () => partitionOf(cluster, n % PARTITIONS).leader !== leader);
      await sleep(50);
      if (n % 2 === 0) await cluster.startBroker(leader);
      else await cluster.faults.resume(leader);
      await allInSync(cluster);
    }
    await checkWriters(cluster, writers);
    await client.close();
  }));

test('an attached thread rides through the deaths of its leaders', () =>
  withCluster({ partitions: PARTITIONS }, async (cluster) => {
    const acknowledged = new Int32Array(new SharedArrayBuffer(4));
    const workerData = { handle: cluster.handle, name: 'w', records: 3_000, end: 'close', acknowledged };
    const worker = new Worker(new URL('./attached-worker.js', import.meta.url), { workerData });
    const done = Promise.all([once(worker, 'message'), once(worker, 'exit')]);
    for (let n = 1; n <= 3; n++) {
      await until('it has got on', () => Atomics.load(acknowledged, 0) > 500 * n);
      const { leader } = partitionOf(cluster, n % PARTITIONS);
      await cluster.faults.kill(leader);
      await cluster.faults.restart(leader);
      await allInSync(cluster);
    }
    const [[{ places }]] = (await done) as [[{ places: (RecordPlace & { value: string })[] }], unknown];
    const found = await contents(cluster);
    assert.is(places.length, 3_000);
    assert.is(found.size, 3_000);
    for (const { value, ...place } of places) assert.equal(found.get(value), [place], value);
  }));

function isCommitted(cluster: Cluster): boolean {
  const { partitions = [] } = cluster.status().topics.find(({ name }) => name === 't') ?? {};
  return partitions.every(({ leo, hwm }) => Object.values(leo).every((end) => end === hwm));
}

for (const options of [{ acks: 1 }, { acks: 'all', idempotent: false }] as const) {
  test(`${JSON.stringify(options)}: nobody hears of a death, though records may stand twice`, () =>
    withCluster({ partitions: PARTITIONS }, async (cluster) => {
      const writers = [startWriter(cluster, 'a', options), startWriter(cluster, 'b', options)];
      for (let n = 0; n < 4; n++) {
        await sleep(50);
        const { leader } = partitionOf(cluster, n % PARTITIONS);
        await cluster.faults.kill(leader);
        await cluster.faults.restart(leader);
        await allInSync(cluster);
      }
      const outcomes = new Map<string, (RecordPlace | TidemarkError)[]>();
      for (const { name, stop } of writers) outcomes.set(name, await stop());
      // With acks 1 the last records are acknowledged before anybody can read them.
      await until('everything is committed', () => isCommitted(cluster));
      const found = await contents(cluster);
      for (const [name, places] of outcomes) {
        for (const [n, place] of places.entries()) {
          assert.not(place instanceof Error, `${name} ${n}: ${place}`);
          if (options.acks === 'all') assert.ok((found.get(`${name} ${n}`) ?? []).length > 0, `${name} ${n}`);
        }
      }
      let total = 0;
      for (const { length } of found.values()) total += length;
      await assertReplicated(cluster, total);
    }));
}

test('with acks 0 a death loses what lay in the channel of the dead, and nothing is written twice', () =>
  withCluster({ partitions: PARTITIONS }, async (cluster) => {
    const writer = startWriter(cluster, 'a', { acks: 0 });
    for (let n = 0; n < 3; n++) {
      await sleep(30);
      const { leader } = partitionOf(cluster, n % PARTITIONS);
      await cluster.faults.kill(leader);
      await cluster.faults.restart(leader);
      await allInSync(cluster);
    }
    for (const outcome of await writer.stop()) assert.is((outcome as RecordPlace).offset, -1);
    for (const [value, places] of await contents(cluster)) assert.is(places.length, 1, value);
  }));

test('a batch that is not committed in time is sent again, and told of when its own time is up', () =>
  withCluster({ brokers: 2, sessionMs: 60_000 }, async (cluster) => {
    const { leader } = partitionOf(cluster);
    const producer = cluster.producer({ requestTimeoutMs: 50, deliveryTimeoutMs: 1_500 });
    await producer.send('t', { value: '0' });
    await cluster.faults.pause(3 - leader);
    const late = await assertRefused(
      producer.send('t', { value: '1' }),
      'REQUEST_TIMED_OUT',
      /1500 ms.*not known/s,
    );
    assert.is(late.retriable, true);
    const patient = cluster.producer({ requestTimeoutMs: 50 }).send('t', { value: '2' });
    await sleep(300);
    await cluster.faults.resume(3 - leader);
    assert.equal(await patient, { partition: 0, offset: 2 });
    assert.equal(await producer.send('t', { value: '3' }), { partition: 0, offset: 3 });
    const { records } = await cluster.read('t', { partition: 0, offset: 0 });
    assert.equal(
      records.map(({ value }) => text(value)),
      ['0', '1', '2', '3'],
    );
  }));

test('a producer that is closed during a failover waits for what it has sent', () =>
  withCluster({ durability: 'os' }, async (cluster) => {
    const producer = cluster.producer();
    await producer.send('t', { value: 'first' });
    const { leader } = partitionOf(cluster);
    const killed = cluster.faults.kill(leader);
    const sent = producer.sendBatch('t', numbered(500, 100));
    await producer.close();
    await killed;
    assert.is((await sent).length, 500);
    await cluster.faults.restart(leader);
    await until('all are in sync', () => partitionOf(cluster).isr.length === 3);
    await assertReplicated(cluster, 501);
  }));

test('a producer that is closed while nobody leads gives up after its time, and so does the cluster', () =>
  withCluster({ brokers: 1, deliveryTimeoutMs: 400 }, async (cluster) => {
    const client = await connect(cluster.handle);
    await cluster.faults.kill(1);
    const producers = [cluster.producer(), client.producer()];
    const sends = producers.map((producer) => outcomeOf(producer.send('t', { value: 'v' })));
    const startedMs = performance.now();
    await producers[0].close();
    await cluster.close();
    assert.ok(performance.now() - startedMs < 5_000);
    for (const send of sends) {
      const { code } = (await send) as TidemarkError;
      assert.ok(code === 'LEADER_NOT_AVAILABLE' || code === 'CLOSED', code);
    }
    await client.close();
  }));

test('a cluster that closes fails what an attached client waits for at once', () =>
  withCluster({ brokers: 1 }, async (cluster) => {
    const client = await connect(cluster.handle);
    await client.producer().send('t', { value: 'v' });
    await cluster.faults.kill(1);
    const send = outcomeOf(client.producer().send('t', { value: 'v' }));
    const read = outcomeOf(client.read('t', { partition: 0, offset: 0 }));
    await sleep(20);
    const startedMs = performance.now();
    await cluster.close();
    assert.is(((await send) as TidemarkError).code, 'CLOSED');
    assert.is(((await read) as TidemarkError).code, 'CLOSED');
    assert.ok(performance.now() - startedMs < 3_000);
  }));

test.run();
