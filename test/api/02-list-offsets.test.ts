import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { admitListOffsets } from '../../src/api/02-list-offsets.ts';
import { topicConfig } from '../../src/config.ts';
import { Replica } from '../../src/core/replica.ts';
import type { PartitionLog } from '../../src/types.ts';

function replicaOf(brokerId: number): Replica {
  const info = { id: 0, topic: 't', partition: 0, replicas: [1, 2], isr: [1, 2], leader: 1, epoch: 0 };
  return new Replica(info, topicConfig({}), { logStart: 0, written: 0 } as PartitionLog, brokerId);
}

test('a partition that the broker does not hold is unknown', () => {
  assert.is(admitListOffsets(undefined, 0, true), 'UNKNOWN_TOPIC_OR_PARTITION');
});

test('a follower answers only whoever asked for any replica', () => {
  assert.is(admitListOffsets(replicaOf(2), 0, false), 'NOT_LEADER_OR_FOLLOWER');
  assert.is(admitListOffsets(replicaOf(2), 0, true), 'NONE');
  assert.is(admitListOffsets(replicaOf(1), 0, false), 'NONE');
});

test('a replica whose disk has failed answers nobody', () => {
  const replica = replicaOf(1);
  replica.becomeOffline();
  assert.is(admitListOffsets(replica, 0, false), 'KAFKA_STORAGE_ERROR');
});

test('who means another reign is told so', () => {
  assert.is(admitListOffsets(replicaOf(1), 1, false), 'UNKNOWN_LEADER_EPOCH');
});

test.run();
