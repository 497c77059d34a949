import fs, { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Disk, DiskError } from '../../src/log/disk.ts';
import { FileDisk } from '../../src/runtime/file-disk.ts';
import { testDiskContract } from '../log/disk-contract.ts';

async function inDirectory(use: (disk: Disk, root: string) => void | Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'tidemark-disk-'));
  try {
    await use(new FileDisk(root), root);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

testDiskContract(inDirectory);

/** Puts other calls in place of node:fs's while `use` runs. */
function withCalls(calls: Partial<typeof fs>, use: () => void): void {
  const before = Object.fromEntries(Object.keys(calls).map((name) => [name, fs[name as keyof typeof fs]]));
  Object.assign(fs, calls);
  syncBuiltinESMExports();
  try {
    use();
  } finally {
    Object.assign(fs, before);
    syncBuiltinESMExports();
  }
}

test('writes that the system takes a part of are carried on', () =>
  inDirectory((disk) => {
    const { writeSync, writevSync } = fs;
    let short = 0;
    const calls = {
      writeSync: (fd: number, bytes: Uint8Array, offset: number, length: number, position: number) => {
        short += 1;
        return writeSync(fd, bytes, offset, Math.min(length, 7), position);
      },
      writevSync: (fd: number, pieces: readonly Uint8Array[], position: number) => {
        short += 1;
        const cut = Buffer.concat(pieces).subarray(0, 25);
        return writevSync(fd, [cut], position);
      },
    };
    withCalls(calls as unknown as Partial<typeof fs>, () => {
      const file = disk.open('a', 'create');
      const pieces = [10, 10, 10, 0, 1, 40].map((length, n) => Buffer.alloc(length, 0x41 + n));
      file.write(5, pieces);
      file.write(76, [Buffer.alloc(20, 0x61)]);
      assert.ok(short > 10);
      const wanted = Buffer.concat([Buffer.alloc(5), ...pieces, Buffer.alloc(20, 0x61)]);
      assert.ok(file.read(0, 1000).equals(wanted));
      assert.is(file.size, 96);
      file.close();
    });
  }));

test('a write that fails in its middle leaves the size that the file has by then', () =>
  inDirectory((disk, root) => {
    const { writeSync } = fs;
    let calls = 0;
    const failing = (fd: number, bytes: Uint8Array, offset: number, _length: number, position: number) => {
      calls += 1;
      if (calls === 3) throw Object.assign(new Error('full'), { code: 'ENOSPC', syscall: 'write' });
      return writeSync(fd, bytes, offset, 10, position);
    };
    withCalls({ writeSync: failing as unknown as typeof writeSync }, () => {
      const file = disk.open('a', 'create');
      assert.throws(
        () => file.write(0, [Buffer.alloc(50, 1)]),
        (error: unknown) =>
          error instanceof DiskError && error.code === 'ENOSPC' && error.cause !== undefined,
      );
      assert.is(file.size, 20);
      assert.is(statSync(join(root, 'a')).size, 20);
      file.close();
    });
  }));

test('a full device is an error with its code, the absolute path and what it means', () =>
  inDirectory((disk, root) => {
    if (process.platform !== 'linux') return;
    symlinkSync('/dev/full', join(root, 'full'));
    const file = disk.open('full');
    for (const pieces of [[Buffer.from('a')], [Buffer.from('a'), Buffer.from('b')]]) {
      assert.throws(
        () => file.write(0, pieces),
        (error: unknown) =>
          error instanceof DiskError &&
          error.code === 'ENOSPC' &&
          error.path === join(root, 'full') &&
          error.message === `write ${join(root, 'full')}: ENOSPC, no space is left on the device`,
      );
    }
    file.close();
  }));

test('files lie in the directory under their names', () =>
  inDirectory((disk, root) => {
    disk.makeDirectory('topic-0');
    const file = disk.open('topic-0/a.log', 'create');
    file.write(0, [Buffer.from('bytes')]);
    assert.is(readFileSync(join(root, 'topic-0', 'a.log'), 'utf8'), 'bytes');
    assert.is(disk.locate('topic-0/a.log'), join(root, 'topic-0', 'a.log'));
    assert.is(disk.locate(''), root);
    file.close();
  }));

test('a link to a directory is listed as one, and a link to nowhere as a file', () =>
  inDirectory((disk, root) => {
    disk.makeDirectory('real');
    symlinkSync(join(root, 'real'), join(root, 'linked'));
    symlinkSync(join(root, 'nowhere'), join(root, 'broken'));
    assert.equal(disk.list(''), ['broken', 'linked/', 'real/']);
  }));

test("every descriptor is given back: handles', renamed and removed files', and those of syncs", () =>
  inDirectory(async (disk) => {
    if (process.platform !== 'linux') return;
    const before = readdirSync('/proc/self/fd').length;
    const syncs: Promise<void>[] = [];
    for (let n = 0; n < 10; n++) {
      const file = disk.open(`${n}`, 'create');
      const again = disk.open(`${n}`);
      if (n % 3 === 1) disk.rename(`${n}`, 'renamed');
      if (n % 3 === 2) disk.remove(`${n}`);
      syncs.push(file.sync(), again.sync(), disk.syncDirectory(''));
      file.close();
      again.close();
    }
    await Promise.all(syncs);
    assert.is(readdirSync('/proc/self/fd').length, before);
  }));

test('a read grows the memory that reads share, and the next read uses the same', () =>
  inDirectory((disk) => {
    const file = disk.open('a', 'create');
    file.write(0, [Buffer.alloc(300_000, 5)]);
    const large = file.read(0, 1e9);
    assert.ok(large.equals(Buffer.alloc(300_000, 5)));
    assert.is(file.read(0, 10).buffer, large.buffer);
    file.close();
  }));

test('a directory that is not an absolute path is refused', () => {
  assert.throws(() => new FileDisk('data'), /must be an absolute path, not 'data'/);
});

test('directories whose names settle at the same time are synced in one turn, each once', () =>
  inDirectory(async (disk) => {
    // Whoever waits for it is kept alive by something else.
    const alive = setInterval(() => {}, 1_000);
    for (const name of ['a', 'b']) disk.makeDirectory(name);
    const settled: string[] = [];
    const settle = (name: string): Promise<unknown> =>
      disk.settleDirectory(name).then(() => settled.push(name));
    const all = [settle('a'), settle('b'), settle('a')];
    assert.equal(settled, [], 'nothing has waited for the device yet');
    await Promise.all(all);
    assert.equal([...settled].sort(), ['a', 'a', 'b']);
    disk.remove('b');
    const refused = await disk.settleDirectory('b').then(
      () => 'settled',
      (error: DiskError) => error.code,
    );
    assert.is(refused, 'ENOENT');
    await disk.settleDirectory('a');
    clearInterval(alive);
  }));

test.run();
