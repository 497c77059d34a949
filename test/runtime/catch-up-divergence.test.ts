// Logs that went different ways under different leaders: a follower drops, by epoch, what its new leader does not have.
import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Replica } from '../../src/core/replica.ts';
import { nextOffset, readBaseOffset, writeBaseOffset, writeLeaderEpoch } from '../../src/log/record-batch.ts';
import type { PartitionInfo, PartitionLog } from '../../src/types.ts';
import { encodeBatch } from '../log/record-batch-fixtures.ts';
import { type Brokers, withBrokers } from './broker-fixtures.ts';

let written = 0;

/** A batch of two records that no other log has; `sequence` is that of an idempotent producer. */
function append(log: PartitionLog, epoch: number, sequence?: number): void {
  const value = new TextEncoder().encode(`${written++}`.padEnd(20));
  const producer = [9, 0, sequence ?? 0] as const;
  const batch = encodeBatch([{ value }, { value }], sequence === undefined ? {} : { producer });
  writeBaseOffset(batch, 0, log.leo);
  writeLeaderEpoch(batch, 0, epoch);
  log.append(batch, 0, batch.length);
  log.flush();
}

/** Takes the batch that follows this log's end from another one, as a follower does. */
function copyNext(from: PartitionLog, to: PartitionLog): void {
  const extent = from.read(to.leo, 1, from.leo);
  if (extent === undefined || readBaseOffset(extent.bytes, extent.from) !== to.leo) return;
  const batch = Uint8Array.prototype.slice.call(extent.bytes, extent.from, extent.to);
  to.append(batch, 0, batch.length);
  to.flush();
}

/** Where two logs part, found by looking at every batch. */
function partingOf(one: PartitionLog, other: PartitionLog): number {
  let offset = 0;
  while (offset < Math.min(one.leo, other.leo)) {
    const [mine, theirs] = [one, other].map((log) => {
      const { bytes, from, to } = log.read(offset, 1, log.leo) as NonNullable<
        ReturnType<PartitionLog['read']>
      >;
      return Buffer.from(Uint8Array.prototype.slice.call(bytes, from, to));
    });
    if (!mine.equals(theirs)) return offset;
    offset = nextOffset(mine, 0);
  }
  return offset;
}

/** What a log holds when it is opened counts as durable. */
function opened(brokers: Brokers, partition: number): Replica[] {
  const replicas = [1, 2].map((id) => brokers.replica(id, partition));
  for (const replica of replicas) {
    replica.restart();
    replica.settleTo(replica.log.written);
  }
  return replicas;
}

/** As a start does it: the first broker leads, and is told how far the second one is. */
async function reopen(brokers: Brokers, partition: number, epoch: number): Promise<void> {
  const [leader, follower] = opened(brokers, partition);
  const info: PartitionInfo = { ...leader.info, leader: 1, epoch };
  const { leo, lastEpoch } = follower.log;
  const parting = partingOf(leader.log, follower.log);
  brokers.get(1).lead([{ info, followers: [{ leo, lastEpoch }] }]);
  assert.ok(leader.hwm <= parting, `the HWM ${leader.hwm} is above ${parting}, where the logs part`);
  await brokers.get(2).reform([info]);
  await brokers.settle();
  assert.ok(brokers.isEqual(partition));
  assert.is(follower.log.leo, leader.log.leo);
  assert.is(follower.source, 'ring');
  assert.is(brokers.get(1).table.loadHwm(partition), leader.log.leo);
}

function logsOf(brokers: Brokers): { partition: number; logs: PartitionLog[] } {
  const first = { leader: -1, epoch: 0 };
  const partition = brokers.addPartition({}, { 1: first, 2: first });
  return { partition, logs: [1, 2].map((id) => brokers.replica(id, partition).log) };
}

test('a follower drops what an old leader wrote and nobody else had', () =>
  withBrokers({}, async (brokers) => {
    const { partition, logs } = logsOf(brokers);
    const [leader, follower] = logs;
    for (let n = 0; n < 5; n++) append(leader, 1);
    for (let n = 0; n < 5; n++) copyNext(leader, follower);
    for (let n = 0; n < 4; n++) append(follower, 2);
    for (let n = 0; n < 2; n++) append(leader, 3);
    await reopen(brokers, partition, 4);
    assert.is(leader.leo, 14);
    brokers.append(partition, 3);
    await brokers.settle();
    assert.is(follower.leo, 17);
    assert.ok(brokers.isEqual(partition));
  }));

test('a log that is longer, but of an older epoch, is cut', () =>
  withBrokers({}, async (brokers) => {
    const { partition, logs } = logsOf(brokers);
    const [leader, follower] = logs;
    for (let n = 0; n < 3; n++) append(leader, 1);
    for (let n = 0; n < 2; n++) copyNext(leader, follower);
    for (let n = 0; n < 30; n++) append(follower, 2);
    await reopen(brokers, partition, 5);
    assert.is(follower.leo, 6);
  }));

test('an epoch of which nothing was written keeps nobody busy', () =>
  withBrokers({}, async (brokers) => {
    const { partition, logs } = logsOf(brokers);
    const [leader, follower] = logs;
    for (let n = 0; n < 3; n++) append(leader, 1);
    for (let n = 0; n < 3; n++) copyNext(leader, follower);
    follower.beginEpoch(7);
    const before = brokers.counters(2).catchUps;
    await reopen(brokers, partition, 8);
    assert.ok(brokers.counters(2).catchUps - before <= 3);
  }));

test('an empty log that begins elsewhere begins anew with its leader, and knows what that knew there of producers', () =>
  withBrokers({}, async (brokers) => {
    const { partition, logs } = logsOf(brokers);
    const [leader, follower] = logs;
    for (let n = 0; n < 5; n++) append(leader, 1, 2 * n);
    leader.committed = 10;
    leader.deleteBefore(4);
    follower.restartAt(7);
    const [replica] = opened(brokers, partition);
    const info: PartitionInfo = { ...replica.info, leader: 1, epoch: 2 };
    brokers.get(1).lead([{ info, followers: [{ leo: 7, lastEpoch: -1 }] }]);
    await brokers.get(2).reform([info]);
    await brokers.settle();
    assert.equal([follower.logStart, follower.leo], [4, 10]);
    assert.ok(brokers.isEqual(partition));
    assert.ok(leader.producers.at(4).length > 100);
    assert.equal(Buffer.from(follower.producers.at(4)), Buffer.from(leader.producers.at(4)));
  }));

test('nothing of a follower counts before it was held against its leader', () =>
  withBrokers({}, async (brokers) => {
    const { partition, logs } = logsOf(brokers);
    const [leader, follower] = logs;
    append(leader, 1);
    for (let n = 0; n < 5; n++) append(follower, 2);
    for (let n = 0; n < 5; n++) append(leader, 3);
    const [replica] = opened(brokers, partition);
    const info: PartitionInfo = { ...replica.info, leader: 1, epoch: 4 };
    brokers.get(1).lead([{ info, followers: [{ leo: follower.leo, lastEpoch: follower.lastEpoch }] }]);
    const reformed = brokers.get(2).reform([info]);
    brokers.get(1).pass();
    assert.is(brokers.get(2).table.loadLeo(partition), 0);
    assert.is(brokers.get(1).table.loadHwm(partition), 0);
    await reformed;
    await brokers.settle();
    assert.is(brokers.get(1).table.loadHwm(partition), 12);
    assert.ok(brokers.isEqual(partition));
  }));

test('whatever leaders came and went, the logs agree in the end', async () => {
  const reign = fc.record({
    leader: fc.nat(1),
    batches: fc.nat(4),
    copied: fc.nat(6),
    reaches: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(reign, { maxLength: 8 }), (reigns) =>
      withBrokers({}, async (brokers) => {
        const { partition, logs } = logsOf(brokers);
        for (const [index, { leader, batches, copied, reaches }] of reigns.entries()) {
          const [own, other] = leader === 0 ? logs : [logs[1], logs[0]];
          own.beginEpoch(index + 1);
          for (let n = 0; n < batches; n++) append(own, index + 1);
          // The other one may have been away all the time.
          if (!reaches) continue;
          other.truncateTo(partingOf(own, other));
          for (let n = 0; n < copied; n++) copyNext(own, other);
        }
        await reopen(brokers, partition, reigns.length + 1);
      }),
    ),
    { numRuns: 150 },
  );
});

test.run();
