// Reads that wait at a follower, pass by pass: its leader commits later than it has sent.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ErrorCode } from '../../src/errors.ts';
import { type Brokers, withBrokers } from './broker-fixtures.ts';

/** What a client asks the second broker for that comes from `offset` on. */
function readAt(brokers: Brokers, partition: number, offset: number): ErrorCode[] {
  const answers: ErrorCode[] = [];
  const replica = brokers.replica(2, partition);
  const read = {
    offset,
    answer: (error: ErrorCode) => {
      replica.reads.delete(read);
      answers.push(error);
    },
  };
  replica.reads.add(read);
  brokers.get(2).readWaits(replica);
  return answers;
}

/** Whether the second broker, which sleeps from now on, is woken by a pass of the first. */
async function isWoken(brokers: Brokers): Promise<boolean> {
  let isAwake = false;
  void brokers.sleep(2).then(() => {
    isAwake = true;
  });
  await turn();
  assert.is(isAwake, false, 'it has work before');
  brokers.get(1).pass();
  await turn();
  return isAwake;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}

/** The second broker has a record that the first has not yet committed. */
function appendUncommitted(brokers: Brokers, partition: number): void {
  brokers.append(partition);
  while (brokers.get(2).pass());
}

test('LESSONS 7: a follower with a reader is woken by the commitment, and by no timer', () =>
  withBrokers({}, async (brokers) => {
    const partition = brokers.addPartition();
    const answers = readAt(brokers, partition, 0);
    appendUncommitted(brokers, partition);
    assert.equal(answers, []);
    assert.is(await isWoken(brokers), true);
    brokers.get(2).pass();
    assert.equal(answers, ['NONE']);
    assert.is(brokers.replica(2, partition).hwm, 1);
  }));

test('a follower without readers is left asleep', () =>
  withBrokers({}, async (brokers) => {
    const partition = brokers.addPartition();
    appendUncommitted(brokers, partition);
    assert.is(await isWoken(brokers), false);
  }));

test('nobody is rung for a reader that has gone', () =>
  withBrokers({}, async (brokers) => {
    const partition = brokers.addPartition();
    readAt(brokers, partition, 0);
    brokers.replica(2, partition).reads.clear();
    appendUncommitted(brokers, partition);
    assert.is(await isWoken(brokers), false);
  }));

test('a reader that comes just after the commitment finds it', () =>
  withBrokers({}, async (brokers) => {
    const partition = brokers.addPartition();
    appendUncommitted(brokers, partition);
    brokers.get(1).pass();
    const answers = readAt(brokers, partition, 0);
    assert.is(brokers.get(2).hasWork(), true);
    brokers.get(2).pass();
    assert.equal(answers, ['NONE']);
    assert.is(brokers.get(2).hasWork(), false);
  }));

test('a reader further on waits on', () =>
  withBrokers({}, async (brokers) => {
    const partition = brokers.addPartition();
    const answers = readAt(brokers, partition, 1);
    appendUncommitted(brokers, partition);
    await brokers.settle();
    assert.equal(answers, []);
    appendUncommitted(brokers, partition);
    assert.is(await isWoken(brokers), true);
    await brokers.settle();
    assert.equal(answers, ['NONE']);
  }));

test.run();
