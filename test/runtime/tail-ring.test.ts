import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { writeLeaderEpoch } from '../../src/log/record-batch.ts';
import { withBrokers } from './broker-fixtures.ts';

test('a follower takes what the leader has published, and publishes its LEO', () =>
  withBrokers({}, (brokers) => {
    const partition = brokers.addPartition();
    brokers.append(partition, 3);
    brokers.append(partition, 2);
    const follower = brokers.get(2);
    assert.is(follower.hasWork(), true);
    assert.is(follower.pass(), true);
    assert.is(follower.pass(), false);
    assert.is(follower.table.loadLeo(partition), 5);
    assert.is(brokers.replica(2, partition).log.leo, 5);
    assert.ok(brokers.isEqual(partition));
  }));

test('the HWM follows the slowest replica of the ISR', () =>
  withBrokers({ count: 3 }, (brokers) => {
    const partition = brokers.addPartition();
    brokers.append(partition, 3);
    brokers.get(1).pass();
    assert.is(brokers.get(1).table.loadHwm(partition), 0);
    brokers.get(2).pass();
    brokers.get(1).pass();
    assert.is(brokers.get(1).table.loadHwm(partition), 0);
    brokers.append(partition, 4);
    brokers.get(3).pass();
    brokers.get(1).pass();
    assert.is(brokers.get(1).table.loadHwm(partition), 3);
    brokers.get(2).pass();
    brokers.get(1).pass();
    assert.is(brokers.get(1).table.loadHwm(partition), 7);
  }));

test('batches that are known already are skipped', () =>
  withBrokers({}, async (brokers) => {
    const partition = brokers.addPartition();
    for (let n = 0; n < 5; n++) brokers.append(partition, 2);
    await brokers.settle();
    brokers.get(2).rejoinRing(1, 0);
    assert.is(brokers.get(2).pass(), true);
    assert.is(brokers.replica(2, partition).log.leo, 10);
    assert.is(brokers.replica(2, partition).source, 'ring');
    assert.ok(brokers.isEqual(partition));
  }));

test('rejoining never goes forward, past what other partitions still have to read', () =>
  withBrokers({}, (brokers) => {
    const partition = brokers.addPartition();
    brokers.append(partition);
    brokers.get(2).rejoinRing(1, brokers.get(1).ringPosition);
    brokers.get(2).pass();
    assert.is(brokers.replica(2, partition).log.leo, 1);
  }));

test('a batch with a damaged body is not appended, and counted', () =>
  withBrokers({}, (brokers) => {
    const partition = brokers.addPartition();
    brokers.append(partition, 2);
    brokers.append(partition, 2, 100, (batch) => {
      batch[batch.length - 20] ^= 1;
    });
    brokers.get(2).pass();
    assert.is(brokers.replica(2, partition).log.leo, 2);
    assert.is(brokers.get(2).table.loadLeo(partition), 2);
    assert.is(brokers.counters(2).corruptFrames, 1);
    assert.is(brokers.replica(2, partition).source, 'log');
  }));

test('a batch of another epoch than the follower knows is not appended', () =>
  withBrokers({}, (brokers) => {
    const partition = brokers.addPartition({}, { 2: { epoch: 4 } });
    brokers.append(partition, 2);
    brokers.get(2).pass();
    assert.is(brokers.replica(2, partition).log.leo, 0);
    assert.is(brokers.get(2).table.loadLeo(partition), 0);
  }));

test('what comes from a broker that does not lead the partition is ignored', () =>
  withBrokers({ count: 3 }, (brokers) => {
    const partition = brokers.addPartition({}, { 2: { leader: 3 } });
    brokers.append(partition, 2);
    brokers.get(2).pass();
    assert.is(brokers.replica(2, partition).log.leo, 0);
    assert.is(brokers.replica(2, partition).source, 'ring');
  }));

test('the stamped epoch and offset do not spoil the checksum', () =>
  withBrokers({}, (brokers) => {
    const partition = brokers.addPartition();
    brokers.append(partition, 2, 100, (batch) => writeLeaderEpoch(batch, 0, 77));
    brokers.get(2).pass();
    assert.is(brokers.replica(2, partition).log.leo, 2);
    assert.ok(brokers.isEqual(partition));
  }));

test.run();
