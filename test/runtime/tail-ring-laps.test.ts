import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Brokers, withBrokers } from './broker-fixtures.ts';

const RING_BYTES = 1 << 16;

/** More than the ring holds. */
function lap(brokers: Brokers, partition: number): void {
  for (let written = 0; written < 2 * RING_BYTES; written += 1_000) brokers.append(partition, 1, 1_000);
}

type Moment = 'before the append' | 'before the copy';

/** Lets something happen while the follower appends, as if its thread had been suspended there. */
function interrupt(brokers: Brokers, partition: number, moment: Moment, before: () => void): void {
  const { log } = brokers.replica(2, partition);
  const append = log.append.bind(log);
  log.append = (source, ...rest) => {
    log.append = append;
    if (moment === 'before the append') {
      before();
      return append(source, ...rest);
    }
    const bytes = new Uint8Array(source.buffer);
    bytes.subarray = (begin, end) => {
      before();
      return source.subarray(begin, end) as typeof bytes;
    };
    return append(bytes, ...rest);
  };
}

test("a gap is not jumped: the follower goes to the leader's log", () =>
  withBrokers({}, async (brokers) => {
    const partition = brokers.addPartition();
    brokers.append(partition);
    brokers.get(2).pass();
    const { log } = brokers.replica(1, partition);
    log.restartAt(10);
    brokers.append(partition);
    brokers.get(2).pass();
    assert.is(brokers.replica(2, partition).log.leo, 1);
    assert.is(brokers.replica(2, partition).source, 'log');
    assert.is(brokers.counters(2).catchUps, 1);
    assert.is(brokers.counters(2).corruptFrames, 0);
    await brokers.settle();
    assert.is(brokers.replica(2, partition).source, 'ring');
    assert.equal(
      [brokers.replica(2, partition).log.logStart, brokers.replica(2, partition).log.leo],
      [10, 11],
    );
    assert.ok(brokers.isEqual(partition));
  }));

test('a follower that was lapped notices, counts it, and ends with the same bytes', () =>
  withBrokers({ ringCapacity: RING_BYTES }, async (brokers) => {
    const partitions = [brokers.addPartition(), brokers.addPartition(), brokers.addPartition()];
    for (const partition of partitions) brokers.append(partition, 3);
    await brokers.settle();
    for (const partition of partitions.slice(1)) lap(brokers, partition);
    brokers.get(2).pass();
    assert.is(brokers.counters(2).laps, 1);
    await brokers.settle();
    for (const partition of partitions) {
      assert.is(brokers.replica(2, partition).source, 'ring');
      assert.is(brokers.get(1).table.loadHwm(partition), brokers.replica(1, partition).log.leo);
      assert.ok(brokers.isEqual(partition));
    }
    brokers.append(partitions[0]);
    brokers.get(2).pass();
    assert.ok(brokers.isEqual(partitions[0]), 'the ring is followed again');
  }));

for (const moment of ['before the append', 'before the copy'] as const) {
  test(`a follower that is lapped ${moment} undoes what it took, and ends with the same bytes`, () =>
    withBrokers({ ringCapacity: RING_BYTES }, async (brokers) => {
      const partition = brokers.addPartition();
      const other = brokers.addPartition();
      brokers.append(partition, 3);
      await brokers.settle();
      for (let n = 0; n < 10; n++) brokers.append(partition, 3, 500);
      interrupt(brokers, partition, moment, () => lap(brokers, other));
      brokers.get(2).pass();
      assert.is(brokers.get(2).table.loadLeo(partition), 3, 'what was taken is not visible');
      assert.is(brokers.replica(2, partition).log.leo, 3, 'what was taken is undone');
      assert.is(brokers.counters(2).laps, 1);
      await brokers.settle();
      assert.ok(brokers.isEqual(partition));
      assert.ok(brokers.isEqual(other));
    }));

  test(`a batch in whose place another lies ${moment} is undone as well`, () =>
    withBrokers({ ringCapacity: RING_BYTES }, async (brokers) => {
      const partition = brokers.addPartition();
      const other = brokers.addPartition();
      for (let n = 0; n < 3; n++) brokers.append(partition, 1, 1_000);
      await brokers.settle();
      brokers.append(partition, 1, 1_000);
      // Frames of one size, so that headers come to lie where headers were.
      interrupt(brokers, partition, moment, () => {
        for (let n = 0; n < 70; n++) brokers.append(other, 1, 1_000);
      });
      brokers.get(2).pass();
      assert.is(brokers.replica(2, partition).log.leo, 3);
      await brokers.settle();
      assert.ok(brokers.isEqual(partition));
      assert.ok(brokers.isEqual(other));
    }));
}

test.run();
