import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Command, CreateTopic } from '../../../src/core/metadata/commands.ts';
import { PARTITIONS_MAX } from '../../../src/limits.ts';
import { TestCluster } from './fixtures.ts';

function creation(part: object = {}): CreateTopic {
  return { type: 'create-topic', name: 't', ...part };
}

test('a topic comes with a partition and three replicas where nothing else is said', () => {
  const cluster = new TestCluster(5);
  const answer = cluster.run(creation());
  assert.equal(answer.assignments, [[1, 2, 3]]);
  const { partitions, ...topic } = cluster.image.topic('t') ?? {};
  assert.equal(topic, { name: 't', topicId: answer.topicId, config: {} });
  assert.equal(partitions, [0]);
  assert.equal(cluster.partition(), {
    id: 0,
    topic: 't',
    topicId: answer.topicId,
    partition: 0,
    replicas: [1, 2, 3],
    isr: [1, 2, 3],
    leader: 1,
    epoch: 0,
    partitionEpoch: 0,
    adding: [],
    removing: [],
    eligible: [],
    throttle: null,
    lostDirectory: null,
  });
  assert.is(cluster.image.topicById(answer.topicId)?.name, 't');
});

test('a cluster of one broker has topics of one replica', () => {
  const cluster = new TestCluster(1);
  cluster.run(creation());
  assert.equal(cluster.partition().replicas, [1]);
});

test('leaders go round over the brokers, from topic to topic', () => {
  const cluster = new TestCluster(3);
  for (const name of ['a', 'b', 'c']) cluster.run(creation({ name, partitions: 2, replicationFactor: 1 }));
  const leaders = cluster.image.partitions().map(({ leader }) => leader);
  assert.equal(leaders, [1, 2, 3, 1, 2, 3]);
});

test('replicas go to different racks', () => {
  const cluster = new TestCluster(['a', 'a', 'b', 'b']);
  cluster.run(creation({ partitions: 8, replicationFactor: 2 }));
  const rack = (id: number) => cluster.image.broker(id)?.rack;
  for (const { replicas } of cluster.image.partitions()) {
    assert.equal(new Set(replicas.map(rack)), new Set(['a', 'b']), replicas.join());
  }
});

test('brokers that are fenced, shutting down or dead get no replicas', () => {
  const cluster = new TestCluster(5);
  cluster.fence(1);
  cluster.run({ type: 'shut-down-broker', broker: 2, epoch: cluster.epochOf(2) });
  cluster.world.dead.add(3);
  cluster.run(creation({ partitions: 4, replicationFactor: 2 }));
  const used = new Set(cluster.image.partitions().flatMap(({ replicas }) => replicas));
  assert.equal(used, new Set([4, 5]));
});

test('a broker that everything is moved from goes on with what it holds, and gets nothing new', () => {
  const cluster = new TestCluster(3);
  cluster.run(creation({ replicationFactor: 2 }));
  const { replicas } = cluster.partition();
  cluster.world.emptied.add(replicas[1]);
  cluster.run({ type: 'create-partitions', topic: 't', count: 4 });
  const added = cluster.image.partitions().filter(({ partition }) => partition > 0);
  for (const partition of added) assert.not.ok(partition.replicas.includes(replicas[1]));
  cluster.fence(replicas[0]);
  assert.equal(cluster.standing(), [replicas[1], [replicas[1]]]);
  cluster.unfence(replicas[0]);
  const sentence = /2 are running, besides 1 that everything is moved from/;
  cluster.refuses(creation({ name: 'u', replicationFactor: 3 }), 'INVALID_REPLICATION_FACTOR', sentence);
});

test('more replicas than brokers that run are refused', () => {
  const cluster = new TestCluster(3);
  const code = 'INVALID_REPLICATION_FACTOR';
  cluster.refuses(creation({ replicationFactor: 4 }), code, /needs as many brokers; 3 are running/);
  cluster.fence(3);
  cluster.refuses(creation({ replicationFactor: 3 }), code, /2 are running/);
  cluster.refuses(creation(), code, /factor of 3 needs/);
  for (const replicationFactor of [0, -1, 1.5, Number.NaN, '2']) {
    cluster.refuses(creation({ replicationFactor }), code, /whole number of at least 1/);
  }
});

test('numbers of partitions that no topic has are refused', () => {
  const cluster = new TestCluster(1);
  for (const partitions of [0, -1, 1.5, Number.NaN, 10_001, '2', 1e12]) {
    cluster.refuses(creation({ partitions }), 'INVALID_PARTITIONS', /1 to 10000 partitions/);
  }
});

test("the metadata's own name is no name for a topic", () => {
  const cluster = new TestCluster(1);
  for (const name of ['__cluster_metadata', '__Cluster_Metadata'])
    cluster.refuses(
      creation({ name }),
      'INVALID_TOPIC_EXCEPTION',
      /^The name '__cluster_metadata' is that of/,
    );
  for (const name of ['__cluster_metadata-0', '__cluster_metadata_']) cluster.run(creation({ name }));
});

test('a name that is taken, or illegal, is refused', () => {
  const cluster = new TestCluster(1);
  cluster.run(creation());
  cluster.refuses(creation(), 'TOPIC_ALREADY_EXISTS', /^Topic 't' exists already\.$/);
  for (const name of ['', '.', '..', 'a b', 'ä', 'a/b', 'x'.repeat(250), undefined, 7, 't\n']) {
    cluster.refuses(creation({ name }), 'INVALID_TOPIC_EXCEPTION', /name must have 1 to 249/);
  }
  cluster.run(creation({ name: 'x'.repeat(249) }));
});

test('a configuration is kept as it was accepted, and only what was given', () => {
  const cluster = new TestCluster(1);
  const config = { 'segment.bytes': '1048576', 'cleanup.policy': ['delete', 'compact'] };
  cluster.run(creation({ config: { ...config, 'retention.ms': undefined } }));
  assert.equal(cluster.image.topic('t')?.config, {
    'cleanup.policy': 'compact,delete',
    'segment.bytes': 1_048_576,
  });
});

test('a configuration that is wrong is refused', () => {
  const cluster = new TestCluster(1);
  const wrong = [{ 'retention.mss': 1 }, { 'segment.bytes': 1 }, 'text', null, { 'retention.ms': null }];
  for (const config of wrong) cluster.refuses(creation({ config }), 'INVALID_CONFIG');
  const lag = { 'min.compaction.lag.ms': 5 };
  cluster.run({ type: 'alter-broker-config', broker: -1, set: { 'max.compaction.lag.ms': 3 } });
  cluster.refuses(creation({ config: lag }), 'INVALID_CONFIG', /must not be above/);
});

test('replicas can be assigned by hand, and those that run are in sync', () => {
  const cluster = new TestCluster(3);
  cluster.fence(3);
  cluster.run(
    creation({
      assignments: [
        [3, 1],
        [2, 1],
      ],
    }),
  );
  assert.equal(cluster.standing('t', 0), [1, [1]]);
  assert.equal(cluster.standing('t', 1), [2, [2, 1]]);
  assert.equal(cluster.partition('t', 0).replicas, [3, 1]);
});

test('assignments that cannot be are refused', () => {
  const cluster = new TestCluster(3);
  cluster.fence(3);
  const wrong: [unknown, RegExp][] = [
    [[[]], /is empty/],
    [[[1, 1]], /names a broker twice/],
    [[[1, 9]], /names broker 9, which is not registered/],
    [[['1']], /names broker '1'/],
    [[[1, 2], [1]], /all need as many/],
    [[[3]], /None of the brokers of partition 0 is running/],
    [[1], /must be a list of brokers/],
    [5, /must be a list of brokers/],
  ];
  for (const [assignments, sentence] of wrong) {
    cluster.refuses(creation({ assignments }), 'INVALID_REPLICA_ASSIGNMENT', sentence);
  }
  cluster.refuses(creation({ assignments: [] }), 'INVALID_PARTITIONS');
  cluster.refuses(creation({ assignments: [[1]], partitions: 1 }), 'INVALID_ARGUMENT', /leave partitions/);
  cluster.refuses(creation({ assignments: [[1]], replicationFactor: 1 }), 'INVALID_ARGUMENT');
});

test('what is only validated changes nothing, and is refused as it would be', () => {
  const cluster = new TestCluster(2);
  assert.equal(cluster.recordsOf(creation({ validateOnly: true })), []);
  assert.equal(cluster.run(creation({ validateOnly: true, partitions: 2 })).assignments.length, 2);
  cluster.refuses(creation({ validateOnly: true, replicationFactor: 3 }), 'INVALID_REPLICATION_FACTOR');
  cluster.run(creation());
  const more: Command = { type: 'create-partitions', topic: 't', count: 3, validateOnly: true };
  assert.equal(cluster.recordsOf(more), []);
});

test('a deleted topic is gone with its partitions, and its ids are not used again', () => {
  const cluster = new TestCluster(2);
  const { topicId } = cluster.run(creation({ partitions: 3 }));
  const answer = cluster.run({ type: 'delete-topic', name: 't' });
  assert.equal(answer, { topicId, partitions: [0, 1, 2] });
  const { image } = cluster;
  assert.is(image.topic('t'), undefined);
  assert.is(image.topicById(topicId), undefined);
  assert.is(image.partition(0), undefined);
  assert.equal(image.partitionsOn(1), []);
  cluster.refuses({ type: 'delete-topic', name: 't' }, 'UNKNOWN_TOPIC_OR_PARTITION', /no topic 't'/);
  const again = cluster.run(creation());
  assert.is.not(again.topicId, topicId);
  assert.is(cluster.partition().id, 3);
});

test('partitions are added behind those that are there, with as many replicas', () => {
  const cluster = new TestCluster(3);
  cluster.run(creation({ partitions: 2, replicationFactor: 2 }));
  cluster.run(creation({ name: 'other' }));
  const { assignments } = cluster.run({ type: 'create-partitions', topic: 't', count: 4 });
  assert.equal(
    assignments.map(({ length }) => length),
    [2, 2],
  );
  assert.equal(cluster.image.topic('t')?.partitions, [0, 1, 3, 4]);
  assert.is(cluster.partition('t', 3).partition, 3);
  cluster.run({ type: 'create-partitions', topic: 't', count: 5, assignments: [[3, 1]] });
  assert.equal(cluster.standing('t', 4), [3, [3, 1]]);
});

test('partitions that cannot be added are refused', () => {
  const cluster = new TestCluster(3);
  cluster.run(creation({ partitions: 2, replicationFactor: 2 }));
  const adding = (part: object): Command => ({ type: 'create-partitions', topic: 't', count: 3, ...part });
  cluster.refuses(adding({ topic: 'u' }), 'UNKNOWN_TOPIC_OR_PARTITION');
  for (const count of [2, 1]) cluster.refuses(adding({ count }), 'INVALID_PARTITIONS', /only grows/);
  for (const count of [0, 2.5, 10_001]) cluster.refuses(adding({ count }), 'INVALID_PARTITIONS');
  for (const assignments of [
    [[1]],
    [[1, 2, 3]],
    [],
    [
      [1, 2],
      [1, 2],
    ],
    [[1, 7]],
  ]) {
    cluster.refuses(adding({ assignments }), 'INVALID_REPLICA_ASSIGNMENT');
  }
  cluster.fence(2);
  cluster.fence(3);
  cluster.refuses(adding({}), 'INVALID_REPLICATION_FACTOR', /1 are running/);
});

test('ids of partitions end somewhere, and then no more are made', () => {
  const cluster = new TestCluster(1);
  cluster.run(creation({ partitions: 2 }));
  const { nextBrokerEpoch, nextProducerId } = cluster.image.fields;
  const nextPartition = PARTITIONS_MAX - 1;
  cluster.commit([{ type: 'ids', nextPartition, nextBrokerEpoch, nextProducerId }]);
  cluster.refuses(creation({ name: 'u', partitions: 2 }), 'INVALID_PARTITIONS', /and 1 are left/);
  const more: Command = { type: 'create-partitions', topic: 't', count: 4 };
  cluster.refuses(more, 'INVALID_PARTITIONS', /and 1 are left/);
  cluster.run(creation({ name: 'u' }));
  cluster.refuses(creation({ name: 'v' }), 'INVALID_PARTITIONS', /and 0 are left/);
});

test.run();
