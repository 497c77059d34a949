// The brokers that decide on the metadata: those that die, come back, are too few, come and go, and lose their directories.
// time limit: 120 s
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster, TidemarkError } from '../../src/index.ts';
import { endingThreads } from '../../src/runtime/thread-end.ts';
import { assertRefused, outcomeOf } from '../client/refusals.ts';
import { withDirectory } from '../runtime/directory-fixtures.ts';
import { assertReplicated, numbered, partitionOf, sleep, until, withCluster } from './fixtures.ts';
import type { StallTask } from './stall-worker.ts';

const ELECTION_MAX_MS = 500;
const STALL_MS = 5_000;

function topicNames(cluster: Cluster): string[] {
  return cluster.status().topics.map(({ name }) => name);
}

function leaderOf(cluster: Cluster): number {
  const { leaderId } = cluster.status().quorum;
  if (leaderId === undefined) throw new Error('no voter leads');
  return leaderId;
}

function whoDecides(cluster: Cluster): unknown {
  const { leaderId, term, voters } = cluster.status().quorum;
  return { leaderId, term, voters };
}

async function threeVoters(cluster: Cluster): Promise<void> {
  await until('three brokers have a vote', () => cluster.status().quorum.voters.length === 3);
}

/** Broker directories that are not there, as after a loss. */
function lose(dataDir: string, ...brokers: number[]): void {
  for (const broker of brokers) rmSync(join(dataDir, `broker-${broker}`), { recursive: true });
}

for (const durability of ['memory', 'os', 'fsync'] as const) {
  test(`${durability}: when the broker of the leading voter dies, another voter leads and changes are made`, () =>
    withCluster({ durability }, async (cluster) => {
      const { leaderId, term } = cluster.status().quorum;
      const startedMs = performance.now();
      const killed = cluster.faults.kill(leaderId as number);
      await until('another one leads', () => {
        const { quorum } = cluster.status();
        return quorum.leaderId !== undefined && quorum.leaderId !== leaderId;
      });
      const electedMs = performance.now() - startedMs;
      await killed;
      await cluster.admin.createTopic('u', { replicationFactor: 2 });
      assert.ok(cluster.status().quorum.term > term);
      assert.ok(electedMs < ELECTION_MAX_MS, `it took ${electedMs} ms`);
      await cluster.producer().send('u', { value: 'v' });
      // It has a vote as before when it is back.
      await cluster.faults.restart(leaderId as number);
      assert.equal(cluster.status().quorum.voters, [1, 2, 3]);
      await cluster.admin.createTopic('w', { replicationFactor: 3 });
    }));
}

test('with two of three voters dead changes are refused in time, records flow, and one that returns is enough', () =>
  withCluster({ durability: 'os', partitions: 3 }, async (cluster) => {
    const first = leaderOf(cluster);
    const [second, last] = [1, 2, 3].filter((id) => id !== first);
    await cluster.faults.kill(first);
    await cluster.faults.kill(second);
    const partition = [0, 1, 2].find((each) => partitionOf(cluster, each).leader === last) as number;
    const { admin } = cluster;
    const timeoutMs = 700;
    const startedMs = performance.now();
    const outcomes = await Promise.all(
      [
        admin.createTopic('u', { replicationFactor: 1, timeoutMs }),
        admin.createTopic('v', { replicationFactor: 1, timeoutMs }),
        admin.deleteTopic('t', { timeoutMs }),
        admin.createPartitions('t', 4, { timeoutMs }),
        admin.alterTopicConfig('t', { set: { 'retention.ms': 1_000_000 }, timeoutMs }),
      ].map(outcomeOf),
    );
    const elapsedMs = performance.now() - startedMs;
    for (const outcome of outcomes) {
      assert.ok(outcome instanceof TidemarkError && outcome.retriable, `${outcome}`);
      assert.ok(['NOT_CONTROLLER', 'REQUEST_TIMED_OUT'].includes((outcome as TidemarkError).code));
      assert.match((outcome as TidemarkError).message, /(Nothing was changed|not known|goes on).*again/);
    }
    assert.ok(elapsedMs < 3 * timeoutMs, `the answers took ${elapsedMs} ms`);
    assert.equal(topicNames(cluster), ['t']);
    assert.is(cluster.status().topics[0].partitions.length, 3);
    // Those that others led have nobody, and nobody can be chosen.
    const impatient = cluster.producer({ acks: 1, deliveryTimeoutMs: 500 });
    const sent = numbered(30).map(({ value }) => impatient.send('t', { key: value as string, value }));
    const places = await Promise.all(sent.map((each) => each.catch(() => undefined)));
    const here = places.filter((place) => place?.partition === partition);
    assert.ok(here.length > 0, 'the leader that lives took nothing');
    await cluster.faults.restart(second);
    await admin.createTopic('x', { replicationFactor: 2 });
    await cluster.producer().send('x', { value: 'v' });
    // Whatever was on its way is made whole or not at all.
    const others = topicNames(cluster).filter((name) => !['t', 'x'].includes(name));
    for (const name of ['u', 'v']) {
      if (others.includes(name)) await cluster.producer().send(name, { value: 'v' });
      else await admin.createTopic(name, { replicationFactor: 1 });
    }
    const { records } = await cluster.read('t', { partition, offset: 0 });
    assert.is(records.length, here.length);
  }));

test('a change that is under way when the quorum is lost is seen through when it is back', () =>
  withCluster({ durability: 'os' }, async (cluster) => {
    const first = leaderOf(cluster);
    const others = [1, 2, 3].filter((id) => id !== first);
    // The leader has taken it before it hears of those deaths, and nobody is left to confirm it.
    const killed = others.map((id) => cluster.faults.kill(id));
    const outcome = await outcomeOf(cluster.admin.createTopic('u', { replicationFactor: 1, timeoutMs: 500 }));
    await Promise.all(killed);
    await cluster.faults.restart(others[0]);
    if (outcome instanceof Error) {
      const again = await outcomeOf(cluster.admin.createTopic('u', { replicationFactor: 1 }));
      if (again instanceof Error) assert.is((again as TidemarkError).code, 'TOPIC_ALREADY_EXISTS');
    }
    assert.ok(topicNames(cluster).includes('u'));
    await cluster.producer().send('u', { value: 'v' });
  }));

async function killAll(cluster: Cluster): Promise<void> {
  for (const id of [1, 2, 3]) await cluster.faults.kill(id);
}

function stateOf(cluster: Cluster, broker: number): string {
  return cluster.status().brokers[broker - 1].state;
}

for (const durability of ['os', 'fsync'] as const)
  test(`${durability}: after the loss of all voters brokers are started again one after the other, and have everything`, () =>
    withCluster({ durability, partitions: 3 }, async (cluster) => {
      await cluster.producer().sendBatch('t', numbered(30));
      const total = [0, 1, 2].reduce((sum, each) => sum + partitionOf(cluster, each).hwm, 0);
      await killAll(cluster);
      for (const id of [2, 3, 1]) await cluster.faults.restart(id);
      for (const each of [0, 1, 2])
        await until('all are in sync', () => partitionOf(cluster, each).isr.length === 3);
      await assertReplicated(cluster, total);
      await cluster.admin.createTopic('u', { replicationFactor: 3 });
      await cluster.producer().send('u', { value: 'v' });
    }));

test('a broker that waits for a quorum may be killed, stopped and started again meanwhile', () =>
  withCluster({ durability: 'os' }, async (cluster) => {
    await cluster.producer().send('t', { value: 'v' });
    await killAll(cluster);
    await cluster.startBroker(1);
    assert.is(stateOf(cluster, 1), 'starting');
    await cluster.faults.restart(1);
    assert.is(stateOf(cluster, 1), 'starting');
    await cluster.faults.kill(1);
    assert.is(stateOf(cluster, 1), 'failed');
    await cluster.startBroker(1);
    await cluster.stopBroker(1);
    assert.is(stateOf(cluster, 1), 'closed');
    await assertRefused(cluster.addBroker(), 'NOT_CONTROLLER', /Nothing was changed.* restart one/);
    for (const id of [1, 2, 3]) await cluster.startBroker(id);
    await until('all are in sync', () => partitionOf(cluster).isr.length === 3);
    await cluster.producer().send('t', { value: 'v' });
    await assertReplicated(cluster, 2);
  }));

test('a cluster is closed while a broker waits for a quorum, and the next start has everything', () =>
  withDirectory(async (dataDir) => {
    await withCluster({ durability: 'os', dataDir }, async (cluster) => {
      await cluster.producer().sendBatch('t', numbered(10));
      await killAll(cluster);
      await cluster.startBroker(1);
    });
    const cluster = await Cluster.start({ dataDir });
    try {
      await assertReplicated(cluster, 10);
    } finally {
      await cluster.close();
    }
  }));

test('a main thread that stands still for five seconds holds up neither data nor voters', () =>
  withCluster({ partitions: 3 }, async (cluster) => {
    const progress = new Int32Array(new SharedArrayBuffer(8));
    const workerData: StallTask = { handle: cluster.handle, progress };
    const worker = new Worker(new URL('./stall-worker.js', import.meta.url), { workerData });
    try {
      await until('it writes and reads', () => Atomics.load(progress, 1) > 0);
      const quorum = whoDecides(cluster);
      const before = [Atomics.load(progress, 0), Atomics.load(progress, 1)];
      // Four looks: it goes on all the while, and not for a moment at the beginning.
      for (let n = 0; n < 4; n++) {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STALL_MS / 4);
        const [written, read] = [Atomics.load(progress, 0), Atomics.load(progress, 1)];
        assert.ok(written > before[0], `${written} records were written by part ${n} of the stall`);
        assert.ok(read > before[1], `${read} records were read by part ${n} of the stall`);
        [before[0], before[1]] = [written, read];
      }
      await sleep(1_000);
      assert.equal(whoDecides(cluster), quorum);
      assert.equal(
        cluster.status().brokers.map(({ state }) => state),
        ['running', 'running', 'running'],
      );
      for (const partition of [0, 1, 2]) {
        assert.is(partitionOf(cluster, partition).epoch, 0);
        assert.is(partitionOf(cluster, partition).isr.length, 3);
      }
      await cluster.admin.createTopic('u', { replicationFactor: 3 });
      assert.equal(whoDecides(cluster), quorum);
    } finally {
      await endingThreads(() => worker.terminate());
    }
  }));

test('standalone becomes three voters, two of them one again, and a restart finds what there was', () =>
  withDirectory(async (dataDir) => {
    let cluster = await Cluster.start({ brokers: 1, dataDir });
    try {
      await cluster.admin.createTopic('t');
      await cluster.producer().sendBatch('t', numbered(10));
      assert.equal(cluster.status().quorum.voters, [1]);
      await cluster.addBroker();
      await cluster.addBroker();
      await threeVoters(cluster);
      assert.equal(cluster.status().quorum.voters, [1, 2, 3]);
      // It is a quorum in earnest: one of them may die.
      await cluster.faults.kill(leaderOf(cluster));
      await cluster.admin.createTopic('u', { replicationFactor: 2 });
      await cluster.admin.deleteTopic('u');
      for (const { id, state } of cluster.status().brokers)
        if (state !== 'running') await cluster.startBroker(id);
      await cluster.removeBroker(3);
      await until('one has a vote', () => cluster.status().quorum.voters.length === 1);
      assert.equal(cluster.status().quorum.voters, [1]);
      await cluster.admin.createTopic('wide', { replicationFactor: 2 });
      await cluster.producer().sendBatch('wide', numbered(10));
      await cluster.close();
      cluster = await Cluster.start({ dataDir });
      assert.equal(
        cluster.status().brokers.map(({ id }) => id),
        [1, 2],
      );
      assert.equal(cluster.status().quorum.voters, [1]);
      assert.equal(topicNames(cluster).sort(), ['t', 'wide']);
      await assertReplicated(cluster, 10);
      await assertReplicated(cluster, 10, 'wide');
    } finally {
      await cluster.close();
    }
  }));

test('a broker directory that is lost between two starts is a lost voter, and a new one takes its place', () =>
  withDirectory(async (dataDir) => {
    let cluster = await Cluster.start({ brokers: 3, dataDir });
    try {
      await cluster.admin.createTopic('t', { partitions: 3, replicationFactor: 3 });
      await cluster.producer().sendBatch('t', numbered(30));
      const total = [0, 1, 2].reduce((sum, each) => sum + partitionOf(cluster, each).hwm, 0);
      await cluster.close();
      lose(dataDir, 2);
      cluster = await Cluster.start({ brokers: 3, dataDir });
      await threeVoters(cluster);
      assert.equal(topicNames(cluster), ['t']);
      for (const each of [0, 1, 2])
        await until('all are in sync', () => partitionOf(cluster, each).isr.length === 3);
      await assertReplicated(cluster, total);
      // The new directory counts: with another one dead it is needed for every change.
      await cluster.faults.kill(1);
      await cluster.admin.createTopic('u', { replicationFactor: 2 });
      await cluster.close();
      cluster = await Cluster.start({ dataDir });
      assert.equal(cluster.status().quorum.voters, [1, 2, 3]);
      assert.equal(topicNames(cluster).sort(), ['t', 'u']);
    } finally {
      await cluster.close();
    }
  }));

test('two of three broker directories lost are refused in a sentence, and nothing is changed', () =>
  withDirectory(async (dataDir) => {
    const cluster = await Cluster.start({ brokers: 3, dataDir });
    try {
      await cluster.admin.createTopic('t', { replicationFactor: 3 });
      await cluster.producer().sendBatch('t', numbered(10));
    } finally {
      await cluster.close();
    }
    lose(dataDir, 1, 3);
    const before = readdirSync(dataDir, { recursive: true }).sort();
    const refused = Cluster.start({ brokers: 3, dataDir });
    await assertRefused(
      refused,
      'DATA_DIRECTORY_INVALID',
      /Of its 3 voters those of the brokers 1, 3 cannot be used.* put back/,
    );
    assert.equal(readdirSync(dataDir, { recursive: true }).sort(), before);
    // Still the same refusal, and not a cluster that begins anew.
    await assertRefused(Cluster.start({ brokers: 3, dataDir }), 'DATA_DIRECTORY_INVALID', /put back/);
  }));

test('with one controller the other brokers have no vote, and their deaths hold up nothing', () =>
  withCluster({ controllers: 1, durability: 'os' }, async (cluster) => {
    const { voters, leaderId } = cluster.status().quorum;
    assert.equal(voters, [leaderId]);
    for (const id of [1, 2, 3].filter((each) => each !== leaderId)) await cluster.faults.kill(id);
    await cluster.admin.createTopic('u', { replicationFactor: 1 });
    await cluster.producer().send('u', { value: 'v' });
    assert.equal(cluster.status().quorum.voters, [leaderId]);
  }));

test.run();
