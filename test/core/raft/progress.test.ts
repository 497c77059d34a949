import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkedOptions } from '../../../src/core/raft/options.ts';
import { Progress } from '../../../src/core/raft/progress.ts';
import { isFault, member } from './raft-cluster.ts';

const options = checkedOptions({
  appendMaxEntries: 3,
  appendMaxBytes: 10,
  inFlightMaxEntries: 5,
  inFlightMaxBytes: 20,
});

function peerAt(lastIndex: number): Progress {
  return new Progress(member(2), options, lastIndex, 0);
}

test('a probe goes out once, and again when the peer is heard of', () => {
  const peer = peerAt(10);
  assert.is(peer.roomEntries, 3);
  peer.sent(1, 1, 0, 0);
  assert.is(peer.roomEntries, 0);
  assert.is(peer.mayTell(10), false);
  assert.is(peer.next, 11);
  peer.answeredHeartbeat(1);
  assert.is(peer.roomEntries, 3);
});

test('what is on the way is bounded by entries and by bytes, and freed by answers', () => {
  const peer = peerAt(10);
  peer.matched(10, 0);
  peer.sent(3, 3, 0, 0);
  assert.is(peer.roomEntries, 2);
  peer.sent(2, 17, 0, 0);
  assert.is(peer.roomEntries, 0);
  peer.matched(13, 0);
  assert.is(peer.roomEntries, 3);
  peer.sent(1, 3, 0, 0);
  assert.is(peer.roomEntries, 0);
  peer.matched(16, 0);
  assert.is(peer.roomEntries, 5);
});

test('an older answer does not lower what the peer has', () => {
  const peer = peerAt(10);
  peer.matched(10, 0);
  peer.matched(4, 0);
  assert.is(peer.match, 10);
  assert.is(peer.next, 11);
});

test('an old refusal is no news', () => {
  const peer = peerAt(10);
  assert.is(peer.isNews(9), false);
  assert.is(peer.isNews(10), true);
  peer.matched(10, 0);
  peer.sent(3, 3, 0, 0);
  assert.equal(
    [10, 11, 13, 14].map((index) => peer.isNews(index)),
    [false, true, true, false],
  );
});

test('entries without an answer for an election timeout are sent again, but not before', () => {
  const peer = peerAt(10);
  peer.matched(10, 0);
  peer.sent(3, 3, 0, 50);
  peer.answeredHeartbeat(50 + options.electionTimeoutMs - 1);
  assert.equal([peer.state, peer.next], ['replicate', 14]);
  peer.answeredHeartbeat(50 + options.electionTimeoutMs);
  assert.equal([peer.state, peer.next], ['probe', 11]);
});

test('a snapshot on the way holds everything else, until it is in or overdue', () => {
  const peer = peerAt(10);
  peer.becomeSnapshot(8, 0);
  assert.is(peer.roomEntries, 0);
  peer.matched(5, 0);
  assert.equal([peer.state, peer.match, peer.next], ['snapshot', 5, 11]);
  peer.matched(8, 0);
  assert.equal([peer.state, peer.next], ['replicate', 9]);
  peer.becomeSnapshot(12, 0);
  peer.answeredHeartbeat(options.electionTimeoutMs);
  assert.equal([peer.state, peer.next], ['probe', 9]);
  peer.becomeSnapshot(12, 0);
  assert.throws(() => peer.sent(1, 1, 0, 0), isFault(/overtakes a snapshot/));
});

test('a commit is told once, as far as the peer has what is committed', () => {
  const peer = peerAt(10);
  peer.matched(10, 0);
  assert.is(peer.mayTell(12), true);
  peer.sent(0, 0, 12, 0);
  assert.is(peer.mayTell(12), false);
  peer.sent(2, 2, 12, 0);
  assert.is(peer.mayTell(12), false);
  assert.is(peer.mayTell(13), false);
});

test('a dead peer was heard of never, and begins with a probe', () => {
  const peer = peerAt(10);
  peer.matched(10, 0);
  peer.sent(3, 3, 0, 0);
  peer.lost();
  assert.equal([peer.state, peer.next, peer.heardMs], ['probe', 11, Number.NEGATIVE_INFINITY]);
});

test.run();
