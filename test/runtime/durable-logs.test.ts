// What counts, is answered and can be seen, and when: with logs whose disks do what the test says.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { crc32c } from '../../native-free/crc32c/index.ts';
import {
  BatchAttribute,
  CRC_FROM,
  readAttributes,
  readCrc,
  readMaxTimestamp,
} from '../../src/log/record-batch.ts';
import type { StagedLog } from '../log/staged-log.ts';
import { type Brokers, type Waiter, withBrokers } from './broker-fixtures.ts';

const CLIENT = 1;

function produce(brokers: Brokers, partition: number, waiter: Waiter): void {
  brokers.appendStaged(partition, 1, 100, undefined, { client: CLIENT, ...waiter });
}

/** Lets promises that were settled take their effect. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

async function endSync(log: StagedLog): Promise<void> {
  const sync = log.syncs.shift();
  if (sync === undefined) throw new Error('nobody syncs this log');
  sync.end();
  await turn();
}

test('acks 1 is not answered before the leader has written the batch, and needs no follower', () =>
  withBrokers({ durability: 'os' }, (brokers) => {
    const partition = brokers.addPartition();
    const log = brokers.stageLog(1, partition);
    const answers = brokers.attach(1, CLIENT);
    produce(brokers, partition, { correlation: 7, waitsFor: 'stable' });
    assert.equal(answers, []);
    assert.is(brokers.get(1).table.loadLeo(partition), 0, 'what is staged is not published as the LEO');
    assert.is(log.written, 0);
    brokers.get(1).pass();
    assert.is(log.written, 1);
    assert.is(brokers.get(1).table.loadLeo(partition), 1);
    assert.equal(answers, [{ correlation: 7, error: 'NONE', baseOffset: 0 }]);
    brokers.get(1).pass();
    assert.is(answers.length, 1, 'once');
    assert.is(brokers.get(1).table.loadHwm(partition), 0);
  }));

test('the batches of a pass are written together', () =>
  withBrokers({ durability: 'os' }, (brokers) => {
    const partition = brokers.addPartition();
    const logs = [brokers.stageLog(1, partition), brokers.stageLog(2, partition)];
    for (let n = 0; n < 20; n++) brokers.appendStaged(partition);
    brokers.get(1).pass();
    brokers.get(2).pass();
    assert.equal(
      logs.map(({ writes, written }) => [writes, written]),
      [
        [1, 20],
        [1, 20],
      ],
    );
    assert.ok(brokers.isEqual(partition));
  }));

test('the HWM waits for what the leader has not written, whatever the followers have', () =>
  withBrokers({ durability: 'os' }, (brokers) => {
    const partition = brokers.addPartition();
    brokers.stageLog(1, partition);
    const answers = brokers.attach(1, CLIENT);
    produce(brokers, partition, {});
    brokers.get(2).pass();
    assert.is(brokers.get(2).table.loadLeo(partition), 1);
    assert.is(brokers.get(1).table.loadHwm(partition), 0);
    brokers.get(1).pass();
    assert.is(brokers.get(1).table.loadHwm(partition), 1);
    assert.is(answers.length, 1);
  }));

test('own logs write from the ring before it comes round to what they have staged', () =>
  withBrokers({ durability: 'os', ringCapacity: 1 << 16 }, async (brokers) => {
    const partition = brokers.addPartition();
    brokers.stageLog(1, partition);
    for (let n = 0; n < 300; n++) brokers.appendStaged(partition, 1, 1_000 + 7 * n);
    brokers.get(1).pass();
    assert.is(brokers.replica(1, partition).log.written, 300);
    const bytes = brokers.bytes(1, partition);
    for (let at = 0, n = 0; at < bytes.length; n++) {
      const length = 12 + bytes.readInt32BE(at + 8);
      assert.is(crc32c(bytes.subarray(at + CRC_FROM, at + length)), readCrc(bytes, at), `batch ${n}`);
      at += length;
    }
    await brokers.settle();
    assert.ok(brokers.isEqual(partition));
  }));

test('fsync: neither acks 1 nor the HWM trusts what is written and not synced', () =>
  withBrokers({ durability: 'fsync' }, async (brokers) => {
    const partition = brokers.addPartition();
    const leader = brokers.stageLog(1, partition);
    const follower = brokers.stageLog(2, partition);
    const answers = brokers.attach(1, CLIENT);
    produce(brokers, partition, { correlation: 1, waitsFor: 'stable' });
    produce(brokers, partition, { correlation: 2 });
    const both = (): void => {
      brokers.get(1).pass();
      brokers.get(2).pass();
      brokers.get(1).pass();
    };
    both();
    assert.equal([leader.written, follower.written], [2, 2]);
    assert.equal(
      [1, 2].map((id) => brokers.get(id).table.loadLeo(partition)),
      [0, 0],
    );
    assert.equal(answers, []);

    await endSync(leader);
    both();
    assert.equal(answers, [{ correlation: 1, error: 'NONE', baseOffset: 0 }]);
    assert.is(brokers.get(1).table.loadLeo(partition), 2);
    assert.is(brokers.get(1).table.loadHwm(partition), 0, "the follower's disk does not have it");

    await endSync(follower);
    assert.is(brokers.get(2).table.loadLeo(partition), 2, 'without a pass');
    brokers.get(1).pass();
    assert.is(brokers.get(1).table.loadHwm(partition), 2);
    assert.equal(answers.slice(1), [{ correlation: 2, error: 'NONE', baseOffset: 1 }]);
  }));

test('fsync: a sync that ends commits and answers by itself where the followers were faster', () =>
  withBrokers({ durability: 'fsync' }, async (brokers) => {
    const partition = brokers.addPartition();
    const leader = brokers.stageLog(1, partition);
    const answers = brokers.attach(1, CLIENT);
    produce(brokers, partition, {});
    brokers.get(2).pass();
    await turn();
    assert.is(brokers.get(2).table.loadLeo(partition), 1, 'a log in memory is synced at once');
    brokers.get(1).pass();
    assert.equal(answers, []);
    await endSync(leader);
    assert.is(brokers.get(1).table.loadHwm(partition), 1);
    assert.is(answers.length, 1);
  }));

test('fsync: what is written during a sync goes with the next one, and counts with that', () =>
  withBrokers({ durability: 'fsync', count: 1 }, async (brokers) => {
    const partition = brokers.addPartition();
    const log = brokers.stageLog(1, partition);
    const answers = brokers.attach(1, CLIENT);
    produce(brokers, partition, { correlation: 1, waitsFor: 'stable' });
    brokers.get(1).pass();
    for (let n = 2; n <= 5; n++) {
      produce(brokers, partition, { correlation: n, waitsFor: 'stable' });
      brokers.get(1).pass();
    }
    assert.is(log.syncs.length, 1);
    await endSync(log);
    assert.equal(
      answers.map(({ correlation }) => correlation),
      [1],
    );
    assert.is(log.syncs.length, 1, 'one for all that came meanwhile');
    await endSync(log);
    assert.equal(
      answers.map(({ correlation }) => correlation),
      [1, 2, 3, 4, 5],
    );
    assert.is(log.syncs.length, 0);
    assert.is(brokers.get(1).isSyncing, false);
  }));

for (const flushes of ['at the end of the pass', 'in the midst of it'] as const) {
  test(`a staged group that was lapped ${flushes} leaves no trace, and is taken from the leader's log`, () =>
    withBrokers({ durability: 'os', ringCapacity: 1 << 16 }, async (brokers) => {
      const partition = brokers.addPartition();
      const other = brokers.addPartition();
      const log = brokers.stageLog(2, partition);
      brokers.appendStaged(partition, 3);
      await brokers.settle();
      assert.is(log.written, 3);
      const lap = (): void => {
        for (let n = 0; n < 200; n++) brokers.appendStaged(other, 1, 1_000);
      };
      for (let n = 0; n < 10; n++) brokers.appendStaged(partition, 3, 500);
      // As if the follower's thread had been suspended between staging and writing.
      if (flushes === 'at the end of the pass') {
        const { flush } = log;
        log.flush = () => {
          log.flush = flush;
          lap();
          return log.flush();
        };
      } else {
        const { append } = log;
        let appended = 0;
        log.append = (...batch) => {
          if (++appended === 4) {
            lap();
            log.append = append;
          }
          return append.apply(log, batch);
        };
      }
      brokers.get(2).pass();
      assert.is(log.written, 3);
      assert.is(log.leo, 3, 'nothing of the group is kept');
      assert.is(brokers.get(2).table.loadLeo(partition), 3, 'nothing of it is visible');
      assert.is(brokers.replica(2, partition).source, 'log');
      assert.is(brokers.counters(2).laps, 1);
      const counted = (): number =>
        brokers
          .get(2)
          .metrics.read(2)
          .lagFollower.reduce((sum, count) => sum + count, 0);
      await brokers.settle();
      assert.is(counted(), 1, 'the lag of what was undone is not counted, then or later');
      assert.ok(brokers.isEqual(partition));
      assert.ok(brokers.isEqual(other));
      assert.is(brokers.get(1).table.loadHwm(partition), 33);
    }));
}

test('LogAppendTime: the leader stamps the batch before anybody sees it, and its checksum holds', () =>
  withBrokers({}, async (brokers) => {
    const partition = brokers.addPartition({ 'message.timestamp.type': 'LogAppendTime' });
    const before = Date.now();
    brokers.appendStaged(partition, 3);
    await brokers.settle();
    const bytes = brokers.bytes(1, partition);
    const stamped = readMaxTimestamp(bytes, 0);
    assert.ok(stamped >= before && stamped <= Date.now(), `${stamped}`);
    assert.is(readAttributes(bytes, 0) & BatchAttribute.LOG_APPEND_TIME, BatchAttribute.LOG_APPEND_TIME);
    assert.is(crc32c(bytes.subarray(CRC_FROM)), readCrc(bytes, 0));
    assert.is(brokers.get(1).table.loadHwm(partition), 3);
    assert.ok(brokers.isEqual(partition));
  }));

test('CreateTime: the batch stays as it was produced', () =>
  withBrokers({}, (brokers) => {
    const partition = brokers.addPartition();
    brokers.appendStaged(partition, 3);
    brokers.get(1).pass();
    const bytes = brokers.bytes(1, partition);
    assert.is(readAttributes(bytes, 0) & BatchAttribute.LOG_APPEND_TIME, 0);
  }));

test.run();
