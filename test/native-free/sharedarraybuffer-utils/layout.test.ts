import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { defineLayout, describe, LINE_BYTES } from '../../../native-free/sharedarraybuffer-utils/index.ts';
import { isTypeError } from './errors.ts';

test('fields of one writer lie together, those of another on lines of their own', () => {
  const layout = defineLayout('link', [
    { field: 'sent', type: 'int32', writer: 'left' },
    { field: 'received', type: 'position', writer: 'right' },
    { field: 'end', type: 'position', writer: 'left' },
  ]);
  assert.equal(layout.index, { sent: 0, end: 4, received: LINE_BYTES / 4 });
  assert.is(layout.bytes, 2 * LINE_BYTES);
  assert.equal(
    layout.fields.map((placed) => placed.field),
    ['sent', 'end', 'received'],
  );
});

test('a field that wants to be alone shares its line with nobody', () => {
  const layout = defineLayout('counters', [
    { field: 'often', type: 'int32', writer: 'broker', alone: true },
    { field: 'seldom', type: 'int32', writer: 'broker' },
    { field: 'never', type: 'int32', writer: 'broker' },
  ]);
  assert.equal(layout.index, { often: 0, seldom: LINE_BYTES / 4, never: LINE_BYTES / 4 + 1 });
});

test('a narrower alignment packs rows more densely', () => {
  const row = defineLayout('row', [{ field: 'end', type: 'position', writer: 'broker' }], { alignBytes: 64 });
  assert.is(row.bytes, 64);
  assert.throws(
    () => defineLayout('row', [{ field: 'end', type: 'int32', writer: 'x' }], { alignBytes: 48 }),
    /power of two/,
  );
});

test('a pinned field stays where it is pinned, and the rest follow behind it', () => {
  const layout = defineLayout('pinned', [
    { field: 'free', type: 'int32', writer: 'one' },
    { field: 'fixed', type: 'int32', writer: 'two', at: 12 },
  ]);
  assert.equal(layout.index, { fixed: 3, free: LINE_BYTES / 4 });
});

test('pinned fields that overlap, share a line, or are not aligned are refused', () => {
  const twice =
    (at: number, writer: string, type: 'int32' | 'position' = 'int32') =>
    () =>
      defineLayout('bad', [
        { field: 'first', type: 'position', writer: 'one', at: 16 },
        { field: 'second', type, writer, at },
      ]);
  assert.throws(twice(28, 'one'), /second overlaps first/);
  assert.throws(twice(32, 'two'), /second \(two\) shares a cache line with first \(one\)/);
  assert.throws(twice(34, 'one'), /not aligned/);
  assert.throws(twice(40, 'one', 'position'), /not aligned/);
  assert.not.throws(twice(32, 'one'));
  assert.not.throws(twice(LINE_BYTES, 'two'));
});

test('the same name twice, an unknown type and no fields at all are refused', () => {
  const field = { field: 'same', type: 'int32', writer: 'one' } as const;
  assert.throws(() => defineLayout('bad', [field, field]), /there twice/);
  assert.throws(() => defineLayout('bad', [{ ...field, type: 'int8' as 'int32' }]), isTypeError);
  assert.throws(() => defineLayout('bad', []), /at least one/);
});

test('the description shows every field with its offset and its writer', () => {
  const layout = defineLayout('link', [
    { field: 'sent', type: 'int32', writer: 'left' },
    { field: 'received', type: 'position', writer: 'right' },
  ]);
  const picture = describe(layout);
  assert.match(picture, /link, 256 bytes/);
  assert.match(picture, /\| {5}0 {2}sent {6}int32 {5}writer: left/);
  assert.match(picture, /\| {3}128 {2}received {2}position {2}writer: right/);
});

test.run();
