// What every Disk does, whatever lies below: the three implementations' tests run it.
import { Buffer } from 'node:buffer';
import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Disk, DiskError, type DiskFile } from '../../src/log/disk.ts';

/** Makes an empty disk and says what it is called; `using` takes it away afterwards. */
export type WithDisk = (use: (disk: Disk) => void | Promise<void>) => Promise<void>;

function refuses(code: string, act: () => unknown): void {
  assert.throws(act, (error: unknown) => error instanceof DiskError && error.code === code);
}

/** A programmer's error: an Error that is not the disk's. */
function isMisuse(error: unknown): boolean {
  return error instanceof Error && !(error instanceof DiskError);
}

function create(disk: Disk, path: string, text = ''): DiskFile {
  const file = disk.open(path, 'create');
  file.write(0, [Buffer.from(text)]);
  return file;
}

export function textOf(disk: Disk, path: string): string {
  const file = disk.open(path);
  const text = file.read(0, file.size).toString('latin1');
  file.close();
  return text;
}

function testBytes(withDisk: WithDisk): void {
  test('what was written is read, piece after piece, from any position', () =>
    withDisk((disk) => {
      const file = disk.open('a', 'create');
      assert.is(file.size, 0);
      file.write(0, [Buffer.from('one '), Buffer.alloc(0), Buffer.from('two '), Buffer.from('three')]);
      file.write(4, [Buffer.from('TWO')]);
      file.write(100, []);
      file.write(100, [Buffer.alloc(0)]);
      assert.is(file.size, 13);
      assert.is(file.read(0, 13).toString(), 'one TWO three');
      assert.is(file.read(4, 3).toString(), 'TWO');
      assert.is(file.read(8, 1000).toString(), 'three');
      assert.is(file.read(13, 1).length, 0);
      assert.is(file.read(5000, 1).length, 0);
      file.close();
      assert.is(textOf(disk, 'a'), 'one TWO three');
    }));

  test('more pieces than one system call takes arrive in their order', () =>
    withDisk((disk) => {
      const file = disk.open('a', 'create');
      const pieces = Array.from({ length: 2500 }, (_, n) => Buffer.from(`${n},`));
      file.write(3, pieces);
      assert.ok(file.read(3, file.size).equals(Buffer.concat(pieces)));
      assert.is(file.size, 3 + Buffer.concat(pieces).length);
      file.close();
    }));

  test('pieces are taken out of shared memory as they lie there', () =>
    withDisk((disk) => {
      const memory = new WebAssembly.Memory({ initial: 2, maximum: 2, shared: true });
      const shared = new Uint8Array(memory.buffer);
      for (let n = 0; n < shared.length; n++) shared[n] = n * 7 + (n >>> 8);
      const file = disk.open('a', 'create');
      file.write(0, [shared.subarray(70_001, 70_100)]);
      file.write(99, [shared.subarray(3, 5), shared.subarray(65_530, 131_072)]);
      const wanted = [shared.slice(70_001, 70_100), shared.slice(3, 5), shared.slice(65_530)];
      assert.ok(file.read(0, file.size).equals(Buffer.concat(wanted)));
      file.close();
    }));
}

function testSizes(withDisk: WithDisk): void {
  test('zeros lie between the end of a file and what is written behind it', () =>
    withDisk((disk) => {
      // What was there before must not shine through: not after a truncation, nor out of another file's memory.
      create(disk, 'old', 'x'.repeat(5000)).close();
      disk.remove('old');
      const file = create(disk, 'a', 'y'.repeat(4000));
      file.truncate(2);
      file.write(4500, [Buffer.from('z')]);
      const bytes = file.read(0, 4501);
      assert.ok(bytes.equals(Buffer.concat([Buffer.from('yy'), Buffer.alloc(4498), Buffer.from('z')])));
      file.truncate(1);
      file.truncate(3);
      assert.ok(file.read(0, 10).equals(Buffer.from('y\0\0')));
      file.truncate(10_000);
      assert.is(file.size, 10_000);
      assert.ok(file.read(1, 10_000).equals(Buffer.alloc(9999)));
      file.close();
    }));

  test('a file behaves as bytes in memory do, whatever is done to it', () =>
    withDisk((disk) => {
      const position = fc.nat(20_000);
      const step = fc.oneof(
        fc.record({ at: position, write: fc.array(fc.nat(6000), { maxLength: 3 }), fill: fc.nat(255) }),
        fc.record({ truncate: position }),
        fc.record({ reopen: fc.constant(true) }),
      );
      fc.assert(
        fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
          disk.remove('model');
          let file = disk.open('model', 'create');
          let model = Buffer.alloc(0);
          for (const next of steps) {
            if ('write' in next) {
              const pieces = next.write.map((length, n) => Buffer.alloc(length, next.fill + n));
              const piece = Buffer.concat(pieces);
              const end = piece.length === 0 ? 0 : next.at + piece.length;
              file.write(next.at, pieces);
              const grown = Buffer.alloc(Math.max(model.length, end));
              model.copy(grown);
              piece.copy(grown, next.at);
              model = grown;
            } else if ('truncate' in next) {
              file.truncate(next.truncate);
              const cut = Buffer.alloc(next.truncate);
              model.copy(cut);
              model = cut;
            } else {
              file.close();
              file = disk.open('model');
            }
            assert.is(file.size, model.length);
            assert.ok(file.read(0, model.length + 1).equals(model));
          }
          file.close();
        }),
        { numRuns: 60, seed: 3 },
      );
    }));
}

function testHandles(withDisk: WithDisk): void {
  test('two handles of a path are one file, and the last one to close ends it', () =>
    withDisk(async (disk) => {
      const one = create(disk, 'a', '1234');
      const two = disk.open('a', 'create');
      assert.is(two.size, 4);
      two.write(4, [Buffer.from('56')]);
      assert.is(one.size, 6);
      one.close();
      one.close();
      assert.is(two.read(0, 6).toString(), '123456');
      await two.sync();
      two.close();
    }));

  test('a closed file takes no more calls, and a position is never negative', () =>
    withDisk((disk) => {
      const file = create(disk, 'a', 'x');
      for (const position of [-1, Number.NaN]) {
        assert.throws(() => file.write(position, [Buffer.from('y')]), isMisuse);
        assert.throws(() => file.read(position, 1), isMisuse);
        assert.throws(() => file.truncate(position), isMisuse);
      }
      file.close();
      assert.throws(() => file.write(0, [Buffer.from('y')]), isMisuse);
      assert.throws(() => file.read(0, 1), isMisuse);
      assert.throws(() => file.truncate(0), isMisuse);
    }));

  test('a sync that is under way ends although its file is closed, and another one opened', () =>
    withDisk(async (disk) => {
      const syncs: Promise<void>[] = [];
      for (let n = 0; n < 20; n++) {
        const file = create(disk, `file-${n}`, 'text');
        syncs.push(file.sync());
        file.close();
      }
      await Promise.all(syncs);
      await disk.syncDirectory('');
      assert.is(textOf(disk, 'file-7'), 'text');
    }));

  test('an open file outlives its name, and the name begins anew', () =>
    withDisk(async (disk) => {
      const gone = create(disk, 'a', 'before');
      disk.remove('a');
      refuses('ENOENT', () => disk.open('a'));
      const fresh = disk.open('a', 'create');
      assert.is(fresh.size, 0);
      fresh.write(0, [Buffer.from('after')]);
      assert.is(gone.read(0, 10).toString(), 'before');
      gone.write(6, [Buffer.from('!')]);
      assert.is(gone.read(0, 10).toString(), 'before!');
      assert.is(fresh.read(0, 10).toString(), 'after');
      await gone.sync();
      gone.close();
      fresh.close();
      assert.is(textOf(disk, 'a'), 'after');
    }));
}

function testRenames(withDisk: WithDisk): void {
  test('a file that is renamed stays open, and its path follows', () =>
    withDisk((disk) => {
      disk.makeDirectory('topic-0');
      const file = create(disk, 'topic-0/1.log', 'one');
      disk.rename('topic-0/1.log', 'topic-0/2.log');
      assert.is(file.path, 'topic-0/2.log');
      file.write(3, [Buffer.from('+')]);
      refuses('ENOENT', () => disk.open('topic-0/1.log'));
      const again = disk.open('topic-0/2.log');
      assert.is(again.size, 4);
      disk.rename('topic-0', 'topic-1');
      assert.equal([file.path, again.path], ['topic-1/2.log', 'topic-1/2.log']);
      file.write(0, [Buffer.from('O')]);
      assert.is(again.read(0, 9).toString(), 'One+');
      file.close();
      again.close();
      assert.is(textOf(disk, 'topic-1/2.log'), 'One+');
    }));

  test('a rename takes the place of the file that is there, which lives on while it is open', () =>
    withDisk((disk) => {
      const old = create(disk, 'a', 'old');
      const fresh = create(disk, 'a.tmp', 'fresh');
      disk.rename('a.tmp', 'a');
      assert.equal(disk.list(''), ['a']);
      assert.is(old.read(0, 9).toString(), 'old');
      assert.is(fresh.path, 'a');
      fresh.close();
      old.close();
      assert.is(textOf(disk, 'a'), 'fresh');
      disk.rename('a', 'a');
      assert.is(textOf(disk, 'a'), 'fresh');
    }));

  test('a rename between directories takes along what is open, and opens what it brought', () =>
    withDisk((disk) => {
      disk.makeDirectory('one');
      disk.makeDirectory('two');
      const replaced = create(disk, 'two/b', 'replaced');
      create(disk, 'one/a', 'brought').close();
      disk.rename('one/a', 'two/b');
      const file = disk.open('two/b');
      assert.is(file.path, 'two/b');
      assert.is(file.read(0, 9).toString(), 'brought');
      assert.is(replaced.read(0, 9).toString(), 'replaced');
      disk.rename('two/b', 'one/c');
      assert.is(file.path, 'one/c');
      disk.rename('one', 'three');
      assert.is(file.path, 'three/c');
      file.close();
      replaced.close();
      assert.is(textOf(disk, 'three/c'), 'brought');
    }));
}

function testRefusedRenames(withDisk: WithDisk): void {
  test('a rename that cannot be is refused and changes nothing', () =>
    withDisk((disk) => {
      disk.makeDirectory('full/below');
      create(disk, 'a', 'text').close();
      refuses('ENOENT', () => disk.rename('missing', 'b'));
      refuses('ENOENT', () => disk.rename('a', 'missing/b'));
      refuses('ENOTDIR', () => disk.rename('full', 'a'));
      refuses('EISDIR', () => disk.rename('a', 'full'));
      refuses('EINVAL', () => disk.rename('full', 'full/below/more'));
      disk.makeDirectory('other');
      refuses('ENOTEMPTY', () => disk.rename('other', 'full'));
      disk.remove('full/below');
      disk.rename('other', 'full');
      assert.equal(disk.list(''), ['a', 'full/']);
    }));
}

function testNames(withDisk: WithDisk): void {
  test('a directory lists its files and directories in order', () =>
    withDisk(async (disk) => {
      disk.makeDirectory('');
      assert.equal(disk.list(''), []);
      disk.makeDirectory('b/c/d');
      disk.makeDirectory('b/c');
      for (const name of ['b/z', 'b/a', 'b/c.tmp', 'a']) create(disk, name).close();
      assert.equal(disk.list(''), ['a', 'b/']);
      assert.equal(disk.list('b'), ['a', 'c.tmp', 'c/', 'z']);
      assert.equal(disk.list('b/c/d'), []);
      await disk.syncDirectory('b/c');
    }));

  test('removing takes a directory with all that it holds, and what is missing is fine', () =>
    withDisk((disk) => {
      disk.makeDirectory('a/b');
      create(disk, 'a/b/one', '1').close();
      const open = create(disk, 'a/b/two', '2');
      create(disk, 'a.txt', '3').close();
      disk.remove('a');
      disk.remove('a');
      disk.remove('none/at/all');
      assert.equal(disk.list(''), ['a.txt']);
      assert.is(open.read(0, 2).toString(), '2');
      open.close();
      disk.makeDirectory('a/b');
      assert.equal(disk.list('a/b'), []);
    }));

  test('what is not there, or something else than was asked for, is refused by the system code', async () =>
    withDisk(async (disk) => {
      disk.makeDirectory('d');
      create(disk, 'f', 'text').close();
      refuses('ENOENT', () => disk.open('missing'));
      refuses('ENOENT', () => disk.open('missing/file', 'create'));
      refuses('ENOENT', () => disk.list('missing'));
      refuses('ENOTDIR', () => disk.list('f'));
      refuses('ENOTDIR', () => disk.open('f/below', 'create'));
      refuses('EISDIR', () => disk.open('d'));
      refuses('EISDIR', () => disk.open('d', 'create'));
      refuses('EEXIST', () => disk.makeDirectory('f'));
      const failure = await disk.syncDirectory('missing').catch((error: unknown) => error);
      assert.ok(failure instanceof DiskError);
      assert.is(failure.code, 'ENOENT');
      assert.ok(failure.message.includes('missing'), failure.message);
    }));

  test('no path leaves the directory', () =>
    withDisk((disk) => {
      for (const path of ['..', '../a', 'a/../../b', '/etc', 'a//b', 'a/', './a', 'a\\b', 'a\0']) {
        assert.throws(() => disk.open(path, 'create'), isMisuse, path);
        assert.throws(() => disk.list(path), isMisuse, path);
        assert.throws(() => disk.makeDirectory(path), isMisuse, path);
        assert.throws(() => disk.rename('a', path), isMisuse, path);
        assert.throws(() => disk.rename(path, 'a'), isMisuse, path);
        assert.throws(() => disk.remove(path), isMisuse, path);
      }
      assert.throws(() => disk.remove(''), isMisuse);
      assert.ok(disk.locate('a/b').endsWith('a/b'));
    }));
}

export function testDiskContract(withDisk: WithDisk): void {
  testBytes(withDisk);
  testSizes(withDisk);
  testHandles(withDisk);
  testRenames(withDisk);
  testRefusedRenames(withDisk);
  testNames(withDisk);
}
