import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { IdSet } from '../../../src/core/metadata/id-set.ts';

const id = fc.oneof(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 2 ** 20 }));

test('it holds what a Set holds, in ascending order, and earlier ones stay as they were', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), id), { maxLength: 80 }), (changes) => {
      let ids = IdSet.empty;
      const model = new Set<number>();
      for (const [isAdded, each] of changes) {
        const before = ids;
        const held = [...before];
        ids = isAdded ? ids.add(each) : ids.delete(each);
        if (isAdded) model.add(each);
        else model.delete(each);
        assert.is(ids.has(each), isAdded);
        assert.is(ids.size, model.size);
        assert.equal([...before], held);
      }
      assert.equal(
        [...ids],
        [...model].sort((one, other) => one - other),
      );
    }),
  );
});

test('the last id of a word goes in and out as any other', () => {
  const ids = IdSet.empty.add(31).add(63).add(0);
  assert.equal([...ids], [0, 31, 63]);
  assert.equal([...ids.delete(31)], [0, 63]);
  assert.is(ids.delete(32), ids);
  assert.is(ids.add(63), ids);
});

test.run();
