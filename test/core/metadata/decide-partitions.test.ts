import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Command } from '../../../src/core/metadata/commands.ts';
import { TestCluster } from './fixtures.ts';

function cluster(): TestCluster {
  const made = new TestCluster(4);
  made.createTopic();
  return made;
}

test('a leader takes members out of the ISR and back in, in the order of the replicas', () => {
  const made = cluster();
  const answer = made.run(made.proposal([1])) as object;
  assert.equal(made.standing(), [1, [1]]);
  assert.equal(answer, made.partition());
  assert.is(made.partition().partitionEpoch, 1);
  assert.is(made.partition().epoch, 0, 'the leader stays in its epoch');
  made.run(made.proposal([3, 1]));
  assert.equal(made.standing(), [1, [1, 3]]);
});

test('a proposal of what is there already brings no records', () => {
  const made = cluster();
  assert.equal(made.recordsOf(made.proposal([3, 2, 1])), []);
});

test('a proposal with older epochs is refused', () => {
  const made = cluster();
  made.fence(1);
  made.run(made.proposal([2]));
  made.refuses(made.proposal([2, 3], { leaderEpoch: 0 }), 'FENCED_LEADER_EPOCH', /led .* in epoch 0/);
  made.refuses(made.proposal([2, 3], { partitionEpoch: 1 }), 'INVALID_UPDATE_VERSION', /and now it is 2/);
  made.refuses(made.proposal([2, 3], { epoch: 0 }), 'STALE_BROKER_EPOCH');
});

test('a proposal with epochs that are not here yet is sent to the controller that knows them', () => {
  const made = cluster();
  made.refuses(made.proposal([1], { leaderEpoch: 1 }), 'NOT_CONTROLLER', /later epoch/);
  made.refuses(made.proposal([1], { partitionEpoch: 1 }), 'NOT_CONTROLLER');
});

test('only the leader proposes, only for a partition that is there, and only what can be', () => {
  const made = cluster();
  const other = { broker: 2, epoch: made.epochOf(2) };
  made.refuses(made.proposal([1], other), 'INVALID_ARGUMENT', /Broker 2 does not lead/);
  made.refuses(made.proposal([1], { partition: 7 }), 'UNKNOWN_TOPIC_OR_PARTITION', /id 7/);
  made.refuses(made.proposal([1], { leaderEpoch: undefined }), 'INVALID_ARGUMENT');
  made.refuses(made.proposal([1], { partitionEpoch: undefined }), 'INVALID_ARGUMENT');
  for (const isr of [[], [2, 3], [1, 4], [1, 2, 2]]) {
    made.refuses(made.proposal(isr), 'INVALID_ARGUMENT', /must have its leader 1/);
  }
});

test('who is fenced, shutting down, dead or has registered anew is not in sync', () => {
  const made = cluster();
  made.run(made.proposal([1]));
  made.world.dead.add(2);
  made.refuses(made.proposal([1, 2]), 'INELIGIBLE_REPLICA', /Broker 2 .* fenced, shutting down or dead/);
  made.fence(2);
  made.refuses(made.proposal([1, 2]), 'INELIGIBLE_REPLICA');
  made.run({ type: 'shut-down-broker', broker: 3, epoch: made.epochOf(3) });
  made.refuses(made.proposal([1, 3]), 'INELIGIBLE_REPLICA');
  const epoch = made.epochOf(2);
  made.register(2);
  made.unfence(2);
  const isr = [1, 2].map((broker) => ({ broker, epoch: broker === 2 ? epoch : made.epochOf(broker) }));
  made.refuses(made.proposal([1], { isr }), 'INELIGIBLE_REPLICA', /registered anew/);
  made.run(made.proposal([1, 2]));
});

test('a leader that is shutting down still says who is in sync', () => {
  const made = cluster();
  made.run(made.proposal([1]));
  made.run({ type: 'shut-down-broker', broker: 1, epoch: made.epochOf(1) });
  made.run(made.proposal([1, 2]));
  assert.equal(made.standing(), [1, [1, 2]]);
});

function election(part: object = {}): Command {
  return { type: 'elect-leader', topic: 't', partition: 0, ...part } as Command;
}

test('the preferred leader leads again once it is in sync', () => {
  const made = cluster();
  made.fence(1);
  made.unfence(1);
  made.refuses(election(), 'PREFERRED_LEADER_NOT_AVAILABLE', /Broker 1 cannot lead/);
  made.run(made.proposal([1, 2, 3]));
  made.world.closedLogs.add('1 0');
  made.refuses(election(), 'PREFERRED_LEADER_NOT_AVAILABLE');
  made.world.closedLogs.clear();
  assert.equal(made.run(election()), { leader: 1 });
  assert.equal(made.standing(), [1, [1, 2, 3]]);
  assert.is(made.partition().epoch, 2);
  made.refuses(election(), 'ELECTION_NOT_NEEDED', /leads partition 0 of 't' already/);
});

test('an election of what is not there is refused', () => {
  const made = cluster();
  made.refuses(election({ topic: 'u' }), 'UNKNOWN_TOPIC_OR_PARTITION', /no topic 'u'/);
  for (const partition of [1, -1, 0.5]) {
    made.refuses(election({ partition }), 'UNKNOWN_TOPIC_OR_PARTITION', /partitions 0 to 0/);
  }
});

test('leaders are balanced as far as the preferred ones are in sync', () => {
  const made = new TestCluster(3);
  made.createTopic('t', [
    [1, 2],
    [1, 3],
    [2, 3],
  ]);
  made.fence(1);
  made.unfence(1);
  assert.equal(made.recordsOf({ type: 'balance-leaders' }), []);
  made.run(made.proposal([1, 2]));
  assert.equal(made.run({ type: 'balance-leaders' }), { moved: [0] });
  assert.equal(made.standing('t', 0), [1, [1, 2]]);
  assert.equal(made.standing('t', 1), [3, [3]]);
});

test.run();
