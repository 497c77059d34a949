import { spawn } from 'node:child_process';
import {
  cpSync,
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
import type { TidemarkError } from '../../src/errors.ts';
import { QUORUM_DIRECTORY, QuorumStoreError } from '../../src/log/quorum-store.ts';
import { decodeClusterOrigin, encodeClusterOrigin } from '../../src/runtime/cluster-file.ts';
import {
  type DataDirectory,
  openDataDirectory,
  refuseOtherBrokers,
} from '../../src/runtime/data-directory.ts';
import { assertRefused, refusal } from '../client/refusals.ts';
import { until } from '../threads/fixtures.ts';
import { withDirectory } from './directory-fixtures.ts';
import { clusterRecords, writeEntries } from './seat-fixtures.ts';

const open = (path: string | undefined, brokers = 3, voters?: number) =>
  openDataDirectory(path, 'os', brokers, voters);

/** Opens, and makes the directories of so many brokers, as a start does. */
async function openAll(path: string | undefined, brokers = 3): Promise<DataDirectory> {
  const directory = await open(path, brokers);
  try {
    for (let id = 1; id <= brokers; id++) await directory.prepare(id);
  } catch (error) {
    directory.close();
    throw error;
  }
  return directory;
}

function originIn(root: string) {
  const file = join(root, 'cluster.json');
  return decodeClusterOrigin(readFileSync(file, 'utf8'), file);
}

test('a directory that does not exist is made, and found again as it was', () =>
  withDirectory(async (root) => {
    const path = join(root, 'a', 'b');
    const first = await open(path);
    assert.equal(readdirSync(path).sort(), ['.lock', 'broker-1', 'broker-2', 'broker-3', 'cluster.json']);
    assert.match(first.clusterId, /^[\w-]{22}$/);
    assert.is(first.isNew, true);
    first.close();
    assert.not.ok(existsSync(join(path, '.lock')));
    const second = await openDataDirectory(path, 'fsync', 3);
    assert.is(second.clusterId, first.clusterId);
    assert.equal(second.founders, first.founders);
    assert.is(second.isNew, false);
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

test('another number of brokers is refused, and the sentence says what it would mean', () => {
  const refusalOf = (wanted: number): string => {
    try {
      refuseOtherBrokers('/data', [1, 2, 5], wanted);
      return '';
    } catch (error) {
      assert.is((error as TidemarkError).code, 'DATA_DIRECTORY_INVALID');
      return (error as TidemarkError).message;
    }
  };
  assert.is(refusalOf(3), '');
  assert.match(refusalOf(1), /with 1 the replicas in broker-2, broker-5 would be left out/);
  assert.match(refusalOf(4), /made with brokers: 3, and 4 were asked for.* call addBroker\(\)/);
});

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
    const refused = await open(root);
    assert.is(refused.home(1)?.wasPowerLost, true);
    refused.close();
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
    writeFileSync(file, text.replace('"version": 2', '"version": 3'));
    await assertRefused(open(root), 'DATA_DIRECTORY_INVALID', /cluster\.json has version 3.* reads up to 2/);
    writeFileSync(file, text.replace('"version": 2', '"version": 1'));
    await assertRefused(
      open(root),
      'DATA_DIRECTORY_INVALID',
      /cluster\.json has version 1.* no release reads it/,
    );
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
  assert.is.not(await none.prepare(1), await none.prepare(1));
  none.close();
  const temporary = await openAll(undefined);
  assert.ok(existsSync(join(temporary.path as string, 'broker-3')));
  assert.is(await temporary.prepare(3), await temporary.prepare(3));
  assert.is(temporary.home(3)?.hasLostAll, false);
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
    for (const path of [one, other]) (await openAll(path)).close();
    const meta = (path: string, id: number): string => join(path, `broker-${id}`, 'meta.properties');
    const text = readFileSync(meta(one, 2), 'utf8');
    assert.match(text, /^version=1\ncluster\.id=[\w-]{22}\nnode\.id=2\ndirectory\.id=[\w-]{22}\n$/);
    writeFileSync(meta(one, 2), readFileSync(meta(other, 2)));
    await assertRefused(
      openAll(one),
      'DATA_DIRECTORY_INVALID',
      /broker-2 belongs to another cluster.* the right cluster\.json/,
    );
    writeFileSync(meta(one, 2), readFileSync(meta(one, 3)));
    await assertRefused(openAll(one), 'DATA_DIRECTORY_INVALID', /broker-2 is that of broker 3/);
    writeFileSync(meta(one, 2), text.slice(0, 30));
    await assertRefused(
      openAll(one),
      'DATA_DIRECTORY_INVALID',
      /meta\.properties is damaged.*Restore that file from a copy\. .*remove it, .*electLeaders\(\{ type: 'unclean' \}\)/,
    );
    writeFileSync(meta(one, 2), text);
    (await openAll(one)).close();
  }));

test('a lock that cannot be let go of is told as what it is', () =>
  withDirectory(async (root) => {
    const directory = await open(root, 1);
    const lock = join(root, '.lock');
    rmSync(lock);
    // Nobody may look through it, whatever rights they have.
    symlinkSync('.lock', lock);
    assert.throws(
      () => directory.close(),
      refusal(
        'DATA_DIRECTORY_INVALID',
        /could not be let go of \(ELOOP\): its symbolic links lead to each other/,
      ),
    );
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

test('a broker whose directory is new in a cluster that is not has lost what it had', () =>
  withDirectory(async (root) => {
    const directory = await openAll(root, 2);
    assert.equal([directory.home(1)?.hasLostAll, directory.home(2)?.hasLostAll], [false, false]);
    const ids = [await directory.prepare(1), await directory.prepare(2)];
    directory.close();
    rmSync(join(root, 'broker-2'), { recursive: true });
    const found = await open(root, 2);
    assert.is(await found.prepare(1), ids[0]);
    const other = await found.prepare(2);
    assert.is.not(other, ids[1]);
    assert.is(await found.prepare(2), other, 'it stays what it is from then on');
    assert.equal([found.home(1)?.hasLostAll, found.home(2)?.hasLostAll], [false, true]);
    found.close();
    const next = await openAll(root, 2);
    assert.is(next.home(2)?.hasLostAll, false);
    next.close();
  }));

test('the first brokers found the quorum, an odd number of them, and each finds its identity', async () => {
  const run = async (open: (brokers: number, voters?: number) => Promise<DataDirectory>): Promise<void> => {
    for (const [brokers, voters, founders] of [
      [1, undefined, 1],
      [2, undefined, 1],
      [4, undefined, 3],
      [5, 3, 3],
      [7, undefined, 5],
    ] as const) {
      const directory = await open(brokers, voters);
      const ids = Array.from({ length: founders }, (_, n) => n + 1);
      assert.equal(
        directory.founders.map(({ id }) => id),
        ids,
      );
      assert.equal(directory.seats, ids);
      for (const founder of directory.founders) {
        const { member, store } = await directory.openSeat(founder.id);
        assert.equal(member, founder);
        await store.close();
      }
      directory.close();
    }
  };
  await run((brokers, voters) => openDataDirectory(undefined, 'memory', brokers, voters));
  await run((brokers, voters) => open(undefined, brokers, voters));
  await withDirectory((root) => run((brokers, voters) => open(join(root, `${brokers}`), brokers, voters)));
});

test('a seat keeps what was written until it is set aside, and others can come to have one', async () => {
  const run = async (directory: DataDirectory): Promise<void> => {
    const first = await directory.openSeat(1);
    await writeEntries(first.store, 1, 1, clusterRecords(directory.clusterId));
    await first.store.close();
    const again = await directory.openSeat(1);
    assert.equal(again.member, directory.founders[0]);
    assert.is(again.store.state.entries.length, 2);
    again.store.release();
    assert.match(directory.setSeatAside(1), /__cluster_metadata-0\.damaged-/);
    assert.equal([directory.seats, directory.lostSeats], [[], [1]]);
    const other = await directory.openSeat(1);
    assert.is.not(other.member.directoryId, directory.founders[0].directoryId);
    assert.equal(other.store.state.entries, []);
    other.store.release();
    for (const broker of [12, 2]) (await directory.openSeat(broker)).store.release();
    assert.equal(directory.seats, [1, 2, 12]);
    directory.close();
  };
  await run(await openDataDirectory(undefined, 'memory', 1));
  await run(await open(undefined, 1));
  await withDirectory(async (root) => {
    await run(await open(root, 1));
    const found = await open(root, 1);
    assert.equal(found.seats, [1, 2, 12]);
    found.close();
  });
});

test('a founder that comes without its directory is somebody else', () =>
  withDirectory(async (root) => {
    (await open(root)).close();
    rmSync(join(root, 'broker-2'), { recursive: true });
    const directory = await open(root);
    assert.equal([directory.seats, directory.lostSeats], [[1, 3], [2]]);
    const { member, store } = await directory.openSeat(2);
    assert.is.not(member.directoryId, directory.founders[1].directoryId);
    store.release();
    directory.close();
  }));

test('a seat of another cluster is refused as a strange one', () =>
  withDirectory(async (root) => {
    const [one, other] = [join(root, 'one'), join(root, 'other')];
    const [here, there] = [await open(one, 1), await open(other, 1)];
    const { store } = await there.openSeat(1);
    await writeEntries(store, 1, 1);
    await store.close();
    const seat = (path: string): string => join(path, 'broker-1', QUORUM_DIRECTORY);
    rmSync(seat(one), { recursive: true });
    cpSync(seat(other), seat(one), { recursive: true });
    try {
      await here.openSeat(1);
      assert.unreachable();
    } catch (error) {
      assert.ok(error instanceof QuorumStoreError && error.reason === 'strange', String(error));
    }
    for (const directory of [here, there]) directory.close();
  }));

test('a crash at any point of the making leaves what the next start goes on with', () =>
  withDirectory(async (root) => {
    (await open(join(root, 'whole'))).close();
    const whole = originIn(join(root, 'whole'));
    const founding = encodeClusterOrigin({ ...whole, isFounding: true });
    const voterId = (id: number): string => join(`broker-${id}`, QUORUM_DIRECTORY, 'voter-id');
    // What lies there after each step, beside cluster.json.
    const steps: ((path: string) => void)[] = [
      () => undefined,
      (path) => mkdirSync(join(path, 'broker-1')),
      (path) => mkdirSync(join(path, 'broker-2', QUORUM_DIRECTORY), { recursive: true }),
      (path) => writeFileSync(join(path, `${voterId(2)}.tmp`), 'AAA'),
      (path) => cpSync(join(root, 'whole', voterId(2)), join(path, voterId(2))),
      (path) => writeFileSync(join(path, 'cluster.json.tmp'), '{'),
    ];
    for (let n = 1; n <= steps.length; n++) {
      const path = join(root, `${n}`);
      mkdirSync(path);
      writeFileSync(join(path, 'cluster.json'), founding);
      for (const step of steps.slice(0, n)) step(path);
      const directory = await open(path);
      assert.equal(
        [directory.isNew, directory.clusterId, directory.founders],
        [true, whole.clusterId, whole.founders],
      );
      assert.equal(originIn(path), whole);
      for (const founder of whole.founders) {
        const { member, store } = await directory.openSeat(founder.id);
        assert.equal(member, founder);
        store.release();
      }
      directory.close();
    }
  }));

test('who goes on with the making of a cluster may want another number of brokers', () =>
  withDirectory(async (root) => {
    (await open(root, 3)).close();
    const three = originIn(root);
    writeFileSync(join(root, 'cluster.json'), encodeClusterOrigin({ ...three, isFounding: true }));
    const one = await open(root, 1);
    assert.equal([one.founders, one.seats, one.isNew], [three.founders.slice(0, 1), [1], true]);
    one.close();
    writeFileSync(join(root, 'cluster.json'), encodeClusterOrigin({ ...originIn(root), isFounding: true }));
    const five = await open(root, 5);
    assert.is(five.clusterId, three.clusterId);
    assert.equal(five.founders[0], three.founders[0]);
    assert.equal(five.seats, [1, 2, 3, 4, 5]);
    five.close();
  }));

test('the lock stays while a voter has not ended clean, and the log of a voter is no partition', () =>
  withDirectory(async (root) => {
    const directory = await open(root, 1);
    const { store } = await directory.openSeat(1);
    await writeEntries(store, 1, 1, clusterRecords(directory.clusterId));
    store.release();
    directory.close();
    assert.ok(existsSync(join(root, '.lock')));
    const next = await open(root, 1);
    await (await next.openSeat(1)).store.close();
    next.close();
    assert.not.ok(existsSync(join(root, '.lock')));
    const last = await open(root, 1);
    last.setSeatAside(1);
    last.close();
    assert.not.ok(existsSync(join(root, '.lock')));
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
