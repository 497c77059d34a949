import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { largeFiles, listFiles, lockedAddresses, testsMirrorSources, topLevelNames } from './house.ts';
import { treeOf } from './tree.ts';

function inDirectory(use: (root: string) => void): void {
  const root = mkdtempSync(join(tmpdir(), 'tidemark-house-'));
  try {
    use(root);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

test('a stranger at the top level is found', () => {
  assert.equal(topLevelNames(['src', '.ci', 'dist', 'a.log', 'docs', 'README.md']), [
    'docs: does not belong at the top level',
  ]);
});

test('a file over a megabyte is found, but not in what tools leave behind', () => {
  inDirectory((root) => {
    mkdirSync(join(root, 'dist'));
    mkdirSync(join(root, 'src'));
    for (const name of ['dist/large', 'src/large']) writeFileSync(join(root, name), Buffer.alloc(1_000_001));
    writeFileSync(join(root, 'src/small'), Buffer.alloc(1_000_000));
    const paths = listFiles(root);
    assert.equal(paths, ['src/large', 'src/small']);
    assert.equal(largeFiles(root, paths), ['src/large: has 1000001 bytes, more than 1000000']);
  });
});

test('an address in the lock file is found', () => {
  inDirectory((root) => {
    writeFileSync(join(root, 'package-lock.json'), '{\n  "resolved": "somewhere"\n}\n');
    assert.equal(lockedAddresses(root), ['package-lock.json:2: "resolved": "somewhere"']);
  });
});

function strayTests(...paths: string[]): readonly string[] {
  const sources = ['src/core/raft.ts', 'src/errors.ts', 'native-free/lz4/index.ts', 'bench/kit/codecs.ts'];
  return testsMirrorSources(treeOf(Object.fromEntries([...sources, ...paths].map((path) => [path, '']))));
}

test('a test without a subject is found', () => {
  assert.equal(strayTests('test/core/gone.test.ts'), [
    'test/core/gone.test.ts:1: mirrors no file of src, native-free or bench',
  ]);
  assert.is(
    strayTests('test/rafts.test.ts', 'test/core/rafting.test.ts', 'test/src/core/raft.test.ts').length,
    3,
  );
});

test('a test may tell more than the name of its subject', () => {
  const names = ['core/raft', 'core/raft-election', 'core/raft/election', 'errors', 'native-free/lz4/block'];
  assert.equal(strayTests(...[...names, 'bench/kit/codecs'].map((name) => `test/${name}.test.ts`)), []);
});

test('fixtures lie in folders that mirror ours, or in those without a single subject', () => {
  assert.equal(strayTests('test/core/fixtures.ts', 'test/sim/network.ts', 'test/tools/disk.ts'), []);
  assert.is(strayTests('test/helpers/fixtures.ts').length, 1);
});

test.run();
