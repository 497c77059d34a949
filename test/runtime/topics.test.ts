import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { topicConfig } from '../../src/config.ts';
import { type TopicInfo, Topics } from '../../src/runtime/topics.ts';
import { TestCluster } from '../core/metadata/fixtures.ts';

/** A topic of three partitions on two brokers, which everybody sees. */
function seen(): { metadata: TestCluster; topics: Topics; before: TopicInfo } {
  const metadata = new TestCluster(2);
  metadata.run({ type: 'create-topic', name: 't', partitions: 3, replicationFactor: 1 });
  const topics = new Topics(() => metadata.image, topicConfig({}), false);
  return { metadata, topics, before: topics.show('t') };
}

const idOf = (metadata: TestCluster, partition: number): number => metadata.partition('t', partition).id;

test('a partition that has changed is shown, and all else of its topic stays what it was', () => {
  const { metadata, topics, before } = seen();
  const led = before.partitions.map(({ leader }) => leader);
  metadata.fence(led[1]);
  const [shown, ...others] = topics.showChanged([idOf(metadata, 1)]);
  assert.equal(others, []);
  assert.is(topics.visible.get('t'), shown);
  assert.is(shown.config, before.config);
  assert.is(shown.partitions[0], before.partitions[0]);
  assert.is(shown.partitions[1].leader, -1);
  assert.ok(shown.version > before.version);
  // What others had seen of it before is theirs.
  assert.is(before.partitions[1].leader, led[1]);
});

test('partitions that are being made are not shown with those that have changed', () => {
  const { metadata, topics } = seen();
  metadata.run({ type: 'create-partitions', topic: 't', count: 5 });
  const [shown] = topics.showChanged([idOf(metadata, 0), idOf(metadata, 4)]);
  assert.is(shown.partitions.length, 3);
  assert.equal(topics.showChanged([idOf(metadata, 3)]), []);
  assert.is(topics.show('t').partitions.length, 5);
});

test('why nobody leads a partition is seen with the next change, and forgotten once somebody does', () => {
  const { metadata, topics, before } = seen();
  const { leader } = before.partitions[0];
  metadata.fence(leader);
  topics.explain(idOf(metadata, 0), 'Its log is damaged.');
  const [shown] = topics.showChanged([]);
  assert.is(shown.partitions[0].unavailable, 'Its log is damaged.');
  assert.equal(topics.showChanged([]), []);
  metadata.unfence(leader);
  const [mended] = topics.showChanged([idOf(metadata, 0)]);
  assert.is(mended.partitions[0].unavailable, undefined);
  metadata.fence(leader);
  const [lost] = topics.showChanged([idOf(metadata, 0)]);
  assert.match(lost.partitions[0].unavailable ?? '', /is not running/);
});

test('of a topic that is gone nothing is shown', () => {
  const { metadata, topics } = seen();
  const id = idOf(metadata, 0);
  topics.explain(id, 'Its log is damaged.');
  metadata.run({ type: 'delete-topic', name: 't' });
  topics.hide('t');
  assert.equal(topics.showChanged([id]), []);
});

test.run();
