import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Replacement } from '../../src/core/replacement.ts';
import { refusal } from '../client/refusals.ts';

function replacement(racks: readonly (string | null)[], load: readonly number[] = []): Replacement {
  const places = racks.map((rack, n) => ({ id: n + 1, rack }));
  return new Replacement(places, new Map(load.map((held, n) => [n + 1, held])));
}

test('replicas that come go to those who hold least, and what was given counts', () => {
  const chosen = replacement([null, null, null, null], [3, 0, 1, 1]);
  assert.equal(chosen.extended([1], 2), [1, 2]);
  assert.equal(chosen.extended([1], 3), [1, 2, 3]);
  assert.equal(chosen.extended([1], 2), [1, 4]);
});

test('replicas that come go to other racks first, however much those hold', () => {
  const chosen = replacement(['a', 'a', 'b', 'c'], [0, 0, 9, 8]);
  assert.equal(chosen.extended([1], 3), [1, 4, 3]);
  assert.equal(chosen.extended([1, 3, 4], 4), [1, 3, 4, 2]);
});

test('replicas that are out of sync go first, then those that share a rack, and the order stays', () => {
  const chosen = replacement(['a', 'a', 'b', null]);
  assert.equal(chosen.reduced([1, 2, 3], [2, 3], 2), [2, 3]);
  assert.equal(chosen.reduced([1, 2, 3], [1, 2, 3], 2), [1, 3]);
  assert.equal(chosen.reduced([4, 2, 1], [1], 1), [1]);
  assert.equal(chosen.reduced([4, 2, 1], [4, 2, 1], 3), [4, 2, 1]);
});

test('who leaves is replaced in its place, by one that keeps the racks apart', () => {
  const chosen = replacement(['a', 'b', 'b', 'a'], [1, 1, 1, 0]);
  assert.equal(chosen.replaced([1, 2], 2), [1, 3]);
  assert.equal(replacement([null, null, null], [1, 1, 0]).replaced([2, 1], 2), [3, 1]);
});

test('where there are not enough brokers it is refused', () => {
  const chosen = replacement([null, null]);
  assert.throws(
    () => chosen.extended([1], 3),
    refusal(
      'INVALID_REPLICATION_FACTOR',
      /no broker for replica 3 of a partition: each needs one of its own, and 2 can take/,
    ),
  );
  assert.throws(
    () => chosen.replaced([1, 2], 2),
    refusal('INVALID_REPLICATION_FACTOR', /replica 2 of a partition, besides broker 2/),
  );
});

test.run();
