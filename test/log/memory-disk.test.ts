import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DiskError } from '../../src/log/disk.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { testDiskContract } from './disk-contract.ts';

testDiskContract(async (use) => use(new MemoryDisk()));

test('a read is a view of the file, not a copy', () => {
  const file = new MemoryDisk().open('a', 'create');
  file.write(0, [Buffer.alloc(5000, 1)]);
  const [one, two] = [file.read(0, 5000), file.read(1000, 10)];
  assert.is(one.buffer, two.buffer);
  assert.is(two.byteOffset - one.byteOffset, 1000);
  file.close();
});

test('memory that a removed or replaced file held is used again', () => {
  const disk = new MemoryDisk();
  const bytes = Buffer.alloc(100_000, 1);
  const memoryOf = (path: string): ArrayBufferLike => {
    const file = disk.open(path, 'create');
    file.write(0, [bytes]);
    const { buffer } = file.read(0, 1);
    file.close();
    return buffer;
  };
  const first = memoryOf('a');
  const second = memoryOf('b');
  assert.is.not(first, second);
  disk.rename('b', 'a');
  assert.is(memoryOf('c'), first);
  disk.remove('a');
  assert.is(memoryOf('d'), second);
});

test('a file that grows as it was expected to stays where it is', () => {
  const file = new MemoryDisk().open('a', 'create');
  file.expect?.(1 << 20);
  file.write(0, [Buffer.alloc(1024, 1)]);
  const { buffer } = file.read(0, 1);
  for (let at = 1024; at < 1 << 20; at += 1024) file.write(at, [Buffer.alloc(1024, 2)]);
  assert.is(file.read(0, 1).buffer, buffer);
  // And what was expected is no limit.
  file.write(1 << 20, [Buffer.alloc(5000, 3)]);
  assert.is(file.size, (1 << 20) + 5000);
  assert.is(file.read(1 << 20, 1)[0], 3);
  assert.is(file.read(1023, 2)[0], 1);
  file.close();
});

test('a file that cannot have all that it was expected to be has what it needs', () => {
  const file = new MemoryDisk().open('a', 'create');
  file.expect?.(2 ** 50);
  file.write(0, [Buffer.alloc(1000, 1)]);
  assert.is(file.size, 1000);
  file.close();
});

test("a removed file's memory serves nobody else while the file is open", () => {
  const disk = new MemoryDisk();
  const file = disk.open('a', 'create');
  file.write(0, [Buffer.alloc(3000, 1)]);
  disk.remove('a');
  const other = disk.open('b', 'create');
  other.write(0, [Buffer.alloc(3000, 2)]);
  assert.ok(file.read(0, 3000).equals(Buffer.alloc(3000, 1)));
  other.close();
  file.close();
});

test('memory that cannot be had is an error of the disk', () => {
  const file = new MemoryDisk().open('a', 'create');
  assert.throws(
    () => file.truncate(2 ** 50),
    (error: unknown) => error instanceof DiskError && error.code === 'ENOMEM',
  );
  assert.is(file.size, 0);
  file.close();
});

test('a disk in memory says so where it names a file', () => {
  assert.is(new MemoryDisk().locate('topic-0/a'), 'memory:topic-0/a');
});

test.run();
