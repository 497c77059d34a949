import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { majorityOf, reachedByMajority } from '../../../src/core/raft/quorum.ts';

test('a majority is more than half', () => {
  assert.equal([1, 2, 3, 4, 5, 6, 7].map(majorityOf), [1, 2, 2, 3, 3, 4, 4]);
});

test('nobody reaches anything where nobody votes', () => {
  assert.is(reachedByMajority([]), Number.NEGATIVE_INFINITY);
});

/** Says the same the long way: the largest of the values that more than half of them reach. */
function naive(values: readonly number[]): number {
  const reached = values.filter(
    (value) => values.filter((other) => other >= value).length * 2 > values.length,
  );
  return Math.max(...reached);
}

test('what a majority has reached is what counting says', () => {
  const value = fc.oneof(
    fc.nat(9),
    fc.constant(Number.NEGATIVE_INFINITY),
    fc.constant(Number.POSITIVE_INFINITY),
  );
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 9 }), (values) => {
      const before = [...values];
      assert.is(reachedByMajority(values), naive(values));
      assert.equal(values, before);
    }),
    { numRuns: 2_000 },
  );
});

test.run();
