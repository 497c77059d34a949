import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Message, RaftOutput } from '../../../src/core/raft/index.ts';
import { cutOff, LoneNode, member, RaftCluster } from './raft-cluster.ts';

function only(out: RaftOutput): Message {
  assert.is(out.messages.length, 1);
  return out.messages[0];
}

function isGranted(out: RaftOutput): boolean {
  const message = only(out);
  return message.kind === 'vote-response' && message.isGranted;
}

function askFirst(lone: LoneNode, term: number, lastIndex: number, lastTerm: number): RaftOutput {
  const isPreVote = true;
  return lone.hear(2, { kind: 'vote-request', term, isPreVote, isTransfer: false, lastIndex, lastTerm });
}

test('one vote is given in a term, and again to whoever has it', () => {
  const lone = new LoneNode();
  assert.is(isGranted(lone.requestVote(2, 5, [0, 0])), true);
  assert.is(isGranted(lone.requestVote(3, 5, [0, 0])), false);
  assert.is(isGranted(lone.requestVote(2, 5, [0, 0])), true);
  assert.equal(lone.node.vote, member(2));
});

test('a new term brings a new vote', () => {
  const lone = new LoneNode();
  lone.requestVote(2, 5, [0, 0]);
  assert.is(isGranted(lone.requestVote(3, 6, [0, 0])), true);
});

test('a vote is persisted before it is told', () => {
  const out = new LoneNode().requestVote(2, 5, [0, 0]);
  assert.equal(out.persist.hardState, { term: 5, vote: member(2) });
});

test('a term is persisted before it is told, where the vote is refused too', () => {
  const out = new LoneNode({ terms: [4] }).requestVote(2, 5, [0, 0]);
  assert.is(isGranted(out), false);
  assert.equal(out.persist.hardState, { term: 5, vote: undefined });
});

test('nobody votes for a log that ends before its own', () => {
  const lone = new LoneNode({ terms: [1, 2, 2] });
  assert.is(isGranted(lone.requestVote(2, 5, [2, 2])), false);
  assert.is(isGranted(lone.requestVote(2, 5, [9, 1])), false);
  assert.is(isGranted(lone.requestVote(2, 5, [3, 2])), true);
});

test('a candidate of an earlier term learns the term', () => {
  const out = new LoneNode({ term: 7 }).requestVote(2, 5, [9, 5]);
  assert.is(isGranted(out), false);
  assert.is(only(out).term, 7);
});

test('a pre-vote changes neither term nor vote, and is given to all who would win', () => {
  const lone = new LoneNode({ terms: [1] });
  for (const last of [1, 2]) {
    const out = askFirst(lone, 2, last, 1);
    assert.is(isGranted(out), true);
    assert.is(out.persist.hardState, undefined);
  }
  assert.is(isGranted(askFirst(lone, 2, 0, 0)), false);
  assert.is(isGranted(askFirst(lone, 1, 1, 1)), false);
  assert.equal([lone.node.term, lone.node.vote], [1, undefined]);
});

test('while a leader is heard of votes are refused; after that, or for a transfer, or for a dead leader, they are given', () => {
  const following = (): LoneNode => {
    const lone = new LoneNode();
    lone.append(3, 1, [0, 0], []);
    lone.nowMs = 199;
    return lone;
  };
  const heard = following();
  assert.is(isGranted(askFirst(heard, 2, 0, 0)), false);
  assert.equal(heard.requestVote(2, 2, [0, 0]).messages, []);
  assert.is(heard.node.term, 1);
  heard.nowMs = 200;
  assert.is(isGranted(askFirst(heard, 2, 0, 0)), true);
  assert.is(isGranted(heard.requestVote(2, 2, [0, 0])), true);
  assert.is(isGranted(following().requestVote(2, 2, [0, 0], true)), true);
  const told = following();
  told.step({ kind: 'peer-lost', peer: 3 });
  assert.is(isGranted(askFirst(told, 2, 0, 0)), true);
  assert.is(isGranted(told.requestVote(2, 2, [0, 0])), true);
});

test('a leader that asks for votes leads no more, whatever was heard of it a moment ago', () => {
  const lone = new LoneNode();
  lone.append(2, 1, [0, 0], []);
  lone.nowMs = 5;
  assert.is(isGranted(askFirst(lone, 2, 0, 0)), true);
  // One of the same name that has lost its directory is somebody else.
  const vote = { kind: 'vote-request', term: 2, isTransfer: false, lastIndex: 0, lastTerm: 0 } as const;
  const message = { ...vote, isPreVote: true, from: member(2, 1), to: member(1) };
  assert.is(isGranted(lone.step({ kind: 'message', message })), false);
  assert.is(isGranted(lone.requestVote(2, 2, [0, 0])), true);
});

test('a campaign asks first, then votes for itself in a new term, then leads with an entry of it', () => {
  const lone = new LoneNode({ terms: [1] });
  const asked = lone.step({ kind: 'campaign' });
  assert.equal([lone.node.role, lone.node.term], ['pre-candidate', 1]);
  assert.is(asked.persist.hardState, undefined);
  const stood = lone.hear(2, { kind: 'vote-response', term: 2, isPreVote: true, isGranted: true });
  assert.equal([lone.node.role, lone.node.term], ['candidate', 2]);
  assert.equal(stood.persist.hardState, { term: 2, vote: member(1) });
  const led = lone.hear(3, { kind: 'vote-response', term: 2, isPreVote: false, isGranted: true });
  assert.is(lone.node.role, 'leader');
  assert.equal(
    led.persist.entries.map(({ index, term, kind }) => [index, term, kind]),
    [[2, 2, 'noop']],
  );
});

test('the first entry of all says who votes', () => {
  const led = new LoneNode({ voters: [1] }).step({ kind: 'campaign' });
  assert.is(led.persist.entries[0].kind, 'config');
});

test('votes of others than voters, of lost directories and of other terms are not counted', () => {
  const lone = new LoneNode({ term: 1 });
  lone.step({ kind: 'campaign' });
  const grant = { kind: 'vote-response', isPreVote: true, isGranted: true } as const;
  lone.hear(4, { ...grant, term: 2 });
  const from = member(2, 1);
  lone.step({ kind: 'message', message: { ...grant, term: 2, from, to: member(1) } });
  lone.hear(3, { ...grant, term: 3 });
  lone.hear(3, { ...grant, term: 1, isPreVote: false });
  assert.is(lone.node.role, 'pre-candidate');
});

test('whoever is refused by a majority follows again', () => {
  const lone = new LoneNode();
  lone.step({ kind: 'campaign' });
  lone.hear(2, { kind: 'vote-response', term: 0, isPreVote: true, isGranted: false });
  assert.is(lone.node.role, 'pre-candidate');
  lone.hear(3, { kind: 'vote-response', term: 0, isPreVote: true, isGranted: false });
  assert.is(lone.node.role, 'follower');
});

test('votes that split after a death are asked for again at once, since nobody is left whose silence would end', () => {
  const cluster = new RaftCluster({ options: { lostLeaderDelayMs: 30 } }).start(1, 2, 3).elect(3);
  cluster.crash(3);
  for (const id of [1, 2]) cluster.step(id, { kind: 'peer-lost', peer: 3 }, { kind: 'campaign' });
  cluster.settle();
  assert.equal([cluster.raft(1).role, cluster.raft(2).role], ['candidate', 'candidate']);
  cluster.pass(60);
  assert.equal([cluster.raft(1).role, cluster.raft(2).role].sort(), ['follower', 'leader']);
});

test('a leader that loses one voter while it has not heard of another’s return asks at once who follows it', () => {
  const cluster = new RaftCluster({ options: { lostLeaderDelayMs: 30 } }).start(1, 2, 3).elect(1);
  cluster.crash(2);
  for (const id of [1, 3]) cluster.step(id, { kind: 'peer-lost', peer: 2 });
  cluster.pass(100);
  cluster.restart(2);
  cluster.crash(3);
  for (const id of [1, 2]) cluster.step(id, { kind: 'peer-lost', peer: 3 });
  assert.is(cluster.raft(1).role, 'follower');
  cluster.pass(60);
  assert.equal([cluster.raft(1).role, cluster.raft(1).term, cluster.raft(2).role], ['leader', 2, 'follower']);
});

test('votes that had split before the death of whoever had not voted are asked for again at once', () => {
  const stood = new LoneNode({ options: { lostLeaderDelayMs: 30 } });
  stood.step({ kind: 'campaign' });
  stood.hear(2, { kind: 'vote-response', term: 1, isPreVote: true, isGranted: true });
  stood.hear(2, { kind: 'vote-response', term: 1, isPreVote: false, isGranted: false });
  stood.step({ kind: 'peer-lost', peer: 3 });
  assert.is(stood.node.role, 'candidate');
  assert.ok(stood.node.dueMs <= stood.nowMs + 30, `${stood.node.dueMs - stood.nowMs} ms`);
});

test('as long as somebody may yet vote, or nobody would, it waits', () => {
  const stood = new LoneNode({ options: { lostLeaderDelayMs: 30 } });
  stood.step({ kind: 'campaign' });
  stood.hear(2, { kind: 'vote-response', term: 1, isPreVote: true, isGranted: true });
  stood.hear(2, { kind: 'vote-response', term: 1, isPreVote: false, isGranted: false });
  assert.is(stood.node.role, 'candidate');
  assert.ok(stood.node.dueMs >= stood.nowMs + 200, `${stood.node.dueMs - stood.nowMs} ms`);
  const refused = new LoneNode({ options: { lostLeaderDelayMs: 30 } });
  refused.step({ kind: 'peer-lost', peer: 3 }, { kind: 'campaign' });
  refused.hear(2, { kind: 'vote-response', term: 0, isPreVote: true, isGranted: false });
  assert.is(refused.node.role, 'pre-candidate');
  assert.ok(refused.node.dueMs >= refused.nowMs + 200, `${refused.node.dueMs - refused.nowMs} ms`);
});

test('LESSONS 17: a voter that was cut off comes back without a new term', () => {
  const cluster = new RaftCluster().start(1, 2, 3).elect(1);
  cluster.pass(20_000, cutOff(3));
  assert.is(cluster.raft(3).role, 'pre-candidate');
  cluster.pass(1_000);
  assert.equal([cluster.raft(3).term, cluster.raft(1).role, cluster.raft(3).role], [1, 'leader', 'follower']);
});

test('a node that does not vote by its own log answers a candidate all the same', () => {
  const lone = new LoneNode({ id: 4 });
  assert.is(lone.node.role, 'observer');
  assert.is(isGranted(lone.requestVote(2, 5, [0, 0])), true);
});

test('whoever has just voted waits before it campaigns itself', () => {
  const lone = new LoneNode();
  lone.nowMs = 250;
  const before = lone.node.dueMs;
  lone.requestVote(2, 5, [0, 0]);
  assert.ok(lone.node.dueMs > before);
});

test('a pre-candidate that gives its vote asks for none', () => {
  const lone = new LoneNode();
  lone.step({ kind: 'campaign' });
  lone.requestVote(2, 1, [0, 0]);
  lone.hear(3, { kind: 'vote-response', term: 2, isPreVote: true, isGranted: true });
  assert.equal([lone.node.role, lone.node.term], ['follower', 1]);
});

test.run();
