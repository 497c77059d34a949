// The style of the house, checked over the sources. The rules stand in test/tidy/, a file for each kind.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { effectsOutsideRuntime } from './tidy/effects.ts';
import { erasableSyntax, leftoversInCode, leftoversInText } from './tidy/habits.ts';
import { largeFiles, listFiles, lockedAddresses, testsMirrorSources, topLevelNames } from './tidy/house.ts';
import { importCircles, importDirections, importExtensions } from './tidy/imports.ts';
import { lengths } from './tidy/lengths.ts';
import { loadTree, type Violation } from './tidy/tree.ts';
import { entriesOf, unreferencedFiles, unusedExports } from './tidy/usage.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const tree = loadTree(root);
const paths = listFiles(root);
const entries = entriesOf(readFileSync(join(root, 'package.json'), 'utf8'));

function none(violations: readonly Violation[]): void {
  if (violations.length === 0) return;
  const error = new Error(`${violations.length} found:\n    ${violations.join('\n    ')}`);
  // The stack says nothing that the violations do not.
  error.stack = '';
  throw error;
}

test('the whole tree was read', () => {
  for (const path of ['src/index.ts', 'test/run.ts', 'test/tidy/tree.ts', 'bench/kit/main.ts']) {
    assert.ok(tree.files.has(path), path);
  }
});

test('imports point downwards only', () => none(importDirections(tree)));

test('files do not import each other in circles', () => none(importCircles(tree)));

test('imports carry .ts, and node: for what comes with Node', () => none(importExtensions(tree)));

test('time, randomness and I/O belong to src/runtime, waiting to one file', () =>
  none(effectsOutsideRuntime(tree)));

test('no debugger statement, no test left out', () => none(leftoversInCode(tree)));

test('no notes about work that is still to be done', () => {
  const texts = paths.filter(
    (path) => /\.(ts|mjs|md|json)$|^\.ci\//.test(path) && !path.startsWith('test/vectors/'),
  );
  none(texts.flatMap((path) => leftoversInText(path, readFileSync(join(root, path), 'utf8'))));
});

test('TypeScript erases to JavaScript, without default exports', () => none(erasableSyntax(tree)));

test('files and functions keep to their lengths', () => none(lengths(tree)));

test('every file is reached from somewhere', () => none(unreferencedFiles(tree, entries)));

test('every exported name is used', () => none(unusedExports(tree, entries)));

test('only what the house names lies at the top level', () => none(topLevelNames(readdirSync(root))));

test('no file is larger than a megabyte', () => none(largeFiles(root, paths)));

test('the lock file names no address', () => none(lockedAddresses(root)));

test('tests lie where their subject lies', () => none(testsMirrorSources(tree)));

test.run();
