// A broker whose disk fails: it tells whoever waits, once, and goes on running without its partitions.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { admitBatch } from '../../src/api/00-produce.ts';
import { admitRead } from '../../src/api/01-fetch.ts';
import { BATCH_HEADER_BYTES } from '../../src/log/record-batch.ts';
import { diskFull } from '../log/staged-log.ts';
import { type Brokers, withBrokers } from './broker-fixtures.ts';

const CLIENT = 1;

function produce(brokers: Brokers, partition: number, correlation: number, waitsFor?: 'stable'): void {
  brokers.appendStaged(partition, 1, 100, undefined, { client: CLIENT, correlation, waitsFor });
}

function refusalOf(brokers: Brokers, brokerId: number, partition: number): string[] {
  const replica = brokers.replica(brokerId, partition);
  const batch = new Uint8Array(BATCH_HEADER_BYTES);
  return [admitBatch(replica, 3, -1, batch, 0, batch.length, () => 0), admitRead(replica, 3, 0, true)];
}

test('a write that fails answers every waiter once, tells the main thread once, and ends nothing else', () =>
  withBrokers({ durability: 'os' }, async (brokers) => {
    const partition = brokers.addPartition();
    const other = brokers.addPartition();
    const log = brokers.stageLog(1, partition);
    const answers = brokers.attach(1, CLIENT);
    produce(brokers, other, 1);
    brokers.get(1).pass();
    produce(brokers, partition, 2);
    produce(brokers, partition, 3, 'stable');
    let reads = 0;
    brokers.replica(1, other).reads.add({
      offset: 9,
      answer: (error) => {
        assert.is(error, 'KAFKA_STORAGE_ERROR');
        reads++;
      },
    });
    log.failure = diskFull();
    brokers.get(1).pass();
    assert.equal(
      answers.map(({ correlation, error }) => [correlation, error]).sort(),
      [1, 2, 3].map((correlation) => [correlation, 'KAFKA_STORAGE_ERROR']),
    );
    assert.is(reads, 1);
    assert.is(brokers.notices.length, 1);
    const [notice] = brokers.notices;
    assert.is(notice.notice, 'disk-failed');
    assert.match((notice as { message: string }).message, /Broker 1 .*00000000000000000000\.log: ENOSPC/);
    await brokers.settle();
    brokers.get(1).diskFailed(diskFull());
    assert.is(answers.length, 3);
    assert.is(brokers.notices.length, 1);
    assert.is(brokers.get(1).table.loadHwm(partition), 0, 'nothing is committed without the leader');
    assert.is(brokers.get(1).table.loadHwm(other), 0);
    for (const each of [partition, other])
      assert.equal(refusalOf(brokers, 1, each), ['KAFKA_STORAGE_ERROR', 'KAFKA_STORAGE_ERROR']);
  }));

test('an append that fails at once tells its own producer too', () =>
  withBrokers({ durability: 'os' }, (brokers) => {
    const partition = brokers.addPartition();
    const log = brokers.stageLog(1, partition);
    const answers = brokers.attach(1, CLIENT);
    log.append = () => {
      throw diskFull();
    };
    produce(brokers, partition, 5);
    brokers.get(1).pass();
    assert.equal(answers, [{ correlation: 5, error: 'KAFKA_STORAGE_ERROR', baseOffset: 0 }]);
  }));

test('fsync: a sync that fails is not tried again, and what it was to cover is never acknowledged', () =>
  withBrokers({ durability: 'fsync', count: 1 }, async (brokers) => {
    const partition = brokers.addPartition();
    const log = brokers.stageLog(1, partition);
    const answers = brokers.attach(1, CLIENT);
    produce(brokers, partition, 1);
    brokers.get(1).pass();
    produce(brokers, partition, 2, 'stable');
    brokers.get(1).pass();
    log.syncs.shift()?.fail();
    await brokers.settle();
    assert.equal(
      answers.map(({ correlation, error }) => [correlation, error]),
      [
        [1, 'KAFKA_STORAGE_ERROR'],
        [2, 'KAFKA_STORAGE_ERROR'],
      ],
    );
    assert.is(brokers.get(1).table.loadLeo(partition), 0);
    assert.is(log.syncs.length, 0);
    assert.is(brokers.get(1).isSyncing, false);
    assert.is(brokers.notices.length, 1);
  }));

test('a follower whose disk fails takes nothing more, reads on in the ring, and holds nobody up', () =>
  withBrokers({ durability: 'os', count: 3 }, async (brokers) => {
    const partition = brokers.addPartition();
    const log = brokers.stageLog(2, partition);
    brokers.appendStaged(partition);
    await brokers.settle();
    log.failure = diskFull();
    brokers.appendStaged(partition);
    brokers.get(2).pass();
    assert.is(brokers.get(2).table.loadLeo(partition), 1);
    assert.is(brokers.notices.length, 1);
    brokers.appendStaged(partition);
    await brokers.settle();
    assert.equal([log.written, log.leo], [1, 2]);
    assert.is(brokers.get(2).hasWork(), false);
    assert.is(
      brokers.get(1).table.loadHwm(partition),
      1,
      'it is in the ISR until the coordinator says otherwise',
    );
    const info = { ...brokers.replica(1, partition).info, isr: [1, 3] };
    brokers.get(1).reform([info]);
    brokers.get(1).pass();
    assert.is(brokers.get(1).table.loadHwm(partition), 3);
  }));

test('after the failure nothing is written to the logs beside the one that failed', () =>
  withBrokers({ durability: 'os' }, (brokers) => {
    const partitions = [brokers.addPartition(), brokers.addPartition()];
    const logs = partitions.map((partition) => brokers.stageLog(1, partition));
    for (const partition of partitions) brokers.appendStaged(partition);
    logs[0].failure = diskFull();
    brokers.get(1).pass();
    assert.is(logs[1].writes, 0);
    assert.is(brokers.get(1).table.loadLeo(partitions[1]), 0);
  }));

test('a failure in the midst of a commit ends it: no other HWM moves any more', () =>
  withBrokers({ durability: 'os' }, (brokers) => {
    const partitions = [brokers.addPartition(), brokers.addPartition()];
    for (const partition of partitions) brokers.appendStaged(partition);
    brokers.get(2).pass();
    let answered = 0;
    brokers.replica(1, partitions[0]).reads.add({
      offset: 0,
      answer: () => {
        if (answered++ === 0) brokers.get(1).diskFailed(diskFull());
      },
    });
    brokers.get(1).pass();
    assert.equal(
      partitions.map((partition) => brokers.get(1).table.loadHwm(partition)),
      [1, 0],
    );
  }));

test('what is not the fault of a disk is not swallowed', () =>
  withBrokers({ durability: 'os' }, (brokers) => {
    const partition = brokers.addPartition();
    const log = brokers.stageLog(1, partition);
    brokers.appendStaged(partition);
    log.failure = new Error('a mistake');
    assert.throws(() => brokers.get(1).pass(), /a mistake/);
    assert.equal(brokers.notices, []);
  }));

test('partitions that come after the failure are offline from the start', () =>
  withBrokers({ durability: 'os' }, (brokers) => {
    brokers.get(1).diskFailed(diskFull());
    const partition = brokers.addPartition();
    assert.is(brokers.replica(1, partition).state, 'offline');
    assert.is(brokers.replica(2, partition).state, 'online');
  }));

test.run();
