// Replicas that do not keep up leave the ISR, and come back by themselves.
// time limit: 120 s
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Cluster } from '../../src/index.ts';
import { outcomeOf } from '../client/refusals.ts';
import { assertReplicated, numbered, partitionOf, sleep, until, withCluster } from './fixtures.ts';

const LIMIT_MS = 600;
/** Nobody is missed for its silence: what leaves here has not kept up. */
const SESSION_MS = 60_000;
const topicConfig = { 'replica.lag.time.max.ms': LIMIT_MS };
/** Where nobody is to leave, however little of its time a busy machine gives to a thread. */
const PATIENT_MS = 3_000;
const patientConfig = { 'replica.lag.time.max.ms': PATIENT_MS };

function followersOf(cluster: Cluster): number[] {
  const { leader, replicas } = partitionOf(cluster);
  return replicas.filter((id) => id !== leader);
}

async function allInSync(cluster: Cluster): Promise<void> {
  await until('all replicas are in sync', () => partitionOf(cluster).isr.length === 3);
}

/** Blocks a follower, and writes until that is out of the ISR: it may take a batch before it comes to blocking. */
async function hang(cluster: Cluster, follower: number): Promise<void> {
  const producer = cluster.producer({ acks: 1 });
  await cluster.faults.pause(follower);
  await until(`broker ${follower} is out of the ISR`, async () => {
    await producer.send('t', { value: 'v' });
    return !partitionOf(cluster).isr.includes(follower);
  });
}

function countersOf(cluster: Cluster, broker: number): Readonly<Record<string, number>> {
  return cluster.metrics().find((each) => each.broker === broker)?.counters as Readonly<
    Record<string, number>
  >;
}

for (const durability of ['memory', 'fsync'] as const) {
  test(`${durability}: a follower that takes nothing leaves, what waited for it is acknowledged, and it comes back`, () =>
    withCluster({ durability, sessionMs: SESSION_MS, topicConfig }, async (cluster) => {
      const producer = cluster.producer();
      await producer.sendBatch('t', numbered(100));
      const { leader, epoch } = partitionOf(cluster);
      const [follower] = followersOf(cluster);
      await hang(cluster, follower);
      assert.ok(partitionOf(cluster).isr.includes(leader));
      await until(
        'what is there is committed',
        () => partitionOf(cluster).hwm === partitionOf(cluster).leo[leader],
      );
      const { hwm, leo } = partitionOf(cluster);
      assert.ok(leo[follower] < hwm);
      await cluster.faults.resume(follower);
      await allInSync(cluster);
      assert.is(partitionOf(cluster).epoch, epoch);
      await assertReplicated(cluster, hwm);
      assert.ok(countersOf(cluster, leader).isrShrinks >= 1);
      assert.ok(countersOf(cluster, leader).isrExpansions >= 1);
      const { followers } = cluster.metrics().find(({ broker }) => broker === leader) ?? {};
      assert.equal(
        followers?.map((each) => each.follower),
        followersOf(cluster),
      );
    }));
}

test('two followers that hang leave the leader alone: then min.insync.replicas decides', () =>
  withCluster(
    { sessionMs: SESSION_MS, topicConfig: { ...topicConfig, 'min.insync.replicas': 2 } },
    async (cluster) => {
      const producer = cluster.producer();
      await producer.send('t', { value: '0' });
      for (const id of followersOf(cluster)) await hang(cluster, id);
      assert.equal(partitionOf(cluster).isr, [partitionOf(cluster).leader]);
      const { hwm } = partitionOf(cluster);
      const waiting = outcomeOf(producer.send('t', { value: '1' }));
      await cluster.producer({ acks: 1 }).send('t', { value: 'not committed' });
      await sleep(2 * LIMIT_MS);
      assert.is(partitionOf(cluster).hwm, hwm);
      for (const id of followersOf(cluster)) await cluster.faults.resume(id);
      await allInSync(cluster);
      await waiting;
      await producer.send('t', { value: '2' });
      await assertReplicated(cluster, partitionOf(cluster).hwm);
    },
  ));

test('LESSONS 8: bursts as fast as they can be sent take nobody out of the ISR', () =>
  withCluster({ sessionMs: SESSION_MS, topicConfig: patientConfig, partitions: 3 }, async (cluster) => {
    const producer = cluster.producer();
    for (let burst = 0; burst < 5; burst++) {
      await Promise.all(Array.from({ length: 40 }, () => producer.sendBatch('t', numbered(1_000, 100))));
      await sleep(50);
    }
    const shrinks = cluster.metrics().reduce((sum, { counters }) => sum + counters.isrShrinks, 0);
    assert.is(shrinks, 0);
    for (const partition of [0, 1, 2]) assert.is(partitionOf(cluster, partition).isr.length, 3);
  }));

test('a leader that stood still names nobody when it goes on', () =>
  withCluster({ sessionMs: SESSION_MS, topicConfig: patientConfig }, async (cluster) => {
    const producer = cluster.producer({ acks: 1 });
    const { leader } = partitionOf(cluster);
    await producer.send('t', { value: '0' });
    await cluster.faults.pause(leader);
    const sent = producer.send('t', { value: '1' });
    await sleep(2 * PATIENT_MS);
    await cluster.faults.resume(leader);
    await sent;
    await until('all is committed', () => partitionOf(cluster).hwm === 2);
    await sleep(500);
    assert.is(countersOf(cluster, leader).isrShrinks, 0);
    await assertReplicated(cluster, 2);
  }));

test('LESSONS 13: a replica that was emptied is let in only when it has everything again', () =>
  withCluster({ durability: 'memory', topicConfig }, async (cluster) => {
    const producer = cluster.producer();
    await producer.sendBatch('t', numbered(2_000, 500));
    const [follower] = followersOf(cluster);
    let isOver = false;
    const looked = (async () => {
      while (!isOver) {
        const { isr, hwm, leo } = partitionOf(cluster);
        // status() reads the ISR and the HWM before the LEOs, which only go up within a life.
        if (isr.includes(follower)) assert.ok(leo[follower] >= hwm, `${leo[follower]} of ${hwm} are there`);
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    for (let n = 0; n < 3; n++) {
      // Its memory goes with its thread, and its id stays.
      await cluster.faults.restart(follower);
      await producer.sendBatch('t', numbered(100));
      await allInSync(cluster);
    }
    isOver = true;
    await looked;
    await assertReplicated(cluster, 2_300);
  }));

test('a record that was acknowledged survives the death of a leader whose ISR had shrunk and grown', () =>
  withCluster({ durability: 'os', sessionMs: SESSION_MS, topicConfig }, async (cluster) => {
    const producer = cluster.producer();
    for (let n = 0; n < 3; n++) {
      const { leader } = partitionOf(cluster);
      const [follower] = followersOf(cluster);
      await hang(cluster, follower);
      await producer.sendBatch('t', numbered(10));
      const { hwm } = partitionOf(cluster);
      await cluster.faults.kill(leader);
      assert.ok(partitionOf(cluster).leader !== follower, 'it may lack what was acknowledged');
      await cluster.faults.resume(follower);
      await cluster.faults.restart(leader);
      await allInSync(cluster);
      assert.ok(partitionOf(cluster).hwm >= hwm);
    }
    await assertReplicated(cluster, partitionOf(cluster).hwm);
  }));

test.run();
