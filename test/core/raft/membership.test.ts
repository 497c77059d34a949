import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bytes, cutOff, LoneNode, member, RaftCluster, votersOf } from './raft-cluster.ts';

function newCluster(...ids: number[]): RaftCluster {
  return new RaftCluster().start(...ids).elect(1);
}

test('a new voter catches up before it counts, and everybody knows it then', () => {
  const cluster = newCluster(1, 2, 3);
  for (let id = 1; id <= 50; id++) cluster.step(1, { kind: 'propose', id, data: bytes(`${id}`) });
  cluster.settle();
  cluster.takeTold();
  cluster.add(member(4));
  cluster.step(1, { kind: 'add-voter', id: 99, voter: member(4) });
  assert.equal(cluster.raft(1).configuration, votersOf(1, 2, 3));
  cluster.settle();
  assert.equal(cluster.takeTold(), ['1: 99 done']);
  for (const id of [1, 2, 3, 4]) assert.equal(cluster.raft(id).configuration, votersOf(1, 2, 3, 4));
  assert.equal(cluster.host(4).machine.applied, cluster.host(1).machine.applied);
  assert.is(cluster.raft(4).role, 'follower');
});

test('one voter becomes three', () => {
  const cluster = newCluster(1);
  for (const id of [2, 3]) {
    cluster.add(member(id));
    cluster.step(1, { kind: 'add-voter', id, voter: member(id) });
    cluster.settle();
  }
  assert.equal(cluster.takeTold(), ['1: 2 done', '1: 3 done']);
  cluster.crash(1);
  cluster.pass(2_000);
  assert.ok([2, 3].some((id) => cluster.raft(id).role === 'leader'));
});

test('a voter that does not catch up is not added', () => {
  const cluster = new RaftCluster({ options: { catchUpLimitMs: 1_000 } }).start(1, 2, 3).elect(1);
  cluster.step(1, { kind: 'add-voter', id: 9, voter: member(4) });
  cluster.pass(999);
  assert.equal(cluster.takeTold(), []);
  cluster.pass(1);
  assert.equal(cluster.takeTold(), ['1: 9 refused TIMED_OUT leader=-']);
  assert.equal(cluster.raft(1).progress().length, 2);
});

test('a voter that takes longer than an election timeout for a round has to take another', () => {
  const lone = new LoneNode();
  lone.lead();
  lone.accept(2, 1);
  lone.step({ kind: 'add-voter', id: 9, voter: member(4) }, { kind: 'propose', id: 1, data: bytes('a') });
  lone.nowMs = 300;
  lone.accept(4, 1);
  assert.is(lone.node.configuration.voters.length, 3);
  lone.nowMs = 310;
  lone.accept(4, 2);
  assert.is(lone.node.configuration.voters.length, 4);
});

test('a second change is refused while one is under way, or while the term has committed nothing', () => {
  const lone = new LoneNode();
  lone.lead();
  const remove = (id: number, voter: number) => ({ kind: 'remove-voter', id, voter: member(voter) }) as const;
  const errors = (...events: ReturnType<typeof remove>[]) =>
    lone.step(...events).results.map((result) => result.kind === 'refused' && result.error);
  assert.equal(errors(remove(1, 3)), ['BUSY']);
  lone.accept(2, 1);
  assert.equal(errors(remove(2, 3), remove(3, 2)), ['BUSY']);
});

test('a change that an earlier leader left uncommitted holds up the next', () => {
  const cluster = newCluster(1, 2, 3);
  cluster.step(1, { kind: 'remove-voter', id: 1, voter: member(3) });
  cluster.settle(({ kind }) => kind === 'append-response');
  cluster.crash(1);
  for (const id of [2, 3]) cluster.step(id, { kind: 'peer-lost', peer: 1 });
  assert.equal(cluster.raft(2).configuration, votersOf(1, 2));
  cluster.restart(1);
  cluster.pass(1_000);
  const leader = [1, 2].find((id) => cluster.raft(id).role === 'leader') as number;
  assert.ok(leader !== undefined);
  cluster.takeTold();
  cluster.step(leader, { kind: 'add-voter', id: 2, voter: member(3) });
  cluster.pass(500);
  assert.equal(cluster.takeTold(), [`${leader}: 2 done`]);
});

test('who is known or unknown already is not added or removed', () => {
  const cluster = newCluster(1, 2);
  cluster.step(1, { kind: 'add-voter', id: 1, voter: member(2) });
  cluster.step(1, { kind: 'add-voter', id: 2, voter: member(2, 1) });
  cluster.step(1, { kind: 'remove-voter', id: 3, voter: member(3) });
  cluster.step(1, { kind: 'remove-voter', id: 4, voter: member(2, 1) });
  cluster.step(1, { kind: 'remove-voter', id: 5, voter: member(2) });
  cluster.settle();
  cluster.step(1, { kind: 'remove-voter', id: 6, voter: member(1) });
  assert.equal(cluster.takeTold(), [
    '1: 1 refused DUPLICATE_VOTER leader=-',
    '1: 2 refused DUPLICATE_VOTER leader=-',
    '1: 3 refused VOTER_NOT_FOUND leader=-',
    '1: 4 refused VOTER_NOT_FOUND leader=-',
    '1: 5 done',
    '1: 6 refused LAST_VOTER leader=-',
  ]);
});

test('a removed voter learns of it, and campaigns no more', () => {
  const cluster = newCluster(1, 2, 3);
  cluster.step(1, { kind: 'remove-voter', id: 1, voter: member(3) });
  cluster.settle();
  assert.is(cluster.raft(3).role, 'observer');
  assert.is(cluster.raft(3).dueMs, Number.POSITIVE_INFINITY);
  cluster.pass(2_000);
  assert.equal([cluster.raft(1).role, cluster.raft(1).term], ['leader', 1]);
});

test('a leader that is removed leads until that is committed, does not count itself, and hands over', () => {
  const cluster = newCluster(1, 2, 3);
  cluster.step(1, { kind: 'remove-voter', id: 1, voter: member(1) });
  cluster.settle(cutOff(3));
  assert.is(cluster.raft(1).role, 'leader', 'of 2 and 3 one is no majority');
  cluster.pass(500);
  assert.is(cluster.raft(1).role, 'observer');
  assert.ok([2, 3].some((id) => cluster.raft(id).role === 'leader'));
  assert.equal(cluster.takeTold(), ['1: 1 done']);
});

test('of two voters the leader removes itself and dies before the other knows: it is still elected', () => {
  const cluster = newCluster(1, 2);
  cluster.step(1, { kind: 'remove-voter', id: 1, voter: member(1) });
  cluster.crash(1);
  cluster.restart(1);
  assert.is(cluster.raft(1).isVoter, false);
  cluster.pass(3_000);
  assert.equal([cluster.raft(1).role, cluster.raft(2).role], ['observer', 'leader']);
  assert.equal(cluster.raft(2).configuration, votersOf(2));
});

test('a lost directory is replaced: the old one is removed, the new one added', () => {
  const cluster = newCluster(1, 2, 3);
  cluster.step(1, { kind: 'propose', id: 1, data: bytes('a') });
  cluster.settle();
  cluster.crash(3);
  cluster.add(member(3, 1));
  cluster.takeTold();
  cluster.step(1, { kind: 'remove-voter', id: 2, voter: member(3) });
  cluster.settle();
  cluster.step(1, { kind: 'add-voter', id: 3, voter: member(3, 1) });
  cluster.pass(500);
  assert.equal(cluster.takeTold(), ['1: 2 done', '1: 3 done']);
  assert.equal(cluster.host(3).machine.applied, cluster.host(1).machine.applied);
  assert.is(cluster.raft(3).role, 'follower');
});

test('a change that its leader does not finish has no known outcome; one that only catches up has failed', () => {
  const lone = new LoneNode();
  lone.lead();
  lone.accept(2, 1);
  lone.step({ kind: 'add-voter', id: 1, voter: member(4) });
  const out = lone.append(2, 2, [1, 1], [2]);
  assert.equal(out.results, [{ kind: 'refused', id: 1, error: 'NOT_LEADER', leader: 2 }]);
});

test('a new voter may learn everything from a snapshot', () => {
  const cluster = new RaftCluster({ options: { tailEntries: 0 } }).start(1).elect(1);
  for (let id = 1; id <= 9; id++) cluster.step(1, { kind: 'propose', id, data: bytes(`${id}`) });
  cluster.step(1, { kind: 'compact', index: 10, data: cluster.host(1).machine.snapshot });
  cluster.add(member(2));
  cluster.step(1, { kind: 'add-voter', id: 99, voter: member(2) });
  cluster.settle();
  assert.is(cluster.raft(2).snapshotIndex, 10);
  assert.equal(cluster.host(2).machine.applied, cluster.host(1).machine.applied);
  assert.is(cluster.raft(2).role, 'follower');
});

test.run();
