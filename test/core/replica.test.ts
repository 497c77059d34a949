import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { topicConfig } from '../../src/config.ts';
import { Replica } from '../../src/core/replica.ts';
import type { PartitionInfo, PartitionLog } from '../../src/types.ts';

/** A log of which only the LEO matters. */
interface LeoOnly {
  leo: number;
}

interface ReplicaOptions {
  readonly replicas?: readonly number[];
  readonly isr?: readonly number[];
  readonly leader?: number;
  readonly brokerId?: number;
  readonly minInsync?: number;
}

function replicaOf(options: ReplicaOptions = {}): { replica: Replica; log: LeoOnly } {
  const { replicas = [1, 2, 3], isr = replicas, leader = 1, brokerId = leader, minInsync = 1 } = options;
  const info: PartitionInfo = { id: 4, topic: 't', partition: 0, replicas, isr, leader, epoch: 0 };
  const log: LeoOnly = { leo: 0 };
  const config = topicConfig({ 'min.insync.replicas': minInsync });
  return { replica: new Replica(info, config, log as unknown as PartitionLog, brokerId), log };
}

/** LEOs of followers, asked for by broker and partition. */
function leosOf(leos: Record<number, number>): (broker: number, partition: number) => number {
  return (broker, partition) => {
    assert.is(partition, 4);
    const leo = leos[broker];
    if (leo === undefined) throw new Error(`nobody may ask for the LEO of broker ${broker}`);
    return leo;
  };
}

test('the leader of a partition leads, the others do not', () => {
  assert.is(replicaOf({ leader: 2, brokerId: 2 }).replica.isLeader, true);
  assert.is(replicaOf({ leader: 2, brokerId: 3 }).replica.isLeader, false);
});

test('LESSONS 2: the HWM is the end of what is committed, an exclusive one', () => {
  const { replica, log } = replicaOf();
  log.leo = 1;
  assert.is(replica.committable(leosOf({ 2: 0, 3: 1 })), 0);
  assert.is(replica.committable(leosOf({ 2: 1, 3: 1 })), 1);
});

test('LESSONS 3: the ISR counts and not all replicas: a replica outside it holds nothing up', () => {
  const { replica, log } = replicaOf({ isr: [1, 3] });
  log.leo = 9;
  assert.is(replica.committable(leosOf({ 3: 7 })), 7);
});

test('LESSONS 4: with an ISR smaller than min.insync.replicas nothing is committed', () => {
  const { replica, log } = replicaOf({ isr: [1], minInsync: 2 });
  log.leo = 9;
  assert.is(replica.committable(leosOf({})), 0);
});

test('a leader alone in its ISR commits what it has, where that is allowed', () => {
  const { replica, log } = replicaOf({ isr: [1], minInsync: 1 });
  log.leo = 9;
  assert.is(replica.committable(leosOf({})), 9);
});

test('the leader itself may be the one that is behind', () => {
  const { replica, log } = replicaOf();
  log.leo = 3;
  assert.is(replica.committable(leosOf({ 2: 5, 3: 6 })), 3);
});

test('LESSONS 2: whatever the LEOs do, the HWM never goes back, and passes no LEO of the ISR to get ahead', () => {
  const leos = fc.record({
    own: fc.integer({ min: 0, max: 20 }),
    second: fc.integer({ min: 0, max: 20 }),
    third: fc.integer({ min: 0, max: 20 }),
  });
  const isr = fc.constantFrom([1], [1, 2], [1, 3], [1, 2, 3], [3, 2, 1]);
  fc.assert(
    fc.property(isr, fc.integer({ min: 1, max: 4 }), fc.array(leos), (members, minInsync, states) => {
      const { replica, log } = replicaOf({ isr: members, minInsync });
      for (const { own, second, third } of states) {
        log.leo = own;
        const all: Record<number, number> = { 1: own, 2: second, 3: third };
        const hwm = replica.committable((broker) => all[broker]);
        assert.ok(hwm >= replica.hwm);
        if (members.length < minInsync) assert.is(hwm, 0);
        else if (hwm > replica.hwm) assert.is(hwm, Math.min(...members.map((member) => all[member])));
        replica.hwm = hwm;
      }
    }),
  );
});

test.run();
