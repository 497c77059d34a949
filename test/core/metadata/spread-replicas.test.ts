import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { spreadReplicas } from '../../../src/core/metadata/spread-replicas.ts';
import { placeReplicas } from '../../../src/core/placement.ts';

const rack = fc.option(fc.constantFrom('a', 'b', 'c', 'd'), { nil: null });
const cluster = fc.array(rack, { minLength: 1, maxLength: 9 }).chain((racks) =>
  fc.record({
    brokers: fc.constant(racks.map((each, n) => ({ id: n + 1, rack: each }))),
    partitions: fc.integer({ min: 1, max: 40 }),
    factor: fc.integer({ min: 1, max: racks.length }),
    first: fc.integer({ min: 0, max: 1_000 }),
  }),
);

test('replicas are on different brokers, and on as many racks as there can be, as evenly as they go', () => {
  fc.assert(
    fc.property(cluster, ({ brokers, partitions, factor, first }) => {
      // Who has no rack stands alone.
      const rackOf = (id: number) => brokers[id - 1].rack ?? `${id}`;
      const sizes = new Map<string, number>();
      for (const { id } of brokers) sizes.set(rackOf(id), (sizes.get(rackOf(id)) ?? 0) + 1);
      const placed = spreadReplicas(brokers, partitions, factor, first);
      assert.is(placed.length, partitions);
      for (const replicas of placed) {
        assert.is(replicas.length, factor);
        assert.is(new Set(replicas).size, factor);
        const used = new Map<string, number>();
        for (const id of replicas) used.set(rackOf(id), (used.get(rackOf(id)) ?? 0) + 1);
        assert.is(used.size, Math.min(factor, sizes.size));
        // A rack has two more than another one only where that has no more brokers.
        for (const [name, size] of sizes) {
          const here = used.get(name) ?? 0;
          if (here < size) assert.ok(Math.max(...used.values()) - here <= 1, replicas.join());
        }
      }
    }),
  );
});

test('leaders go round over all brokers, whatever their racks', () => {
  fc.assert(
    fc.property(cluster, ({ brokers, partitions, factor, first }) => {
      const leaders = spreadReplicas(brokers, partitions, factor, first).map(([leader]) => leader);
      const ids = brokers.map(({ id }) => id);
      assert.equal(
        leaders,
        placeReplicas(ids, partitions, 1, first).map(([leader]) => leader),
      );
    }),
  );
});

test('without racks, or with a rack for each, replicas are placed as ever', () => {
  const expected = placeReplicas([1, 2, 3, 4], 20, 3, 7);
  for (const racks of [
    [null, null, null, null],
    ['a', 'b', 'c', 'd'],
    ['a', null, null, 'b'],
  ]) {
    const brokers = racks.map((each, n) => ({ id: n + 1, rack: each }));
    assert.equal(spreadReplicas(brokers, 20, 3, 7), expected);
  }
});

test.run();
