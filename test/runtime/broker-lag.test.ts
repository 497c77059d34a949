// Followers that do not keep up, and requests that wait too long, in a time that the test lets pass.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { LOOK_EVERY_MS } from '../../src/limits.ts';
import type { PartitionInfo } from '../../src/types.ts';
import { type Brokers, type BrokersOptions, withBrokers } from './broker-fixtures.ts';
import { PlayedClock } from './surroundings-fixtures.ts';

const LIMIT_MS = 2_000;
const config = { 'replica.lag.time.max.ms': LIMIT_MS };

function withTime(
  options: BrokersOptions,
  run: (brokers: Brokers, clock: PlayedClock) => Promise<void> | void,
): Promise<void> {
  const clock = new PlayedClock();
  return withBrokers({ count: 3, ...options, clock }, (brokers) => run(brokers, clock));
}

function tell(brokers: Brokers, partition: number, change: Partial<PartitionInfo>, ...to: number[]): void {
  const info = { ...brokers.replica(1, partition).info, ...change };
  for (const id of to) void brokers.get(id).reform([info]);
}

function hwmOf(brokers: Brokers, partition: number): number {
  return brokers.get(1).table.loadHwm(partition);
}

test('a follower that does not take what its leader has is named, and the HWM waits until the ISR without it is announced', () =>
  withTime({}, (brokers, clock) => {
    const partition = brokers.addPartition(config);
    brokers.append(partition, 3);
    brokers.get(2).pass();
    clock.pass(LIMIT_MS + LOOK_EVERY_MS);
    assert.equal(brokers.notices, []);
    clock.pass(LOOK_EVERY_MS);
    assert.equal(brokers.notices, [{ notice: 'lagging', partition, epoch: 3, followers: [3] }]);
    // That it was named changes nothing yet: another controller's word counts, and not the leader's.
    brokers.get(1).pass();
    assert.is(hwmOf(brokers, partition), 0);
    tell(brokers, partition, { isr: [1, 2] }, 1);
    brokers.get(1).pass();
    assert.is(hwmOf(brokers, partition), 3);
    assert.is(brokers.counters(1).isrShrinks, 1);
  }));

test('nobody is named where nothing is uncommitted, however long nothing happens', () =>
  withTime({}, async (brokers, clock) => {
    const partition = brokers.addPartition(config);
    brokers.append(partition);
    await brokers.settle();
    assert.is(hwmOf(brokers, partition), 1);
    clock.pass(100 * LIMIT_MS);
    assert.equal(brokers.notices, []);
  }));

test('a follower that comes after its leader all the time is not named, though it never has everything', () =>
  withTime({}, (brokers, clock) => {
    const partition = brokers.addPartition(config);
    for (let n = 0; n < 50; n++) {
      brokers.append(partition);
      brokers.get(2).pass();
      brokers.get(3).pass();
      brokers.append(partition);
      brokers.get(1).pass();
      clock.pass(LOOK_EVERY_MS);
    }
    assert.equal(brokers.notices, []);
    assert.is(hwmOf(brokers, partition), 99);
  }));

test('metrics tell how far each follower is behind, in time and in records', () =>
  withTime({}, async (brokers, clock) => {
    const partition = brokers.addPartition(config);
    brokers.append(partition, 7);
    brokers.get(2).pass();
    clock.pass(6 * LOOK_EVERY_MS);
    const lags = () => brokers.get(1).metrics.read(1).followers;
    assert.equal(lags(), [
      { follower: 2, behindMs: 0, records: 0 },
      { follower: 3, behindMs: 5 * LOOK_EVERY_MS, records: 7 },
    ]);
    assert.equal(brokers.get(2).metrics.read(2).followers, []);
    await brokers.settle();
    clock.pass(LOOK_EVERY_MS);
    assert.equal(lags().at(-1), { follower: 3, behindMs: 0, records: 0 });
  }));

test('a batch that is not committed in time is answered so, once, and stays in the log to be committed later', () =>
  withTime({}, async (brokers, clock) => {
    const partition = brokers.addPartition(config);
    const answers = brokers.attach(1, 7);
    brokers.appendStaged(partition, 2, 100, undefined, { client: 7, correlation: 1, timeoutMs: 500 });
    brokers.appendStaged(partition, 1, 100, undefined, { client: 7, correlation: 2, timeoutMs: 5_000 });
    brokers.get(1).pass();
    clock.pass(400);
    assert.equal(answers, []);
    clock.pass(LOOK_EVERY_MS);
    assert.equal(answers, [{ correlation: 1, error: 'REQUEST_TIMED_OUT', baseOffset: 0 }]);
    assert.is(brokers.counters(1).requestsTimedOut, 1);
    assert.is(brokers.replica(1, partition).log.leo, 3);
    await brokers.settle();
    assert.is(hwmOf(brokers, partition), 3);
    assert.equal(answers.slice(1), [{ correlation: 2, error: 'NONE', baseOffset: 2 }]);
    clock.pass(10_000);
    assert.is(answers.length, 2);
    assert.ok(brokers.isEqual(partition, 1, 2) && brokers.isEqual(partition, 1, 3));
  }));

test('a leader that is let wait for a follower in vain names it too, and waits no more once it hears who is in sync', () =>
  withTime({}, async (brokers, clock) => {
    const partition = brokers.addPartition(config);
    tell(brokers, partition, { isr: [1, 2] }, 1, 2, 3);
    await brokers.settle();
    assert.is(brokers.get(1).admit(partition, 3, 3), true);
    brokers.append(partition);
    brokers.get(2).pass();
    brokers.get(1).pass();
    assert.is(hwmOf(brokers, partition), 0);
    brokers.notices.length = 0;
    clock.pass(LIMIT_MS + 2 * LOOK_EVERY_MS);
    assert.equal(brokers.notices, [{ notice: 'lagging', partition, epoch: 3, followers: [3] }]);
    tell(brokers, partition, {}, 1);
    brokers.get(1).pass();
    assert.is(hwmOf(brokers, partition), 1);
  }));

test('who is out of the ISR does not make a leader wait that is far ahead of it', () =>
  withTime({ ringCapacity: 1 << 23 }, async (brokers) => {
    const partition = brokers.addPartition(config);
    tell(brokers, partition, { isr: [1, 2] }, 2, 3);
    for (let n = 0; n < 45; n++) {
      brokers.append(partition, 1, 60_000);
      brokers.get(2).pass();
    }
    brokers.get(3).pass();
    for (let n = 0; n < 45; n++) {
      brokers.append(partition, 1, 60_000);
      brokers.get(2).pass();
    }
    brokers.get(1).pass();
    assert.is(brokers.get(1).isThrottled, true);
    tell(brokers, partition, { isr: [1, 2] }, 1);
    assert.is(brokers.get(1).isThrottled, false);
    await brokers.settle();
    assert.is(brokers.get(1).admit(partition, 3, 3), true);
    assert.is(brokers.replica(3, partition).log.leo, 90);
  }));

test.run();
