// What others acknowledged, and lost with the power (LESSONS 30).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { StagedLog } from '../log/staged-log.ts';
import { withBrokers } from '../runtime/broker-fixtures.ts';
import { settled } from '../runtime/quorum-fixtures.ts';

const CLIENT = 1;

async function endSyncs(log: StagedLog): Promise<void> {
  for (const sync of log.syncs.splice(0)) sync.end();
  await settled();
}

test('LESSONS 30: with fsync nothing is acknowledged before the device of every replica in sync has it', () =>
  withBrokers({ count: 3, durability: 'fsync' }, async (brokers) => {
    const partition = brokers.addPartition();
    const logs = [1, 2, 3].map((id) => brokers.stageLog(id, partition));
    const answers = brokers.attach(1, CLIENT);
    const work = async (): Promise<void> => {
      for (const id of [1, 2, 3]) brokers.get(id).pass();
      await settled();
    };
    for (let n = 0; n < 3; n++) {
      brokers.appendStaged(partition, 1, 100, undefined, { client: CLIENT, correlation: n });
      await work();
      // Written by all of them, and on the device of none.
      for (const log of logs) assert.is(log.written, n + 1);
      assert.is(answers.length, n);
      // In another order each time: it is the last of them that counts.
      for (let m = 0; m < 3; m++) {
        assert.is(answers.length, n, `after ${m} of 3 syncs`);
        assert.is(brokers.replica(1, partition).hwm, n);
        await endSyncs(logs[(n + m) % 3]);
        await work();
      }
      assert.is(answers.length, n + 1);
      assert.is(brokers.replica(1, partition).hwm, n + 1);
    }
  }));

test('LESSONS 30: no timer stands between a record and its sync', () =>
  withBrokers({ count: 1, durability: 'fsync' }, async (brokers) => {
    const partition = brokers.addPartition();
    const log = brokers.stageLog(1, partition);
    brokers.appendStaged(partition);
    assert.is(log.syncs.length, 0);
    brokers.get(1).pass();
    // Asked for in the pass that has written it.
    assert.is(log.syncs.length, 1);
    await endSyncs(log);
    assert.is(brokers.replica(1, partition).hwm, 1);
  }));

test.run();
