import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { newOutput, RaftNode } from '../../../src/core/raft/index.ts';
import { bytes, cutOff, member, RaftCluster, votersOf } from './raft-cluster.ts';

function isInvariant(pattern: RegExp): (error: Error) => boolean {
  return ({ message }) => pattern.test(message);
}

test('a single voter leads and commits in one step', () => {
  const cluster = new RaftCluster().start(1);
  cluster.step(1, { kind: 'campaign' }, { kind: 'propose', id: 7, data: bytes('a') });
  assert.equal(cluster.host(1).machine.applied, ['1/1 config', '2/1 data a']);
  assert.equal(cluster.takeTold(), ['1: 7 appended at 2/1']);
  assert.equal(cluster.network, []);
});

test('without a word from a leader somebody is elected within two timeouts and a round', () => {
  for (let seed = 0; seed < 50; seed++) {
    const cluster = new RaftCluster({ seed }).start(1, 2, 3);
    cluster.pass(1_000);
    assert.is([1, 2, 3].filter((id) => cluster.raft(id).role === 'leader').length, 1);
    assert.ok(cluster.raft(1).term <= 3, `term ${cluster.raft(1).term}`);
  }
});

test('a leader that is heard of stays', () => {
  const cluster = new RaftCluster().start(1, 2, 3).elect(2);
  cluster.pass(60_000);
  assert.is(cluster.raft(2).role, 'leader');
  assert.is(cluster.raft(1).term, 1);
});

test('what was persisted is there after a restart, and delivered again once a leader says so', () => {
  const cluster = new RaftCluster().start(1, 2, 3).elect(1);
  cluster.step(1, { kind: 'propose', id: 1, data: bytes('a') });
  cluster.settle();
  for (const id of [1, 2, 3]) cluster.crash(id);
  for (const id of [1, 2, 3]) cluster.restart(id);
  assert.equal(cluster.host(3).machine.applied, []);
  assert.is(cluster.raft(3).term, 1);
  cluster.elect(3);
  for (const id of [1, 2, 3]) {
    assert.equal(cluster.host(id).machine.applied, ['1/1 config', '2/1 data a', '3/2 noop']);
  }
});

test('a clock that goes back is a fault of the host', () => {
  const node = new RaftNode({ self: member(1), random: () => 0, nowMs: 5 });
  try {
    node.step({ kind: 'tick', nowMs: 4 }, newOutput());
  } catch (error) {
    assert.ok(isInvariant(/clock goes back from 5 to 4/)(error as Error));
    return;
  }
  assert.unreachable();
});

test('a log of a later term than the hard state is a fault of the store', () => {
  const entries = [{ index: 1, term: 3, kind: 'noop', data: bytes('') }] as const;
  const build = (): RaftNode =>
    new RaftNode({
      self: member(1),
      random: () => 0,
      nowMs: 0,
      hardState: { term: 2, vote: undefined },
      entries,
    });
  assert.throws(build, isInvariant(/a term that the hard state does not know/));
});

test('a node that was told to close refuses requests and campaigns no more', () => {
  const cluster = new RaftCluster().start(1, 2, 3).elect(1);
  cluster.step(1, { kind: 'close' }, { kind: 'propose', id: 1, data: bytes('a') }, { kind: 'read', id: 2 });
  cluster.step(1, { kind: 'transfer', id: 3, to: 2 }, { kind: 'remove-voter', id: 4, voter: member(2) });
  assert.equal(
    cluster.takeTold(),
    [1, 2, 3, 4].map((id) => `1: ${id} refused SHUTTING_DOWN leader=-`),
  );
  cluster.step(2, { kind: 'close' });
  assert.is(cluster.raft(2).dueMs, Number.POSITIVE_INFINITY);
  cluster.step(2, { kind: 'campaign' });
  assert.is(cluster.raft(2).role, 'follower');
});

test('a request to a follower is refused with the name of the leader', () => {
  const cluster = new RaftCluster().start(1, 2, 3).elect(2);
  cluster.step(1, { kind: 'propose', id: 1, data: bytes('a') }, { kind: 'read', id: 2 });
  cluster.step(1, { kind: 'transfer', id: 3, to: 1 }, { kind: 'add-voter', id: 4, voter: member(4) });
  assert.equal(
    cluster.takeTold(),
    [1, 2, 3, 4].map((id) => `1: ${id} refused NOT_LEADER leader=2`),
  );
});

test('a message to a directory that was lost is not answered', () => {
  const cluster = new RaftCluster().start(1, 2, 3).elect(1);
  cluster.crash(3);
  cluster.add(member(3, 1));
  cluster.pass(300);
  assert.is(cluster.raft(3).lastIndex, 0);
  assert.is(cluster.raft(3).role, 'observer');
  assert.is(cluster.raft(3).dueMs, Number.POSITIVE_INFINITY);
});

test('a lost directory does not vote with its old identity', () => {
  const cluster = new RaftCluster().start(1, 2, 3);
  cluster.crash(3);
  cluster.add(member(3, 1));
  cluster.pass(5_000, cutOff(2));
  assert.is(cluster.raft(1).role === 'leader', false);
  assert.is(cluster.raft(3).vote, undefined);
});

test('the death of the leader is not waited for once the host has told of it', () => {
  for (let seed = 0; seed < 50; seed++) {
    const cluster = new RaftCluster({ seed }).start(1, 2, 3).elect(1);
    cluster.pass(10);
    cluster.crash(1);
    for (const id of [2, 3]) cluster.step(id, { kind: 'peer-lost', peer: 1 });
    cluster.pass(31);
    assert.ok([2, 3].some((id) => cluster.raft(id).role === 'leader'));
    assert.is(cluster.raft(2).term, 2);
  }
});

test('a leader that is told of the death of one follower of two goes on; of both it steps down at once', () => {
  const cluster = new RaftCluster().start(1, 2, 3).elect(1);
  cluster.step(1, { kind: 'peer-lost', peer: 2 });
  assert.is(cluster.raft(1).role, 'leader');
  cluster.step(1, { kind: 'peer-lost', peer: 3 });
  assert.is(cluster.raft(1).role, 'follower');
  assert.is(cluster.raft(1).leader, undefined);
});

test('a new leader knows whom the host has told to be dead before', () => {
  const cluster = new RaftCluster().start(1, 2, 3).elect(1);
  cluster.crash(1);
  for (const id of [2, 3]) cluster.step(id, { kind: 'peer-lost', peer: 1 });
  cluster.elect(2);
  cluster.step(2, { kind: 'peer-lost', peer: 3 });
  assert.is(cluster.raft(2).role, 'follower');
});

test('a dead peer that answers is alive again', () => {
  const cluster = new RaftCluster().start(1, 2, 3).elect(1);
  cluster.step(1, { kind: 'peer-lost', peer: 2 });
  cluster.pass(50);
  cluster.step(1, { kind: 'peer-lost', peer: 3 });
  assert.is(cluster.raft(1).role, 'leader');
});

test('a host that stood still deposes nobody and elects nobody', () => {
  const cluster = new RaftCluster().start(1, 2, 3).elect(1);
  cluster.pass(10);
  cluster.nowMs += 5_000;
  for (const id of [1, 2, 3]) cluster.step(id, { kind: 'resumed' }, { kind: 'tick' });
  cluster.pass(1_000);
  assert.is(cluster.raft(1).role, 'leader');
  assert.is(cluster.raft(1).term, 1);
});

test('events that are stepped together give one append message for each follower', () => {
  const cluster = new RaftCluster().start(1, 2, 3).elect(1);
  const proposals = [1, 2, 3, 4].map((id) => ({ kind: 'propose', id, data: bytes('x') }) as const);
  cluster.step(1, ...proposals);
  assert.equal(
    cluster.network.map((message) => message.kind === 'append' && message.entries.length),
    [4, 4],
  );
  cluster.settle();
  assert.is(cluster.host(2).machine.applied.length, 5);
});

test('inspection shows what a leader knows, and nothing of a follower', () => {
  const cluster = new RaftCluster().start(1, 2, 3).elect(1);
  cluster.pass(100);
  const { heardMs, ...progress } = cluster.raft(1).progress()[0];
  assert.equal(progress, { member: member(2), isVoter: true, state: 'replicate', match: 1, next: 2 });
  assert.ok(heardMs > 0);
  assert.equal(cluster.raft(2).progress(), []);
  assert.equal(cluster.raft(2).configuration, votersOf(1, 2, 3));
  assert.equal(cluster.raft(2).leader, member(1));
  assert.is(cluster.raft(2).isVoter, true);
});

test.run();
