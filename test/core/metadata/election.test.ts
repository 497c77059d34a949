// Who may lead besides those in sync: those who left when nothing was committed any more (KIP-966), and, where it was
// allowed, anybody.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Command } from '../../../src/core/metadata/commands.ts';
import type { LogEnd } from '../../../src/core/reopening.ts';
import { directoryOf, TestCluster, uuidOf } from './fixtures.ts';

/** Partition 0 of 't' on brokers 1, 2 and 3, of which so many have to be in sync. */
function cluster(least = 2, config: object = {}): TestCluster {
  const made = new TestCluster(4);
  const assignments = [[1, 2, 3]];
  made.run({
    type: 'create-topic',
    name: 't',
    assignments,
    config: { 'min.insync.replicas': least, ...config },
  });
  return made;
}

/** Leader, ISR, and who is eligible besides. */
function standing(made: TestCluster): [number, readonly number[], readonly number[]] {
  const { leader, isr, eligible } = made.partition();
  return [leader, isr, eligible];
}

function end(leo: number, lastEpoch = 0): LogEnd {
  return { leo, lastEpoch };
}

function unclean(): Command {
  return { type: 'elect-leader', topic: 't', partition: 0, election: 'unclean' };
}

test('the last in-sync replica is protected: who left when nothing was committed any more leads in its place', () => {
  const made = cluster();
  made.fence(3);
  assert.equal(standing(made), [1, [1, 2], []], 'two are enough, and go on without the third');
  made.fence(2);
  assert.equal(standing(made), [1, [1], [2]]);
  made.unfence(2);
  made.unfence(3);
  assert.equal(standing(made), [1, [1], [2]], 'in sync is only who has caught up');
  made.fence(1);
  assert.equal(standing(made), [2, [2], [1]]);
  assert.is(made.partition().epoch, 1);
});

test('who left while enough others were in sync is never eligible', () => {
  const made = cluster();
  made.run(made.proposal([1, 2]));
  made.run(made.proposal([1]));
  assert.equal(standing(made), [1, [1], [2]]);
  made.fence(2);
  made.fence(1);
  assert.equal(standing(made), [-1, [1], [2]], 'broker 3 lives, and nobody leads');
  made.unfence(2);
  assert.equal(standing(made), [2, [2], [1]]);
});

test('nobody is eligible any more once enough are in sync again', () => {
  const made = cluster();
  made.run(made.proposal([1, 2]));
  made.run(made.proposal([1]));
  made.run(made.proposal([1, 3]));
  assert.equal(standing(made), [1, [1, 3], []]);
});

test('where fewer have to be in sync than before, nobody is eligible: from then on records are committed without them', () => {
  for (const change of [
    { type: 'alter-topic-config', topic: 't', set: { 'min.insync.replicas': 1 } },
    { type: 'alter-topic-config', topic: 't', remove: ['min.insync.replicas'] },
  ] as const) {
    const made = cluster();
    made.run(made.proposal([1, 2]));
    made.run(made.proposal([1]));
    made.run(change);
    assert.equal(standing(made), [1, [1], []]);
  }
  const made = new TestCluster(3);
  made.run({ type: 'alter-broker-config', broker: -1, set: { 'min.insync.replicas': 2 } });
  made.createTopic('t', [[1, 2]]);
  made.run(made.proposal([1]));
  assert.equal(standing(made), [1, [1], [2]]);
  made.run({ type: 'alter-broker-config', broker: -1, set: { 'min.insync.replicas': 1 } });
  assert.equal(standing(made), [1, [1], []]);
});

test('an emptied replica is not eligible, whatever it was before', () => {
  const made = cluster();
  made.run(made.proposal([1, 2]));
  made.run(made.proposal([1]));
  made.register(2, uuidOf('another'));
  assert.equal(standing(made), [1, [1], []]);
});

test('a replica that is about to lose records is not eligible', () => {
  const made = cluster(3);
  made.run(made.proposal([1, 3], { losing: 2 }));
  assert.equal(standing(made), [1, [1, 3], []]);
  made.run(made.proposal([1]));
  assert.equal(standing(made), [1, [1], [3]]);
  made.run(made.proposal([1], { losing: 3 }));
  assert.equal(standing(made), [1, [1], []]);
});

test('a broker that comes back without its log is not eligible: it gets another one', () => {
  const made = cluster();
  made.run(made.proposal([1, 2]));
  made.fence(2);
  made.world.closedLogs.add('2 0');
  made.register(2);
  made.unfence(2);
  assert.equal(standing(made), [1, [1], []]);
});

test('whose log is damaged is not eligible under a leader that comes later, since that mends it', () => {
  const made = cluster();
  made.run(made.proposal([1, 2]));
  made.fence(2);
  made.fence(1);
  made.world.closedLogs.add('2 0');
  made.unfence(2);
  assert.equal(standing(made), [-1, [1], [2]]);
  made.unfence(1);
  assert.equal(standing(made), [1, [1], []]);
});

test('the last member of the ISR that lost its directory is replaced by one that is eligible', () => {
  const made = cluster();
  made.run(made.proposal([1, 2]));
  made.fence(2);
  made.fence(1);
  made.register(1, uuidOf('another'));
  made.unfence(1);
  assert.is(made.partition().lostDirectory, directoryOf(1));
  made.unfence(2);
  assert.equal(standing(made), [2, [2], []]);
  assert.is(made.partition().lostDirectory, null);
});

test('whoever is eligible leads after a start if nobody in sync can, and who runs without its log is neither', () => {
  for (const found of [[2], [2, 3]]) {
    const made = cluster();
    made.run(made.proposal([1, 2]));
    made.run(made.proposal([1]));
    const logs = found.map((broker) => ({ broker, leo: 9 * broker, lastEpoch: 0, hwm: 5 }));
    const brokers = [1, 2, 3].map((broker) => ({ broker, directoryId: directoryOf(broker), rack: null }));
    made.run({ type: 'start-cluster', brokers, found: new Map([[0, logs]]) });
    assert.equal(standing(made), [2, [2], []]);
  }
});

test('nobody leads who may lack what was acknowledged, unless that is asked for', () => {
  const made = cluster(1);
  made.run(made.proposal([1, 2]));
  made.run(made.proposal([1]));
  made.refuses(unclean(), 'ELECTION_NOT_NEEDED', /no record is lost/);
  made.fence(1);
  assert.equal(standing(made), [-1, [1], []]);
  made.world.logEnds.set('2 0', end(5)).set('3 0', end(7));
  assert.equal(made.run(unclean()), { leader: 3 });
  assert.equal(standing(made), [3, [3], []]);
  assert.is(made.partition().epoch, 2);
});

test('at an unclean election a log of a later epoch comes before a longer one of an earlier', () => {
  const made = cluster(1);
  made.run(made.proposal([1]));
  made.fence(1);
  made.world.logEnds.set('2 0', end(100, 0)).set('3 0', end(7, 1));
  assert.equal(made.run(unclean()), { leader: 3 });
});

test('an unclean election takes who lives and has a log, and there may be nobody', () => {
  const made = cluster(1);
  made.run(made.proposal([1]));
  made.fence(1);
  made.fence(2);
  made.world.closedLogs.add('3 0');
  made.refuses(unclean(), 'ELIGIBLE_LEADERS_NOT_AVAILABLE', /None of the brokers 1, 2, 3/);
  assert.equal(standing(made), [-1, [1], []]);
});

test('a topic may allow unclean elections from the first, or when nobody leads already', () => {
  const property = { 'unclean.leader.election.enable': true };
  const allowed = cluster(1, property);
  allowed.run(allowed.proposal([1]));
  allowed.world.logEnds.set('3 0', end(7));
  allowed.fence(1);
  assert.equal(standing(allowed), [3, [3], []]);
  const late = cluster(1);
  late.run(late.proposal([1]));
  late.fence(1);
  assert.is(late.partition().leader, -1);
  late.run({ type: 'alter-topic-config', topic: 't', set: property });
  assert.equal(standing(late), [2, [2], []]);
});

test('after an unclean election nobody of before is eligible: what they have more than the leader is cut', () => {
  const made = cluster(3);
  made.run(made.proposal([1, 2]));
  made.run(made.proposal([1]));
  assert.equal(standing(made), [1, [1], [2, 3]]);
  made.fence(2);
  made.fence(3);
  made.fence(1);
  made.world.closedLogs.add('1 0').add('2 0');
  made.unfence(3);
  assert.equal(standing(made), [3, [3], [1, 2].filter((id) => !made.world.closedLogs.has(`${id} 0`))]);
});

test('where the last ones in sync lead at an unclean election, nothing is lost, so that they come first', () => {
  const made = cluster(1, { 'unclean.leader.election.enable': 'true' });
  made.run(made.proposal([1, 3]));
  made.world.logEnds.set('2 0', end(100));
  made.fence(1);
  assert.equal(standing(made), [3, [3], []]);
});

test.run();
