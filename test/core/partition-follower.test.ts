// The leader and the follower as pure cores: what one asks and the other answers, with nothing in between but the test.
import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  judgeFrame,
  type LogAnswer,
  retryAfterMs,
  roleChange,
  takeAnswer,
  wishOf,
} from '../../src/core/partition-follower.ts';
import {
  admitFollower,
  answerWish,
  beginReign,
  type LogWish,
  type WishError,
} from '../../src/core/partition-leader.ts';
import type { Replica } from '../../src/core/replica.ts';
import type { PartitionInfo } from '../../src/types.ts';
import { append, batchesOf, copyFrom, replicaOf } from './partition-fixtures.ts';

const info: PartitionInfo = {
  id: 4,
  topic: 't',
  partition: 0,
  replicas: [1, 2, 3],
  isr: [1, 2, 3],
  leader: 1,
  epoch: 5,
};

function answerTo(leader: Replica | undefined, wish: LogWish): LogAnswer {
  return { epoch: wish.epoch, leo: wish.leo, ...answerWish(leader, wish) };
}

function unproven(epoch: number): { replica: Replica; log: ReturnType<typeof replicaOf>['log'] } {
  const follower = replicaOf({ epoch, brokerId: 2 });
  follower.replica.source = 'unproven';
  return follower;
}

test('what is announced of a reign that is over changes nothing, whoever led', () => {
  assert.is(roleChange(info, { ...info, epoch: 4, leader: 2 }, 2), 'outdated');
  assert.is(roleChange(info, { ...info, isr: [1] }, 1), 'same reign');
  assert.is(roleChange(info, { ...info, isr: [1] }, 2), 'same reign');
  assert.is(roleChange(info, { ...info, epoch: 6 }, 1), 'leads');
  assert.is(roleChange(info, { ...info, epoch: 6, leader: 2 }, 2), 'leads');
  assert.is(roleChange(info, { ...info, epoch: 6, leader: 2 }, 1), 'follows');
  assert.is(roleChange(info, { ...info, epoch: 6, leader: -1 }, 1), 'follows');
  // One that has just opened its log hears for the first time who leads, in whatever epoch.
  assert.is(roleChange({ ...info, leader: -1 }, info, 2), 'follows');
});

test('LESSONS 12: every change of the epoch has the log held against the leader, also where that stays who it is', () => {
  assert.is(roleChange(info, { ...info, epoch: 6 }, 2), 'follows');
  const { replica, log } = replicaOf({ epoch: 5, brokerId: 2 });

  test('a broker that a partition has left ends its replica, and one that it comes back to follows anew', () => {
    const away = { ...info, replicas: [1] };
    assert.is(roleChange(info, away, 2), 'leaves');
    assert.is(roleChange(info, { ...away, epoch: 6 }, 2), 'leaves');
    assert.is(roleChange(away, info, 2), 'follows');
  });
  append(log, 5, 2);
  assert.is(wishOf(replica).lastEpoch, undefined);
  replica.source = 'unproven';
  assert.equal(wishOf(replica), { id: 4, epoch: 5, leo: 2, lastEpoch: 5 });
});

test('an answer to another reign, another log or another leader is not taken, and neither is one that nobody waits for', () => {
  const { replica: leader } = replicaOf({ epoch: 5, records: 3 });
  const { replica, log } = unproven(5);
  const answer = answerTo(leader, wishOf(replica));
  assert.is(takeAnswer(replica, 3, answer), 'ignore');
  assert.is(takeAnswer(replica, 1, { ...answer, epoch: 4 }), 'ignore');
  assert.is(takeAnswer(replica, 1, { ...answer, leo: 1 }), 'ignore');
  assert.is(replica.source, 'unproven');
  append(log, 5, 1);
  assert.is(takeAnswer(replica, 1, answer), 'ignore');
  replica.source = 'ring';
  assert.is(takeAnswer(replica, 1, answerTo(leader, wishOf(replica))), 'ignore');
});

test('LESSONS 10: the log goes back to where the logs part by epoch, and not to the HWM, in as many steps as it takes', () => {
  const { replica: leader, log: theirs } = replicaOf({ epoch: 5 });
  const { replica, log: ours } = unproven(5);
  append(theirs, 1, 4);
  copyFrom(theirs, ours, 3);
  append(ours, 2, 3);
  append(ours, 3, 3);
  append(theirs, 4, 2);
  beginReign(leader, 3);
  // Nobody has told this one yet that anything is committed.
  replica.hwm = 0;
  const steps: string[] = [];
  for (let step = ''; step !== 'append'; steps.push(step))
    step = takeAnswer(replica, 1, answerTo(leader, wishOf(replica)));
  assert.is(ours.leo, 3);
  assert.is(ours.lastEpoch, 1);
  assert.is(replica.source, 'log');
  assert.ok(steps.length <= 4, steps.join());
  assert.ok(batchesOf(ours).every((batch, n) => batch.equals(batchesOf(theirs)[n])));
});

test('below the leader’s log start the log begins anew there, and what it held is forgotten', () => {
  const { replica: leader, log: theirs } = replicaOf({ epoch: 5 });
  theirs.restartAt(20);
  append(theirs, 5, 2);
  const { replica, log } = replicaOf({ epoch: 5, brokerId: 2 });
  append(log, 5, 3);
  replica.source = 'log';
  replica.hwm = 3;
  assert.is(takeAnswer(replica, 1, answerTo(leader, wishOf(replica))), 'restarted');
  assert.equal([log.logStart, log.leo, replica.hwm], [20, 20, 3]);
  assert.is(takeAnswer(replica, 1, answerTo(leader, wishOf(replica))), 'append');
});

test('a log that goes beyond its leader’s is not emptied for it: what they have in common is found by epoch', () => {
  const { replica: leader, log: theirs } = replicaOf({ epoch: 5 });
  append(theirs, 4, 3);
  beginReign(leader, 0);
  const { replica, log } = replicaOf({ epoch: 5, brokerId: 2 });
  copyFrom(theirs, log, 3);
  append(log, 4, 2);
  replica.source = 'log';
  assert.is(takeAnswer(replica, 1, answerTo(leader, wishOf(replica))), 'ask');
  assert.is(replica.source, 'unproven');
  assert.is(takeAnswer(replica, 1, answerTo(leader, wishOf(replica))), 'ask');
  assert.is(log.leo, 3);
  assert.is(takeAnswer(replica, 1, answerTo(leader, wishOf(replica))), 'append');
});

test('an empty log that began under another leader begins anew where its leader begins, wherever that one stands', () => {
  const { replica: leader, log: theirs } = replicaOf({ epoch: 6, isr: [1] });
  append(theirs, 5, 50);
  beginReign(leader, 50);
  for (const more of [0, 50]) {
    append(theirs, 6, more);
    const { replica, log } = replicaOf({ epoch: 6, isr: [1], brokerId: 2 });
    log.restartAt(more === 0 ? 100 : 70);
    replica.source = 'unproven';
    assert.is(takeAnswer(replica, 1, answerTo(leader, wishOf(replica))), 'restarted');
    assert.equal([log.logStart, log.leo, replica.source], [0, 0, 'log']);
    assert.is(takeAnswer(replica, 1, answerTo(leader, wishOf(replica))), 'append');
    assert.is(admitFollower(leader, 6, 2, log.leo), false);
  }
});

test('an answer that is of no use is waited after, ever longer up to a second', () => {
  const { replica } = unproven(5);
  const refusals: WishError[] = [
    'FENCED_LEADER_EPOCH',
    'UNKNOWN_LEADER_EPOCH',
    'NOT_LEADER_OR_FOLLOWER',
    'KAFKA_STORAGE_ERROR',
    'NOT_READABLE',
  ];
  for (const error of refusals) {
    const answer = { epoch: 5, leo: 0, logStart: 7, logEnd: 9, error };
    assert.is(takeAnswer(replica, 1, answer), 'wait', error);
    assert.equal([replica.log.leo, replica.source], [0, 'unproven']);
  }
  const pauses = [1, 2, 3, 4, 50].map(retryAfterMs);
  assert.equal(pauses, [50, 100, 200, 400, 1_000]);
});

test('a batch of the ring is taken where the log ends and in its reign, and nowhere else', () => {
  const { replica } = replicaOf({ epoch: 5, brokerId: 2, records: 3 });
  assert.is(judgeFrame(replica, 2, 5), 'known');
  assert.is(judgeFrame(replica, 3, 5), 'next');
  assert.is(judgeFrame(replica, 4, 5), 'unfit');
  assert.is(judgeFrame(replica, 3, 4), 'unfit');
  assert.is(judgeFrame(replica, 3, 6), 'unfit');
});

/** Three replicas, and announcements and messages that arrive when the dice say so. */
class Partition {
  readonly replicas = [1, 2, 3].map((brokerId) => replicaOf({ epoch: 0, brokerId, isr: [1, 2, 3] }).replica);
  /** As it is written down. */
  info: PartitionInfo = { ...info, epoch: 0 };
  /** Everything that was ever committed, by its offset. */
  readonly committed: Buffer[] = [];
  /** What was asked and not yet answered, and answers that were not yet taken. */
  readonly #answers: { to: Replica; from: number; answer: LogAnswer; batches: Buffer[] }[] = [];

  constructor() {
    for (const replica of this.replicas) this.hear(replica.brokerId);
  }

  get(broker: number): Replica {
    return this.replicas[broker - 1];
  }

  /** A broker hears what is written down. */
  hear(broker: number): void {
    const replica = this.get(broker);
    const isFirst = replica.log.lastEpoch === -1 && this.info.epoch === 0;
    const change = roleChange(replica.info, this.info, broker);
    replica.become(this.info);
    if (change === 'leads' || (isFirst && broker === this.info.leader)) {
      replica.restart();
      beginReign(replica, replica.hwm);
    } else if (change === 'follows') {
      replica.source = 'unproven';
    }
  }

  /** Another member of the ISR leads, and hears of it; the others will. */
  elect(broker: number): void {
    if (!this.info.isr.includes(broker)) return;
    this.info = { ...this.info, leader: broker, epoch: this.info.epoch + 1 };
    this.hear(broker);
  }

  /** Whoever believes that it leads appends. */
  append(broker: number): void {
    const replica = this.get(broker);
    if (!replica.isLeader) return;
    append(replica.log, replica.info.epoch);
    replica.settleTo(replica.log.written);
  }

  /** A follower asks, and the broker that it takes for the leader answers; the answer arrives when it does. */
  ask(broker: number): void {
    const to = this.get(broker);
    const from = to.info.leader;
    if (from === broker) return;
    to.source = to.source === 'ring' ? 'log' : to.source;
    const wish = wishOf(to);
    const leader = this.get(from);
    const answer = answerTo(leader, wish);
    const isGiven = answer.error === 'NONE';
    const batches = isGiven ? batchesOf(leader.log).slice(wish.leo, wish.leo + 2) : [];
    this.#answers.push({ to, from, answer, batches });
  }

  deliver(pick: number): void {
    if (this.#answers.length === 0) return;
    const [{ to, from, answer, batches }] = this.#answers.splice(pick % this.#answers.length, 1);
    if (takeAnswer(to, from, answer) !== 'append') return;
    for (const batch of batches) to.log.append(batch, 0, batch.length);
    to.log.flush();
    to.settleTo(to.log.written);
  }

  /** The leader looks at what its followers have, as far as it counts in its reign. */
  commit(broker: number): void {
    const leader = this.get(broker);
    if (!leader.isLeader) return;
    const hwm = leader.committable((id) => this.#leoIn(leader.info.epoch, id));
    assert.ok(hwm >= leader.hwm && hwm <= leader.log.leo);
    leader.hwm = hwm;
    const batches = batchesOf(leader.log);
    for (let offset = 0; offset < hwm; offset++) {
      this.committed[offset] ??= batches[offset];
      assert.ok(this.committed[offset].equals(batches[offset]), `what is committed at ${offset} has changed`);
    }
  }

  /** A follower out of the ISR that has caught up comes back. The leader waits for it from now on, and hears of it later. */
  expand(broker: number): void {
    const leader = this.get(this.info.leader);
    if (this.info.isr.includes(broker) || leader.info.epoch !== this.info.epoch) return;
    const leo = this.#leoIn(this.info.epoch, broker);
    if (!admitFollower(leader, this.info.epoch, broker, leo)) return;
    this.info = {
      ...this.info,
      isr: this.info.replicas.filter((id) => id === broker || this.info.isr.includes(id)),
    };
  }

  /** A follower leaves: the leader hears of it later, and waits for it till then. */
  shrink(broker: number): void {
    if (broker === this.info.leader) return;
    this.info = { ...this.info, isr: this.info.isr.filter((id) => id !== broker) };
  }

  #leoIn(epoch: number, broker: number): number {
    const replica = this.get(broker);
    return replica.info.epoch === epoch && replica.source !== 'unproven' ? replica.stable : -1;
  }
}

const broker = fc.integer({ min: 1, max: 3 });
const act = fc.record({
  kind: fc.constantFrom(
    'append',
    'append',
    'ask',
    'ask',
    'ask',
    'deliver',
    'deliver',
    'deliver',
    'commit',
    'commit',
    'elect',
    'hear',
    'shrink',
    'expand',
  ),
  broker,
  pick: fc.nat(7),
});

test('whoever leads, hears, asks and answers when: what is committed is never lost or changed, and all agree in the end', () => {
  fc.assert(
    fc.property(fc.array(act, { minLength: 30, maxLength: 120 }), broker, (acts, last) => {
      const partition = new Partition();
      for (const { kind, broker: id, pick } of acts) {
        if (kind === 'deliver') partition.deliver(pick);
        else partition[kind](id);
      }
      // In the end one of the ISR leads, everybody hears of it, and everything arrives.
      const leader = partition.info.isr.includes(last) ? last : partition.info.isr[0];
      partition.elect(leader);
      for (const id of [1, 2, 3]) partition.hear(id);
      partition.append(leader);
      for (let round = 0; round < 200; round++) {
        for (const id of [1, 2, 3]) partition.ask(id);
        for (let n = 0; n < 9; n++) partition.deliver(0);
      }
      for (const id of [1, 2, 3]) partition.expand(id);
      partition.commit(leader);
      const batches = batchesOf(partition.get(leader).log);
      assert.is(partition.committed.length, batches.length);
      for (const id of [1, 2, 3])
        assert.ok(Buffer.concat(batchesOf(partition.get(id).log)).equals(Buffer.concat(batches)));
    }),
    { numRuns: 120 },
  );
});

test.run();
