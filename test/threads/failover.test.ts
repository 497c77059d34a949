// Leaders that die, hang or are stopped: others lead, nothing acknowledged is lost, and whoever comes back follows.
// time limit: 120 s
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Cluster, connect } from '../../src/index.ts';
import { assertRefused } from '../client/refusals.ts';
import { assertReplicated, numbered, partitionOf, sleep, text, until, withCluster } from './fixtures.ts';
import { underLoad } from './load.ts';

const SESSION_MS = 600;

function stateOf(cluster: Cluster, broker: number): string | undefined {
  return cluster.status().brokers.find(({ id }) => id === broker)?.state;
}

async function allInSync(cluster: Cluster, partition = 0): Promise<void> {
  await until('all replicas are in sync', () => {
    const { isr, replicas } = partitionOf(cluster, partition);
    return isr.length === replicas.length;
  });
}

for (const durability of ['memory', 'os', 'fsync'] as const) {
  test(`${durability}: a leader that dies is succeeded in the ISR, comes back on what it has, and follows`, () =>
    withCluster({ durability }, async (cluster) => {
      const producer = cluster.producer();
      await producer.sendBatch('t', numbered(1_000));
      const before = partitionOf(cluster);
      await cluster.faults.kill(before.leader);
      const after = partitionOf(cluster);
      assert.ok(after.leader !== before.leader);
      assert.is(after.epoch, before.epoch + 1);
      assert.equal(
        after.isr,
        before.replicas.filter((id) => id !== before.leader),
      );
      assert.is(after.hwm, 1_000);
      await producer.sendBatch('t', numbered(1_000, 0, 1_000));
      await cluster.faults.restart(before.leader);
      await allInSync(cluster);
      assert.is(partitionOf(cluster).leader, after.leader);
      await producer.sendBatch('t', numbered(1_000, 0, 2_000));
      await assertReplicated(cluster, 3_000);
      const { records } = await cluster.read('t', { partition: 0, offset: 0 });
      assert.equal(
        records.map(({ value }) => text(value)),
        numbered(3_000).map(({ value }) => value),
      );
    }));
}

test('every broker dies in turn under load, twice, and all that was acknowledged is where it was', () =>
  withCluster({ partitions: 3 }, async (cluster) => {
    const load = underLoad(cluster);
    for (const broker of [1, 2, 3, 1, 2, 3]) {
      await sleep(50);
      await cluster.faults.kill(broker);
      await sleep(50);
      await cluster.faults.restart(broker);
      for (const partition of [0, 1, 2]) await allInSync(cluster, partition);
    }
    await assertReplicated(cluster, await load.end());
  }));

test('a broker that alone has all records leads again when it is back, one epoch further on', () =>
  withCluster({ durability: 'os', brokers: 2 }, async (cluster) => {
    const producer = cluster.producer();
    const { leader } = partitionOf(cluster);
    await producer.sendBatch('t', numbered(10));
    await cluster.faults.kill(3 - leader);
    await producer.sendBatch('t', numbered(10, 0, 10));
    await cluster.faults.kill(leader);
    assert.is(partitionOf(cluster).leader, -1);
    const impatient = cluster.producer({ deliveryTimeoutMs: 100 });
    await assertRefused(impatient.send('t', { value: 'v' }), 'LEADER_NOT_AVAILABLE', /restart\(/);
    // The other one lacks ten of them.
    await cluster.faults.restart(3 - leader);
    assert.is(partitionOf(cluster).leader, -1);
    await cluster.faults.restart(leader);
    assert.is(partitionOf(cluster).leader, leader);
    await allInSync(cluster);
    await producer.sendBatch('t', numbered(10, 0, 20));
    await assertReplicated(cluster, 30);
  }));

test('LESSONS 13: a broker whose memory is gone does not lead what it alone had', () =>
  withCluster({ brokers: 1 }, async (cluster) => {
    await cluster.producer().sendBatch('t', numbered(10));
    await cluster.faults.restart(1);
    assert.is(partitionOf(cluster).leader, -1);
    await assertRefused(
      cluster.producer({ deliveryTimeoutMs: 100 }).send('t', { value: 'v' }),
      'LEADER_NOT_AVAILABLE',
      /memory of broker 1/,
    );
    await cluster.admin.createTopic('u');
    await cluster.producer().send('u', { value: 'v' });
  }));

test('a broker that is stopped hands over first, and ends clean', () =>
  withCluster({ durability: 'os', partitions: 3 }, async (cluster) => {
    const producer = cluster.producer();
    await producer.sendBatch('t', numbered(300));
    await cluster.stopBroker(1);
    assert.is(stateOf(cluster, 1), 'closed');
    for (const partition of [0, 1, 2]) assert.ok(partitionOf(cluster, partition).leader !== 1);
    await producer.sendBatch('t', numbered(300));
    await cluster.startBroker(1);
    for (const partition of [0, 1, 2]) await allInSync(cluster, partition);
    await producer.sendBatch('t', numbered(300));
    await assertReplicated(cluster, 900);
    await assertRefused(cluster.startBroker(1), 'INVALID_ARGUMENT', /Broker 1 is running/);
    await assertRefused(cluster.stopBroker(9), 'INVALID_ARGUMENT', /no broker 9/);
  }));

test('a leader that hangs is fenced, and acknowledges nothing with acks all when it wakes', () =>
  withCluster({ sessionMs: SESSION_MS }, async (cluster) => {
    const producer = cluster.producer();
    await producer.sendBatch('t', numbered(100));
    const { leader, replicas } = partitionOf(cluster);
    await cluster.faults.pause(leader);
    await sleep(20);
    // In the channel of the broker that hangs: it takes them when it wakes, and believes that it leads.
    const doubtful = producer.sendBatch('t', numbered(3, 0, 100));
    await until('it is fenced', () => stateOf(cluster, leader) === 'fenced');
    await until('another one leads', () => partitionOf(cluster).leader !== leader);
    assert.equal(
      (await doubtful).map(({ offset }) => offset),
      [100, 101, 102],
    );
    assert.equal(
      partitionOf(cluster).isr,
      replicas.filter((id) => id !== leader),
    );
    await producer.sendBatch('t', numbered(97, 0, 103));
    await cluster.faults.resume(leader);
    await until('it is back', () => stateOf(cluster, leader) === 'running');
    await allInSync(cluster);
    await producer.sendBatch('t', numbered(100, 0, 200));
    await assertReplicated(cluster, 300);
    const { records } = await cluster.read('t', { partition: 0, offset: 0 });
    assert.equal(
      records.map(({ value }) => text(value)),
      numbered(300).map(({ value }) => value),
    );
  }));

test('a follower that hangs leaves the ISR, and comes back by itself though it has missed nothing', () =>
  withCluster({ sessionMs: SESSION_MS }, async (cluster) => {
    const producer = cluster.producer();
    const { leader, replicas } = partitionOf(cluster);
    const follower = replicas.find((id) => id !== leader) as number;
    await producer.send('t', { value: '0' });
    await cluster.faults.pause(follower);
    const sent = producer.sendBatch('t', numbered(10, 0, 1));
    await sent;
    await until('it is out of the ISR', () => !partitionOf(cluster).isr.includes(follower));
    assert.is(stateOf(cluster, follower), 'fenced');
    await cluster.faults.resume(follower);
    await allInSync(cluster);
    await assertReplicated(cluster, 11);
  }));

test('a main thread that stands still for longer than a session fences nobody', () =>
  withCluster({ sessionMs: SESSION_MS }, async (cluster) => {
    await cluster.producer().send('t', { value: 'v' });
    for (let n = 0; n < 2; n++) {
      const untilMs = performance.now() + 3 * SESSION_MS;
      while (performance.now() < untilMs);
      await sleep(300);
    }
    assert.equal(
      cluster.status().brokers.map(({ state }) => state),
      ['running', 'running', 'running'],
    );
    assert.is(partitionOf(cluster).epoch, 0);
    assert.is(partitionOf(cluster).isr.length, 3);
  }));

test('attached threads follow their leaders through deaths and returns', () =>
  withCluster({}, async (cluster) => {
    const client = await connect(cluster.handle);
    const producer = client.producer();
    await producer.send('t', { value: '0' });
    for (let n = 1; n <= 6; n++) {
      const { leader } = partitionOf(cluster);
      await cluster.faults.kill(leader);
      await until('it is taken', async () => {
        try {
          await producer.send('t', { value: `${n}` });
          return true;
        } catch {
          return false;
        }
      });
      await cluster.faults.restart(leader);
      await allInSync(cluster);
    }
    const { records } = await client.read('t', { partition: 0, offset: 0 });
    assert.equal(
      records.map(({ value }) => text(value)),
      ['0', '1', '2', '3', '4', '5', '6'],
    );
    await assertReplicated(cluster, 7);
    await client.close();
  }));

test.run();
