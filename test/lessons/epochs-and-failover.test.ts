// What broke in other logs about epochs and failovers (lessons 9 to 14), through real threads.
// time limit: 180 s
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Cluster } from '../../src/index.ts';
import { assertRefused } from '../client/refusals.ts';
import { assertReplicated, numbered, partitionOf, sleep, until, withCluster } from '../threads/fixtures.ts';
import { Load, valuesOf } from './load.ts';

async function allInSync(cluster: Cluster): Promise<void> {
  await until('all replicas are in sync', () => {
    const { isr, replicas } = partitionOf(cluster);
    return isr.length === replicas.length;
  });
}

function followersOf(cluster: Cluster): number[] {
  const { leader, replicas } = partitionOf(cluster);
  return replicas.filter((id) => id !== leader);
}

test('LESSONS 9: a dead broker is not elected though it is the first of the replicas, and every reign has its own epoch', () =>
  withCluster({ durability: 'os' }, async (cluster) => {
    const producer = cluster.producer();
    const epochs = [partitionOf(cluster).epoch];
    const [first, second] = partitionOf(cluster).replicas;
    await producer.sendBatch('t', numbered(10));
    await cluster.faults.kill(first);
    assert.is(partitionOf(cluster).leader, second);
    epochs.push(partitionOf(cluster).epoch);
    await cluster.producer().sendBatch('t', numbered(10, 0, 10));
    // The first is back, and dead again when the second one dies.
    await cluster.faults.restart(first);
    await allInSync(cluster);
    const third = followersOf(cluster).find((id) => id !== first) as number;
    await Promise.all([cluster.faults.kill(first), cluster.stopBroker(second)]);
    assert.is(partitionOf(cluster).leader, third);
    epochs.push(partitionOf(cluster).epoch);
    assert.ok(
      epochs.every((epoch, n) => n === 0 || epoch > epochs[n - 1]),
      epochs.join(),
    );
    await cluster.faults.restart(first);
    await cluster.startBroker(second);
    await allInSync(cluster);
    await cluster.producer().sendBatch('t', numbered(10, 0, 20));
    await assertReplicated(cluster, partitionOf(cluster).hwm);
  }));

test('LESSONS 10: a follower that starts again and leads at once has what was acknowledged, whatever it knew of the HWM', () =>
  withCluster({ durability: 'os' }, async (cluster) => {
    const load = new Load(cluster);
    for (let n = 0; n < 4; n++) {
      await load.more();
      const { leader } = partitionOf(cluster);
      const [follower, other] = followersOf(cluster);
      // It comes back with the HWM that it had written down, far below what it holds.
      await cluster.faults.restart(follower);
      await allInSync(cluster);
      await load.more(20);
      await Promise.all([cluster.faults.kill(leader), cluster.faults.kill(other)]);
      // Of three votes one is left: what comes next is decided when another one is back.
      await cluster.faults.restart(other);
      await until('somebody leads', () => ![-1, leader].includes(partitionOf(cluster).leader));
      await load.more(20);
      await cluster.faults.restart(leader);
      await allInSync(cluster);
    }
    await load.end();
    await load.assertKept();
    await assertReplicated(cluster, partitionOf(cluster).hwm);
  }));

test('LESSONS 11: leaders that write nothing follow each other, and no follower loops', () =>
  withCluster({ durability: 'os' }, async (cluster) => {
    await cluster.producer().sendBatch('t', numbered(10));
    const before = partitionOf(cluster).epoch;
    for (let n = 0; n < 4; n++) {
      const { leader } = partitionOf(cluster);
      await cluster.faults.kill(leader);
      await cluster.faults.restart(leader);
      await allInSync(cluster);
    }
    assert.ok(partitionOf(cluster).epoch >= before + 4);
    const askedBefore = cluster.metrics().map(({ counters }) => counters.catchUps);
    await sleep(300);
    assert.equal(
      cluster.metrics().map(({ counters }) => counters.catchUps),
      askedBefore,
    );
    await cluster.producer().sendBatch('t', numbered(10, 0, 10));
    await assertReplicated(cluster, 20);
  }));

test('LESSONS 12: two failovers in quick succession leave no log that differs, of what was acknowledged or of what was not', () =>
  withCluster({ durability: 'os', brokers: 5, replicationFactor: 5 }, async (cluster) => {
    const load = new Load(cluster, 2);
    // With acks 1 some of it is in one log alone when that leader dies.
    const doubtful = new Load(cluster, 2, 1);
    for (let n = 0; n < 4; n++) {
      await load.more();
      const { leader, isr } = partitionOf(cluster);
      const next = isr.find((id) => id !== leader) as number;
      await Promise.all([cluster.faults.kill(leader), cluster.faults.kill(next)]);
      await load.more(20);
      await Promise.all([cluster.faults.restart(leader), cluster.faults.restart(next)]);
      await allInSync(cluster);
    }
    await Promise.all([load.end(), doubtful.end()]);
    await load.assertKept();
    await assertReplicated(cluster, partitionOf(cluster).hwm);
  }));

test('LESSONS 13: a replica that comes back with an empty directory neither leads nor counts before it has everything', () =>
  withCluster({ durability: 'os' }, async (cluster) => {
    await cluster.producer().sendBatch('t', numbered(1_000, 200));
    for (let n = 0; n < 2; n++) {
      const [emptied] = followersOf(cluster);
      await cluster.faults.disk(emptied, 'wiped');
      const { isr, leo, hwm } = partitionOf(cluster);
      assert.ok(!isr.includes(emptied) || leo[emptied] >= hwm);
      await allInSync(cluster);
      // It is all that is left, and has all of it.
      const { leader } = partitionOf(cluster);
      const other = followersOf(cluster).find((id) => id !== emptied) as number;
      await cluster.faults.kill(other);
      await cluster.faults.restart(other);
      await allInSync(cluster);
      await cluster.faults.kill(leader);
      assert.is((await valuesOf(cluster)).length, 1_000);
      await cluster.faults.restart(leader);
      await allInSync(cluster);
    }
    await assertReplicated(cluster, 1_000);
  }));

test('LESSONS 14: when the last replica standing is lost, those lead that left a too small ISR, and nothing acknowledged is', () =>
  withCluster(
    { durability: 'os', deliveryTimeoutMs: 3_000, topicConfig: { 'min.insync.replicas': 2 } },
    async (cluster) => {
      const load = new Load(cluster);
      await load.more();
      await load.end();
      const { leader } = partitionOf(cluster);
      const followers = followersOf(cluster);
      for (const id of followers) {
        await cluster.faults.disk(id, 'failing');
        await outOfSync(cluster, id);
      }
      assert.equal(partitionOf(cluster).isr, [leader]);
      // Alone it takes what asks for no company, and commits none of it.
      const { hwm } = partitionOf(cluster);
      await assertRefused(cluster.producer().send('t', { value: 'v' }), 'NOT_ENOUGH_REPLICAS');
      await cluster.producer({ acks: 1 }).send('t', { value: 'lost' });
      assert.is(partitionOf(cluster).hwm, hwm);
      // Its directory goes with it.
      await cluster.faults.disk(leader, 'wiped');
      for (const id of followers) {
        await cluster.faults.disk(id, 'sound');
        await cluster.faults.restart(id);
      }
      await until('one of the others leads', () => followers.includes(partitionOf(cluster).leader));
      await allInSync(cluster);
      await load.assertKept();
      const after = cluster.producer();
      await after.sendBatch('t', numbered(10));
      await assertReplicated(cluster, partitionOf(cluster).hwm);
    },
  ));

/** Something has to be written for it to be found that its disk fails. */
async function outOfSync(cluster: Cluster, broker: number): Promise<void> {
  const producer = cluster.producer({ acks: 1 });
  await until(`broker ${broker} is out of the ISR`, async () => {
    await producer.send('t', { value: 'v' }).catch(() => undefined);
    return !partitionOf(cluster).isr.includes(broker);
  });
}

test.run();
