// Leaders that follow each other in a running cluster, pass by pass: whose LEO counts for whom.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { PartitionInfo } from '../../src/types.ts';
import { type Brokers, withBrokers } from './broker-fixtures.ts';

const FIRST = 3;

function infoOf(brokers: Brokers, partition: number, change: Partial<PartitionInfo>): PartitionInfo {
  return { ...brokers.replica(1, partition).info, ...change };
}

function hwmOf(brokers: Brokers, broker: number, partition: number): number {
  return brokers.get(broker).table.loadHwm(partition);
}

test('a leader that does not know of its successor commits nothing any more, and drops what it took since', () =>
  withBrokers({ count: 3 }, async (brokers) => {
    const partition = brokers.addPartition();
    brokers.append(partition, 5);
    await brokers.settle();
    assert.is(hwmOf(brokers, 1, partition), 5);
    const answers = brokers.attach(1, 7);
    const next = infoOf(brokers, partition, { leader: 2, epoch: FIRST + 1, isr: [2, 3] });
    await brokers.get(2).reform([next]);
    assert.is(hwmOf(brokers, 2, partition), 5);
    // The third one still follows the first, and takes what it takes.
    brokers.appendStaged(partition, 1, 100, undefined, { client: 7, correlation: 1 });
    await brokers.settle();
    assert.is(brokers.replica(3, partition).log.leo, 6);
    assert.is(hwmOf(brokers, 1, partition), 5);
    assert.equal(answers, []);
    await brokers.get(1).reform([next]);
    await brokers.get(3).reform([next]);
    await brokers.settle();
    assert.equal(answers, [{ correlation: 1, error: 'NOT_LEADER_OR_FOLLOWER', baseOffset: 5 }]);
    for (const id of [1, 2, 3]) assert.is(brokers.replica(id, partition).log.leo, 5);
    assert.ok(brokers.isEqual(partition, 2, 1) && brokers.isEqual(partition, 2, 3));
    assert.is(brokers.replica(2, partition).log.lastEpoch, FIRST + 1);
  }));

test('a new leader counts a follower once its log was held against the own one, however long it is', () =>
  withBrokers({ count: 3 }, async (brokers) => {
    const partition = brokers.addPartition();
    // The third one gets what the second one has not got.
    brokers.append(partition, 4);
    brokers.get(3).pass();
    const next = infoOf(brokers, partition, { leader: 2, epoch: FIRST + 1, isr: [2, 3] });
    await brokers.get(2).reform([next]);
    assert.is(brokers.get(3).table.loadLeo(partition), 4);
    assert.is(brokers.get(3).table.loadLeoIn(FIRST, partition), 4);
    assert.is(brokers.get(3).table.loadLeoIn(FIRST + 1, partition), -1);
    brokers.get(2).pass();
    assert.is(hwmOf(brokers, 2, partition), 0);
    assert.is(brokers.get(2).admit(partition, FIRST + 1, 3), false);
    assert.is(brokers.get(2).admit(partition, FIRST, 3), false);
    await brokers.get(3).reform([next]);
    await brokers.get(1).reform([next]);
    assert.is(brokers.get(3).table.loadLeoIn(FIRST, partition), -1);
    await brokers.settle();
    for (const id of [1, 2, 3]) assert.is(brokers.replica(id, partition).log.leo, 0);
    assert.is(brokers.get(2).admit(partition, FIRST + 1, 1), true);
  }));

test('one that leads again two reigns later takes nothing of its own old frames, and all are equal', () =>
  withBrokers({ count: 3 }, async (brokers) => {
    const partition = brokers.addPartition();
    for (let epoch = FIRST; epoch < FIRST + 6; epoch++) {
      const leader = 1 + ((epoch - FIRST) % 2);
      const info = infoOf(brokers, partition, { leader, epoch, isr: [1, 2, 3] });
      await brokers.get(leader).reform([info]);
      for (const id of [1, 2, 3]) if (id !== leader) await brokers.get(id).reform([info]);
      if (leader === 1) brokers.append(partition, 3);
      await brokers.settle();
    }
    assert.is(hwmOf(brokers, 2, partition), 9);
    assert.ok(brokers.isEqual(partition, 1, 2) && brokers.isEqual(partition, 1, 3));
  }));

test('a replica that has left takes nothing more, so that its last epoch still says up to where it was held', () =>
  withBrokers({ count: 3 }, async (brokers) => {
    const partition = brokers.addPartition();
    brokers.append(partition, 5);
    await brokers.settle();
    const next = infoOf(brokers, partition, { epoch: FIRST + 1, isr: [1, 2], replicas: [1, 2] });
    for (const id of [1, 2, 3]) await brokers.get(id).reform([next]);
    brokers.append(partition, 2);
    await brokers.settle();
    assert.is(brokers.replica(2, partition).log.leo, 7);
    const { log } = brokers.replica(3, partition);
    assert.equal([log.leo, log.lastEpoch], [5, FIRST]);
    // It comes back before its files had gone.
    const back = { ...next, replicas: [1, 2, 3] };
    for (const id of [1, 2, 3]) await brokers.get(id).reform([back]);
    await brokers.settle();
    assert.is(log.leo, 7);
    assert.ok(brokers.isEqual(partition, 1, 3));
  }));

test('a follower keeps what its leader lets it know with each batch, so that it leads from there without asking', () =>
  withBrokers({ count: 3 }, async (brokers) => {
    const partition = brokers.addPartition();
    brokers.append(partition, 4);
    await brokers.settle();
    assert.is(hwmOf(brokers, 1, partition), 4);
    brokers.append(partition, 2);
    brokers.get(2).pass();
    assert.is(brokers.replica(2, partition).hwm, 4);
    // Cut off, the old leader tells nothing any more.
    brokers.sides.put([1], 1);
    const next = infoOf(brokers, partition, { leader: 2, epoch: FIRST + 1, isr: [2] });
    await brokers.get(2).reform([{ ...next, eligible: [3] }]);
    assert.is(hwmOf(brokers, 2, partition), 4);
  }));

test('what a leader says of another reign is not what is committed in this one', () =>
  withBrokers({}, async (brokers) => {
    const partition = brokers.addPartition();
    brokers.append(partition, 4);
    await brokers.settle();
    brokers.append(partition, 2);
    // The leader has gone through another reign, of which the follower has not heard.
    const { table } = brokers.get(1);
    table.storeReign(partition, FIRST + 2);
    table.storeHwm(partition, 6);
    brokers.get(2).pass();
    brokers.get(2).refreshHwm(brokers.replica(2, partition));
    assert.is(brokers.replica(2, partition).log.leo, 6);
    assert.is(brokers.replica(2, partition).hwm, 0);
  }));

test('whoever is out of the ISR says once more that it has caught up', () =>
  withBrokers({ count: 2 }, async (brokers) => {
    const partition = brokers.addPartition();
    brokers.append(partition);
    await brokers.settle();
    const info = infoOf(brokers, partition, { isr: [1] });
    await brokers.get(1).reform([info]);
    await brokers.get(2).reform([info]);
    await brokers.settle();
    assert.equal(brokers.notices, [{ notice: 'caught-up', partition }]);
  }));

test.run();
