import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PersistentMap } from '../../../src/core/metadata/persistent-map.ts';

type Change = readonly ['set', string | number, number] | readonly ['delete', string | number];

// These two have the same hash, as FNV-1a has it.
const TWINS = ['costarring', 'liquid'];
const key: fc.Arbitrary<string | number> = fc.oneof(
  fc.constantFrom(...TWINS, 'a', 'b', ''),
  fc.integer({ min: -1, max: 70 }),
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  fc.string({ maxLength: 2 }),
);
const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 2, arbitrary: fc.tuple(fc.constant('set' as const), key, fc.integer()) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('delete' as const), key) },
);

function sorted<Value>(entries: Iterable<readonly [string | number, Value]>): (readonly [string, Value])[] {
  return [...entries]
    .map(([name, value]) => [`${typeof name} ${name}`, value] as const)
    .sort(([one], [other]) => (one < other ? -1 : 1));
}

function changed(map: PersistentMap<string | number, number>, [what, name, value]: Change, owner?: object) {
  return what === 'set' ? map.set(name, value, owner) : map.delete(name, owner);
}

test('after any changes it holds what a Map holds, and every earlier one still holds what it held', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 120 }), (changes) => {
      let map = PersistentMap.empty<string | number, number>();
      const model = new Map<string | number, number>();
      const earlier: [typeof map, ReturnType<typeof sorted<number>>][] = [];
      for (const each of changes) {
        map = changed(map, each);
        if (each[0] === 'set') model.set(each[1], each[2]);
        else model.delete(each[1]);
        assert.is(map.size, model.size);
        assert.is(map.get(each[1]), model.get(each[1]));
        earlier.push([map, sorted(model)]);
      }
      for (const [then, held] of earlier) assert.equal(sorted(then), held);
    }),
    { numRuns: 200 },
  );
});

test('changes of one owner leave what was there before as it was', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), fc.array(change, { maxLength: 60 }), (first, then) => {
      let before = PersistentMap.empty<string | number, number>();
      const owner = {};
      for (const each of first) before = changed(before, each, owner);
      const held = sorted(before);
      const model = new Map(before);
      let after = before;
      const other = {};
      for (const each of then) {
        after = changed(after, each, other);
        if (each[0] === 'set') model.set(each[1], each[2]);
        else model.delete(each[1]);
      }
      assert.equal(sorted(before), held);
      assert.equal(sorted(after), sorted(model));
    }),
    { numRuns: 200 },
  );
});

test('keys of the same hash are told apart', () => {
  let map = PersistentMap.empty<string, number>();
  for (const [n, name] of TWINS.entries()) map = map.set(name, n);
  assert.equal(sorted(map), [
    ['string costarring', 0],
    ['string liquid', 1],
  ]);
  const rest = map.delete('liquid');
  assert.is(rest.get('costarring'), 0);
  assert.is(rest.has('liquid'), false);
  assert.is(map.delete('costarring').get('liquid'), 1);
});

test('what changes nothing gives the same map', () => {
  const map = PersistentMap.empty<string, number>().set('a', 1);
  assert.is(map.set('a', 1), map);
  assert.is(map.delete('b'), map);
  assert.is(map.delete('a').size, 0);
  assert.equal([...map.delete('a')], []);
});

test('a number and a text that looks like it are two keys', () => {
  const map = PersistentMap.empty<string | number, string>().set(1, 'number').set('1', 'text');
  assert.is(map.get(1), 'number');
  assert.is(map.get('1'), 'text');
});

test('keys and values come with the entries', () => {
  const map = PersistentMap.empty<number, string>().set(1, 'a').set(2, 'b');
  assert.equal([...map.keys()].sort(), [1, 2]);
  assert.equal([...map.values()].sort(), ['a', 'b']);
});

test.run();
