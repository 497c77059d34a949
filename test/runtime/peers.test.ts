// Brokers of one thread on different sides: whatever they have in common, they see nothing of each other.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Brokers, withBrokers } from './broker-fixtures.ts';

/** A ring of the fixture holds some tens of such batches. */
const VALUE_BYTES = 1_000;
const LAP = 100;

function produce(brokers: Brokers, partition: number, correlation: number): void {
  const waiter = { client: 1, correlation };
  brokers.appendStaged(partition, 1, VALUE_BYTES, () => {}, waiter);
  brokers.get(1).flush();
}

test('nothing passes between two sides, and what was missed is read when they see each other', () =>
  withBrokers({ count: 3 }, async (brokers) => {
    const partition = brokers.addPartition();
    const answers = brokers.attach(1, 1);
    produce(brokers, partition, 1);
    await brokers.settle();
    assert.is(answers.length, 1);
    brokers.sides.put([2], 1);
    for (let n = 2; n <= LAP; n++) produce(brokers, partition, n);
    await brokers.settle();
    assert.is(brokers.replica(3, partition).log.leo, LAP);
    assert.is(brokers.replica(2, partition).log.leo, 1);
    assert.is(brokers.replica(1, partition).hwm, 1);
    assert.is(answers.length, 1);
    // Nobody is kept awake by what he cannot see.
    for (const id of [1, 2, 3]) assert.is(brokers.get(id).hasWork(), false, `broker ${id}`);
    brokers.sides.put([2], 0);
    assert.ok(brokers.get(2).hasWork());
    await brokers.settle();
    assert.is(brokers.replica(2, partition).log.leo, LAP);
    assert.is(brokers.replica(1, partition).hwm, LAP);
    assert.is(answers.length, LAP);
    assert.ok(brokers.isEqual(partition));
    assert.ok(brokers.counters(2).laps > 0);
  }));

test('a leader that is cut off together with one follower waits for the other one', () =>
  withBrokers({ count: 3 }, async (brokers) => {
    const partition = brokers.addPartition();
    brokers.sides.put([1, 2], 1);
    brokers.append(partition);
    await brokers.settle();
    assert.is(brokers.replica(2, partition).log.leo, 1);
    assert.is(brokers.replica(3, partition).log.leo, 0);
    assert.is(brokers.replica(1, partition).hwm, 0);
  }));

test('what a follower had before the link broke counts once its leader can see it', () =>
  withBrokers({}, async (brokers) => {
    const partition = brokers.addPartition();
    brokers.append(partition);
    brokers.get(2).pass();
    assert.is(brokers.get(2).table.loadLeo(partition), 1);
    brokers.sides.put([2], 1);
    await brokers.settle();
    assert.is(brokers.replica(1, partition).hwm, 0);
    brokers.sides.put([2], 0);
    await brokers.settle();
    assert.is(brokers.replica(1, partition).hwm, 1);
  }));

test('a request for a log that was lost on the way is made again', () =>
  withBrokers({}, async (brokers) => {
    const partition = brokers.addPartition();
    brokers.append(partition);
    // It is under way when the link breaks, which is whole again before the one who asked has noticed.
    brokers.get(2).readLog(brokers.replica(2, partition));
    brokers.sides.put([2], 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.is(brokers.replica(2, partition).log.leo, 0);
    brokers.sides.put([2], 0);
    await brokers.settle();
    assert.is(brokers.replica(2, partition).log.leo, 1);
    assert.is(brokers.replica(2, partition).source, 'ring');
  }));

test('a follower that its leader cannot see is not admitted', () =>
  withBrokers({}, async (brokers) => {
    const partition = brokers.addPartition();
    await brokers.settle();
    brokers.sides.put([2], 1);
    assert.is(brokers.get(1).admit(partition, 3, 2), false);
    brokers.sides.put([2], 0);
    assert.is(brokers.get(1).admit(partition, 3, 2), true);
  }));

test.run();
