import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { apply } from '../../../src/core/metadata/apply.ts';
import type { Command } from '../../../src/core/metadata/commands.ts';
import { decide, decideAll } from '../../../src/core/metadata/controller.ts';
import { emptyImage } from '../../../src/core/metadata/image.ts';
import { TestCluster, TestWorld } from './fixtures.ts';

test('a cluster is created once', () => {
  const cluster = new TestCluster(0);
  assert.is(cluster.image.clusterId, 'test');
  assert.equal(cluster.recordsOf({ type: 'create-cluster', clusterId: 'test' }), []);
  const other = { type: 'create-cluster', clusterId: 'other' } as const;
  cluster.refuses(other, 'INVALID_ARGUMENT', /metadata of cluster test, and not of other/);
  for (const clusterId of ['', 'a b', 'x'.repeat(65), 7]) {
    cluster.refuses({ type: 'create-cluster', clusterId } as Command, 'INVALID_ARGUMENT', /id of a cluster/);
  }
});

test('before there is a cluster, nothing can be asked of it', () => {
  const decision = decide(emptyImage, { type: 'create-topic', name: 't' }, new TestWorld());
  assert.is(decision.refusal?.code, 'INVALID_ARGUMENT');
  assert.equal(decision.records, []);
});

test('commands together see what those before them have left, and those that are refused leave nothing', () => {
  const cluster = new TestCluster(3);
  const commands: Command[] = [
    { type: 'create-topic', name: 'a' },
    { type: 'create-topic', name: 'a' },
    { type: 'create-partitions', topic: 'a', count: 2 },
    { type: 'delete-topic', name: 'b' },
    { type: 'create-topic', name: 'b' },
  ];
  const { records, decisions } = decideAll(cluster.image, commands, cluster.world);
  assert.equal(
    decisions.map(({ refusal }) => refusal?.code),
    [undefined, 'TOPIC_ALREADY_EXISTS', undefined, 'UNKNOWN_TOPIC_OR_PARTITION', undefined],
  );
  assert.is(cluster.image.topicCount, 0);
  const after = apply(cluster.image, records, cluster.image.offset + 1, 1);
  assert.equal(after.topic('a')?.partitions, [0, 1]);
  assert.equal(after.topic('b')?.partitions, [2]);
});

test('a fault of the program is no refusal', () => {
  const world = new TestWorld();
  world.newUuid = () => {
    throw new RangeError('no more randomness');
  };
  const { image } = new TestCluster(1);
  assert.throws(() => decide(image, { type: 'create-topic', name: 't' }, world), /no more randomness/);
});

test.run();
