import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDataDirectory } from '../../src/runtime/data-directory.ts';
import { assertRefused } from '../client/refusals.ts';
import { until } from '../threads/fixtures.ts';
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
      hasLostAll: false,
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
    await assertRefused(
      open(one),
      'DATA_DIRECTORY_INVALID',
      /broker-2 belongs to another cluster.* the right cluster\.json/,
    );
    writeFileSync(meta(one, 2), readFileSync(meta(one, 3)));
    await assertRefused(open(one), 'DATA_DIRECTORY_INVALID', /broker-2 is that of broker 3/);
    writeFileSync(meta(one, 2), text.slice(0, 30));
    await assertRefused(
      open(one),
      'DATA_DIRECTORY_INVALID',
      /meta\.properties is damaged.*Restore that file from a copy, or remove it/,
    );
    writeFileSync(meta(one, 2), text);
    (await open(one)).close();
  }));

test('what is no place for a directory is refused with what it is', () =>
  withDirectory(async (root) => {
    symlinkSync(join(root, 'nothing'), join(root, 'link'));
    writeFileSync(join(root, 'file'), '');
    mkdirSync(join(root, 'made', 'cluster.json'), { recursive: true });
    const refused: [string, RegExp][] = [
      [join(root, 'link'), /link is a symbolic link that leads to nothing: make the directory/],
      [join(root, 'link', 'below'), /link is a symbolic link that leads to nothing/],
      [join(root, 'file', 'a', 'b'), /a part of the path is a file; dataDir must be a directory/],
      [join(root, 'x'.repeat(300)), /ENAMETOOLONG\): the path is too long/],
      [
        join(root, 'made'),
        /cluster\.json could not be read \(EISDIR\): it is a directory, and should be a file/,
      ],
    ];
    if (process.platform === 'linux')
      refused.push(['/proc/tidemark/data', /\(ENOENT\): the file system takes no/]);
    for (const [path, sentence] of refused)
      await assertRefused(open(path), 'DATA_DIRECTORY_INVALID', sentence);
    symlinkSync(join(root, 'made'), join(root, 'good'));
    rmSync(join(root, 'made', 'cluster.json'), { recursive: true });
    (await open(join(root, 'good'))).close();
  }));

test('a broker that had replicas and whose directory is new has lost them', () =>
  withDirectory(async (root) => {
    const directory = await open(root, 2);
    assert.is(directory.home(1)?.hasLostAll, false);
    const partition = { id: 0, partition: 0, replicas: [2], isr: [2], leader: 2, epoch: 0 };
    const topic = { name: 't', topicId: 'AAAAAAAAAAAAAAAAAAAAAA', config: {}, partitions: [partition] };
    await directory.store.save({ ...directory.state, topics: [topic], nextPartition: 1 });
    directory.close();
    for (const id of [1, 2]) rmSync(join(root, `broker-${id}`), { recursive: true });
    const found = await open(root, 2);
    assert.equal([found.home(1)?.hasLostAll, found.home(2)?.hasLostAll], [false, true]);
    found.close();
  }));

test('what a killed process has left of a temporary cluster goes with the next one, and nothing else does', () =>
  withDirectory(async (root) => {
    const before = process.env.TMPDIR;
    process.env.TMPDIR = root;
    try {
      const living = await open(undefined);
      const owner = join(living.path as string, '.owner');
      const dead = { ...JSON.parse(readFileSync(owner, 'utf8')), pid: 2 ** 31 - 1 };
      const texts: Record<string, string> = {
        'tidemark-dead00': JSON.stringify(dead),
        'tidemark-other0': JSON.stringify({ ...dead, namespace: 'pid:[1]' }),
        'tidemark-broken': '{',
        'tidemark-longer-name': JSON.stringify(dead),
      };
      for (const [name, text] of Object.entries(texts)) {
        mkdirSync(join(root, name, 'broker-1'), { recursive: true });
        writeFileSync(join(root, name, '.owner'), text);
      }
      mkdirSync(join(root, 'tidemark-nobody'));
      const next = await open(undefined);
      await until('it is swept', () => !existsSync(join(root, 'tidemark-dead00')));
      for (const name of [...Object.keys(texts).slice(1), 'tidemark-nobody'])
        assert.ok(existsSync(join(root, name)), name);
      assert.ok(existsSync(owner));
      for (const directory of [living, next]) directory.close();
      assert.not.ok(existsSync(living.path as string));
    } finally {
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
    }
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
