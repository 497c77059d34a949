import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { RaftLog } from '../../../src/core/raft/raft-log.ts';
import type { Snapshot } from '../../../src/core/raft/types.ts';
import { bytes, entry, isFault, votersOf } from './raft-cluster.ts';

function logOf(...terms: number[]): RaftLog {
  return new RaftLog(
    undefined,
    terms.map((term, at) => entry(at + 1, term)),
  );
}

function snapshotAt(index: number, term: number): Snapshot {
  return { index, term, configuration: votersOf(1), data: bytes('') };
}

test('an empty log ends before its first entry', () => {
  const log = logOf();
  assert.is(log.lastIndex, 0);
  assert.is(log.lastTerm, 0);
  assert.is(log.termAt(0), 0);
  assert.is(log.termAt(1), undefined);
});

test('a slice keeps to both bounds, and holds one entry at least', () => {
  const log = logOf(1, 1, 1, 1);
  const indexes = (maxEntries: number, maxBytes: number): number[] =>
    log.slice(2, maxEntries, maxBytes).map(({ index }) => index);
  assert.equal(indexes(9, 99), [2, 3, 4]);
  assert.equal(indexes(2, 99), [2, 3]);
  assert.equal(indexes(9, 6), [2, 3]);
  assert.equal(indexes(9, 0), [2]);
  assert.equal(log.slice(5, 9, 99), []);
});

test('a log is up to date by its last term first, and by its length then', () => {
  const log = logOf(1, 2, 2);
  assert.ok(log.isUpToDate(3, 2));
  assert.ok(log.isUpToDate(4, 2));
  assert.ok(log.isUpToDate(1, 3));
  assert.not(log.isUpToDate(2, 2));
  assert.not(log.isUpToDate(9, 1));
});

test('a compacted log keeps its tail, and knows the term of its snapshot without it', () => {
  const log = logOf(1, 1, 2, 2, 3);
  log.compact(snapshotAt(4, 2), 3);
  assert.equal([log.firstIndex, log.lastIndex, log.termAt(2), log.termAt(3)], [3, 5, undefined, 2]);
  log.compact(snapshotAt(5, 3), 6);
  assert.equal([log.firstIndex, log.lastIndex, log.lastTerm, log.termAt(5)], [6, 5, 3, 3]);
  log.append(entry(6, 3));
  assert.is(log.lastIndex, 6);
});

test('a tail may begin in an earlier term than its snapshot', () => {
  const log = new RaftLog(snapshotAt(3, 2), [entry(2, 1), entry(3, 2), entry(4, 2)]);
  assert.equal([log.firstIndex, log.lastIndex, log.termAt(2)], [2, 4, 1]);
});

test('a log that does not join its snapshot is a fault of the store', () => {
  const build = (snapshot: Snapshot, ...entries: [number, number][]): (() => RaftLog) => {
    return () =>
      new RaftLog(
        snapshot,
        entries.map(([index, term]) => entry(index, term)),
      );
  };
  assert.throws(build(snapshotAt(3, 2), [5, 2]), isFault(/a gap below the log/));
  assert.throws(build(snapshotAt(3, 2), [1, 1], [2, 1]), isFault(/ends below its snapshot/));
  assert.throws(build(snapshotAt(3, 2), [3, 1], [4, 2]), isFault(/disagree/));
  assert.throws(build(snapshotAt(0, 0), [1, 1], [3, 1]), isFault(/entry 3 does not follow 1/));
  assert.throws(build(snapshotAt(0, 0), [1, 2], [2, 1]), isFault(/the term falls at 2/));
});

test('what is in a snapshot is not dropped', () => {
  const log = logOf(1, 1, 1);
  log.compact(snapshotAt(2, 1), 1);
  assert.throws(() => log.truncateFrom(2), isFault(/entry 2 is in the snapshot/));
  log.truncateFrom(3);
  assert.is(log.lastIndex, 2);
});

test('a conflict is told by its term and where that begins, or by the end of the log', () => {
  const log = logOf(1, 2, 2, 2, 3);
  assert.equal(log.conflictAt(4), { term: 2, index: 2 });
  assert.equal(log.conflictAt(9), { term: 0, index: 6 });
});

test('a leader goes on behind its own last entry of the term that conflicts', () => {
  const log = logOf(1, 2, 2, 4);
  assert.is(log.nextAfter({ term: 2, index: 2 }, 6), 4);
  assert.is(log.nextAfter({ term: 3, index: 4 }, 6), 4);
  assert.is(log.nextAfter({ term: 0, index: 3 }, 6), 3);
});

test('two logs find where they part within as many questions as they have terms', () => {
  const terms = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(terms, terms, fc.nat(10), (one, other, shared) => {
      const sorted = (values: number[]): number[] => [...values].sort((low, high) => low - high);
      const common = sorted(one).slice(0, shared);
      const rest = (values: number[]): number[] =>
        sorted(values).map((term) => Math.max(term, common.at(-1) ?? 1));
      const leader = logOf(...common, ...rest(one), 5);
      const follower = logOf(...common, ...rest(other));
      let next = leader.lastIndex;
      let questions = 0;
      while (follower.termAt(next - 1) !== leader.termAt(next - 1)) {
        const rejected = next - 1;
        next = Math.min(leader.nextAfter(follower.conflictAt(rejected), rejected), rejected);
        questions++;
      }
      assert.ok(questions <= 9, `${questions} questions`);
      assert.ok(next > Math.min(shared, one.length), 'the shared part is sent again');
    }),
    { numRuns: 500 },
  );
});

test.run();
