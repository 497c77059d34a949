import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { describeProperties } from '../../src/config.ts';
import { tidemark, withDataDirectory } from './fixtures.ts';

const main = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

test('help and the version are no mistakes', async () => {
  for (const args of [['--help'], ['log', '--help'], ['log', 'repair', '--help'], ['help', 'log']]) {
    const { exitCode, out, err } = await tidemark(...args);
    assert.is(exitCode, 0, args.join(' '));
    assert.match(out, /^Usage: tidemark/);
    assert.is(err, '');
  }
  assert.match((await tidemark('log', 'dump', '--help')).out, /--limit <batches>[^-]*\(default:\s+all\)/);
  const { exitCode, out } = await tidemark('--version');
  assert.is(exitCode, 0);
  assert.match(out, /^\d+\.\d+\.\d+\n$/);
});

test('what is not understood ends with 2, and with what may have been meant', async () => {
  const mistakes: [string[], RegExp][] = [
    [[], /^Usage: tidemark/],
    [['log'], /^Usage: tidemark log/],
    [['lgo', 'dump', 'x'], /unknown command 'lgo'\n\(Did you mean log\?\)/],
    [['log', 'verfy', 'x'], /unknown command 'verfy'\n\(Did you mean verify\?\)/],
    [['log', 'dump'], /missing required argument 'path'/],
    [['log', 'dump', 'x', 'y'], /too many arguments/],
    [['log', 'dump', 'x', '--record'], /unknown option '--record'\n\(Did you mean --records\?\)/],
    [['log', 'dump', 'x', '--limit', 'many'], /'many' is invalid. It must be a whole number/],
    [['log', 'dump', 'x', '--from', '-1'], /It must be a whole number/],
    [['log', 'dump', '/no/such/file'], /There is no \/no\/such\/file\./],
    [['log', 'verify', '/no/such/file'], /There is no \/no\/such\/file\./],
    [['log', 'verify', 'nope'], new RegExp(`There is no ${join(process.cwd(), 'nope')}\\.`)],
  ];
  for (const [args, sentence] of mistakes) {
    const { exitCode, out, err } = await tidemark(...args);
    assert.is(exitCode, 2, args.join(' '));
    assert.match(err, sentence);
    assert.is(out, '');
  }
});

test('what is no log is refused, with what was expected', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tidemark-cli-'));
  try {
    writeFileSync(join(directory, 'notes.txt'), 'hello');
    for (const command of ['verify', 'repair', 'dump']) {
      const { exitCode, err } = await tidemark('log', command, directory);
      assert.is(exitCode, 2);
      assert.match(err, /holds no log: expected a data directory \(with cluster.json\)/);
    }
    const dumped = await tidemark('log', 'dump', join(directory, 'notes.txt'));
    assert.is(dumped.exitCode, 2);
    assert.match(dumped.err, /notes.txt is no file of a log: expected one such as 0{20}\.log/);
    const verified = await tidemark('log', 'verify', join(directory, 'notes.txt'));
    assert.is(verified.exitCode, 2);
    assert.match(verified.err, /is no segment/);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test('every topic property is told, for people and for programs', async () => {
  const { exitCode, out } = await tidemark('topic-properties');
  assert.is(exitCode, 0);
  for (const { name, help } of describeProperties()) assert.ok(out.includes(`${name}\n  ${help}\n`), name);
  const { out: json } = await tidemark('topic-properties', '--json');
  assert.is(JSON.parse(json).length, describeProperties().length);
});

test('the program itself gives the exit code to the shell, and ends quietly when nobody reads on', async () => {
  await withDataDirectory({ batches: 400, segments: 2 }, async ({ at }) => {
    const run = (...args: string[]) =>
      spawnSync(process.execPath, [main, ...args], { encoding: 'utf8', timeout: 20_000 });
    const verified = run('log', 'verify', at(''));
    assert.is(verified.status, 0, verified.stderr);
    assert.match(verified.stdout, /2 partitions: nothing is wrong\./);
    assert.is(run('log', 'dump', at('')).status, 2);
    const script = `"${process.execPath}" "${main}" log dump --records "${at('broker-1/t-0')}" | head -n 1; exit $\{PIPESTATUS[0]}`;
    const { status, stdout, stderr } = spawnSync('bash', ['-c', script], {
      encoding: 'utf8',
      timeout: 20_000,
    });
    assert.is(stderr, '');
    assert.is(status, 0);
    assert.is(stdout.split('\n').length, 2);
  });
});

test.run();
