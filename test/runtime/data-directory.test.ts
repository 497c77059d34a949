import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDataDirectory } from '../../src/runtime/data-directory.ts';
import { assertRefused } from '../client/refusals.ts';
import { withDirectory } from './directory-fixtures.ts';

const open = (path: string | undefined, brokers = 3) => openDataDirectory(path, 'os', brokers);

test('a directory that does not exist is made, and found again as it was', () =>
  withDirectory(async (root) => {
    const path = join(root, 'a', 'b');
    const first = await open(path);
    assert.equal(readdirSync(path).sort(), ['.lock', 'broker-1', 'broker-2', 'broker-3', 'cluster.json']);
    assert.match(first.state.clusterId, /^[\w-]{22}$/);
    first.close();
    assert.not.ok(existsSync(join(path, '.lock')));
    const second = await openDataDirectory(path, 'fsync', 3);
    assert.is(second.state.clusterId, first.state.clusterId);
    assert.equal(second.home(2), {
      path: join(path, 'broker-2'),
      isTemporary: false,
      wasPowerLost: false,
    });
    second.close();
  }));

test('what is not ours is refused by name and stays as it was', () =>
  withDirectory(async (root) => {
    for (const name of ['a', 'b', 'c', 'd']) writeFileSync(join(root, name), 'x');
    await assertRefused(
      open(root),
      'DATA_DIRECTORY_INVALID',
      /holds 'a', 'b', 'c' and 1 more.*empty directory/,
    );
    assert.equal(readdirSync(root), ['a', 'b', 'c', 'd']);
    await assertRefused(open(join(root, 'a')), 'DATA_DIRECTORY_INVALID', /must be a directory/);
    await assertRefused(open(join(root, 'a', 'x')), 'DATA_DIRECTORY_INVALID', /must be a directory/);
  }));

test('brokers without their cluster.json are not taken for a new cluster', () =>
  withDirectory(async (root) => {
    mkdirSync(join(root, 'broker-1'));
    await assertRefused(open(root), 'DATA_DIRECTORY_INVALID', /cluster\.json is missing there: restore it/);
  }));

test('a directory that holds only what file systems leave there is empty', () =>
  withDirectory(async (root) => {
    mkdirSync(join(root, 'lost+found'));
    (await open(root)).close();
    assert.ok(existsSync(join(root, 'cluster.json')));
  }));

test('another number of brokers is refused, and the sentence says what it would mean', () =>
  withDirectory(async (root) => {
    (await open(root, 3)).close();
    await assertRefused(open(root, 1), 'DATA_DIRECTORY_INVALID', /with 1 the replicas in broker-2, broker-3/);
    await assertRefused(
      open(root, 4),
      'DATA_DIRECTORY_INVALID',
      /made with brokers: 3, and 4 were asked for/,
    );
    (await open(root, 3)).close();
  }));

test('a start that is refused does not forget that power was lost', () =>
  withDirectory(async (root) => {
    if (process.platform !== 'linux') return;
    (await open(root)).close();
    // A log of a broker that has not ended clean, and the lock of its process from before the machine went down.
    mkdirSync(join(root, 'broker-1', 't-0'));
    writeFileSync(
      join(root, '.lock'),
      `{"pid":${process.pid},"startTime":"1","boot":"before","powerLost":false,"token":"dead"}\n`,
    );
    await assertRefused(open(root, 2), 'DATA_DIRECTORY_INVALID', /made with brokers: 3/);
    const found = await open(root);
    assert.is(found.home(1)?.wasPowerLost, true);
    found.recovered();
    found.close();
    const next = await open(root);
    assert.is(next.home(1)?.wasPowerLost, false, 'the files were brought into order');
    next.close();
  }));

test('the lock stays, held by nobody, until all brokers that hold something have ended clean', () =>
  withDirectory(async (root) => {
    (await open(root)).close();
    assert.not.ok(existsSync(join(root, '.lock')));
    for (const broker of ['broker-1', 'broker-3']) mkdirSync(join(root, broker, 't-0'));
    for (const broker of ['broker-1', 'broker-3']) {
      (await open(root)).close();
      assert.ok(existsSync(join(root, '.lock')));
      writeFileSync(join(root, broker, '.kafka_cleanshutdown'), '{"version":0,"brokerEpoch":0}');
    }
    (await open(root)).close();
    assert.not.ok(existsSync(join(root, '.lock')));
  }));

test('the file of a newer version is refused, and so is a damaged one, and the lock is let go', () =>
  withDirectory(async (root) => {
    (await open(root)).close();
    const file = join(root, 'cluster.json');
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.replace('"version": 1', '"version": 2'));
    await assertRefused(open(root), 'DATA_DIRECTORY_INVALID', /cluster\.json has version 2.* reads up to 1/);
    writeFileSync(file, text.slice(0, 40));
    await assertRefused(open(root), 'DATA_DIRECTORY_INVALID', /cluster\.json is damaged: it is no JSON/);
    assert.equal(readFileSync(file, 'utf8'), text.slice(0, 40));
    writeFileSync(file, text);
    (await open(root)).close();
  }));

test('a cluster in memory has no directory, and one without dataDir a temporary one', async () => {
  const none = await openDataDirectory(undefined, 'memory', 1);
  assert.is(none.path, undefined);
  assert.is(none.home(1), undefined);
  await none.store.save(none.state);
  none.close();
  const temporary = await open(undefined);
  assert.ok(existsSync(join(temporary.path as string, 'broker-3')));
  temporary.close();
  assert.not.ok(existsSync(temporary.path as string));
});

test('a temporary directory goes with its process, and a lock that stays is known to be dead', () =>
  withDirectory(async (root) => {
    const module = new URL('../../src/runtime/data-directory.js', import.meta.url).href;
    const script = `import { openDataDirectory } from ${JSON.stringify(module)};
      await openDataDirectory(${JSON.stringify(root)}, 'os', 1);
      console.log((await openDataDirectory(undefined, 'os', 1)).path);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { timeout: 10_000 });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    assert.is(code, 0);
    assert.match(output, /tidemark-/);
    assert.not.ok(existsSync(output.trim()));
    (await open(root, 1)).close();
    assert.not.ok(existsSync(join(root, '.lock')));
  }));

test('the directory of another cluster or another broker is refused', () =>
  withDirectory(async (root) => {
    const [one, other] = [join(root, 'one'), join(root, 'other')];
    for (const path of [one, other]) (await open(path)).close();
    const meta = (path: string, id: number): string => join(path, `broker-${id}`, 'meta.properties');
    const text = readFileSync(meta(one, 2), 'utf8');
    assert.match(text, /^version=1\ncluster\.id=[\w-]{22}\nnode\.id=2\ndirectory\.id=[\w-]{22}\n$/);
    writeFileSync(meta(one, 2), readFileSync(meta(other, 2)));
    await assertRefused(open(one), 'DATA_DIRECTORY_INVALID', /broker-2 belongs to another cluster/);
    writeFileSync(meta(one, 2), readFileSync(meta(one, 3)));
    await assertRefused(open(one), 'DATA_DIRECTORY_INVALID', /broker-2 is that of broker 3/);
    writeFileSync(meta(one, 2), text.slice(0, 30));
    await assertRefused(open(one), 'DATA_DIRECTORY_INVALID', /meta\.properties is damaged/);
    writeFileSync(meta(one, 2), text);
    (await open(one)).close();
  }));

test('a directory without permission is refused', () =>
  withDirectory(async (root) => {
    // The superuser may do everything: there is nothing to see then.
    if (process.getuid?.() === 0) return;
    const path = join(root, 'closed');
    mkdirSync(path, { mode: 0o500 });
    await assertRefused(open(path), 'DATA_DIRECTORY_INVALID', /no permission/);
    rmSync(path, { recursive: true });
  }));

test.run();
