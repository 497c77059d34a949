// Brokers that are cut off from the others and from the coordinator, and come back.
// time limit: 120 s
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Cluster } from '../../src/index.ts';
import { assertRefused, outcomeOf } from '../client/refusals.ts';
import { assertReplicated, numbered, partitionOf, sleep, text, until, withCluster } from './fixtures.ts';

const SESSION_MS = 2_000;

function stateOf(cluster: Cluster, broker: number): string | undefined {
  return cluster.status().brokers.find(({ id }) => id === broker)?.state;
}

async function allInSync(cluster: Cluster): Promise<void> {
  await until('all replicas are in sync', () => {
    const { isr, replicas } = partitionOf(cluster);
    return isr.length === replicas.length;
  });
}

async function valuesOf(cluster: Cluster): Promise<(string | null)[]> {
  const { records } = await cluster.read('t', { partition: 0, offset: 0 });
  return records.map(({ value }) => text(value));
}

function valuesTo(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `${n}`);
}

for (const durability of ['memory', 'fsync'] as const) {
  test(`${durability}: a follower that is cut off leaves the ISR, and comes back with all it has missed`, () =>
    withCluster({ durability, sessionMs: SESSION_MS }, async (cluster) => {
      const producer = cluster.producer();
      await producer.sendBatch('t', numbered(100));
      const { leader, epoch, replicas } = partitionOf(cluster);
      const follower = replicas.find((id) => id !== leader) as number;
      await cluster.faults.isolate([follower]);
      // Waits for the coordinator, which misses the follower some time later.
      await producer.sendBatch('t', numbered(100, 0, 100));
      await until('it is out of the ISR', () => !partitionOf(cluster).isr.includes(follower));
      assert.is(stateOf(cluster, follower), 'fenced');
      assert.match(
        cluster.status().brokers.find(({ id }) => id === follower)?.error ?? '',
        /cut off until faults.heal/,
      );
      assert.is(partitionOf(cluster).leo[follower], 100);
      await cluster.faults.heal();
      await allInSync(cluster);
      await producer.sendBatch('t', numbered(100, 0, 200));
      assert.is(partitionOf(cluster).epoch, epoch);
      assert.equal(await valuesOf(cluster), valuesTo(300));
      await assertReplicated(cluster, 300);
    }));

  test(`${durability}: a leader that is cut off acknowledges nothing with acks all, and cuts its log by epoch when it is back`, () =>
    withCluster({ durability, sessionMs: SESSION_MS }, async (cluster) => {
      const producer = cluster.producer();
      await producer.sendBatch('t', numbered(100));
      const { leader } = partitionOf(cluster);
      const { leo: before } = partitionOf(cluster);
      await cluster.faults.isolate([leader]);
      const doubtful = [0, 1, 2].map((n) => outcomeOf(producer.send('t', { value: `doubtful ${n}` })));
      await until('it has taken them', () => partitionOf(cluster).leo[leader] > before[leader]);
      assert.is(partitionOf(cluster).hwm, 100);
      await until('another one leads', () => ![leader, -1].includes(partitionOf(cluster).leader));
      await Promise.all(doubtful);
      const ends = partitionOf(cluster);
      await cluster.producer().sendBatch('t', numbered(100, 0, 100));
      assert.is(partitionOf(cluster).leo[leader], ends.leo[leader]);
      await cluster.faults.heal();
      await allInSync(cluster);
      await assertReplicated(cluster, partitionOf(cluster).hwm);
      assert.is(new Set(await valuesOf(cluster)).size, partitionOf(cluster).hwm);
    }));
}

test('what a leader that is cut off acknowledges with acks 1 may be lost, and with acks all may not', () =>
  withCluster({ sessionMs: 2_500 }, async (cluster) => {
    await cluster.producer().sendBatch('t', numbered(10));
    const { leader } = partitionOf(cluster);
    await cluster.faults.isolate([leader]);
    const { offset } = await cluster.producer({ acks: 1 }).send('t', { value: 'lost' });
    assert.is(offset, 10);
    await until('another one leads', () => ![leader, -1].includes(partitionOf(cluster).leader));
    await cluster.producer().send('t', { value: '10' });
    await cluster.faults.heal();
    await allInSync(cluster);
    assert.equal(await valuesOf(cluster), valuesTo(11));
    await assertReplicated(cluster, 11);
  }));

test('brokers that are cut off together see each other, and go on without the coordinator where none of theirs is missing', () =>
  withCluster({ sessionMs: SESSION_MS }, async (cluster) => {
    const producer = cluster.producer();
    // It gets its identity from the metadata, which nobody can change in what follows.
    await producer.send('t', { value: '0' });
    await cluster.faults.isolate([1, 2, 3]);
    await producer.sendBatch('t', numbered(99, 0, 1));
    await until('it hears of none', () => [1, 2, 3].every((id) => stateOf(cluster, id) === 'fenced'));
    assert.is(partitionOf(cluster).hwm, 100);
    assert.is(partitionOf(cluster).isr.length, 3);
    await cluster.faults.heal();
    await until('they are back', () => [1, 2, 3].every((id) => stateOf(cluster, id) === 'running'));
    await allInSync(cluster);
    await cluster.producer().sendBatch('t', numbered(100, 0, 100));
    await assertReplicated(cluster, 200);
  }));

test('a restart that is refused leaves the broker as it was', () =>
  withCluster({}, async (cluster) => {
    await cluster.faults.isolate([2]);
    await assertRefused(cluster.faults.restart(2), 'INVALID_ARGUMENT', /cut off.*heal\(\)/);
    assert.is.not(stateOf(cluster, 2), 'failed');
    await cluster.faults.heal();
    await until('it is back', () => stateOf(cluster, 2) === 'running');
  }));

test('without most of the voters nothing is decided and nothing acknowledged, and all goes on when they are back', () =>
  withCluster({ sessionMs: SESSION_MS }, async (cluster) => {
    const producer = cluster.producer();
    await producer.sendBatch('t', numbered(10));
    const { leader, replicas, epoch } = partitionOf(cluster);
    const others = replicas.filter((id) => id !== leader);
    await cluster.faults.isolate(others);
    const sent = outcomeOf(producer.send('t', { value: '10' }));
    await until('they are missed', () => others.every((id) => stateOf(cluster, id) === 'fenced'));
    await assertRefused(cluster.admin.createTopic('u', { timeoutMs: 500 }), 'NOT_CONTROLLER', /heal\(\)/);
    assert.is(partitionOf(cluster).isr.length, 3);
    assert.is(partitionOf(cluster).hwm, 10);
    assert.equal(await valuesOf(cluster), valuesTo(10));
    await cluster.faults.heal();
    await allInSync(cluster);
    await until('it is committed', () => partitionOf(cluster).hwm === 11);
    assert.equal(await sent, { partition: 0, offset: 10 });
    assert.is(partitionOf(cluster).epoch >= epoch, true);
    await cluster.admin.createTopic('u');
    await assertReplicated(cluster, 11);
  }));

test('LESSONS 17: the metadata goes on without the broker whose voter led, and its term does not rise when that is back', () =>
  withCluster({ sessionMs: SESSION_MS }, async (cluster) => {
    const { leaderId } = cluster.status().quorum;
    await cluster.faults.isolate([leaderId as number]);
    await cluster.admin.createTopic('u', { replicationFactor: 2 });
    const { quorum } = cluster.status();
    assert.is.not(quorum.leaderId, leaderId);
    await sleep(500);
    await cluster.faults.heal();
    await until('it is back', () => stateOf(cluster, leaderId as number) === 'running');
    assert.is(cluster.status().quorum.term, quorum.term);
    assert.is(cluster.status().quorum.leaderId, quorum.leaderId);
    await allInSync(cluster);
  }));

test('each call makes an island: brokers of two of them do not see each other', () =>
  withCluster({ sessionMs: 60_000 }, async (cluster) => {
    const { leader, replicas } = partitionOf(cluster);
    const [one, other] = replicas.filter((id) => id !== leader);
    await cluster.faults.isolate([leader, one]);
    await cluster.faults.isolate([other]);
    const { offset } = await cluster.producer({ acks: 1 }).send('t', { value: '0' });
    await until('the one has it', () => partitionOf(cluster).leo[one] === offset + 1);
    assert.is(partitionOf(cluster).leo[other], 0);
    await cluster.faults.isolate([one]);
    await cluster.producer({ acks: 1 }).send('t', { value: '1' });
    await sleep(50);
    assert.is(partitionOf(cluster).leo[one], 1);
    await cluster.faults.heal();
    await until('all have it', () => partitionOf(cluster).hwm === 2);
    await assertReplicated(cluster, 2);
  }));

test('a broker that is cut off can be killed, and is started again once it can be told what to do', () =>
  withCluster({ durability: 'os', sessionMs: SESSION_MS }, async (cluster) => {
    const { leader } = partitionOf(cluster);
    await cluster.producer().sendBatch('t', numbered(10));
    await cluster.faults.isolate([leader]);
    await cluster.faults.kill(leader);
    await assertRefused(cluster.faults.restart(leader), 'INVALID_ARGUMENT', /heal\(\) first/);
    await cluster.producer().sendBatch('t', numbered(10, 0, 10));
    await cluster.faults.heal();
    await cluster.faults.restart(leader);
    await allInSync(cluster);
    await assertReplicated(cluster, 20);
  }));

test('a broker that was cut off hears all it has missed, also of lives of another one that have ended meanwhile', () =>
  withCluster({ brokers: 5, durability: 'os', sessionMs: SESSION_MS }, async (cluster) => {
    const producer = cluster.producer();
    await producer.sendBatch('t', numbered(10));
    const { leader, replicas } = partitionOf(cluster);
    const [cutOff, killed] = replicas.filter((id) => id !== leader);
    await cluster.faults.isolate([cutOff]);
    for (let n = 1; n <= 3; n++) {
      await cluster.faults.kill(killed);
      await cluster.faults.restart(killed);
    }
    await producer.sendBatch('t', numbered(10, 0, 10));
    await cluster.faults.heal();
    await allInSync(cluster);
    // One that leads has to be heard by the other.
    await cluster.admin.reassign([{ topic: 't', partition: 0, replicas: [killed, cutOff] }]);
    await cluster.producer().sendBatch('t', numbered(10, 0, 20));
    await allInSync(cluster);
    await assertReplicated(cluster, 30);
  }));

test('brokers that nobody knows are not cut off, nor is nobody', () =>
  withCluster({}, async (cluster) => {
    await assertRefused(cluster.faults.isolate([9]), 'INVALID_ARGUMENT', /no broker 9/);
    await assertRefused(cluster.faults.isolate([]), 'INVALID_ARGUMENT', /in a list/);
    await assertRefused(cluster.faults.isolate(2 as never), 'INVALID_ARGUMENT', /in a list/);
    await assertRefused(cluster.faults.isolate(['2'] as never), 'INVALID_ARGUMENT', /broker/);
    await cluster.producer().sendBatch('t', numbered(10));
    await cluster.faults.heal();
    await assertReplicated(cluster, 10);
  }));

test('a cluster closes while some of its brokers are cut off', () =>
  withCluster({ durability: 'os' }, async (cluster) => {
    await cluster.producer().sendBatch('t', numbered(10));
    await cluster.faults.isolate([2, 3]);
  }));

test.run();
