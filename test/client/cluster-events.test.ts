// What attached threads are told of changed topics, and what they make of it.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { clusterEvents } from '../../src/client/cluster-events.ts';
import { KnownTopics, type TopicNotice } from '../../src/client/known-topics.ts';
import { topicDefaults } from '../../src/config.ts';
import type { TopicInfo } from '../../src/runtime/topics.ts';
import type { PartitionInfo } from '../../src/types.ts';

type Parts = Parameters<typeof clusterEvents>;

const config = topicDefaults('os');

function partition(index: number, leader = 1): PartitionInfo {
  return {
    id: index,
    topic: 't',
    partition: index,
    replicas: [1, 2],
    isr: [1, 2],
    leader,
    epoch: 0,
  } as PartitionInfo;
}

test('a thread is told of the partitions that have changed, and knows the others as they were', async () => {
  const notices: TopicNotice[] = [];
  const server = { tell: (_: string, notice: TopicNotice) => notices.push(structuredClone(notice)) };
  const cluster = { topicsVersion: 1, quorum: { offset: 5 } };
  const session = { topicsChanged: () => undefined };
  const events = clusterEvents(
    cluster as unknown as Parts[0],
    session as unknown as Parts[1],
    0,
    server as unknown as Parts[3],
  );
  const known = new KnownTopics();
  const heard = (): TopicNotice => {
    const notice = notices.shift() as TopicNotice;
    known.change(notice);
    return notice;
  };
  let topic: TopicInfo = { name: 't', config, version: 1, partitions: [0, 1, 2].map((n) => partition(n)) };
  await known.find('t', async () => ({ version: 1, topic: structuredClone(topic) }));
  const change = (...changed: PartitionInfo[]): number[] => {
    const partitions = topic.partitions.slice();
    for (const info of changed) partitions[info.partition] = info;
    topic = { ...topic, version: topic.version + 1, partitions };
    cluster.topicsVersion = topic.version;
    events.topicsChanged([topic], []);
    const told = heard().changed.flatMap((each) => each.changed.map((info) => info.partition));
    assert.equal(known.get('t'), topic);
    return told;
  };
  // Nobody has been told anything before.
  assert.equal(change(partition(1, 2)), [0, 1, 2]);
  assert.equal(change(partition(2, 2)), [2]);
  assert.equal(change(), []);
  assert.equal(change(partition(0, 2), partition(2, 1)), [0, 2]);
  // One more than there were.
  assert.equal(change(partition(3)), [3]);
  events.topicsChanged([], ['t']);
  heard();
  assert.is(known.get('t'), undefined);
  // Another topic of that name, of which this thread has not asked.
  events.topicsChanged([topic], []);
  assert.is(heard().changed[0].changed.length, 4);
  assert.is(known.get('t'), undefined);
});

test.run();
