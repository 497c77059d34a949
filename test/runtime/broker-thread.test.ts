import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadTree } from '../tidy/tree.ts';

const ROOT = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));

/** What is run with the first need of it. */
const LATER =
  /^src\/log\/(closed-logs|compaction|compaction-batch|open-log|scan)\.ts$|^src\/runtime\/file-stamps\.ts$|^native-free\/(lz4|snappy)\/|^node:/;
const BUILT_IN = new Set(['node:buffer', 'node:fs', 'node:module', 'node:path', 'node:worker_threads']);

function loadedWith(entry: string): string[] {
  const { files } = loadTree(ROOT);
  const loaded = new Set<string>();
  const follow = (path: string): void => {
    if (loaded.has(path)) return;
    loaded.add(path);
    for (const { target, specifier, typeOnly, kind } of files.get(path)?.references ?? [])
      if (!typeOnly && kind !== 'later') follow(target ?? specifier);
  };
  follow(entry);
  return [...loaded];
}

const THREAD = join(ROOT, 'dist/src/runtime/broker-thread.js');

test('a thread of a broker runs what a start needs, and no more', () => {
  const loaded = loadedWith('src/runtime/broker-thread.ts');
  assert.ok(loaded.includes('src/log/segment-log.ts'));
  assert.equal(
    loaded.filter((path) => LATER.test(path) && !BUILT_IN.has(path)),
    [],
  );
});

test('it is one file, so that a start reads no other, and what it reads later is there', () => {
  const text = readFileSync(THREAD, 'utf8');
  const imported = [...text.matchAll(/^\s*(?:import|}) .*\bfrom "(.+)";$/gm)].map(
    ([, specifier]) => specifier,
  );
  assert.ok(imported.length > 0);
  assert.equal(
    imported.filter((specifier) => !BUILT_IN.has(specifier)),
    [],
  );
  const required = [...text.matchAll(/\brequire\d*\("(\..+?)"\)/g)].map(([, specifier]) => specifier);
  assert.ok(required.length > 0);
  for (const specifier of required) assert.ok(existsSync(join(dirname(THREAD), specifier)), specifier);
});

test.run();
