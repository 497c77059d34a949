import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { RaftOutput } from '../../../src/core/raft/index.ts';
import type { AppendResponse } from '../../../src/core/raft/messages.ts';
import { bytes, entry, isFault, LoneNode, member, votersOf } from './raft-cluster.ts';

function answer(out: RaftOutput): AppendResponse {
  assert.is(out.messages.length, 1);
  return out.messages[0] as AppendResponse;
}

function terms(lone: LoneNode): (number | undefined)[] {
  return Array.from({ length: lone.node.lastIndex }, (_, at) => lone.node.termAt(at + 1));
}

test('entries that follow what is there are appended, persisted, and then answered for', () => {
  const lone = new LoneNode({ terms: [1] });
  const out = lone.append(2, 3, [1, 1], [2, 3]);
  assert.equal(out.persist.entries, [entry(2, 2), entry(3, 3)]);
  assert.equal([answer(out).isAccepted, answer(out).index], [true, 3]);
  assert.equal(lone.node.leader, member(2));
});

test('entries that follow nothing are refused, with the place to go on', () => {
  const lone = new LoneNode({ terms: [1, 1, 2, 2] });
  const short = answer(lone.append(2, 3, [9, 3], [3]));
  assert.equal([short.isAccepted, short.index, short.conflictTerm, short.conflictIndex], [false, 9, 0, 5]);
  const other = answer(lone.append(2, 3, [4, 3], [3]));
  assert.equal([other.isAccepted, other.index, other.conflictTerm, other.conflictIndex], [false, 4, 2, 3]);
  assert.equal(terms(lone), [1, 1, 2, 2]);
});

test('what contradicts the leader is dropped, from there on', () => {
  const lone = new LoneNode({ terms: [1, 1, 1, 2] });
  const out = lone.append(2, 3, [1, 1], [1, 3]);
  assert.equal(terms(lone), [1, 1, 3]);
  assert.is(out.persist.truncateFrom, 3);
  assert.equal(out.persist.entries, [entry(3, 3)]);
});

test('an old append that the log has already drops nothing behind it', () => {
  const lone = new LoneNode({ terms: [1, 1, 1, 1] });
  const out = lone.append(2, 3, [1, 1], [1]);
  assert.equal(terms(lone), [1, 1, 1, 1]);
  assert.is(out.persist.truncateFrom, undefined);
  assert.is(answer(out).index, 2);
});

test('a follower commits what it has matched, and nothing behind that', () => {
  const lone = new LoneNode({ terms: [1, 1, 1, 1] });
  const out = lone.append(2, 3, [1, 1], [1], 4);
  assert.is(lone.node.commit, 2);
  assert.equal(
    out.committed.map(({ index }) => index),
    [1, 2],
  );
});

test('an append of an earlier term is refused, and its leader learns the term', () => {
  const lone = new LoneNode({ terms: [1], term: 5 });
  const out = lone.append(2, 4, [1, 1], [4], 2);
  assert.equal(
    out.messages.map(({ term, to }) => [term, to.id]),
    [[5, 2]],
  );
  assert.equal([lone.node.lastIndex, lone.node.commit, lone.node.leader], [1, 0, undefined]);
});

test('a candidate follows whoever was elected in its term', () => {
  const lone = new LoneNode({ term: 1 });
  lone.step({ kind: 'campaign' });
  lone.hear(2, { kind: 'vote-response', term: 2, isPreVote: true, isGranted: true });
  assert.is(lone.node.role, 'candidate');
  lone.append(3, 2, [0, 0], [2]);
  assert.equal([lone.node.role, lone.node.leader], ['follower', member(3)]);
});

test('two leaders in a term are noticed', () => {
  const lone = new LoneNode();
  lone.append(2, 1, [0, 0], []);
  assert.throws(() => lone.append(3, 1, [0, 0], []), isFault(/2 and 3 both lead in term 1/));
});

test('a leader that would have committed entries dropped is noticed', () => {
  const lone = new LoneNode({ terms: [1, 1] });
  lone.append(2, 1, [2, 1], [], 2);
  const old = lone.append(3, 2, [0, 0], [2, 2, 2]);
  assert.equal(
    [answer(old).isAccepted, lone.node.termAt(2)],
    [true, 1],
    'below the commit nothing is looked at',
  );
  const installed = new LoneNode({ terms: [1, 1] });
  installed.append(2, 1, [2, 1], [], 1);
  assert.is(installed.node.commit, 1);
  installed.append(3, 2, [1, 1], [2]);
  assert.is(installed.node.termAt(2), 2);
});

test('a message from below the commit is taken up from there', () => {
  const lone = new LoneNode({ terms: [1, 1, 1] });
  lone.append(2, 1, [3, 1], [], 3);
  const out = lone.append(2, 1, [1, 1], [1, 1, 1], 4);
  assert.equal(out.persist.entries, [entry(4, 1)]);
  assert.equal([answer(out).index, lone.node.commit], [4, 4]);
  assert.is(answer(lone.append(2, 1, [0, 0], [1])).index, 4);
});

test('a heartbeat commits what the leader knows this log to have', () => {
  const lone = new LoneNode({ terms: [1, 1] });
  const out = lone.hear(2, { kind: 'heartbeat', term: 1, commit: 1, round: 7 });
  assert.equal(
    out.committed.map(({ index }) => index),
    [1],
  );
  const [message] = out.messages;
  assert.is(message.kind === 'heartbeat-response' && message.round, 7);
});

test('a snapshot takes the place of a log that contradicts it', () => {
  const lone = new LoneNode({ terms: [1, 1, 1] });
  const snapshot = { index: 2, term: 2, configuration: votersOf(1, 2), data: bytes('s') };
  const out = lone.hear(2, { kind: 'snapshot', term: 2, snapshot });
  assert.is(out.snapshot, snapshot);
  assert.equal([out.persist.snapshot, out.persist.restartAt], [snapshot, 3]);
  assert.equal([lone.node.firstIndex, lone.node.lastIndex, lone.node.commit], [3, 2, 2]);
  assert.equal(lone.node.configuration, votersOf(1, 2));
  assert.is(answer(out).index, 2);
});

test('a snapshot of what the log has commits it, and drops nothing', () => {
  const lone = new LoneNode({ terms: [1, 1, 1] });
  const snapshot = { index: 2, term: 1, configuration: votersOf(1, 2, 3), data: bytes('s') };
  const out = lone.hear(2, { kind: 'snapshot', term: 2, snapshot });
  assert.equal([out.snapshot, out.persist.snapshot], [undefined, undefined]);
  assert.equal([lone.node.lastIndex, lone.node.commit, answer(out).index], [3, 2, 2]);
  lone.hear(2, { kind: 'snapshot', term: 2, snapshot });
  assert.is(lone.node.commit, 2);
});

test.run();
