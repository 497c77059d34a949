import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DiskError } from '../../src/log/disk.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { afflict } from '../../src/runtime/disk-faults.ts';
import { threadSurroundings } from './surroundings-fixtures.ts';

const { clock } = threadSurroundings;
const bytes = Buffer.from('abcd');

/** What the disk refuses with, or what it did. */
function codeOf(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    if (error instanceof DiskError) return error.code;
    throw error;
  }
}

function written(): MemoryDisk {
  const disk = new MemoryDisk();
  disk.makeDirectory('d');
  disk.open('d/a', 'create').write(0, [bytes]);
  return disk;
}

test('a full disk can be read and written over, and takes nothing more', () => {
  const disk = written();
  afflict(disk, clock, 'full');
  const file = disk.open('d/a', 'create');
  assert.is(file.size, 4);
  assert.equal(Buffer.from(file.read(0, 4)), bytes);
  assert.is(
    codeOf(() => file.write(0, [bytes])),
    undefined,
  );
  assert.is(
    codeOf(() => file.write(2, [Buffer.from('c'), Buffer.from('de')])),
    'ENOSPC',
  );
  assert.is(file.size, 4);
  assert.is(
    codeOf(() => file.truncate(5)),
    'ENOSPC',
  );
  assert.is(
    codeOf(() => disk.open('d/b', 'create')),
    'ENOSPC',
  );
  assert.is(
    codeOf(() => disk.open('d/b')),
    'ENOENT',
  );
  assert.is(
    codeOf(() => disk.makeDirectory('e')),
    'ENOSPC',
  );
  disk.rename('d/a', 'd/c');
  disk.remove('d/c');
  assert.equal(disk.list('d'), []);
});

test('a disk that fails refuses everything, by what was opened before it did too, until it is sound again', async () => {
  const disk = written();
  afflict(disk, clock, 'sound');
  const file = disk.open('d/a');
  afflict(disk, clock, 'failing');
  for (const act of [
    () => file.write(0, [bytes]),
    () => file.read(0, 4),
    () => file.truncate(0),
    () => disk.open('d/a'),
    () => disk.list('d'),
    () => disk.makeDirectory('e'),
    () => disk.rename('d/a', 'd/b'),
    () => disk.remove('d/a'),
  ])
    assert.is(codeOf(act), 'EIO', `${act}`);
  for (const act of [() => file.sync(), () => disk.syncDirectory('d'), () => disk.settleDirectory('d')]) {
    const error = await act().then(
      () => undefined,
      (cause) => cause,
    );
    assert.is((error as DiskError | undefined)?.code, 'EIO', `${act}`);
  }
  afflict(disk, clock, 'sound');
  assert.equal(Buffer.from(file.read(0, 4)), bytes);
  await file.sync();
  assert.equal(disk.list('d'), ['a']);
});

test('a slow disk takes its time for each call, and loses nothing', async () => {
  const disk = written();
  afflict(disk, clock, 'slow');
  const startedMs = clock.nowMs();
  const file = disk.open('d/a');
  file.write(4, [bytes]);
  // The timer of a disk holds nobody.
  const held = setInterval(() => undefined, 1_000);
  await file.sync();
  clearInterval(held);
  assert.ok(clock.nowMs() - startedMs >= 3 * 15);
  assert.is(file.size, 8);
  assert.is(Buffer.from(file.read(0, 8)).toString(), 'abcdabcd');
});

test.run();
