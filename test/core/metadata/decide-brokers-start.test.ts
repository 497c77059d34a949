import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { StartCluster } from '../../../src/core/metadata/commands.ts';
import type { FoundReplica } from '../../../src/core/reopening.ts';
import { directoryOf, TestCluster, uuidOf } from './fixtures.ts';

/** What a broker found of its replica: where its log ends, in epoch 0, all of it committed. */
function end(broker: number, leo: number, hwm = leo): FoundReplica {
  return { broker, leo, lastEpoch: 0, hwm };
}

/** These brokers start with what they found of the only partition. */
function start(brokers: readonly number[], found: readonly FoundReplica[], changed = {}): StartCluster {
  const introduced = brokers.map((broker) => {
    const directoryId = (changed as Record<number, string>)[broker] ?? directoryOf(broker);
    return { broker, directoryId, rack: null };
  });
  return { type: 'start-cluster', brokers: introduced, found: new Map([[0, found]]) };
}

function clusterOf(...replicas: number[]): TestCluster {
  const cluster = new TestCluster(3);
  cluster.createTopic('t', [replicas]);
  return cluster;
}

test('a start begins another epoch, whoever leads, and registers everybody anew', () => {
  const cluster = clusterOf(1, 2, 3);
  const answer = cluster.run(start([1, 2, 3], [end(1, 5), end(2, 5), end(3, 5)]));
  assert.equal(cluster.standing(), [1, [1, 2, 3]]);
  assert.is(cluster.partition().epoch, 1);
  assert.is(cluster.partition().partitionEpoch, 1);
  assert.equal(
    [...answer.epochs],
    [
      [1, 3],
      [2, 4],
      [3, 5],
    ],
  );
  assert.equal(answer.leaderless, []);
});

test('the longest log leads after a start, and who lacks what was committed is out of sync', () => {
  const cluster = clusterOf(1, 2, 3);
  cluster.run(start([1, 2, 3], [end(1, 5, 3), end(2, 9, 6), end(3, 6, 6)]));
  assert.equal(cluster.standing(), [2, [2, 3]]);
});

test('a broker that does not come is fenced and out of sync', () => {
  const cluster = clusterOf(1, 2, 3);
  cluster.run(start([2, 3], [end(2, 5), end(3, 5)]));
  assert.is(cluster.image.broker(1)?.state, 'fenced');
  assert.equal(cluster.standing(), [2, [2, 3]]);
});

test('where no log could be opened nobody leads, and the ISR stays as it was', () => {
  const cluster = clusterOf(1, 2, 3);
  cluster.fence(3);
  cluster.unfence(3);
  const { leaderless } = cluster.run(start([1, 2, 3], [end(3, 9)]));
  assert.equal(leaderless, [0]);
  assert.equal(cluster.standing(), [-1, [1, 2]]);
  assert.is(cluster.partition().lostDirectory, null);
  const { partitionEpoch } = cluster.partition();
  cluster.run(start([1, 2, 3], []));
  assert.is(
    cluster.partition().partitionEpoch,
    partitionEpoch,
    'what stays without a leader does not change',
  );
  cluster.run(start([1, 2], [end(2, 5)]));
  assert.equal(cluster.standing(), [2, [2]]);
});

test('a member with another directory is out of sync, whatever it found there', () => {
  const cluster = clusterOf(1, 2, 3);
  cluster.run(start([1, 2, 3], [end(1, 9), end(2, 5), end(3, 5)], { 1: uuidOf('new') }));
  assert.equal(cluster.standing(), [2, [2, 3]]);
});

test('a member with another directory leaves the ISR to those who did not come', () => {
  const cluster = clusterOf(1, 2);
  cluster.run(start([1, 3], [end(1, 9)], { 1: uuidOf('new') }));
  assert.equal(cluster.standing(), [-1, [2]]);
});

test('where all directories were lost, the last one that counts is waited for', () => {
  const cluster = clusterOf(1, 2);
  const lost = { 1: uuidOf('new-1'), 2: uuidOf('new-2') };
  cluster.run(start([1, 2, 3], [end(1, 0), end(2, 0)], lost));
  assert.equal(cluster.standing(), [-1, [2]]);
  assert.is(cluster.partition().lostDirectory, directoryOf(2));
  cluster.run(start([1, 2, 3], [end(1, 0), end(2, 0)], lost));
  assert.equal(cluster.standing(), [-1, [2]]);
  cluster.run(start([1, 2, 3], [end(1, 0), end(2, 5)], { 1: uuidOf('new-1') }));
  assert.equal(cluster.standing(), [2, [2]]);
  assert.is(cluster.partition().lostDirectory, null);
});

test('what is found of partitions that are gone, or on strangers, does not count', () => {
  const cluster = clusterOf(1, 2);
  const command = start([1, 2], [end(1, 5), end(3, 9)]);
  const found = new Map([...command.found, [77, [end(1, 5)]]]);
  cluster.run({ ...command, found });
  assert.equal(cluster.standing(), [1, [1]]);
});

test.run();
