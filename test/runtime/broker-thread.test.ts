import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadTree } from '../tidy/tree.ts';

/** Each costs every broker of a cluster about a millisecond before it can serve. It may get fewer. */
const MODULES_MAX = 70;

/** What is loaded with the first need of it. */
const LATER =
  /^src\/log\/(closed-logs|compaction|compaction-batch|open-log|scan)\.ts$|^src\/runtime\/file-stamps\.ts$|^native-free\/(lz4|snappy)\/|^node:/;
const BUILT_IN = new Set(['node:buffer', 'node:fs', 'node:module', 'node:path', 'node:worker_threads']);

function loadedWith(entry: string): string[] {
  const { files } = loadTree(dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url))))));
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

test('a thread of a broker loads what a start needs, and no more', () => {
  const loaded = loadedWith('src/runtime/broker-thread.ts');
  const modules = loaded.filter((path) => !path.startsWith('node:'));
  assert.ok(modules.includes('src/log/segment-log.ts'));
  assert.equal(
    loaded.filter((path) => LATER.test(path) && !BUILT_IN.has(path)),
    [],
  );
  assert.ok(modules.length <= MODULES_MAX, `${modules.length} modules`);
});

test.run();
