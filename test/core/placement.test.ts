import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { brokersFor, placeReplicas } from '../../src/core/placement.ts';
import { refusal } from '../client/refusals.ts';

const cluster = fc.integer({ min: 1, max: 12 }).chain((count) =>
  fc.record({
    // Ids need be neither dense nor in order: brokers come and go.
    brokers: fc.uniqueArray(fc.integer({ min: 1, max: 100 }), { minLength: count, maxLength: count }),
    partitions: fc.integer({ min: 1, max: 200 }),
    factor: fc.integer({ min: 1, max: count }),
    first: fc.integer({ min: 0, max: 10_000 }),
  }),
);

function counts(brokers: readonly number[], ids: readonly number[]): number[] {
  return brokers.map((broker) => ids.filter((id) => id === broker).length);
}

const spread = (numbers: readonly number[]): number => Math.max(...numbers) - Math.min(...numbers);

test('where no number is asked for, a topic has as many replicas as brokers run, up to three', () => {
  const candidates = (running: number, offline: number) =>
    Array.from({ length: running + offline }, (_, n) => ({
      id: n + 1,
      state: n < running ? 'running' : 'offline',
      error: n < running ? undefined : 'The disk is full.',
    }));
  assert.equal(brokersFor(undefined, candidates(5, 0)), { running: [1, 2, 3, 4, 5], factor: 3 });
  assert.equal(brokersFor(undefined, candidates(2, 1)), { running: [1, 2], factor: 2 });
  assert.equal(brokersFor(1, candidates(2, 1)), { running: [1, 2], factor: 1 });
  assert.throws(
    () => brokersFor(3, candidates(2, 1)),
    refusal('INVALID_REPLICATION_FACTOR', /needs as many brokers; 2 are running\. The disk is full\./),
  );
  assert.throws(
    () => brokersFor(undefined, candidates(0, 1)),
    refusal('INVALID_REPLICATION_FACTOR', /^No broker is running\. The disk is full\./),
  );
});

test('every partition has as many replicas as asked for, on different brokers that exist', () => {
  fc.assert(
    fc.property(cluster, ({ brokers, partitions, factor, first }) => {
      const placed = placeReplicas(brokers, partitions, factor, first);
      assert.is(placed.length, partitions);
      for (const replicas of placed) {
        assert.is(replicas.length, factor);
        assert.is(new Set(replicas).size, factor);
        assert.ok(replicas.every((id) => brokers.includes(id)));
      }
    }),
  );
});

test('leaders are spread over the brokers to within one', () => {
  fc.assert(
    fc.property(cluster, ({ brokers, partitions, factor, first }) => {
      const leaders = placeReplicas(brokers, partitions, factor, first).map(([leader]) => leader);
      assert.ok(spread(counts(brokers, leaders)) <= 1);
    }),
  );
});

test('topics one after the other are spread as one topic is, so that small topics do not pile up', () => {
  const brokers = [1, 2, 3];
  const single = Array.from({ length: 30 }, (_, first) => placeReplicas(brokers, 1, 2, first)[0]);
  assert.equal(single, placeReplicas(brokers, 30, 2, 0));
  assert.equal(counts(brokers, single.flat()), [20, 20, 20]);
});

test('replicas are spread over the brokers evenly, round by round', () => {
  fc.assert(
    fc.property(cluster, fc.integer({ min: 1, max: 10 }), ({ brokers, factor, first }, rounds) => {
      const round = first - (first % brokers.length);
      const placed = placeReplicas(brokers, rounds * brokers.length, factor, round);
      assert.is(spread(counts(brokers, placed.flat())), 0);
    }),
  );
});

test("a dead leader's partitions fall to all the others alike", () => {
  const brokers = [1, 2, 3, 4, 5];
  const placed = placeReplicas(brokers, 100, 3, 0);
  for (const dead of brokers) {
    const heirs = placed.filter(([leader]) => leader === dead).map(([, heir]) => heir);
    const others = brokers.filter((id) => id !== dead);
    assert.equal(counts(others, heirs), [5, 5, 5, 5], `heirs of ${dead}`);
  }
});

test('one broker holds everything', () => {
  assert.equal(placeReplicas([7], 3, 1, 5), [[7], [7], [7]]);
});

test.run();
