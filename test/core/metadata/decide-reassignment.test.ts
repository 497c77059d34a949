import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Command } from '../../../src/core/metadata/commands.ts';
import { TestCluster } from './fixtures.ts';

function cluster(replicas: readonly number[] = [1, 2, 3], config: object = {}): TestCluster {
  const made = new TestCluster(6);
  made.run({ type: 'create-topic', name: 't', assignments: [replicas], config: { ...config } });
  return made;
}

function to(replicas: readonly number[] | null, part: object = {}): Command {
  return { type: 'reassign', targets: [{ topic: 't', partition: 0, replicas }], ...part };
}

/** Replicas, who comes, who goes. */
function plan(made: TestCluster): (readonly number[])[] {
  const { replicas, adding, removing } = made.partition();
  return [replicas, adding, removing];
}

test('a replica comes first, and only when it is in sync another one goes', () => {
  const made = cluster();
  assert.equal(made.run(to([1, 2, 4])), { partitions: [0] });
  assert.equal(plan(made), [[1, 2, 4, 3], [4], [3]]);
  assert.equal(made.standing(), [1, [1, 2, 3]]);
  made.run(made.proposal([1, 2, 3, 4]));
  assert.equal(plan(made), [[1, 2, 4], [], []]);
  assert.equal(made.standing(), [1, [1, 2, 4]]);
  assert.is(made.partition().epoch, 0, 'the leader stays, and so does its epoch');
  assert.equal(made.image.partitionsOn(3), []);
});

test('all that are to stay have to be in sync, not only those who come', () => {
  const made = cluster();
  made.run(to([1, 2, 4]));
  made.fence(2);
  made.run(made.proposal([1, 3, 4]));
  assert.equal(plan(made), [[1, 2, 4, 3], [4], [3]]);
  made.unfence(2);
  made.run(made.proposal([1, 2, 3, 4]));
  assert.equal(plan(made), [[1, 2, 4], [], []]);
});

test('a leader that goes hands over to the first that stays, in an epoch of its own', () => {
  const made = cluster();
  made.run(to([4, 5, 6]));
  made.run(made.proposal([1, 2, 3, 4, 5]));
  assert.equal(made.standing(), [1, [4, 5, 1, 2, 3]]);
  made.run(made.proposal([1, 2, 3, 4, 5, 6]));
  assert.equal(plan(made), [[4, 5, 6], [], []]);
  assert.equal(made.standing(), [4, [4, 5, 6]]);
  assert.is(made.partition().epoch, 1);
});

test('the number of replicas grows and shrinks in the same way', () => {
  const made = cluster([1]);
  made.run(to([1, 2, 3]));
  assert.equal(plan(made), [[1, 2, 3], [2, 3], []]);
  made.run(made.proposal([1, 2, 3]));
  assert.equal(plan(made), [[1, 2, 3], [], []]);
  made.run(to([3]));
  assert.equal(plan(made), [[3], [], []], 'who stays is in sync: there is nothing to wait for');
  assert.equal(made.standing(), [3, [3]]);
});

test('another order is another preferred leader, and moves nothing', () => {
  const made = cluster();
  made.run(to([3, 1, 2]));
  assert.equal(plan(made), [[3, 1, 2], [], []]);
  assert.equal(made.standing(), [1, [3, 1, 2]]);
  made.run({ type: 'elect-leader', topic: 't', partition: 0 });
  assert.is(made.partition().leader, 3);
});

test('what is so already brings no records', () => {
  const made = cluster();
  assert.equal(made.recordsOf(to([1, 2, 3])), []);
  made.run(to([1, 2, 4]));
  assert.equal(made.recordsOf(to([1, 2, 4])), []);
});

test('a cancelled reassignment leaves what was there before', () => {
  const made = cluster();
  made.run(to([1, 4, 5], { throttle: 1000 }));
  assert.is(made.partition().throttle, 1000);
  made.run(made.proposal([1, 2, 3, 4]));
  made.run(to(null));
  assert.equal(plan(made), [[1, 2, 3], [], []]);
  assert.equal(made.standing(), [1, [1, 2, 3]]);
  assert.is(made.partition().throttle, null);
  made.refuses(to(null), 'NO_REASSIGNMENT_IN_PROGRESS', /Partition 0 of 't'/);
});

test('a cancelled reassignment under a leader that was to come leads back to one of before', () => {
  const made = cluster([1, 2]);
  made.run(to([3, 4]));
  made.run(made.proposal([1, 2, 3]));
  made.fence(1);
  made.fence(2);
  assert.equal(made.standing(), [3, [3]]);
  made.refuses(to(null), 'INVALID_REPLICA_ASSIGNMENT', /none of its replicas of before \(1, 2\)/);
  made.unfence(2);
  made.run(made.proposal([3, 2]));
  made.run(to(null));
  assert.equal(plan(made), [[1, 2], [], []]);
  assert.equal(made.standing(), [2, [2]]);
});

test('nothing is cancelled where only those who were to come have everything and live', () => {
  for (const dies of ['announced', 'unheard of'] as const) {
    const made = cluster([1, 2]);
    made.run(to([3, 4]));
    made.run(made.proposal([1, 3]));
    if (dies === 'announced') {
      made.fence(3);
      made.fence(1);
      assert.equal(made.standing(), [-1, [1]]);
    } else made.world.dead.add(1);
    made.refuses(to(null), 'INVALID_REPLICA_ASSIGNMENT', /none of its replicas of before \(1, 2\)/);
  }
});

test('where nobody led, and somebody can by now, he does before anything is called off', () => {
  const made = cluster();
  for (const broker of [1, 2, 3]) made.world.closedLogs.add(`${broker} 0`);
  made.fence(1);
  assert.equal(made.standing(), [-1, [1, 2, 3]]);
  made.run(to([1]));
  made.world.closedLogs.clear();
  made.run(to(null));
  assert.equal(made.standing(), [2, [2, 3]], 'a broker that is fenced is in sync with nobody');
  assert.equal(plan(made), [[1, 2, 3], [], []]);
});

test('where nobody leads, no move is a reason to give up records, also where they may be given up', () => {
  const made = cluster([1, 2], { 'unclean.leader.election.enable': 'true' });
  for (const id of [2, 1]) {
    made.world.dead.add(id);
    made.fence(id);
  }
  assert.equal(made.standing(), [-1, [1]]);
  made.run(to([3]));
  made.run(to([3]));
  assert.equal(made.standing(), [-1, [1]]);
  made.run(to([1, 2]));
  assert.equal(
    [made.standing(), plan(made)],
    [
      [-1, [1]],
      [[1, 2], [], []],
    ],
  );
});

test('a move does not end with a leader of which nobody has heard yet that it is dead', () => {
  const made = cluster();
  made.world.dead.add(1);
  made.run(to([1]));
  assert.equal(plan(made), [[1, 2, 3], [], [2, 3]]);
  made.fence(1);
  assert.equal(made.standing(), [2, [2, 3]]);
  assert.equal(plan(made), [[1, 2, 3], [], [2, 3]]);
});

test('another reassignment replaces the one that is under way, and who is not wanted any more goes', () => {
  const made = cluster();
  made.run(to([1, 2, 4]));
  made.run(to([1, 2, 5]));
  assert.equal(plan(made), [[1, 2, 5, 3], [5], [3]]);
  made.run(to([1, 2, 3]));
  assert.equal(plan(made), [[1, 2, 3], [], []]);
});

test('who was to come and leads by now is not sent away before others are in sync', () => {
  const made = cluster([1]);
  made.run(to([2, 3]));
  made.run(made.proposal([1, 2]));
  made.fence(1);
  assert.equal(made.standing(), [2, [2]]);
  made.run(to([3, 4]));
  assert.equal(plan(made), [
    [3, 4, 2, 1],
    [3, 4, 2],
    [2, 1],
  ]);
  made.run(made.proposal([2, 3, 4]));
  assert.equal(plan(made), [[3, 4], [], []]);
  assert.equal(made.standing(), [3, [3, 4]]);
});

test('it survives the deaths of leaders, of those who come and of those who go', () => {
  const made = cluster();
  made.run(to([4, 5, 3]));
  made.fence(1);
  made.fence(4);
  assert.equal(made.standing(), [3, [3, 2]]);
  assert.equal(plan(made), [
    [4, 5, 3, 1, 2],
    [4, 5],
    [1, 2],
  ]);
  made.run(made.proposal([2, 3, 5]));
  made.unfence(4);
  made.run(made.proposal([2, 3, 4, 5]));
  assert.equal(plan(made), [[4, 5, 3], [], []]);
  assert.equal(made.standing(), [3, [4, 5, 3]]);
});

test('it goes on after a start of the whole cluster', () => {
  const made = cluster();
  made.run(to([4, 2, 3]));
  const found = [1, 2, 3].map((broker) => ({ broker, leo: 5, lastEpoch: 0, hwm: 5 }));
  const brokers = made.image
    .brokers()
    .map(({ id, directoryId }) => ({ broker: id, directoryId, rack: null }));
  made.run({ type: 'start-cluster', brokers, found: new Map([[0, found]]) });
  assert.equal(plan(made), [[4, 2, 3, 1], [4], [1]]);
  made.run(made.proposal([1, 2, 3, 4]));
  assert.equal(plan(made), [[4, 2, 3], [], []]);
  assert.is(made.partition().leader, 4);
});

test('it ends with a start of the whole cluster, if all that are to stay were found to be in sync', () => {
  const made = cluster();
  for (const broker of [2, 3, 1]) made.fence(broker);
  assert.equal(made.standing(), [-1, [1]]);
  made.run(to([1]));
  assert.equal(plan(made), [[1, 2, 3], [], [2, 3]], 'nobody can be told yet');
  const found = [{ broker: 1, leo: 5, lastEpoch: 0, hwm: 5 }];
  const brokers = made.image
    .brokers()
    .map(({ id, directoryId }) => ({ broker: id, directoryId, rack: null }));
  made.run({ type: 'start-cluster', brokers, found: new Map([[0, found]]) });
  assert.equal(plan(made), [[1], [], []]);
  assert.equal(made.standing(), [1, [1]]);
});

test('one that nobody could take over ends once somebody can, if only it is asked for', () => {
  const made = cluster();
  made.world.closedLogs.add('2 0');
  made.run(to([2]));
  assert.equal(plan(made), [[2, 1, 3], [], [1, 3]]);
  assert.equal(made.run({ type: 'end-reassignments' }), { ended: [] });
  made.world.closedLogs.clear();
  made.world.dead.add(1);
  assert.equal(
    made.run({ type: 'end-reassignments' }),
    { ended: [] },
    'its leader has died, which comes first',
  );
  made.world.dead.clear();
  assert.equal(made.run({ type: 'end-reassignments' }), { ended: [0] });
  assert.equal(plan(made), [[2], [], []]);
  assert.equal(made.standing(), [2, [2]]);
});

test('a reassignment that cannot be changes nothing, and neither does what was asked together with it', () => {
  const made = cluster();
  made.createTopic('u', [[1]]);
  const refuses = (replicas: unknown, sentence: RegExp): void => {
    const targets = [
      { topic: 'u', partition: 0, replicas: [2] },
      { topic: 't', partition: 0, replicas },
    ];
    made.refuses({ type: 'reassign', targets } as Command, 'INVALID_REPLICA_ASSIGNMENT', sentence);
  };
  refuses([], /list of one broker at least/);
  refuses('1', /list of one broker at least/);
  refuses([1, 1], /named twice/);
  refuses([1, 9], /broker 9 is not registered/);
  refuses([1, '2'], /not registered/);
  made.world.dead.add(4);
  refuses([1, 4], /broker 4 is not running/);
  made.refuses(to([1], { throttle: 0 }), 'INVALID_ARGUMENT', /throttle/);
  const unknown = { type: 'reassign', targets: [{ topic: 't', partition: 1, replicas: [1] }] } as const;
  made.refuses(unknown, 'UNKNOWN_TOPIC_OR_PARTITION');
  const twice = [0, 0].map((partition) => ({ topic: 't', partition, replicas: [1, 2] }));
  made.refuses({ type: 'reassign', targets: twice }, 'INVALID_REPLICA_ASSIGNMENT', /named twice/);
  made.refuses({ type: 'reassign' } as unknown as Command, 'INVALID_ARGUMENT', /list of partitions/);
});

test('new partitions have as many replicas as the reassigned ones will have', () => {
  const made = cluster();
  made.run(to([4, 5]));
  made.run({ type: 'create-partitions', topic: 't', count: 2 });
  assert.is(made.partition('t', 1).replicas.length, 2);
});

test.run();
