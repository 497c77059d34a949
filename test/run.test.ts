import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { run } from './run.ts';
import { readSummary, readWishes } from './tools/test-file.ts';

const UVU = `import { test } from '${import.meta.resolve('uvu')}';\n`;

const PASSING = `${UVU}test('a', () => {}); test('b', () => {}); test.run();\n`;

type Fixture = { readonly [name: string]: string };

/** A tree with test/ and dist/test/, where plain JavaScript serves as source and as built file. */
async function inFixture<T>(files: Fixture, use: (root: string) => T | Promise<T>): Promise<T> {
  const root = mkdtempSync(join(tmpdir(), 'tidemark-run-'));
  try {
    for (const [name, text] of Object.entries(files)) {
      for (const path of [
        join(root, 'test', `${name}.test.ts`),
        join(root, 'dist/test', `${name}.test.js`),
      ]) {
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, text);
      }
    }
    writeFileSync(join(root, 'package.json'), '{ "type": "module" }');
    return await use(root);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

type Outcome = { readonly exitCode: number; readonly lines: string[]; readonly text: string };

async function runIn(
  root: string,
  changes: { only?: string[]; timeLimitMs?: number; jobs?: number } = {},
): Promise<Outcome> {
  const lines: string[] = [];
  const { only = [], timeLimitMs = 20_000, jobs = 2 } = changes;
  const print = (line: string): void => {
    lines.push(...line.split('\n'));
  };
  const exitCode = await run({ root, only, jobs, timeLimitMs, print, running: new Set() });
  return { exitCode, lines, text: lines.join('\n') };
}

test('passing files give exit code 0 and the sum of their tests as the last line', async () => {
  const { exitCode, lines } = await inFixture({ one: PASSING, 'deep/two': PASSING }, (root) => runIn(root));
  assert.is(exitCode, 0);
  assert.is(lines.at(-1), '4 passed, 0 failed');
  assert.ok(lines.some((line) => /^ok {5}test\/deep\/two\.test\.ts \(2 passed, \d+\.\d s\)$/.test(line)));
});

test('a failing test fails the run, and the output of its file is shown', async () => {
  const failing = `${UVU}test('good', () => {}); test('bad', () => { throw new Error('planted'); }); test.run();\n`;
  const { exitCode, lines, text } = await inFixture({ failing, passing: PASSING }, (root) => runIn(root));
  assert.is(exitCode, 1);
  assert.is(lines.at(-1), '3 passed, 1 failed');
  assert.match(text, /FAILED test\/failing\.test\.ts .*: 1 of 2 tests failed/);
  assert.match(text, /planted/);
});

test('what a failing file printed last is shown at once, and not only when all have run', async () => {
  const failing = `for (let n = 1; n <= 40; n++) console.error('line', n); throw new Error('planted');\n`;
  // Files are taken in the order of their names.
  const files = { 'a-failing': failing, 'b-passing': PASSING };
  const { lines } = await inFixture(files, (root) => runIn(root, { jobs: 1 }));
  const [failed, passed] = [/^FAILED test\/a-failing/, /^ok {5}test\/b-passing/].map((pattern) =>
    lines.findIndex((line) => pattern.test(line)),
  );
  const shown = lines.slice(failed + 1, passed);
  assert.is(shown.length, 20);
  assert.ok(shown.every((line) => line.startsWith('    | ')));
  assert.ok(shown.includes('    | line 40') && !shown.includes('    | line 1'));
  assert.match(shown.join('\n'), /Error: planted/);
});

test('a hanging file is ended at the time limit with all its descendants, and named', async () => {
  const hanging = `import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' });
writeFileSync(new URL('pid', import.meta.url), String(child.pid));
console.log('last words');
setInterval(() => {}, 1000);\n`;
  await inFixture({ hanging }, async (root) => {
    const { exitCode, lines, text } = await runIn(root, { timeLimitMs: 1500 });
    assert.is(exitCode, 1);
    assert.is(lines.at(-1), '0 passed, 1 failed');
    assert.match(text, /TIMED OUT after 1\.5 s: test\/hanging\.test\.ts\nlast words/);
    await assertEnded(Number(readFileSync(join(root, 'dist/test/pid'), 'utf8')));
  });
});

test('a lost wake-up in an awaited test fails, although the process ends by itself', async () => {
  const lost = `${UVU}test('waits', () => new Promise(() => {})); test.run();\n`;
  const { exitCode, text } = await inFixture({ lost }, (root) => runIn(root));
  assert.is(exitCode, 1);
  assert.match(text, /FAILED test\/lost\.test\.ts .*: ended with exit code 1/);
});

test('a crash after the summary is a failure', async () => {
  const crashing = `${PASSING}process.on('exit', () => process.kill(process.pid, 'SIGKILL'));\n`;
  const { exitCode, lines, text } = await inFixture({ crashing }, (root) => runIn(root));
  assert.is(exitCode, 1);
  assert.match(text, /FAILED test\/crashing\.test\.ts .*: ended by SIGKILL/);
  assert.is(lines.at(-1), '2 passed, 1 failed');
});

test('a file that runs no test is a failure, with and without a summary', async () => {
  const files = { forgotten: `${UVU}test('never run', () => {});\n`, empty: `${UVU}test.run();\n` };
  const { exitCode, lines, text } = await inFixture(files, (root) => runIn(root));
  assert.is(exitCode, 1);
  assert.is(lines.at(-1), '0 passed, 2 failed');
  assert.match(text, /ran no test: test\/forgotten\.test\.ts/);
  assert.match(text, /ran no test: test\/empty\.test\.ts/);
});

test('complaints between the lines of the summary do not hide it', async () => {
  const complaining = `${PASSING}
const { write } = process.stdout;
process.stdout.write = (text) => {
  write.call(process.stdout, text);
  process.stderr.write('a complaint\\n');
  // Time for the runner to read both.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
  return true;
};\n`;
  const { exitCode, lines } = await inFixture({ complaining }, (root) => runIn(root));
  assert.is(exitCode, 0);
  assert.is(lines.at(-1), '2 passed, 0 failed');
});

test('skipped tests are counted in the last line', async () => {
  const skipping = `${UVU}test('a', () => {}); test.skip('b', () => {}); test.run();\n`;
  const { exitCode, lines } = await inFixture({ skipping }, (root) => runIn(root));
  assert.is(exitCode, 0);
  assert.is(lines.at(-1), '1 passed, 0 failed, 1 skipped');
});

test('neither a built file whose source is gone nor a helper runs, and a source that is not built fails', async () => {
  await inFixture({ gone: PASSING, unbuilt: PASSING }, async (root) => {
    rmSync(join(root, 'test/gone.test.ts'));
    rmSync(join(root, 'dist/test/unbuilt.test.js'));
    writeFileSync(join(root, 'test/helper.ts'), '');
    const { exitCode, lines, text } = await runIn(root);
    assert.is(exitCode, 1);
    assert.not.match(text, /gone|helper/);
    assert.match(text, /is not built: test\/unbuilt\.test\.ts/);
    assert.is(lines.at(-1), '0 passed, 1 failed');
  });
});

test('parts of paths choose files, and a choice of nothing fails', async () => {
  await inFixture({ one: PASSING, two: PASSING }, async (root) => {
    assert.is((await runIn(root, { only: ['two'] })).lines.at(-1), '2 passed, 0 failed');
    assert.is((await runIn(root, { only: ['three'] })).exitCode, 1);
  });
});

test('a file may carry its own time limit', async () => {
  const slow = `// time limit: 20 s\n${UVU}test('a', () => new Promise((r) => setTimeout(r, 800))); test.run();\n`;
  const { lines } = await inFixture({ slow }, (root) => runIn(root, { timeLimitMs: 300 }));
  assert.is(lines.at(-1), '1 passed, 0 failed');
});

test('files that want the machine to themselves run when the others have ended', async () => {
  const alone = `// runs alone\n${PASSING}`;
  const slow = `${UVU}test('a', () => new Promise((r) => setTimeout(r, 300))); test.run();\n`;
  const { lines } = await inFixture({ a: alone, b: alone, c: slow, d: slow }, (root) => runIn(root));
  const order = lines.filter((line) => line.startsWith('ok')).map((line) => line.slice(12, 13));
  assert.equal(order.slice(2), ['a', 'b']);
});

test('wishes are read from the opening comments alone', () => {
  const both = '// What this is.\n// time limit: 120 s\n\n// runs alone\ncode();\n';
  assert.equal(readWishes(both), { timeLimitMs: 120_000, alone: true });
  assert.equal(readWishes('code();\n// runs alone\n'), { timeLimitMs: undefined, alone: false });
});

test('the last summary of an output counts, colours or not', () => {
  const plain = '\n  Total:     3\n  Passed:    2\n  Skipped:   1\n';
  assert.equal(readSummary(plain), { total: 3, passed: 2, skipped: 1 });
  assert.equal(readSummary(plain.replace('Passed', '\u001b[31mPassed')), { total: 3, passed: 2, skipped: 1 });
  assert.is(readSummary('Total: 3'), undefined);
});

test('a terminated runner ends the processes it has started', async () => {
  const hanging = `import { writeFileSync } from 'node:fs';
writeFileSync(new URL('pid', import.meta.url), String(process.pid));
setInterval(() => {}, 1000);\n`;
  await inFixture({ hanging }, async (root) => {
    // The runner takes the tree it lies in for its root: a copy makes the fixture that tree.
    const here = dirname(fileURLToPath(import.meta.url));
    mkdirSync(join(root, 'dist/test/tools'), { recursive: true });
    for (const name of ['run.js', 'tools/test-file.js']) {
      writeFileSync(join(root, 'dist/test', name), readFileSync(join(here, name)));
    }
    const runner = spawn(process.execPath, [join(root, 'dist/test/run.js')], { stdio: 'ignore' });
    const ended = new Promise<number | null>((resolve) => runner.on('exit', resolve));
    const pidFile = join(root, 'dist/test/pid');
    while (!existsSync(pidFile) || readFileSync(pidFile, 'utf8') === '') await sleep(20);
    runner.kill('SIGTERM');
    assert.is(await ended, 143);
    await assertEnded(Number(readFileSync(pidFile, 'utf8')));
  });
});

async function assertEnded(pid: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (!isRunning(pid)) return;
    await sleep(20);
  }
  assert.unreachable(`process ${pid} is still there`);
}

/** A process that has ended may stay in the table as a zombie until somebody collects it. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    const stat = `/proc/${pid}/stat`;
    return !existsSync(stat) || !/^\d+ \(.*\) Z/.test(readFileSync(stat, 'utf8'));
  } catch {
    return false;
  }
}

test.run();
