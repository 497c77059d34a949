import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { apply } from '../../../src/core/metadata/apply.ts';
import { decide } from '../../../src/core/metadata/controller.ts';
import { decodeRecords } from '../../../src/core/metadata/decode-records.ts';
import { emptyImage, recordsOf } from '../../../src/core/metadata/image.ts';
import { encodeRecords } from '../../../src/core/metadata/records.ts';
import { TestCluster } from './fixtures.ts';
import { isSameImage } from './same-image.ts';

test('lookups find what is there, and nothing else', () => {
  const cluster = new TestCluster(3);
  cluster.createTopic('b', [
    [1, 2],
    [2, 3],
  ]);
  cluster.createTopic('a', [[3]]);
  const { image } = cluster;
  const ids = (partitions: readonly { readonly id: number }[]) => partitions.map(({ id }) => id);
  assert.equal(
    image.topics().map(({ name }) => name),
    ['a', 'b'],
  );
  assert.equal([image.topicCount, image.partitionCount], [2, 3]);
  assert.equal(ids(image.partitions()), [0, 1, 2]);
  assert.equal(ids(image.partitionsOn(2)), [0, 1]);
  assert.equal(ids(image.partitionsLedBy(2)), [1]);
  assert.equal(ids(image.partitionsOn(9)), []);
  assert.equal(ids(image.partitionsLedBy(-1)), []);
  assert.is(image.partitionOf('b', 1)?.id, 1);
  for (const nothing of [
    image.partitionOf('b', 2),
    image.partitionOf('c', 0),
    image.partition(3),
    image.topic('c'),
    image.topicById('c'),
    image.broker(4),
  ]) {
    assert.is(nothing, undefined);
  }
  cluster.fence(3);
  assert.equal(ids(cluster.image.partitionsLedBy(-1)), [2]);
});

test('an image stays as it is whatever is applied to it', () => {
  const cluster = new TestCluster(3);
  cluster.createTopic();
  const before = cluster.image;
  const records = JSON.stringify(recordsOf(before));
  cluster.fence(1);
  cluster.createTopic('u');
  cluster.run({ type: 'delete-topic', name: 't' });
  assert.is(JSON.stringify(recordsOf(before)), records);
  assert.equal(
    before.partitionsLedBy(1).map(({ id }) => id),
    [0],
  );
});

test('a snapshot holds all that there is, and goes through bytes', () => {
  const cluster = new TestCluster(['a', 'b', null]);
  cluster.createTopic();
  cluster.createTopic('gone');
  cluster.run({ type: 'delete-topic', name: 'gone' });
  cluster.run({ type: 'alter-broker-config', broker: -1, set: { 'segment.ms': 9, 'retention.ms': 5 } });
  cluster.run({ type: 'allocate-producer-ids', broker: 1, epoch: 0 });
  cluster.fence(1);
  const { image } = cluster;
  const records = decodeRecords(encodeRecords(recordsOf(image)), 'a snapshot');
  const loaded = apply(emptyImage, records, image.offset, image.term);
  assert.ok(isSameImage(loaded, image));
  assert.equal(recordsOf(emptyImage), []);
});

test('images that differ in anything are not the same', () => {
  const cluster = new TestCluster(3);
  cluster.createTopic();
  const { image } = cluster;
  const { nextProducerId, nextBrokerEpoch, nextPartition } = image.fields;
  const ids = { type: 'ids', nextPartition, nextBrokerEpoch, nextProducerId } as const;
  const at = (records: Parameters<typeof apply>[1]) => apply(image, records, image.offset, image.term);
  assert.ok(isSameImage(image, at([ids])));
  for (const other of [
    at([{ ...ids, nextProducerId: 1 }]),
    at([{ ...ids, nextPartition: 9 }]),
    at([{ type: 'partition-change', id: 0, partitionEpoch: 1, isr: [1] }]),
    at([{ type: 'broker-state', id: 3, epoch: 2, state: 'fenced' }]),
    apply(image, [], image.offset + 1, image.term),
    apply(image, [], image.offset, image.term + 1),
  ]) {
    assert.is(isSameImage(image, other), false);
  }
});

test('ten thousand topics are made one by one, and loaded again, in no time to speak of', () => {
  const cluster = new TestCluster(3);
  const begun = performance.now();
  for (let n = 0; n < 10_000; n++) {
    cluster.run({ type: 'create-topic', name: `topic-${n}`, partitions: 3 });
  }
  const madeMs = performance.now() - begun;
  const { image, world } = cluster;
  const bytes = encodeRecords(recordsOf(image));
  const read = performance.now();
  const loaded = apply(emptyImage, decodeRecords(bytes, 'a snapshot'), image.offset, image.term);
  const loadedMs = performance.now() - read;
  assert.ok(isSameImage(loaded, image));
  const died = performance.now();
  const fence = { type: 'fence-broker', broker: 1, epoch: cluster.epochOf(1) } as const;
  const { records } = decide(image, fence, world);
  const fenced = apply(image, records, image.offset + 1, 1);
  const fencedMs = performance.now() - died;
  assert.is(records.length, 30_001);
  assert.is(fenced.partitionsLedBy(1).length, 0);
  assert.is(fenced.partitionsLedBy(2).length, 15_000);
  const figures = `made in ${madeMs} ms, loaded in ${loadedMs} ms, fenced in ${fencedMs} ms`;
  assert.ok(madeMs < 4_000 && loadedMs < 2_000 && fencedMs < 2_000, figures);
  if (process.env.SHOW_FIGURES !== undefined) {
    process.stdout.write(
      `${figures}; snapshot ${bytes.length}, fence ${encodeRecords(records).length} bytes\n`,
    );
  }
});

test.run();
