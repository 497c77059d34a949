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

test('it is one file, so that a start reads no other, and looks for what comes later where its modules lie', () => {
  const text = readFileSync(THREAD, 'utf8');
  const imported = [...text.matchAll(/^\s*(?:import|}) .*\bfrom "(.+)";$/gm)].map(
    ([, specifier]) => specifier,
  );
  assert.ok(imported.length > 0);
  assert.equal(
    imported.filter((specifier) => !BUILT_IN.has(specifier)),
    [],
  );
  const places = [...text.matchAll(/new URL\("([^"]+)", import\.meta\.url\)/g)].map(([, place]) => place);
  assert.ok(places.some((place) => /kernels/.test(place)));
  for (const place of places) assert.ok(existsSync(join(dirname(THREAD), place)), place);
});

test.run();
