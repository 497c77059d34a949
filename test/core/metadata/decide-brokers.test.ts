import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Command } from '../../../src/core/metadata/commands.ts';
import { BROKERS_MAX } from '../../../src/limits.ts';
import { directoryOf, TestCluster, uuidOf } from './fixtures.ts';

const introduction = { type: 'register-broker', broker: 4, directoryId: directoryOf(4), rack: null } as const;

function ofBroker(cluster: TestCluster, type: 'fence-broker' | 'unfence-broker', broker: number): Command {
  return { type, broker, epoch: cluster.epochOf(broker) };
}

function shutDown(cluster: TestCluster, broker: number) {
  return cluster.run({ type: 'shut-down-broker', broker, epoch: cluster.epochOf(broker) });
}

test('a cluster that starts has its brokers active, each with an epoch of its own', () => {
  const { image } = new TestCluster(['a', null]);
  assert.equal(image.brokers(), [
    { id: 1, epoch: 0, directoryId: directoryOf(1), rack: 'a', state: 'active' },
    { id: 2, epoch: 1, directoryId: directoryOf(2), rack: null, state: 'active' },
  ]);
});

test('a broker that registers is fenced, and active once it is heard of', () => {
  const cluster = new TestCluster(3);
  assert.equal(cluster.run(introduction), { epoch: 3 });
  assert.is(cluster.image.broker(4)?.state, 'fenced');
  cluster.unfence(4);
  assert.is(cluster.image.broker(4)?.state, 'active');
});

test('a broker that registers again while it lives is refused, and taken once it is dead or fenced', () => {
  const cluster = new TestCluster(3);
  const again = { ...introduction, broker: 3, directoryId: directoryOf(3) };
  cluster.refuses(again, 'DUPLICATE_BROKER_REGISTRATION', /Broker 3 is registered and alive/);
  cluster.world.dead.add(3);
  assert.equal(cluster.run(again), { epoch: 3 });
  cluster.world.dead.delete(3);
  assert.equal(cluster.run(again), { epoch: 4 });
});

test('a directory belongs to one broker', () => {
  const cluster = new TestCluster(3);
  const directoryId = directoryOf(1);
  cluster.refuses({ ...introduction, directoryId }, 'DUPLICATE_BROKER_REGISTRATION', /that of broker 1/);
  const twins = [1, 2].map((broker) => ({ broker, directoryId, rack: null }));
  const start: Command = { type: 'start-cluster', brokers: twins, found: new Map() };
  cluster.refuses(start, 'DUPLICATE_BROKER_REGISTRATION', /Broker 2 comes with the directory/);
  const stranger = [{ broker: 4, directoryId, rack: null }];
  cluster.refuses({ ...start, brokers: stranger }, 'DUPLICATE_BROKER_REGISTRATION', /broker 1/);
  const swapped = [1, 2].map((broker) => ({ broker, directoryId: directoryOf(3 - broker), rack: null }));
  assert.ok(cluster.recordsOf({ ...start, brokers: swapped }).length > 0);
});

test('what no broker can be is refused', () => {
  const cluster = new TestCluster(3);
  const wrong = [{ broker: 0 }, { broker: 1.5 }, { directoryId: 'short' }, { rack: '' }, { rack: 'a\n' }];
  for (const part of wrong) cluster.refuses({ ...introduction, ...part } as Command, 'INVALID_ARGUMENT');
  const start = { type: 'start-cluster', brokers: [], found: new Map() } as const;
  cluster.refuses(start, 'INVALID_ARGUMENT', /one broker at least/);
  const { broker, directoryId, rack } = introduction;
  const twice = [directoryId, directoryOf(5)].map((each) => ({ broker, directoryId: each, rack }));
  cluster.refuses({ ...start, brokers: twice }, 'DUPLICATE_BROKER_REGISTRATION', /an id of its own/);
});

test('a cluster has no more brokers than there is room for', () => {
  const cluster = new TestCluster(BROKERS_MAX);
  const more = { ...introduction, broker: BROKERS_MAX + 1, directoryId: directoryOf(BROKERS_MAX + 1) };
  cluster.refuses(more, 'INVALID_ARGUMENT', /at most 128 brokers/);
  cluster.refuses({ ...more, type: 'start-cluster', brokers: [more], found: new Map() }, 'INVALID_ARGUMENT');
  cluster.world.dead.add(1);
  assert.ok(cluster.recordsOf({ ...introduction, broker: 1, directoryId: directoryOf(1) }).length > 0);
});

test('commands with an epoch of before, or of nobody, are refused', () => {
  const cluster = new TestCluster(2);
  const types = ['fence-broker', 'unfence-broker', 'shut-down-broker', 'allocate-producer-ids'] as const;
  for (const type of types) {
    cluster.refuses(
      { type, broker: 2, epoch: 0 },
      'STALE_BROKER_EPOCH',
      /epoch 1, and this came with epoch 0/,
    );
    cluster.refuses({ type, broker: 7, epoch: 0 }, 'BROKER_ID_NOT_REGISTERED', /No broker 7/);
  }
});

test('a fenced broker leaves the ISRs, and a living member of them leads what it led', () => {
  const cluster = new TestCluster(3);
  cluster.createTopic('t', [
    [1, 2, 3],
    [2, 1, 3],
  ]);
  cluster.fence(1);
  assert.is(cluster.image.broker(1)?.state, 'fenced');
  assert.equal(cluster.standing('t', 0), [2, [2, 3]]);
  assert.is(cluster.partition('t', 0).epoch, 1);
  assert.is(cluster.partition('t', 0).partitionEpoch, 1);
  assert.equal(cluster.standing('t', 1), [2, [2, 3]]);
  assert.is(cluster.partition('t', 1).epoch, 0);
  assert.is(cluster.partition('t', 1).partitionEpoch, 1);
});

test('the last member of an ISR stays in it, though nobody leads, and leads when it comes back', () => {
  const cluster = new TestCluster(3);
  cluster.createTopic('t', [[1, 2]]);
  cluster.fence(2);
  cluster.fence(1);
  assert.equal(cluster.standing(), [-1, [1]]);
  cluster.unfence(2);
  assert.equal(cluster.standing(), [-1, [1]], 'who is not in sync does not lead');
  cluster.unfence(1);
  assert.equal(cluster.standing(), [1, [1]]);
  assert.is(cluster.partition().epoch, 2);
});

test('where two die at once, both stay in sync, and the first that comes back leads alone', () => {
  const cluster = new TestCluster(3);
  cluster.createTopic('t', [[1, 2]]);
  for (const broker of [1, 2]) cluster.world.dead.add(broker);
  cluster.fence(1);
  cluster.fence(2);
  assert.equal(cluster.standing(), [-1, [1, 2]]);
  cluster.unfence(2);
  assert.equal(cluster.standing(), [2, [2]]);
});

test('a member of the ISR that is dead too, or has lost its log, does not lead', () => {
  const cluster = new TestCluster(3);
  cluster.createTopic();
  cluster.world.dead.add(2);
  cluster.world.closedLogs.add(`3 ${cluster.partition().id}`);
  cluster.fence(1);
  assert.equal(cluster.standing(), [-1, [1, 2, 3]]);
  cluster.world.closedLogs.clear();
  cluster.run(ofBroker(cluster, 'unfence-broker', 3));
  assert.equal(cluster.standing(), [3, [3]]);
});

test('what is fenced or active already brings no records', () => {
  const cluster = new TestCluster(3);
  cluster.createTopic();
  assert.equal(cluster.recordsOf(ofBroker(cluster, 'unfence-broker', 1)), []);
  cluster.fence(1);
  assert.equal(cluster.recordsOf(ofBroker(cluster, 'fence-broker', 1)), []);
});

test('a broker that shuts down hands over what others can lead, and stays where nobody else can', () => {
  const cluster = new TestCluster(3);
  cluster.createTopic('shared', [[1, 2, 3]]);
  cluster.createTopic('alone', [[1]]);
  assert.equal(shutDown(cluster, 1), { isDone: true, waitsFor: [] });
  assert.is(cluster.image.broker(1)?.state, 'shutting-down');
  assert.equal(cluster.standing('shared'), [2, [2, 3]]);
  assert.equal(cluster.standing('alone'), [1, [1]]);
  const again: Command = { type: 'shut-down-broker', broker: 1, epoch: cluster.epochOf(1) };
  assert.equal(cluster.recordsOf(again), []);
  assert.equal(cluster.run(ofBroker(cluster, 'unfence-broker', 1)), { state: 'shutting-down' });
  cluster.fence(1);
  assert.equal(cluster.standing('alone'), [-1, [1]]);
  assert.equal(shutDown(cluster, 1), { isDone: true, waitsFor: [] });
  assert.is(cluster.image.broker(1)?.state, 'fenced');
});

test('a broker that shuts down waits for those who may come into sync', () => {
  const cluster = new TestCluster(3);
  cluster.createTopic('t', [[1, 2]]);
  cluster.fence(2);
  cluster.unfence(2);
  assert.equal(shutDown(cluster, 1), { isDone: false, waitsFor: [cluster.partition().id] });
  assert.equal(cluster.standing(), [1, [1]]);
  cluster.run(cluster.proposal([1, 2]));
  assert.equal(shutDown(cluster, 1), { isDone: true, waitsFor: [] });
  assert.equal(cluster.standing(), [2, [2]]);
});

test('a broker is removed once it has no replicas, with its configuration', () => {
  const cluster = new TestCluster(3);
  cluster.createTopic('t', [[3]]);
  cluster.run({ type: 'alter-broker-config', broker: 3, set: { 'retention.ms': 1 } });
  cluster.refuses({ type: 'remove-broker', broker: 3 }, 'INVALID_ARGUMENT', /replicas of 1 partitions/);
  cluster.run({ type: 'delete-topic', name: 't' });
  cluster.run({ type: 'remove-broker', broker: 3 });
  assert.is(cluster.image.broker(3), undefined);
  assert.equal(cluster.image.brokerConfig(3), {});
  cluster.refuses({ type: 'remove-broker', broker: 3 }, 'BROKER_ID_NOT_REGISTERED');
  cluster.register(3);
  assert.is(cluster.epochOf(3), 3, 'its epoch is not used again');
});

test('a broker that comes back with its directory is out of the ISRs until it has caught up', () => {
  const cluster = new TestCluster(3);
  cluster.createTopic();
  cluster.register(1);
  assert.equal(cluster.standing(), [2, [2, 3]]);
  cluster.unfence(1);
  cluster.run(cluster.proposal([1, 2, 3]));
  assert.equal(cluster.standing(), [2, [1, 2, 3]]);
});

test('whoever has lost its directory does not lead what it had, until the directory is back', () => {
  const cluster = new TestCluster(3);
  cluster.createTopic('t', [[1]]);
  for (const directory of [uuidOf('new'), uuidOf('newer')]) {
    cluster.register(1, directory);
    cluster.unfence(1);
    assert.equal(cluster.standing(), [-1, [1]]);
    assert.is(cluster.partition().lostDirectory, directoryOf(1));
  }
  cluster.register(1);
  assert.equal(cluster.standing(), [-1, [1]]);
  cluster.unfence(1);
  assert.equal(cluster.standing(), [1, [1]]);
  assert.is(cluster.partition().lostDirectory, null);
});

test('whoever has lost its directory leaves the ISR to the others, though nobody leads', () => {
  const cluster = new TestCluster(3);
  cluster.createTopic('t', [[1, 2]]);
  for (const broker of [1, 2]) cluster.world.dead.add(broker);
  cluster.fence(1);
  cluster.fence(2);
  cluster.register(1, uuidOf('new'));
  cluster.unfence(1);
  assert.equal(cluster.standing(), [-1, [2]]);
  cluster.unfence(2);
  assert.equal(cluster.standing(), [2, [2]]);
});

test('producer ids come in blocks, each once', () => {
  const cluster = new TestCluster(2);
  const first = cluster.run({ type: 'allocate-producer-ids', broker: 1, epoch: 0 });
  const second = cluster.run({ type: 'allocate-producer-ids', broker: 2, epoch: 1 });
  assert.equal(
    [first, second],
    [
      { first: 0, count: 1_000 },
      { first: 1_000, count: 1_000 },
    ],
  );
});

test.run();
