import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { effectsOutsideRuntime } from './effects.ts';
import { treeOf } from './tree.ts';

function effectsIn(path: string, text: string): readonly string[] {
  return effectsOutsideRuntime(treeOf({ [path]: text }));
}

const PLANTED = [
  'Date.now();',
  'new Date();',
  'performance.now();',
  'process.hrtime.bigint();',
  'Math.random();',
  'crypto.randomUUID();',
  'globalThis.crypto.getRandomValues(a);',
  'setTimeout(f, 1);',
  'globalThis.setInterval(f, 1);',
  'const timers = { setImmediate };',
  'console.log(1);',
  "import { readFileSync } from 'node:fs';",
  "import { open } from 'node:fs/promises';",
  "import { connect } from 'node:net';",
  "import { Worker } from 'node:worker_threads';",
  "import { randomBytes } from 'node:crypto';",
  "import * as crypto from 'node:crypto';\ncrypto.randomInt(1);",
  'Atomics.wait(a, 0, 0);',
  'Atomics.waitAsync(a, 0, 0);',
];

for (const text of PLANTED) {
  test(`${text.replaceAll('\n', ' ')} is found in the core`, () => {
    assert.ok(effectsIn('src/core/a.ts', text).length > 0);
  });
}

test('what only looks like an effect is none', () => {
  const text = `import type { Worker } from 'node:worker_threads';
import { createHash } from 'node:crypto';
const at = new Date(stamp);
Math.floor(1); process.cwd(); host.setTimeout(f); clock.performance.now();
interface Host { setTimeout(f: () => void): void }
Atomics.store(a, 0, 0); Atomics.notify(a, 0);`;
  assert.equal(effectsIn('src/core/a.ts', text), []);
});

test('the client may use timers that the runtime hands it', () => {
  const text = "import { setTimeout } from '../runtime/timers.ts';\nsetTimeout(f, 1);";
  assert.equal(effectsIn('src/client/a.ts', text), []);
  assert.is(effectsIn('src/client/a.ts', 'setTimeout(f, 1);').length, 1);
});

test('effects are at home in the runtime, the command line, tests and benchmarks', () => {
  for (const path of ['src/runtime/a.ts', 'src/cli/a.ts', 'test/a.ts', 'bench/a.ts']) {
    assert.equal(effectsIn(path, "import 'node:fs';\nDate.now(); setTimeout(f); console.log(1);"), []);
  }
});

test('one file alone may wait, even within the runtime', () => {
  assert.is(effectsIn('src/runtime/a.ts', 'Atomics.wait(a, 0, 0);').length, 1);
  assert.equal(effectsIn('native-free/sharedarraybuffer-utils/bell.ts', 'Atomics.wait(a, 0, 0);'), []);
  assert.equal(effectsIn('bench/a.ts', 'Atomics.wait(a, 0, 0);'), []);
});

test('an exception holds for what it names, in its own file', () => {
  assert.equal(effectsIn('native-free/kernels/index.ts', "import { readFileSync } from 'node:fs';"), []);
  assert.is(effectsIn('native-free/kernels/index.ts', "import { connect } from 'node:net';").length, 1);
  assert.is(effectsIn('native-free/other.ts', 'performance.now();').length, 1);
});

test.run();
