import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { treeOf } from './tree.ts';
import { entriesOf, unreferencedFiles, unusedExports } from './usage.ts';

const ENTRIES = new Set(['src/index.ts']);

function unused(texts: Record<string, string>): readonly string[] {
  return unusedExports(treeOf(texts), ENTRIES);
}

test('the entries are the sources of what package.json starts and exports', () => {
  const text = '{"exports": "./dist/src/index.js", "scripts": {"test": "node dist/test/run.js"}}';
  assert.equal([...entriesOf(text)], ['src/index.ts', 'test/run.ts']);
});

test('a file that nobody imports is found, and one that only tests import', () => {
  const texts = {
    'src/index.ts': "export { a } from './core/a.ts';\nnew URL('./started.js', import.meta.url);",
    'src/core/a.ts': 'export const a = 1;',
    'src/started.ts': '',
    'src/core/forgotten.ts': '',
    'src/core/tested.ts': 'export const b = 1;',
    'test/core/tested.test.ts': "import { b } from '../../src/core/tested.ts';",
  };
  assert.equal(unreferencedFiles(treeOf(texts), ENTRIES), [
    'src/core/forgotten.ts:1: nobody imports this file',
    'src/core/tested.ts:1: only tests import this file',
  ]);
});

test('a file is not reached by itself', () => {
  assert.is(
    unreferencedFiles(treeOf({ 'src/a.ts': "new URL('./a.js', import.meta.url);" }), ENTRIES).length,
    1,
  );
});

test('an export that nobody uses is found, and one that only tests use', () => {
  const texts = {
    'src/core/a.ts': 'export const used = 1;\nexport const tested = 2;\nexport const dead = 3;',
    'src/core/b.ts': "import { used } from './a.ts';",
    'test/core/a.test.ts': "import { used, tested } from '../../src/core/a.ts';",
  };
  assert.equal(unused(texts), [
    'src/core/a.ts:2: the export tested is used by tests alone',
    'src/core/a.ts:3: the export dead is used by no other file',
  ]);
});

test('what the public face hands on is used, and what a namespace import takes', () => {
  const texts = {
    'src/index.ts': "export { a } from './a.ts';\nimport * as b from './b.ts';\nb.one();",
    'src/a.ts': 'export const a = 1;',
    'src/b.ts': 'export const one = 1;\nexport const two = 2;',
  };
  assert.equal(unused(texts), ['src/b.ts:2: the export two is used by no other file']);
});

test('an export handed on by a file that is not public needs a user itself', () => {
  const texts = {
    'src/a.ts': 'export const a = 1;',
    'src/b.ts': "export { a } from './a.ts';",
  };
  assert.equal(unused(texts), ['src/b.ts:1: the export a is used by no other file']);
});

test('a type that its own file speaks of may be exported, a dead one may not', () => {
  const texts = {
    'src/a.ts': 'export type Options = 1;\nexport type Dead = 1;\nexport function a(options: Options) {}',
    'src/index.ts': "export { a } from './a.ts';",
  };
  assert.equal(unused(texts), ['src/a.ts:2: the export Dead is used by no other file']);
});

test('tests may use what a leaf of native-free exports, and its index is public', () => {
  const texts = {
    'native-free/lz4/index.ts': 'export const open = 1;',
    'native-free/lz4/block.ts': 'export const inner = 1;\nexport const dead = 1;',
    'test/native-free/lz4/block.test.ts': "import { inner } from '../../../native-free/lz4/block.ts';",
  };
  assert.equal(unused(texts), ['native-free/lz4/block.ts:2: the export dead is used by no other file']);
});

test.run();
