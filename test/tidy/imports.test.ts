import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { importCircles, importDirections, importExtensions } from './imports.ts';
import { treeOf } from './tree.ts';

/** A file for each layer; the planted one imports one of them. */
function directionsOf(path: string, text: string): readonly string[] {
  const layers = ['core', 'wire', 'log', 'api', 'runtime', 'client', 'cli'].map(
    (layer) => `src/${layer}/some.ts`,
  );
  const others = [
    'src/index.ts',
    'src/errors.ts',
    'native-free/some.ts',
    'bench/some.ts',
    'test/some.ts',
    ...layers,
  ];
  return importDirections(
    treeOf({ ...Object.fromEntries(others.map((other) => [other, ''])), [path]: text }),
  );
}

test('the core may import neither the runtime nor the log', () => {
  assert.equal(directionsOf('src/core/a.ts', "import { x } from '../runtime/some.ts';"), [
    'src/core/a.ts:1: core may not import runtime (src/runtime/some.ts)',
  ]);
  assert.is(directionsOf('src/core/a.ts', "import type { x } from '../log/some.ts';").length, 1);
  assert.is(
    directionsOf('src/core/a.ts', "import { x } from '../errors.ts';\nimport './some.ts';").length,
    0,
  );
});

test('nobody but the command line imports what stands on top', () => {
  assert.is(directionsOf('src/runtime/a.ts', "import { x } from '../client/some.ts';").length, 1);
  assert.is(directionsOf('src/client/a.ts', "import { x } from '../index.ts';").length, 1);
  assert.is(directionsOf('src/errors.ts', "export { x } from './core/some.ts';").length, 1);
  assert.is(directionsOf('src/cli/a.ts', "import { x } from '../index.ts';").length, 0);
});

test('src imports neither tests nor benchmarks, which may import it', () => {
  assert.is(directionsOf('src/cli/a.ts', "import { x } from '../../test/some.ts';").length, 1);
  assert.is(directionsOf('src/runtime/a.ts', "const x = await import('../../bench/some.ts');").length, 1);
  assert.is(directionsOf('bench/a.ts', "import { x } from '../src/runtime/some.ts';").length, 0);
});

test('native-free imports nothing of ours and no package', () => {
  assert.is(directionsOf('native-free/a.ts', "import { x } from '../src/errors.ts';").length, 1);
  assert.is(directionsOf('native-free/a.ts', "import { x } from 'crc-32';").length, 1);
  assert.is(directionsOf('native-free/a.ts', "import { x } from 'node:nothing';").length, 1);
  assert.is(
    directionsOf('native-free/a.ts', "import { x } from 'node:buffer';\nimport './some.ts';").length,
    0,
  );
});

test('a folder of src that is no layer is found', () => {
  assert.equal(directionsOf('src/utils/a.ts', ''), [
    'src/utils/a.ts:1: there is no layer "utils"; the layers stand in test/tidy/imports.ts',
  ]);
});

test('an import without its extension or its node: is found', () => {
  const text = "import a from './b';\nimport c from './b.js';\nimport d from 'fs';\nimport e from './b.ts';";
  assert.equal(importExtensions(treeOf({ 'src/a.ts': text })), [
    'src/a.ts:1: the import of ./b lacks the extension .ts',
    'src/a.ts:2: the import of ./b.js lacks the extension .ts',
    'src/a.ts:3: the import of fs lacks the prefix node:',
  ]);
});

test('a circle of imports is found and spelt out', () => {
  const a = "import { b } from './b.ts';";
  const b = "export { c } from './c.ts';";
  const c = "import { a } from './a.ts';";
  assert.equal(importCircles(treeOf({ 'src/a.ts': a, 'src/b.ts': b, 'src/c.ts': c })), [
    'src/a.ts:1: imports itself by way of src/a.ts -> src/b.ts -> src/c.ts -> src/a.ts',
  ]);
});

test('a circle through types or import() is none', () => {
  const b = "import type { a } from './a.ts';\nconst c = () => import('./a.ts');";
  assert.equal(importCircles(treeOf({ 'src/a.ts': "import './b.ts';", 'src/b.ts': b })), []);
});

test.run();
