import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { RaftOutput } from '../../../src/core/raft/index.ts';
import type { AppendRequest } from '../../../src/core/raft/messages.ts';
import { bytes, cutOff, isFault, LoneNode, member, RaftCluster } from './raft-cluster.ts';

function appends(out: RaftOutput, to: number): AppendRequest[] {
  return out.messages.filter(
    (message): message is AppendRequest => message.kind === 'append' && message.to.id === to,
  );
}

/** Leads in term 5 with two entries of earlier terms that nobody has committed; its own is 3. */
function withOldEntries(): LoneNode {
  const lone = new LoneNode({ terms: [2, 4] });
  lone.lead();
  assert.is(lone.node.term, 5);
  return lone;
}

test('an entry of an earlier term is not committed by counting who has it', () => {
  const lone = withOldEntries();
  lone.accept(2, 2);
  assert.is(lone.node.commit, 0);
  lone.accept(2, 3);
  assert.is(lone.node.commit, 3);
});

test('an entry is committed once a majority of the voters has it', () => {
  const lone = new LoneNode({ voters: [1, 2, 3, 4, 5] });
  lone.step({ kind: 'campaign' });
  for (const isPreVote of [true, false]) {
    for (const from of [2, 3])
      lone.hear(from, { kind: 'vote-response', term: 1, isPreVote, isGranted: true });
  }
  lone.accept(2, 1);
  assert.is(lone.node.commit, 0);
  lone.accept(2, 1);
  assert.is(lone.node.commit, 0);
  lone.accept(3, 1);
  assert.is(lone.node.commit, 1);
});

test('who only catches up is not counted', () => {
  const lone = new LoneNode({ voters: [1, 2] });
  lone.lead();
  lone.accept(2, 1);
  lone.step({ kind: 'add-voter', id: 1, voter: member(4) }, { kind: 'propose', id: 2, data: bytes('x') });
  // So late that another round has to show that it keeps up: until then it is no voter.
  lone.nowMs = 500;
  lone.accept(4, 2);
  assert.is(lone.node.configuration.voters.length, 2);
  assert.is(lone.node.commit, 1);
  lone.accept(2, 2);
  assert.is(lone.node.commit, 2);
});

test('answers of a lost directory, of strangers and of earlier terms do not count', () => {
  const lone = withOldEntries();
  const response = {
    kind: 'append-response',
    isAccepted: true,
    index: 3,
    conflictTerm: 0,
    conflictIndex: 0,
  } as const;
  lone.step({ kind: 'message', message: { ...response, term: 5, from: member(2, 1), to: member(1) } });
  lone.hear(4, { ...response, term: 5 });
  lone.hear(2, { ...response, term: 4 });
  assert.is(lone.node.commit, 0);
});

test('a commit is told at once to who has it', () => {
  const lone = withOldEntries();
  const out = lone.accept(2, 3);
  assert.equal(
    appends(out, 2).map(({ commit, entries, prevIndex }) => [commit, entries.length, prevIndex]),
    [[3, 0, 3]],
  );
});

test('a refusal leads back by whole terms', () => {
  const lone = new LoneNode({ terms: [1, 1, 1, 4, 4, 4] });
  const [probe] = appends(lone.lead(), 2);
  assert.equal([probe.prevIndex, probe.prevTerm], [6, 4]);
  const refusal = { kind: 'append-response', term: 5, isAccepted: false } as const;
  const back = lone.hear(2, { ...refusal, index: 6, conflictTerm: 2, conflictIndex: 4 });
  assert.is(appends(back, 2)[0].prevIndex, 3);
  const again = lone.hear(2, { ...refusal, index: 6, conflictTerm: 1, conflictIndex: 1 });
  assert.equal(again.messages, [], 'the same refusal once more says nothing');
});

test('a follower that lacks much gets it in messages of bounded size, no more than may be on the way', () => {
  const options = { appendMaxEntries: 3, inFlightMaxEntries: 7 };
  const lone = new LoneNode({ terms: Array(20).fill(1), options });
  lone.lead();
  lone.hear(2, {
    kind: 'append-response',
    term: 2,
    isAccepted: false,
    index: 20,
    conflictTerm: 0,
    conflictIndex: 1,
  });
  const sizes = (out: RaftOutput): number[] => appends(out, 2).map(({ entries }) => entries.length);
  assert.equal(sizes(lone.accept(2, 3)), [3, 3, 1]);
  assert.equal(sizes(lone.accept(2, 6)), [3]);
});

test('lost messages are sent again', () => {
  const cluster = new RaftCluster().start(1, 2, 3).elect(1);
  cluster.step(1, { kind: 'propose', id: 1, data: bytes('a') });
  cluster.settle(({ kind }) => kind === 'append');
  assert.is(cluster.raft(2).lastIndex, 1);
  cluster.pass(500);
  assert.is(cluster.host(2).machine.applied.length, 2);
});

test('a follower that is behind the log gets the snapshot, and what follows', () => {
  const cluster = new RaftCluster({ options: { tailEntries: 0 } }).start(1, 2, 3).elect(1);
  cluster.crash(3);
  for (let id = 1; id <= 5; id++) cluster.step(1, { kind: 'propose', id, data: bytes(`${id}`) });
  cluster.settle();
  cluster.step(1, { kind: 'compact', index: 4, data: cluster.host(1).machine.snapshot });
  // The machine was ahead of the index: what it holds beyond is its host's affair.
  cluster.step(1, { kind: 'compact', index: 6, data: cluster.host(1).machine.snapshot });
  cluster.step(1, { kind: 'propose', id: 6, data: bytes('6') });
  cluster.settle();
  cluster.restart(3);
  cluster.pass(1_000);
  assert.equal(cluster.host(3).machine.applied, cluster.host(1).machine.applied);
  assert.equal(
    [cluster.raft(3).snapshotIndex, cluster.raft(3).firstIndex, cluster.raft(3).commit],
    [6, 7, 7],
  );
});

test('a follower within the tail of a snapshot gets entries', () => {
  const cluster = new RaftCluster({ options: { tailEntries: 4 } }).start(1, 2, 3).elect(1);
  cluster.settle();
  cluster.step(1, { kind: 'propose', id: 1, data: bytes('1') });
  cluster.settle();
  cluster.crash(3);
  for (let id = 2; id <= 4; id++) cluster.step(1, { kind: 'propose', id, data: bytes(`${id}`) });
  cluster.settle();
  cluster.step(1, { kind: 'compact', index: 5, data: cluster.host(1).machine.snapshot });
  assert.is(cluster.raft(1).firstIndex, 2);
  cluster.restart(3);
  cluster.pass(1_000);
  assert.equal([cluster.raft(3).snapshotIndex, cluster.raft(3).commit], [0, 5]);
});

test('a read waits for an entry of the term and for a round of heartbeats that began after it', () => {
  const lone = withOldEntries();
  assert.equal(lone.step({ kind: 'read', id: 1 }).messages, []);
  const committed = lone.accept(2, 3);
  assert.equal(committed.reads, []);
  const confirm = (round: number): RaftOutput => lone.hear(2, { kind: 'heartbeat-response', term: 5, round });
  assert.equal(confirm(0).reads, []);
  assert.equal(confirm(1).reads, [{ id: 1, index: 3 }]);
  lone.step({ kind: 'read', id: 2 });
  lone.step({ kind: 'read', id: 3 });
  assert.equal(confirm(1).reads, [], 'an answer to the round before proves nothing');
  assert.equal(confirm(2).reads, [{ id: 2, index: 3 }], 'the third came when the second round was under way');
  assert.equal(confirm(3).reads, [{ id: 3, index: 3 }]);
});

test('a leader that is cut off answers no read', () => {
  const cluster = new RaftCluster().start(1, 2, 3).elect(1);
  cluster.step(1, { kind: 'read', id: 1 });
  cluster.pass(1_000, cutOff(1));
  assert.equal(cluster.takeTold(), ['1: 1 refused NOT_LEADER leader=-']);
});

test('reads beyond the bound are refused', () => {
  const lone = new LoneNode({ options: { readsMax: 2 } });
  lone.lead();
  const out = lone.step(...[1, 2, 3].map((id) => ({ kind: 'read', id }) as const));
  assert.equal(out.results, [{ kind: 'refused', id: 3, error: 'BUSY', leader: undefined }]);
});

test('a single voter answers a read at once', () => {
  const lone = new LoneNode({ voters: [1] });
  lone.step({ kind: 'campaign' });
  assert.equal(lone.step({ kind: 'read', id: 1 }).reads, [{ id: 1, index: 1 }]);
});

test('an answer for what the leader does not have is noticed', () => {
  const lone = withOldEntries();
  assert.throws(() => lone.accept(2, 9), isFault(/2 has more than its leader/));
});

test.run();
