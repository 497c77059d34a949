// A checker that finds nothing proves nothing: each kind of anomaly in a history that has it, and none in one that has not.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type AnomalyKind, check } from './checker.ts';
import { type FinalLog, type History, type Poll, valueNumbered } from './history.ts';

const ALL = 1;
const OTHER = 2;
const ONE = 3;

const [a0, a1, a2] = [0, 1, 2].map((n) => valueNumbered(ALL, n));
const [b0, b1] = [0, 1].map((n) => valueNumbered(OTHER, n));
const [c0] = [valueNumbered(ONE, 0)];

function log(values: readonly number[], partition = 0): FinalLog {
  return { partition, values, offsets: values.map((_, n) => n), hwm: values.length };
}

function poll(from: number, values: readonly number[], changes: Partial<Poll> = {}): Poll {
  const offsets = values.map((_, n) => from + n);
  return { reader: 'r', partition: 0, from, next: from + values.length, offsets, values, ...changes };
}

function history(changes: Partial<History>): History {
  return {
    writers: [
      { id: ALL, acks: 'all', isIdempotent: true },
      { id: OTHER, acks: 'all', isIdempotent: true },
      { id: ONE, acks: 1, isIdempotent: false },
    ],
    begun: new Map([
      [ALL, 3],
      [OTHER, 3],
      [ONE, 3],
    ]),
    acknowledged: [],
    polls: [],
    logs: [],
    ...changes,
  };
}

function kindsOf(changes: Partial<History>): AnomalyKind[] {
  return [...new Set(check(history(changes)).map(({ kind }) => kind))];
}

function at(value: number, offset: number, partition = 0) {
  return { value, offset, partition };
}

test('a history in which all was kept has no anomaly', () => {
  assert.equal(
    check(
      history({
        acknowledged: [at(a0, 0), at(b0, 1), at(a1, 2), at(b1, 0, 1), at(c0, 9)],
        polls: [
          poll(0, [a0, b0]),
          poll(2, [a1]),
          poll(3, []),
          poll(1, [b0, a1]),
          poll(0, [b1], { partition: 1 }),
        ],
        // What was not acknowledged may be there.
        logs: [log([a0, b0, a1, a2]), log([b1], 1)],
      }),
    ),
    [],
  );
});

test('an acknowledged record that the log lacks is lost', () => {
  assert.equal(kindsOf({ acknowledged: [at(a0, 0), at(a1, 1)], logs: [log([a0, b0])] }), ['lost-write']);
  assert.equal(
    kindsOf({
      acknowledged: [at(a0, 0)],
      logs: [{ partition: 0, offsets: [1], values: [b0], hwm: 2 }],
    }),
    ['lost-write'],
  );
});

test('an acknowledged record behind the end of the log was never seen', () => {
  assert.equal(kindsOf({ acknowledged: [at(a0, 0), at(a1, 1)], logs: [log([a0])] }), ['unseen']);
  assert.equal(kindsOf({ acknowledged: [at(a0, 0)] }), ['unseen']);
});

test('a record that a reader had, and that the log lacks, is lost, whoever wrote it', () => {
  assert.equal(kindsOf({ polls: [poll(0, [a0, c0])], logs: [log([a0])] }), ['lost-write']);
});

test('what a leader alone has acknowledged may be lost, and another record be there', () => {
  assert.equal(check(history({ acknowledged: [at(c0, 0), at(a0, 0)], logs: [log([a0])] })), []);
});

test('a record at two offsets, or in two partitions, is a duplicate', () => {
  assert.equal(kindsOf({ logs: [log([a0, b0, a0])] }), ['duplicate']);
  assert.equal(kindsOf({ logs: [log([a0]), log([a0], 1)] }), ['duplicate']);
});

test('a writer without sequence numbers may have sent a record twice', () => {
  assert.equal(kindsOf({ logs: [log([c0, b0, c0])] }), []);
});

test('two records at one offset are inconsistent, whoever was told of them', () => {
  assert.equal(kindsOf({ polls: [poll(0, [b0])], logs: [log([a0])] }), ['inconsistent-offset']);
  assert.equal(kindsOf({ acknowledged: [at(a0, 1)], logs: [log([a0, b0])] }), ['inconsistent-offset']);
  assert.ok(
    kindsOf({ acknowledged: [at(a0, 0), at(b0, 0)], logs: [log([a0])] }).includes('inconsistent-offset'),
  );
  assert.ok(kindsOf({ polls: [poll(0, [a0]), poll(0, [b0])], logs: [] }).includes('inconsistent-offset'));
});

test('a value that nobody has sent is a phantom', () => {
  assert.equal(kindsOf({ logs: [log([valueNumbered(ALL, 7)])] }), ['phantom']);
  assert.equal(kindsOf({ logs: [log([valueNumbered(9, 0)])] }), ['phantom']);
  assert.equal(kindsOf({ logs: [log([Number.NaN])] }), ['phantom']);
});

test('a poll that goes back is not monotonic', () => {
  const logs = [log([a0, b0, a1])];
  assert.equal(kindsOf({ polls: [poll(0, [b0, a0], { offsets: [1, 0], next: 2 })], logs }), [
    'non-monotonic-poll',
  ]);
  assert.equal(kindsOf({ polls: [poll(1, [a0, b0], { offsets: [0, 1], next: 2 })], logs }), [
    'non-monotonic-poll',
  ]);
  assert.equal(kindsOf({ polls: [poll(1, [], { next: 0 })], logs }), ['non-monotonic-poll']);
  assert.equal(kindsOf({ polls: [poll(0, [a0, b0], { next: 1 })], logs }), ['non-monotonic-poll']);
});

test('a poll that leads past a record has skipped it', () => {
  const logs = [log([a0, b0, a1])];
  assert.equal(kindsOf({ polls: [poll(0, [a0, a1], { offsets: [0, 2], next: 3 })], logs }), ['skipped']);
  assert.equal(kindsOf({ polls: [poll(0, [a0], { next: 2 })], logs }), ['skipped']);
  assert.equal(kindsOf({ polls: [poll(1, [], { next: 3 })], logs }), ['skipped']);
});

test('records of an idempotent writer in another order are reordered, those of others are not', () => {
  assert.equal(kindsOf({ logs: [log([a1, b0, a0])] }), ['reordered']);
  assert.equal(kindsOf({ logs: [log([valueNumbered(ONE, 1), c0])] }), []);
});

test('a log whose offsets do not ascend, or reach the HWM, is broken', () => {
  assert.equal(kindsOf({ logs: [{ partition: 0, offsets: [1, 0], values: [a0, a1], hwm: 2 }] }), [
    'broken-log',
  ]);
  assert.equal(kindsOf({ logs: [{ partition: 0, offsets: [0, 1], values: [a0, a1], hwm: 1 }] }), [
    'broken-log',
  ]);
});

test('an anomaly says in words where it is and what should be there', () => {
  const [{ sentence }] = check(history({ acknowledged: [at(a1, 1)], logs: [log([a0, b0])] }));
  assert.is(sentence, 'w1#1 was acknowledged at 1 of partition 0, and the log has w2#0 there');
});

test.run();
