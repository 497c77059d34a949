import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bytes, cutOff, LoneNode, member, RaftCluster } from './raft-cluster.ts';

test('a proposal is told its place', () => {
  const lone = new LoneNode();
  lone.lead();
  const out = lone.step({ kind: 'propose', id: 9, data: bytes('a') });
  assert.equal(out.results, [{ kind: 'appended', id: 9, index: 2, term: 1 }]);
});

test('too many uncommitted entries, or bytes, make a leader busy until they are committed', () => {
  const lone = new LoneNode({ options: { uncommittedMaxEntries: 3, uncommittedMaxBytes: 10 } });
  lone.lead();
  lone.accept(2, 1);
  const propose = (bytesOfData: number): string => {
    const [result] = lone.step({ kind: 'propose', id: 1, data: new Uint8Array(bytesOfData) }).results;
    return result.kind === 'refused' ? result.error : result.kind;
  };
  assert.equal(
    [propose(1), propose(1), propose(1), propose(1)],
    ['appended', 'appended', 'appended', 'BUSY'],
  );
  lone.accept(2, 4);
  assert.equal([propose(6), propose(5), propose(4)], ['appended', 'BUSY', 'appended']);
  lone.accept(2, 6);
  assert.is(propose(50), 'appended', 'what is too large altogether goes alone');
  assert.is(propose(1), 'BUSY');
});

test('what earlier leaders left counts until it is committed', () => {
  const lone = new LoneNode({ terms: [1, 1, 1], options: { uncommittedMaxEntries: 4 } });
  lone.lead();
  const [result] = lone.step({ kind: 'propose', id: 1, data: bytes('a') }).results;
  assert.is(result.kind, 'refused');
});

test('a leader that does not hear from a majority for an election timeout steps down', () => {
  const cluster = new RaftCluster().start(1, 2, 3).elect(1);
  cluster.pass(190, cutOff(1));
  assert.is(cluster.raft(1).role, 'leader');
  cluster.pass(60, cutOff(1));
  assert.is(cluster.raft(1).role, 'follower');
});

test('a leader that hears from just a majority stays', () => {
  const cluster = new RaftCluster().start(1, 2, 3).elect(1);
  cluster.crash(2);
  cluster.pass(5_000);
  assert.is(cluster.raft(1).role, 'leader');
});

test('leadership goes to the target within its messages, without a wait', () => {
  const cluster = new RaftCluster().start(1, 2, 3).elect(1);
  cluster.step(1, { kind: 'transfer', id: 5, to: 3 });
  cluster.settle();
  assert.is(cluster.raft(3).role, 'leader');
  assert.equal(cluster.takeTold(), ['1: 5 done']);
});

test('a target that lacks something gets it first; meanwhile nothing is proposed', () => {
  const lone = new LoneNode();
  lone.lead();
  const begun = lone.step({ kind: 'transfer', id: 5, to: 2 }, { kind: 'propose', id: 6, data: bytes('a') });
  assert.not(begun.messages.some(({ kind }) => kind === 'timeout-now'));
  assert.equal(begun.results, [{ kind: 'refused', id: 6, error: 'BUSY', leader: undefined }]);
  assert.ok(lone.accept(2, 1).messages.some(({ kind, to }) => kind === 'timeout-now' && to.id === 2));
});

test('a transfer that gets nowhere is given up after an election timeout', () => {
  const cluster = new RaftCluster().start(1, 2, 3).elect(1);
  cluster.step(1, { kind: 'transfer', id: 5, to: 2 });
  cluster.pass(210, cutOff(2));
  assert.equal(cluster.takeTold(), ['1: 5 refused TIMED_OUT leader=-']);
  cluster.step(1, { kind: 'propose', id: 6, data: bytes('a') });
  assert.equal(cluster.takeTold(), ['1: 6 appended at 2/1']);
});

test('a transfer to nobody, to itself, to a dead voter or beside another is refused', () => {
  const lone = new LoneNode();
  lone.lead();
  const transfer = (id: number, to: number) => ({ kind: 'transfer', id, to }) as const;
  const out = lone.step(transfer(1, 9), transfer(2, 1), transfer(3, 2), transfer(4, 3), {
    kind: 'peer-lost',
    peer: 2,
  });
  assert.equal(
    out.results.map((result) => [result.id, result.kind === 'refused' && result.error]),
    [
      [1, 'VOTER_NOT_FOUND'],
      [2, 'VOTER_NOT_FOUND'],
      [4, 'BUSY'],
      [3, 'TIMED_OUT'],
    ],
  );
});

test('a leader that loses its term tells everybody who waits', () => {
  const lone = new LoneNode();
  lone.lead();
  lone.accept(2, 1);
  lone.step({ kind: 'read', id: 1 }, { kind: 'remove-voter', id: 2, voter: member(3) });
  const out = lone.append(2, 2, [1, 1], [2]);
  assert.equal(out.results, [
    { kind: 'refused', id: 1, error: 'NOT_LEADER', leader: 2 },
    { kind: 'refused', id: 2, error: 'LEADERSHIP_LOST', leader: 2 },
  ]);
  assert.is(lone.node.configuration.voters.length, 3);
});

test('a tick is due at the next heartbeat, and sends one', () => {
  const lone = new LoneNode();
  lone.lead();
  assert.is(lone.node.dueMs, 40);
  lone.nowMs = 40;
  const out = lone.step({ kind: 'tick' });
  assert.equal(
    out.messages.map(({ kind, to }) => [kind, to.id]),
    [
      ['heartbeat', 2],
      ['heartbeat', 3],
    ],
  );
  assert.is(lone.node.dueMs, 80);
});

test.run();
