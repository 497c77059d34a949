// Who leads on request, where nobody in sync is left, and when somebody is back.
// time limit: 120 s
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Cluster, connect } from '../../src/index.ts';
import { assertRefused } from '../client/refusals.ts';
import { assertReplicated, numbered, partitionOf, sleep, text, until, withCluster } from './fixtures.ts';

async function inSync(cluster: Cluster, count: number, partition = 0): Promise<void> {
  await until(`${count} replicas are in sync`, () => partitionOf(cluster, partition).isr.length === count);
}

async function valuesOf(cluster: Cluster): Promise<(string | null)[]> {
  const { records } = await cluster.read('t', { partition: 0, offset: 0 });
  return records.map(({ value }) => text(value));
}

test('the preferred leader leads again on request, and only where it is in sync', () =>
  withCluster({ durability: 'os', partitions: 3 }, async (cluster) => {
    const preferred = [0, 1, 2].map((partition) => partitionOf(cluster, partition).replicas[0]);
    const victim = preferred[0];
    await cluster.faults.kill(victim);
    const [refused] = await cluster.admin.electLeaders();
    assert.equal([refused.partition, refused.code], [0, 'PREFERRED_LEADER_NOT_AVAILABLE']);
    assert.is(refused.leader, partitionOf(cluster).leader);
    await cluster.faults.restart(victim);
    for (const partition of [0, 1, 2]) await inSync(cluster, 3, partition);
    const client = await connect(cluster.handle);
    assert.equal(await client.admin.electLeaders({ topics: ['t'], type: 'preferred' }), [
      { topic: 't', partition: 0, leader: victim },
    ]);
    assert.equal(
      [0, 1, 2].map((partition) => partitionOf(cluster, partition).leader),
      preferred,
    );
    assert.equal(await cluster.admin.electLeaders(), []);
    await client.close();
  }));

/** The follower dies, ten more records are written, and then the leader dies too; the follower comes back. */
async function leaveBehind(cluster: Cluster): Promise<{ leader: number; behind: number }> {
  const producer = cluster.producer();
  const { leader, replicas } = partitionOf(cluster);
  const [behind] = replicas.filter((id) => id !== leader);
  await producer.sendBatch('t', numbered(10));
  await cluster.faults.kill(behind);
  await producer.sendBatch('t', numbered(10, 0, 10));
  await cluster.faults.kill(leader);
  await cluster.faults.restart(behind);
  return { leader, behind };
}

const TWO = { durability: 'os', brokers: 3, controllers: 1, replicationFactor: 2 } as const;

/** Only broker 1 has a vote, and none of the replicas. */
async function withTwo(topicConfig: object, run: (cluster: Cluster) => Promise<void>): Promise<void> {
  await withCluster({ ...TWO, topicConfig }, async (cluster) => {
    await cluster.admin.reassign([{ topic: 't', partition: 0, replicas: [2, 3] }]);
    await until('it is there', () => partitionOf(cluster).replicas.join() === '2,3');
    await run(cluster);
  });
}

test('a replica that lacks acknowledged records leads only where that is asked for, and the others follow it', () =>
  withTwo({}, async (cluster) => {
    const { leader, behind } = await leaveBehind(cluster);
    assert.is(partitionOf(cluster).leader, -1);
    assert.equal(await cluster.admin.electLeaders(), [
      {
        topic: 't',
        partition: 0,
        leader: -1,
        ...(await preferredError(cluster)),
      },
    ]);
    assert.is(partitionOf(cluster).leader, -1);
    assert.equal(await cluster.admin.electLeaders({ type: 'unclean' }), [
      { topic: 't', partition: 0, leader: behind },
    ]);
    await cluster.producer().send('t', { value: 'anew' });
    await cluster.faults.restart(leader);
    await inSync(cluster, 2);
    assert.equal(await valuesOf(cluster), [...numbered(10).map(({ value }) => value), 'anew']);
    await assertReplicated(cluster, 11);
    assert.equal(await cluster.admin.electLeaders({ type: 'unclean' }), []);
  }));

test('at an unclean election the replica leads whose log reaches furthest, also of those that have come back', () =>
  withCluster(
    { durability: 'os', brokers: 4, controllers: 1, config: { 'auto.leader.rebalance.enable': false } },
    async (cluster) => {
      await cluster.admin.reassign([{ topic: 't', partition: 0, replicas: [2, 3, 4] }]);
      await until('it is there', () => partitionOf(cluster).replicas.join() === '2,3,4');
      await cluster.admin.electLeaders();
      const producer = cluster.producer();
      await producer.sendBatch('t', numbered(10));
      await cluster.stopBroker(3);
      await producer.sendBatch('t', numbered(100, 0, 10));
      await cluster.stopBroker(4);
      await producer.sendBatch('t', numbered(1, 0, 110));
      await cluster.faults.kill(2);
      for (const id of [3, 4]) await cluster.startBroker(id);
      const { leader, leo } = partitionOf(cluster);
      assert.equal([leader, leo[3], leo[4]], [-1, 10, 110]);
      assert.equal(await cluster.admin.electLeaders({ type: 'unclean' }), [
        { topic: 't', partition: 0, leader: 4 },
      ]);
      await cluster.faults.restart(2);
      await inSync(cluster, 3);
      await assertReplicated(cluster, 110);
    },
  ));

async function preferredError(cluster: Cluster): Promise<object> {
  const [{ code, error }] = await cluster.admin.electLeaders();
  assert.is(code, 'PREFERRED_LEADER_NOT_AVAILABLE');
  return { code, error };
}

test('an unclean election takes place by itself where the topic allows it, also if it does so only later', async () => {
  const property = 'unclean.leader.election.enable';
  await withTwo({ [property]: true }, async (cluster) => {
    const { behind } = await leaveBehind(cluster);
    assert.is(partitionOf(cluster).leader, behind);
    // Whoever asks may not have heard yet that it is back.
    await until('the first ten are there', async () => {
      const values = await valuesOf(cluster).catch(() => []);
      return values.length === 10;
    });
  });
  await withTwo({}, async (cluster) => {
    const { behind } = await leaveBehind(cluster);
    assert.is(partitionOf(cluster).leader, -1);
    await cluster.admin.alterTopicConfig('t', { set: { [property]: 'true' } });
    await until('it leads', () => partitionOf(cluster).leader === behind);
    await cluster.producer().send('t', { value: 'v' });
  });
});

test('committed records are not lost when the last replica in sync dies: one that is eligible has them, and leads', () =>
  withCluster(
    { durability: 'os', brokers: 5, controllers: 1, topicConfig: { 'min.insync.replicas': 2 } },
    async (cluster) => {
      await cluster.admin.reassign([{ topic: 't', partition: 0, replicas: [2, 3, 4] }]);
      await until('it is there', () => partitionOf(cluster).replicas.join() === '2,3,4');
      await cluster.admin.electLeaders();
      const producer = cluster.producer({ acks: 'all' });
      await producer.sendBatch('t', numbered(100));
      await cluster.faults.kill(4);
      await producer.sendBatch('t', numbered(100, 0, 100));
      await cluster.faults.kill(3);
      assert.equal(partitionOf(cluster).isr, [2]);
      // It takes what waits for nobody, and commits none of it.
      await cluster.producer({ acks: 1 }).sendBatch('t', numbered(10, 0, 900));
      assert.is(partitionOf(cluster).hwm, 200);
      await cluster.faults.kill(2);
      assert.is(partitionOf(cluster).leader, -1);
      // It left while two were in sync without it, and lacks what they have acknowledged.
      await cluster.faults.restart(4);
      assert.is(partitionOf(cluster).leader, -1);
      await cluster.faults.restart(3);
      assert.is(partitionOf(cluster).leader, 3);
      await inSync(cluster, 2);
      await producer.sendBatch('t', numbered(100, 0, 200));
      await cluster.faults.restart(2);
      await inSync(cluster, 3);
      assert.equal(
        await valuesOf(cluster),
        numbered(300).map(({ value }) => value),
      );
      await assertReplicated(cluster, 300);
    },
  ));

for (const enable of [true, 'false'] as const) {
  test(`a preferred leader that is back ${enable === true ? 'leads again by itself' : 'does not if that is switched off'}`, () =>
    withCluster(
      {
        config: { 'auto.leader.rebalance.enable': enable, 'leader.imbalance.check.interval.seconds': 1 },
      },
      async (cluster) => {
        const { leader } = partitionOf(cluster);
        await cluster.faults.kill(leader);
        await cluster.faults.restart(leader);
        await inSync(cluster, 3);
        if (enable === true) await until('it leads', () => partitionOf(cluster).leader === leader);
        else await sleep(1_500);
        assert.is(partitionOf(cluster).leader === leader, enable === true);
      },
    ));
}

test('an election that cannot be is told of, and none is refused for others', () =>
  withCluster({ brokers: 2 }, async (cluster) => {
    await assertRefused(
      cluster.admin.electLeaders({ topics: ['t', 'u'] }),
      'UNKNOWN_TOPIC_OR_PARTITION',
      /no topic 'u'/,
    );
    assert.equal(await cluster.admin.electLeaders({ topics: [] }), []);
  }));

test('where all brokers of a partition are dead an election says so, and what needs none is left out', () =>
  withTwo({}, async (cluster) => {
    await cluster.admin.createTopic('u', { replicationFactor: 1 });
    const [holder] = partitionOf(cluster, 0, 'u').replicas;
    await cluster.admin.reassign([{ topic: 'u', partition: 0, replicas: [1] }]);
    if (holder !== 1) await until('it is there', () => partitionOf(cluster, 0, 'u').replicas.join() === '1');
    await cluster.faults.kill(2);
    await cluster.faults.kill(3);
    const dead = { topic: 't', partition: 0, leader: -1 };
    const elect = async (type: 'preferred' | 'unclean'): Promise<unknown[]> => {
      const results = await cluster.admin.electLeaders({ type });
      for (const { error } of results)
        assert.match(`${error}`, /partition 0 of '[tu]'.*; (start one|try again when)/);
      return results.map(({ error: _, ...rest }) => rest);
    };
    // What needs no election is left out.
    assert.equal(await elect('unclean'), [{ ...dead, code: 'ELIGIBLE_LEADERS_NOT_AVAILABLE' }]);
    assert.equal(await elect('preferred'), [{ ...dead, code: 'PREFERRED_LEADER_NOT_AVAILABLE' }]);
    await cluster.faults.kill(1);
    const startedMs = performance.now();
    assert.equal(await elect('unclean'), [
      { ...dead, code: 'ELIGIBLE_LEADERS_NOT_AVAILABLE' },
      { ...dead, topic: 'u', code: 'ELIGIBLE_LEADERS_NOT_AVAILABLE' },
    ]);
    assert.is((await elect('preferred')).length, 2);
    assert.ok(performance.now() - startedMs < 10_000, 'there was nothing to wait for');
  }));

test('after the loss of a majority an election says of every partition that nobody leads it', () =>
  withCluster({ durability: 'os', partitions: 3 }, async (cluster) => {
    await Promise.all([1, 2, 3].map((id) => cluster.faults.kill(id)));
    const results = await cluster.admin.electLeaders({ type: 'unclean' });
    assert.equal(
      results.map(({ partition, leader, code }) => [partition, leader, code]),
      [0, 1, 2].map((partition) => [partition, -1, 'ELIGIBLE_LEADERS_NOT_AVAILABLE']),
    );
  }));

test.run();
