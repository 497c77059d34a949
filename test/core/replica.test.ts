import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { topicConfig } from '../../src/config.ts';
import { Replica } from '../../src/core/replica.ts';
import type { PartitionInfo, PartitionLog } from '../../src/types.ts';

/** A log of which only its ends matter. */
interface Ends {
  logStart: number;
  written: number;
}

function settle(replica: Replica, log: Ends, end: number): void {
  log.written = end;
  replica.settleTo(end);
}

interface ReplicaOptions {
  readonly replicas?: readonly number[];
  readonly isr?: readonly number[];
  readonly leader?: number;
  readonly brokerId?: number;
  readonly minInsync?: number;
}

function replicaOf(options: ReplicaOptions = {}): { replica: Replica; log: Ends } {
  const { replicas = [1, 2, 3], isr = replicas, leader = 1, brokerId = leader, minInsync = 1 } = options;
  const info: PartitionInfo = { id: 4, topic: 't', partition: 0, replicas, isr, leader, epoch: 0 };
  const log: Ends = { logStart: 0, written: 0 };
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
  settle(replica, log, 1);
  assert.is(replica.committable(leosOf({ 2: 0, 3: 1 })), 0);
  assert.is(replica.committable(leosOf({ 2: 1, 3: 1 })), 1);
});

test('LESSONS 3: the ISR counts and not all replicas: a replica outside it holds nothing up', () => {
  const { replica, log } = replicaOf({ isr: [1, 3] });
  settle(replica, log, 9);
  assert.is(replica.committable(leosOf({ 3: 7 })), 7);
});

test('LESSONS 4: with an ISR smaller than min.insync.replicas nothing is committed', () => {
  const { replica, log } = replicaOf({ isr: [1], minInsync: 2 });
  settle(replica, log, 9);
  assert.is(replica.committable(leosOf({})), 0);
});

test('a leader alone in its ISR commits what it has, where that is allowed', () => {
  const { replica, log } = replicaOf({ isr: [1], minInsync: 1 });
  settle(replica, log, 9);
  assert.is(replica.committable(leosOf({})), 9);
});

test('the leader itself may be the one that is behind', () => {
  const { replica, log } = replicaOf();
  settle(replica, log, 3);
  assert.is(replica.committable(leosOf({ 2: 5, 3: 6 })), 3);
});

test('LESSONS 2: whatever the LEOs do, the HWM never goes back, and passes no LEO of the ISR to get ahead', () => {
  const leos = fc.record({
    more: fc.integer({ min: 0, max: 5 }),
    second: fc.integer({ min: 0, max: 20 }),
    third: fc.integer({ min: 0, max: 20 }),
  });
  const isr = fc.constantFrom([1], [1, 2], [1, 3], [1, 2, 3], [3, 2, 1]);
  fc.assert(
    fc.property(isr, fc.integer({ min: 1, max: 4 }), fc.array(leos), (members, minInsync, states) => {
      const { replica, log } = replicaOf({ isr: members, minInsync });
      for (const { more, second, third } of states) {
        const own = replica.stable + more;
        settle(replica, log, own);
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

test("only what is stable counts as the leader's own, however much of it is written", () => {
  const { replica, log } = replicaOf();
  log.written = 9;
  assert.is(replica.committable(leosOf({ 2: 9, 3: 9 })), 0);
  replica.settleTo(4);
  assert.is(replica.committable(leosOf({ 2: 9, 3: 9 })), 4);
});

test('the stable end neither goes back by itself nor beyond what is written', () => {
  const { replica, log } = replicaOf();
  settle(replica, log, 9);
  assert.throws(() => replica.settleTo(8), /cannot be stable up to 8/);
  assert.throws(() => replica.settleTo(10), /cannot be stable up to 10/);
  assert.is(replica.stable, 9);
});

test('a log that goes back takes the stable end along, and one that begins anew puts it there', () => {
  const { replica, log } = replicaOf();
  settle(replica, log, 9);
  log.written = 5;
  replica.restart();
  assert.is(replica.stable, 5);
  log.logStart = 20;
  log.written = 20;
  replica.restart();
  assert.is(replica.stable, 20);
  assert.is(replica.restarts, 2);
});

test.run();
