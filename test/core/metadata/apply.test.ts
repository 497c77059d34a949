import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { apply } from '../../../src/core/metadata/apply.ts';
import { emptyImage, recordsOf } from '../../../src/core/metadata/image.ts';
import type { MetadataRecord, PartitionRecord } from '../../../src/core/metadata/records.ts';
import { directoryOf, TestCluster, uuidOf } from './fixtures.ts';

const topicId = uuidOf('t');

function clusterWithTopic(): TestCluster {
  const cluster = new TestCluster(3);
  cluster.commit([{ type: 'topic', name: 't', topicId, config: {} }, partitionRecord()]);
  return cluster;
}

function partitionRecord(part: Partial<PartitionRecord> = {}): PartitionRecord {
  const standing = { replicas: [1, 2], isr: [1, 2], leader: 1, leaderEpoch: 0, partitionEpoch: 0 };
  return { type: 'partition', id: 0, topicId, partition: 0, ...standing, ...part };
}

function change(part: object): MetadataRecord {
  return { type: 'partition-change', id: 0, partitionEpoch: 1, ...part };
}

/** The record is a fault of the program, and leaves the image as it was. */
function misfit(record: MetadataRecord, sentence: RegExp): void {
  const { image } = clusterWithTopic();
  const before = JSON.stringify(recordsOf(image));
  assert.throws(() => apply(image, [record], image.offset + 1, 1), sentence, JSON.stringify(record));
  assert.is(JSON.stringify(recordsOf(image)), before);
}

test('an image says which entry it has applied', () => {
  const { image } = new TestCluster(1);
  const next = apply(image, [], 17, 4);
  assert.equal([next.offset, next.term], [17, 4]);
  assert.equal([emptyImage.offset, emptyImage.term], [0, 0]);
  assert.throws(() => apply(next, [], 16, 4), /offset 16 comes after offset 17/);
  assert.throws(() => apply(next, [], 18, 3), /term 3 comes after term 4/);
});

test('a change of a partition changes what it names, and the epochs', () => {
  const cluster = clusterWithTopic();
  cluster.commit([change({ isr: [1] })]);
  assert.equal(
    [cluster.partition().isr, cluster.partition().epoch, cluster.partition().partitionEpoch],
    [[1], 0, 1],
  );
  cluster.commit([change({ partitionEpoch: 2, leader: 1 })]);
  assert.is(cluster.partition().epoch, 1, 'the same leader in another epoch');
  cluster.commit([change({ partitionEpoch: 3, replicas: [1, 3], adding: [3], removing: [1] })]);
  const { replicas, adding, removing } = cluster.partition();
  assert.equal([replicas, adding, removing], [[1, 3], [3], [1]]);
  assert.equal(cluster.image.partitionsOn(2), []);
  assert.equal(cluster.image.partitionsOn(3), [cluster.partition()]);
});

test('a partition that does not fit is a fault', () => {
  misfit(partitionRecord({ id: 0, partition: 1 }), /partition id 0 is a new one/);
  misfit(partitionRecord({ id: 1, partition: 0 }), /0 is the next partition of 't'/);
  misfit(partitionRecord({ id: 1, partition: 2 }), /2 is the next partition/);
  const next = { id: 1, partition: 1 };
  misfit(partitionRecord({ ...next, topicId: uuidOf('u') }), /there is a topic u/);
  misfit(partitionRecord({ ...next, isr: [] }), /somebody is in sync/);
  misfit(partitionRecord({ ...next, isr: [1, 3] }), /ISR of partition 1 are replicas/);
  misfit(partitionRecord({ ...next, leader: 2, isr: [1] }), /leader of partition 1 is in its ISR/);
  misfit(partitionRecord({ ...next, replicas: [1, 2, 9] }), /broker 9.* is registered/);
  misfit(partitionRecord({ ...next, lostDirectory: directoryOf(1) }), /with a leader is not lost/);
});

test('a change that does not fit is a fault', () => {
  misfit(change({ id: 1 }), /there is a partition 1/);
  misfit(change({ partitionEpoch: 0 }), /goes from epoch 0 to 0/);
  misfit(change({ partitionEpoch: 2 }), /goes from epoch 0 to 2/);
  misfit(change({ isr: [] }), /somebody is in sync/);
  misfit(change({ isr: [2] }), /leader of partition 0 is in its ISR/);
  misfit(change({ leader: 3 }), /leader of partition 0 is in its ISR/);
  misfit(change({ replicas: [1] }), /ISR of partition 0 are replicas/);
  misfit(change({ replicas: [1, 2, 9] }), /broker 9.* is registered/);
  misfit(change({ removing: [3] }), /broker 3 is a replica of partition 0/);
  misfit(change({ eligible: [2] }), /in sync with partition 0 is not eligible/);
  misfit(change({ lostDirectory: directoryOf(1) }), /with a leader is not lost/);
});

test('topics, brokers and counters that do not fit are faults', () => {
  const broker = { id: 1, directoryId: directoryOf(1), rack: null, state: 'active' } as const;
  misfit({ type: 'cluster', clusterId: 'other', version: 1 }, /cluster other is the first/);
  misfit({ type: 'topic', name: 't', topicId: uuidOf('u'), config: {} }, /topic 't' is new/);
  misfit({ type: 'topic', name: 'u', topicId, config: {} }, /topic id t_+ is new/);
  misfit({ type: 'topic-config', topicId: uuidOf('u'), config: {} }, /there is a topic u/);
  misfit({ type: 'topic-removed', topicId: uuidOf('u') }, /there is a topic u/);
  misfit({ type: 'broker', ...broker, epoch: 2 }, /epoch 2 of broker 1 is a new one/);
  misfit({ type: 'broker-state', id: 1, epoch: 7, state: 'fenced' }, /broker 1 is registered with epoch 7/);
  misfit({ type: 'broker-state', id: 9, epoch: 0, state: 'fenced' }, /broker 9 is registered/);
  misfit({ type: 'broker-removed', id: 1, epoch: 0 }, /broker 1 has no replicas/);
  misfit({ type: 'broker-removed', id: 3, epoch: 0 }, /broker 3 is registered with epoch 0/);
  misfit({ type: 'broker-config', id: 9, config: {} }, /broker 9 is registered/);
  misfit(
    { type: 'producer-ids', broker: 1, brokerEpoch: 0, first: 1, count: 1 },
    /producer id 1 is the next/,
  );
  const ids = { type: 'ids', nextPartition: 1, nextBrokerEpoch: 3, nextProducerId: 0 } as const;
  misfit({ ...ids, nextPartition: 0 }, /no partition id from 0 is taken/);
  misfit({ ...ids, nextBrokerEpoch: 2 }, /no broker epoch from 2 is taken/);
  misfit({ ...ids, nextProducerId: -1 }, /no producer id from -1 is taken/);
});

test('nothing comes before the cluster', () => {
  const topic = { type: 'topic', name: 't', topicId, config: {} } as const;
  assert.throws(() => apply(emptyImage, [topic], 0, 1), /topic comes after the cluster/);
});

test('an entry that fails half-way leaves no trace', () => {
  const { image } = clusterWithTopic();
  const before = JSON.stringify(recordsOf(image));
  const records = [change({ leader: 2 }), { type: 'topic-removed', topicId }, change({ leader: 1 })] as const;
  assert.throws(() => apply(image, records, image.offset + 1, 1), /there is a partition 0/);
  assert.is(JSON.stringify(recordsOf(image)), before);
  assert.equal(
    image.partitionsLedBy(1).map(({ id }) => id),
    [0],
  );
});

test.run();
