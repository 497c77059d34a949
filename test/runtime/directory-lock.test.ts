import { type ChildProcess, spawn } from 'node:child_process';
import fs, {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { TidemarkError } from '../../src/errors.ts';
import { DirectoryLock, lockHolder } from '../../src/runtime/directory-lock.ts';
import { refusal as refusalOf } from '../client/refusals.ts';
import { withDirectory } from './directory-fixtures.ts';

const TAKERS = 8;
const ROUNDS = 5;

function refusal(directory: string): TidemarkError {
  try {
    DirectoryLock.acquire(directory);
  } catch (error) {
    if (error instanceof TidemarkError && error.code === 'DATA_DIRECTORY_LOCKED') return error;
    throw error;
  }
  throw new Error('the lock was given');
}

/** A child that takes the lock when it is told to, says whether it has it, and holds it until it is ended. */
async function taker(directory: string): Promise<{ child: ChildProcess; take(): Promise<string> }> {
  const module = new URL('../../src/runtime/directory-lock.js', import.meta.url).href;
  const script = `import { DirectoryLock } from ${JSON.stringify(module)};
    process.stdin.once('data', () => {
      try { DirectoryLock.acquire(${JSON.stringify(directory)}); console.log('taken'); }
      catch (error) { console.log(error.code + ' ' + error.message); }
    });
    console.log('ready');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { timeout: 20_000 });
  const line = (): Promise<string> =>
    new Promise((resolve, reject) => {
      child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString().trim()));
      child.once('exit', () => reject(new Error('the taker has ended')));
    });
  await line();
  return {
    child,
    take: () => {
      const answer = line();
      child.stdin.write('now\n');
      return answer;
    },
  };
}

async function killed(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}

test('a second cluster of the same process is refused, and the sentence names directory and process', () =>
  withDirectory((root) => {
    const lock = DirectoryLock.acquire(root);
    assert.is(lockHolder(root), process.pid);
    const { message } = refusal(root);
    assert.ok(message.includes(root), message);
    assert.match(message, new RegExp(`this process \\(pid ${process.pid}\\) already`));
    lock.release();
    assert.is(lockHolder(root), undefined);
    DirectoryLock.acquire(root).release();
    assert.equal(readdirSync(root), []);
  }));

test('another process that lives keeps its lock, and one that was killed does not', () =>
  withDirectory(async (root) => {
    const { child, take } = await taker(root);
    assert.is(await take(), 'taken');
    assert.match(refusal(root).message, new RegExp(`process with pid ${child.pid};`));
    await killed(child);
    assert.is(lockHolder(root), undefined);
    const lock = DirectoryLock.acquire(root);
    assert.is(lockHolder(root), process.pid);
    lock.release();
    assert.equal(readdirSync(root), []);
  }));

test('of many that take over a dead lock at once exactly one gets it', () =>
  withDirectory(async (root) => {
    for (let round = 0; round < ROUNDS; round++) {
      const takers = await Promise.all(Array.from({ length: TAKERS }, () => taker(root)));
      try {
        const answers = await Promise.all(takers.map(({ take }) => take()));
        assert.is(answers.filter((answer) => answer === 'taken').length, 1, answers.join('\n'));
        const refused = answers.filter((answer) => answer !== 'taken');
        for (const answer of refused) assert.match(answer, /^DATA_DIRECTORY_LOCKED .* pid \d+;/);
      } finally {
        // The lock of this round is the dead one of the next.
        await Promise.all(takers.map(({ child }) => killed(child)));
      }
      assert.ok(existsSync(join(root, '.lock')));
    }
  }));

test('a later process with the number of a dead holder is told apart', () =>
  withDirectory((root) => {
    if (process.platform !== 'linux') return;
    DirectoryLock.acquire(root);
    const path = join(root, '.lock');
    const holder = JSON.parse(readFileSync(path, 'utf8')) as object;
    writeFileSync(path, JSON.stringify({ ...holder, startTime: '1', token: 'x' }));
    assert.is(lockHolder(root), undefined);
    DirectoryLock.acquire(root).release();
  }));

test('who lost the lock does not remove that of the next holder', () =>
  withDirectory((root) => {
    const lost = DirectoryLock.acquire(root);
    const path = join(root, '.lock');
    writeFileSync(path, readFileSync(path, 'utf8').replace(/"token":"\w+"/, '"token":"another"'));
    lost.release();
    assert.ok(existsSync(path));
  }));

test('a taker that died between two steps of a takeover does not keep others out', () =>
  withDirectory((root) => {
    // As it would lie there: a dead lock, and the dead right to replace it.
    const dead = (token: string): string =>
      `{"pid":${process.pid},"startTime":"1","boot":"gone","powerLost":false,"token":"${token}"}\n`;
    if (process.platform !== 'linux') return;
    writeFileSync(join(root, '.lock'), dead('first'));
    DirectoryLock.acquire(root).release();
    writeFileSync(join(root, '.lock'), dead('second'));
    const lock = DirectoryLock.acquire(root);
    assert.match(refusal(root).message, /this process/);
    lock.release();
  }));

test('a lock from before the machine went down says so until the files are in order', () =>
  withDirectory((root) => {
    if (process.platform !== 'linux') return;
    const path = join(root, '.lock');
    const edit = (changes: object): void => {
      const holder = JSON.parse(readFileSync(path, 'utf8')) as object;
      writeFileSync(path, JSON.stringify({ ...holder, ...changes }));
    };
    const first = DirectoryLock.acquire(root);
    assert.is(first.wasPowerLost, false);
    edit({ startTime: '1', token: 'killed' });
    assert.is(DirectoryLock.acquire(root).wasPowerLost, false, 'the process was killed, the machine was not');
    edit({ boot: 'before', token: 'power' });
    const second = DirectoryLock.acquire(root);
    assert.is(second.wasPowerLost, true);
    edit({ startTime: '1', token: 'killed while it recovered' });
    const third = DirectoryLock.acquire(root);
    assert.is(third.wasPowerLost, true);
    third.recovered();
    assert.is(third.wasPowerLost, false);
    edit({ startTime: '1', token: 'killed later' });
    const fourth = DirectoryLock.acquire(root);
    assert.is(fourth.wasPowerLost, false);
    fourth.release();
    assert.equal(readdirSync(root), []);
  }));

test('who lets go of files that are not in order leaves a lock that keeps nobody out, and tells of a power cut', () =>
  withDirectory((root) => {
    if (process.platform !== 'linux') return;
    const path = join(root, '.lock');
    const edit = (changes: object): void => {
      const holder = JSON.parse(readFileSync(path, 'utf8')) as object;
      writeFileSync(path, JSON.stringify({ ...holder, ...changes }));
    };
    DirectoryLock.acquire(root).leave();
    assert.is(lockHolder(root), undefined);
    const second = DirectoryLock.acquire(root);
    assert.is(second.wasPowerLost, false, 'the machine has run on');
    second.leave();
    edit({ boot: 'before' });
    const third = DirectoryLock.acquire(root);
    assert.is(third.wasPowerLost, true);
    third.release();
    const fourth = DirectoryLock.acquire(root);
    assert.is(fourth.wasPowerLost, true, 'nobody has brought the files into order');
    fourth.recovered();
    fourth.release();
    assert.equal(readdirSync(root), []);
  }));

test('a lock is left also where no new file can be made', () =>
  withDirectory((root) => {
    // The superuser may do everything: there is nothing to see then.
    if (process.getuid?.() === 0) return;
    const lock = DirectoryLock.acquire(root);
    chmodSync(root, 0o500);
    lock.leave();
    chmodSync(root, 0o700);
    assert.equal(readdirSync(root), ['.lock']);
    assert.is(lockHolder(root), undefined);
    DirectoryLock.acquire(root).release();
  }));

test('a lock that says nothing is refused with what to do, and trying again does not help', () =>
  withDirectory((root) => {
    const path = join(root, '.lock');
    const isRefused = (sentence: RegExp) => (error: unknown) =>
      refusalOf('DATA_DIRECTORY_INVALID', sentence)(error) && !(error as TidemarkError).retriable;
    for (const text of ['', '{}', 'pid 5', '{"pid":-1,"startTime":"","token":""}']) {
      writeFileSync(path, text);
      const sentence = /\.lock is a lock that cannot be read: remove it if no Tidemark is running there/;
      assert.throws(() => DirectoryLock.acquire(root), isRefused(sentence));
    }
    rmSync(path);
    mkdirSync(path);
    assert.throws(() => DirectoryLock.acquire(root), isRefused(/\.lock is a directory, where the lock/));
  }));

test('a full disk is left as it was, and what dead takers have left goes with the next start', () =>
  withDirectory((root) => {
    const { writeSync } = fs;
    fs.writeSync = () => {
      throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    };
    syncBuiltinESMExports();
    try {
      assert.throws(
        () => DirectoryLock.acquire(root),
        (error: unknown) => (error as NodeJS.ErrnoException).code === 'ENOSPC',
      );
    } finally {
      fs.writeSync = writeSync;
      syncBuiltinESMExports();
    }
    assert.equal(readdirSync(root), []);
    const [old, young] = ['.lock.0123456789abcdef.tmp', '.lock.fedcba9876543210.tmp'];
    for (const name of [old, young]) writeFileSync(join(root, name), '');
    utimesSync(join(root, old), 1, 1);
    const lock = DirectoryLock.acquire(root);
    assert.equal(readdirSync(root).sort(), ['.lock', young]);
    lock.release();
  }));

test.run();
