import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Client, type Cluster, connect } from '../../src/index.ts';
import { assertRefused } from '../client/refusals.ts';
import { partitionOf, sleep, text, until, withCluster } from './fixtures.ts';

const RACKS = ['a', 'b', 'c'];

/** Who has answered tells which brokers do not matter: those that hang. */
async function readsWhileHanging(
  cluster: Cluster,
  client: Cluster | Client,
  rack: string,
): Promise<string[]> {
  const others = [1, 2, 3].filter((id) => RACKS[id - 1] !== rack);
  for (const broker of others) await cluster.faults.pause(broker);
  const { records } = await client.read('t', { partition: 0, offset: 0, rack });
  for (const broker of others) await cluster.faults.resume(broker);
  return records.map(({ value }) => text(value) as string);
}

test('a replica on the rack is read, and nobody else is asked', () =>
  withCluster({ racks: RACKS, sessionMs: 60_000 }, async (cluster) => {
    await cluster.producer().send('t', { value: 'v' });
    const client = await connect(cluster.handle);
    for (const rack of RACKS) {
      assert.equal(await readsWhileHanging(cluster, cluster, rack), ['v'], rack);
      assert.equal(await readsWhileHanging(cluster, client, rack), ['v'], rack);
    }
    await client.close();
  }));

test('whoever follows a partition on a rack hears of each record once it is committed', () =>
  withCluster({ racks: RACKS }, async (cluster) => {
    const { leader } = partitionOf(cluster);
    const rack = RACKS[leader % 3];
    const producer = cluster.producer();
    const startedMs = performance.now();
    for (let n = 0; n < 30; n++) {
      const poll = cluster.read('t', { partition: 0, offset: n, rack, waitMs: 20_000 });
      await producer.send('t', { value: `${n}` });
      assert.equal(
        (await poll).records.map(({ offset, value }) => [offset, text(value)]),
        [[n, `${n}`]],
      );
    }
    assert.ok(performance.now() - startedMs < 15_000);
  }));

test('where the rack has no replica in sync the leader is read, also by those who wait already', () =>
  withCluster({ racks: RACKS, brokers: 3 }, async (cluster) => {
    const producer = cluster.producer();
    await producer.send('t', { value: '0' });
    const { leader } = partitionOf(cluster);
    const near = (leader % 3) + 1;
    const rack = RACKS[near - 1];
    const poll = cluster.read('t', { partition: 0, offset: 1, rack, waitMs: 20_000 });
    await sleep(20);
    await cluster.faults.kill(near);
    await until('it is out of the ISR', () => !partitionOf(cluster).isr.includes(near));
    await producer.send('t', { value: '1' });
    assert.equal((await poll).nextOffset, 2);
    assert.equal((await cluster.read('t', { partition: 0, offset: 0, rack })).nextOffset, 2);
    assert.equal((await cluster.read('t', { partition: 0, offset: 0, rack: 'none' })).nextOffset, 2);
    await cluster.faults.restart(near);
    assert.equal((await cluster.read('t', { partition: 0, offset: 0, rack })).nextOffset, 2);
  }));

test('what a replica near by does not have is asked of the leader', () =>
  withCluster({ racks: RACKS }, async (cluster) => {
    const { leader } = partitionOf(cluster);
    const rack = RACKS[leader % 3];
    await cluster.producer().send('t', { value: 'v' });
    assert.equal((await cluster.read('t', { partition: 0, offset: 1, rack })).nextOffset, 1);
    await assertRefused(
      cluster.read('t', { partition: 0, offset: 5, rack }),
      'OFFSET_OUT_OF_RANGE',
      /offsets from 0 up to 1/,
    );
    const { records } = await cluster.read('t', { partition: 0, timestamp: 0, rack });
    assert.is(records.length, 1);
  }));

test('a client that was given a rack reads there, unless a read says otherwise', () =>
  withCluster({ racks: RACKS, sessionMs: 60_000 }, async (cluster) => {
    await cluster.producer().send('t', { value: 'v' });
    const { leader } = partitionOf(cluster);
    const near = (leader % 3) + 1;
    await using client = await connect(cluster.handle, { rack: RACKS[near - 1] });
    const isRead = async (options: object): Promise<boolean> => {
      const { records } = await client.read('t', { partition: 0, offset: 0, timeoutMs: 100, ...options });
      return records.length === 1;
    };
    await until('the follower has heard of it', () => isRead({}));
    // Who hangs is not missed for a minute.
    await cluster.faults.pause(leader);
    try {
      assert.ok(await isRead({}));
    } finally {
      await cluster.faults.resume(leader);
    }
    await cluster.faults.pause(near);
    try {
      assert.ok(await isRead({ broker: leader }));
      assert.ok(await isRead({ rack: RACKS[leader - 1] }));
    } finally {
      await cluster.faults.resume(near);
    }
    for (const rack of ['', 1] as unknown as string[])
      await assertRefused(connect(cluster.handle, { rack }), 'INVALID_ARGUMENT', /^rack must be/);
    await assertRefused(connect(cluster.handle, { racks: 'a' } as never), 'INVALID_ARGUMENT', /racks/);
  }));

test('a rack that is none is refused', () =>
  withCluster({ brokers: 1 }, async (cluster) => {
    for (const rack of ['', 1, null] as unknown as string[])
      await assertRefused(
        cluster.read('t', { partition: 0, offset: 0, rack }),
        'INVALID_ARGUMENT',
        /^rack must be/,
      );
    await assertRefused(
      cluster.read('t', { partition: 0, offset: 0, rack: 'a', broker: 1 }),
      'INVALID_ARGUMENT',
      /to a broker or to a rack/,
    );
  }));

test.run();
