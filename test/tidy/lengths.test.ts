import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { lengths } from './lengths.ts';
import { treeOf } from './tree.ts';

/** So many lines, with a function in the last of them. */
function fileOf(lines: number): string {
  return `${'// a line\n'.repeat(lines - 1)}export function a() {}\n`;
}

function bodyOf(lines: number): string {
  return `{\n${'  step();\n'.repeat(lines - 2)}}`;
}

test('a file of 500 lines is fine, one more is too long', () => {
  assert.equal(lengths(treeOf({ 'src/a.ts': fileOf(500) }), {}), []);
  assert.equal(lengths(treeOf({ 'src/a.ts': fileOf(501) }), {}), [
    'src/a.ts:1: "src/a.ts" has 501 lines, more than 500',
  ]);
});

test('a function of 70 lines is fine, one more is too long, whatever kind it is', () => {
  assert.equal(lengths(treeOf({ 'src/a.ts': `function a() ${bodyOf(70)}` }), {}), []);
  const body = bodyOf(71);
  const kinds = {
    a: `function a() ${body}`,
    b: `const b = () => ${body};`,
    'C.d': `class C { d() ${body} }`,
    'C.constructor': `class C { constructor() ${body} }`,
    'C.e': `class C { get e() ${body} }`,
    f: `const o = { f: function () ${body} };`,
    'test it works': `test('it works', () => ${body});`,
    '(nameless)': `export const g = [() => ${body}];`,
  };
  for (const [name, text] of Object.entries(kinds)) {
    assert.equal(lengths(treeOf({ 'src/a.ts': text }), {}), [
      `src/a.ts:1: "src/a.ts ${name}" has 71 lines, more than 70`,
    ]);
  }
});

test('an entry of the table may not be exceeded, and must follow what shrinks', () => {
  const of = (lines: number, entry: number) =>
    lengths(treeOf({ 'src/a.ts': fileOf(lines) }), { 'src/a.ts': entry });
  assert.equal(of(600, 600), []);
  assert.match(of(601, 600)[0] ?? '', 'has 601 lines, more than 600');
  assert.match(of(599, 600)[0] ?? '', 'has shrunk to 599 lines: lower its entry to 599');
  assert.match(of(400, 600)[0] ?? '', 'remove its entry');
});

test('an entry for what is gone must go', () => {
  assert.match(lengths(treeOf({ 'src/a.ts': '' }), { 'src/b.ts': 600 })[0] ?? '', 'src/b.ts: is gone');
});

test.run();
