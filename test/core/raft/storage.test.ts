import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { RaftEvent } from '../../../src/core/raft/index.ts';
import { clearOutput, hasToPersist, newOutput, RaftNode } from '../../../src/core/raft/index.ts';
import { bytes, entry, isFault, LoneNode, member, votersOf } from './raft-cluster.ts';

function appendEvent(term: number, prev: readonly [number, number], terms: readonly number[]): RaftEvent {
  const [prevIndex, prevTerm] = prev;
  const entries = terms.map((own, at) => entry(prevIndex + 1 + at, own));
  const message = {
    kind: 'append',
    from: member(2),
    to: member(1),
    term,
    prevIndex,
    prevTerm,
    entries,
    commit: 0,
  } as const;
  return { kind: 'message', message, nowMs: 0 };
}

test('what is dropped before it was written is never written', () => {
  const { node } = new LoneNode({ terms: [1] });
  const out = newOutput();
  node.step(appendEvent(1, [1, 1], [1, 1, 1]), out);
  node.step(appendEvent(2, [2, 1], [2]), out);
  assert.is(out.persist.truncateFrom, undefined);
  assert.equal(out.persist.entries, [entry(2, 1), entry(3, 2)]);
});

test('of two truncations of one output the lower counts', () => {
  const { node } = new LoneNode({ terms: [1, 1, 1, 1] });
  const out = newOutput();
  node.step(appendEvent(2, [3, 1], [2]), out);
  node.step(appendEvent(3, [1, 1], [3]), out);
  assert.is(out.persist.truncateFrom, 2);
  assert.equal(out.persist.entries, [entry(2, 3)]);
});

test('a snapshot of the leader takes the place of everything before it in the same output', () => {
  const { node } = new LoneNode({ terms: [1, 1, 1] });
  const out = newOutput();
  node.step(appendEvent(2, [2, 1], [2, 2]), out);
  const snapshot = { index: 9, term: 2, configuration: votersOf(1, 2, 3), data: bytes('s') };
  const message = { kind: 'snapshot', from: member(2), to: member(1), term: 2, snapshot } as const;
  node.step({ kind: 'message', message, nowMs: 0 }, out);
  node.step(appendEvent(2, [9, 2], [2, 2]), out);
  node.step(appendEvent(3, [9, 2], [3]), out);
  const { restartAt, truncateFrom, entries } = out.persist;
  assert.equal([restartAt, truncateFrom, out.persist.snapshot], [10, undefined, snapshot]);
  assert.equal(entries, [entry(10, 3)]);
});

test('a snapshot of the host is persisted with the configuration of its index, and keeps a tail', () => {
  const lone = new LoneNode({ terms: [1, 1, 1, 1], options: { tailEntries: 2 } });
  lone.append(2, 1, [4, 1], [], 4);
  const out = lone.step({ kind: 'compact', index: 3, data: bytes('s') });
  assert.equal(out.persist.snapshot, {
    index: 3,
    term: 1,
    configuration: votersOf(1, 2, 3),
    data: bytes('s'),
  });
  assert.is(out.persist.firstIndex, 2);
  assert.is(out.persist.restartAt, undefined);
  assert.equal(lone.step({ kind: 'compact', index: 3, data: bytes('s') }).persist.snapshot, undefined);
});

test('a snapshot of what is not committed is a fault of the host', () => {
  const lone = new LoneNode({ terms: [1, 1] });
  lone.append(2, 1, [2, 1], [], 1);
  assert.throws(
    () => lone.step({ kind: 'compact', index: 2, data: bytes('') }),
    isFault(/what is not committed/),
  );
  const single = new RaftNode({ self: member(1), random: () => 0, nowMs: 0, bootstrap: votersOf(1) });
  const out = newOutput();
  single.step({ kind: 'campaign', nowMs: 0 }, out);
  const early = (): void => single.step({ kind: 'compact', index: 1, data: bytes(''), nowMs: 0 }, out);
  assert.throws(early, isFault(/what is not persisted/));
});

test('an output says whether there is anything to wait for, and is empty when cleared', () => {
  const { node } = new LoneNode({ terms: [1] });
  const out = newOutput();
  assert.is(hasToPersist(out), false);
  node.step(appendEvent(2, [1, 1], [2]), out);
  assert.is(hasToPersist(out), true);
  assert.ok(out.messages.length > 0);
  clearOutput(out);
  assert.equal(out, newOutput());
});

test.run();
