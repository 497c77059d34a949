import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  admitFollower,
  answerWish,
  beginReign,
  commonEnd,
  hwmAtStart,
  type LogWish,
} from '../../src/core/partition-leader.ts';
import { newTestLog } from '../log/log-fixtures.ts';
import { append, replicaOf } from './partition-fixtures.ts';

const EPOCH = 5;

function wish(change: Partial<LogWish> = {}): LogWish {
  return { id: 4, epoch: EPOCH, leo: 0, lastEpoch: undefined, ...change };
}

test('a follower gets batches from its LEO on, up to the end of the log, where it has everything', () => {
  const { replica } = replicaOf({ epoch: EPOCH, records: 3 });
  for (const leo of [0, 1, 3])
    assert.equal(answerWish(replica, wish({ leo })), { error: 'NONE', logStart: 0, logEnd: 3 });
});

test('who speaks of a past reign is fenced, who speaks of a coming one waits until it has come', () => {
  const { replica } = replicaOf({ epoch: EPOCH, records: 3 });
  assert.is(answerWish(replica, wish({ epoch: EPOCH - 1 })).error, 'FENCED_LEADER_EPOCH');
  assert.is(answerWish(replica, wish({ epoch: EPOCH + 1 })).error, 'UNKNOWN_LEADER_EPOCH');
});

test('a replica that does not lead serves no follower, and neither does one without its disk', () => {
  assert.is(answerWish(undefined, wish()).error, 'NOT_LEADER_OR_FOLLOWER');
  assert.is(
    answerWish(replicaOf({ epoch: EPOCH, brokerId: 2 }).replica, wish()).error,
    'NOT_LEADER_OR_FOLLOWER',
  );
  const { replica } = replicaOf({ epoch: EPOCH, records: 3 });
  replica.becomeOffline();
  assert.is(answerWish(replica, wish()).error, 'KAFKA_STORAGE_ERROR');
});

test('below the log start and above the log end there is nothing to be had', () => {
  const { replica, log } = replicaOf({ epoch: EPOCH });
  log.restartAt(10);
  append(log, EPOCH, 2);
  const outside = { error: 'OFFSET_OUT_OF_RANGE', logStart: 10, logEnd: 12 };
  assert.equal(answerWish(replica, wish({ leo: 9 })), outside);
  assert.equal(answerWish(replica, wish({ leo: 13 })), outside);
  assert.is(answerWish(replica, wish({ leo: 10 })).error, 'NONE');
});

test('LESSONS 10: a log that has more of an epoch than its leader hears where that ended, whatever the HWM is', () => {
  const { replica, log } = replicaOf({ epoch: EPOCH });
  append(log, 1, 4);
  append(log, 3, 2);
  const first = answerWish(replica, wish({ leo: 9, lastEpoch: 1 }));
  assert.is(first.error, 'DIVERGED');
  assert.equal(first.epochEnd, { epoch: 1, endOffset: 4 });
  // An epoch that the leader has never seen: what it has instead is the one before.
  const unknown = answerWish(replica, wish({ leo: 5, lastEpoch: 2 }));
  assert.is(unknown.error, 'DIVERGED');
  assert.equal(unknown.epochEnd, { epoch: 1, endOffset: 4 });
  assert.is(answerWish(replica, wish({ leo: 4, lastEpoch: 1 })).error, 'NONE');
  assert.is(answerWish(replica, wish({ leo: 5, lastEpoch: 3 })).error, 'NONE');
  // One that never had a leader holds nothing that could differ.
  assert.is(answerWish(replica, wish({ leo: 0, lastEpoch: -1 })).error, 'NONE');
});

test('LESSONS 11: a reign has its epoch in the log though nothing is appended, and a follower that goes by it is served', () => {
  const { replica, log } = replicaOf({ epoch: EPOCH });
  append(log, 1, 4);
  beginReign(replica, 4);
  assert.is(log.lastEpoch, EPOCH);
  assert.equal(log.endOfEpoch(EPOCH), { epoch: EPOCH, endOffset: 4 });
  assert.is(log.committed, 4);
  assert.is(answerWish(replica, wish({ leo: 4, lastEpoch: 1 })).error, 'NONE');
  assert.is(answerWish(replica, wish({ leo: 4, lastEpoch: EPOCH })).error, 'NONE');
  assert.is(answerWish(replica, wish({ leo: 6, lastEpoch: 1 })).error, 'DIVERGED');
});

test('a proposed member is waited for before it is in the ISR, until what is decided is announced', () => {
  const { replica } = replicaOf({ epoch: EPOCH, records: 3, isr: [1, 2] });
  const leos: Record<number, number> = { 2: 3, 3: 1 };
  const leoOf = (broker: number): number => leos[broker];
  assert.is(replica.committable(leoOf), 3);
  replica.hwm = 1;
  assert.is(admitFollower(replica, EPOCH, 3, 1), true);
  assert.is(replica.committable(leoOf), 1);
  assert.equal(replica.info.isr, [1, 2]);
  leos[3] = 2;
  assert.is(replica.committable(leoOf), 2);
  replica.become(replica.info);
  assert.is(replica.committable(leoOf), 3);
});

test('a proposed member does not make an ISR large enough: that has to be written down first', () => {
  const { replica } = replicaOf({ epoch: EPOCH, isr: [1], config: { 'min.insync.replicas': 2 } });
  assert.is(admitFollower(replica, EPOCH, 2, 0), true);
  assert.is(replica.hasEnoughInSync, false);
  replica.become({ ...replica.info, isr: [1, 2] });
  assert.is(replica.hasEnoughInSync, true);
});

test('nobody is admitted below the HWM, without an LEO of this reign, by another reign, or by one who does not lead', () => {
  const { replica } = replicaOf({ epoch: EPOCH, records: 3, isr: [1] });
  replica.hwm = 3;
  for (const leo of [-1, 0, 2]) assert.is(admitFollower(replica, EPOCH, 2, leo), false);
  assert.is(admitFollower(replica, EPOCH - 1, 2, 3), false);
  assert.is(admitFollower(replica, EPOCH + 1, 2, 3), false);
  assert.is(replica.isAwaited(2), false);
  const follower = replicaOf({ epoch: EPOCH, brokerId: 2 }).replica;
  assert.is(admitFollower(follower, EPOCH, 3, 3), false);
  replica.becomeOffline();
  assert.is(admitFollower(replica, EPOCH, 2, 3), false);
});

test('nobody is admitted who is no replica any more: nobody would tell the leader to wait for it no more', () => {
  const { replica } = replicaOf({ epoch: EPOCH, records: 3, isr: [1, 2] });
  replica.become({ ...replica.info, replicas: [1, 2] });
  assert.is(admitFollower(replica, EPOCH, 3, 3), false);
  assert.is(replica.isAwaited(3), false);
});

test('nobody is admitted who lacks what the leader had when its reign began, however little it knows to be committed', () => {
  const { replica, log } = replicaOf({ epoch: EPOCH, isr: [1] });
  append(log, 1, 4);
  beginReign(replica, 1);
  append(log, EPOCH, 2);
  for (const leo of [1, 3]) assert.is(admitFollower(replica, EPOCH, 2, leo), false);
  assert.is(replica.isAwaited(2), false);
  assert.is(admitFollower(replica, EPOCH, 2, 4), true);
});

test('under a bound on messages a follower comes back within half of it', () => {
  const config = { 'replica.lag.max.messages': 4 };
  const { replica } = replicaOf({ epoch: EPOCH, records: 10, isr: [1], config });
  assert.is(admitFollower(replica, EPOCH, 2, 7), false);
  assert.is(admitFollower(replica, EPOCH, 2, 8), true);
});

test('a start commits what the whole ISR has, and never less than what was written down', () => {
  const { replica, log } = replicaOf({ epoch: EPOCH });
  append(log, 4, 6);
  assert.is(
    hwmAtStart(replica, [
      { leo: 6, lastEpoch: 4 },
      { leo: 5, lastEpoch: 4 },
    ]),
    5,
  );
  assert.is(hwmAtStart(replica, [{ leo: 9, lastEpoch: 3 }]), 0);
  replica.hwm = 2;
  assert.is(hwmAtStart(replica, [{ leo: 1, lastEpoch: 4 }]), 2);
  const few = replicaOf({ epoch: EPOCH, isr: [1], config: { 'min.insync.replicas': 2 }, records: 3 }).replica;
  assert.is(hwmAtStart(few, []), 0);
});

test('two logs agree as far as both went in an epoch that both know', () => {
  const log = { endOfEpoch: (epoch: number) => ({ epoch: Math.min(epoch, 4), endOffset: 50 }) };
  assert.is(commonEnd(log, { leo: 60, lastEpoch: 4 }), 50);
  assert.is(commonEnd(log, { leo: 40, lastEpoch: 3 }), 40);
  assert.is(commonEnd(log, { leo: 40, lastEpoch: 5 }), 0);
  assert.equal(newTestLog().endOfEpoch(3).epoch, -1);
});

test.run();
