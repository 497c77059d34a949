import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ANY_EPOCH, admitRead } from '../../src/api/01-fetch.ts';
import { topicConfig } from '../../src/config.ts';
import { Replica } from '../../src/core/replica.ts';
import type { PartitionLog } from '../../src/types.ts';

const EPOCH = 5;

function replicaOf(brokerId: number): Replica {
  const info = { id: 0, topic: 't', partition: 0, replicas: [1, 2], isr: [1, 2], leader: 1, epoch: EPOCH };
  const log = { logStart: 10, leo: 30, written: 30 } as PartitionLog;
  const replica = new Replica(info, topicConfig({}), log, brokerId);
  replica.hwm = 20;
  return replica;
}

test('a partition that the broker does not hold is unknown', () => {
  assert.is(admitRead(undefined, EPOCH, 0, false), 'UNKNOWN_TOPIC_OR_PARTITION');
  assert.is(admitRead(undefined, EPOCH, 0, true), 'UNKNOWN_TOPIC_OR_PARTITION');
});

test('a follower answers only whoever asked for any replica', () => {
  assert.is(admitRead(replicaOf(2), EPOCH, 15, false), 'NOT_LEADER_OR_FOLLOWER');
  assert.is(admitRead(replicaOf(2), EPOCH, 15, true), 'NONE');
  assert.is(admitRead(replicaOf(1), EPOCH, 15, false), 'NONE');
  assert.is(admitRead(replicaOf(1), EPOCH, 15, true), 'NONE');
});

test('offsets from the start of the log up to its end can be asked for, and no others', () => {
  const replica = replicaOf(1);
  // Beyond the HWM there is nothing to read yet.
  for (const offset of [10, 19, 20, 21, 30])
    assert.is(admitRead(replica, EPOCH, offset, false), 'NONE', `${offset}`);
  for (const offset of [0, 9, 31, 2 ** 53 - 1]) {
    assert.is(admitRead(replica, EPOCH, offset, false), 'OFFSET_OUT_OF_RANGE', `${offset}`);
  }
});

test('a replica whose disk has failed is not read', () => {
  const replica = replicaOf(1);
  replica.becomeOffline();
  assert.is(admitRead(replica, EPOCH, 15, false), 'KAFKA_STORAGE_ERROR');
  assert.is(admitRead(replica, EPOCH, 15, true), 'KAFKA_STORAGE_ERROR');
});

test('who knows of an older or a newer reign than the broker is told so, whichever replica he asks', () => {
  for (const fromAnyReplica of [false, true]) {
    for (const id of [1, 2]) {
      assert.is(admitRead(replicaOf(id), EPOCH - 1, 15, fromAnyReplica), 'FENCED_LEADER_EPOCH');
      assert.is(admitRead(replicaOf(id), EPOCH + 1, 15, fromAnyReplica), 'UNKNOWN_LEADER_EPOCH');
    }
  }
});

test('who does not say which reign he means is served in any', () => {
  assert.is(admitRead(replicaOf(1), ANY_EPOCH, 15, false), 'NONE');
  assert.is(admitRead(replicaOf(2), ANY_EPOCH, 15, true), 'NONE');
  assert.is(admitRead(replicaOf(2), ANY_EPOCH, 15, false), 'NOT_LEADER_OR_FOLLOWER');
  assert.is(admitRead(replicaOf(1), ANY_EPOCH, 31, false), 'OFFSET_OUT_OF_RANGE');
});

test.run();
