import { symlinkSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DirectoryLock, lockHolder } from '../../src/runtime/directory-lock.ts';
import { flip, get, put } from '../log/partition-fixtures.ts';
import { METADATA_LOG, tidemark, withDataDirectory } from './fixtures.ts';

test('a repair is shown before it is made, and changes nothing until it is wanted', async () => {
  await withDataDirectory({}, async ({ at, path, disk, segments }) => {
    const [first, , last] = segments;
    flip(disk, first.path, first.positions[1] + 90);
    put(disk, last.path, last.bytes.subarray(0, -7));
    const damaged = get(disk, first.path);
    const shown = await tidemark('log', 'repair', path);
    assert.is(shown.exitCode, 1);
    const lines = shown.out.trimEnd().split('\n');
    const size = first.positions[2] - first.positions[1];
    assert.equal(lines, [
      `${at(first.path)}, byte ${first.positions[1]}: The batch of offsets 3 to 5 does not match its CRC. Would put a batch without records in the place of ${size} bytes; lost: offsets 3 to 5.`,
      `${at(last.path)}, byte ${last.positions[5]}: The file ends within the batch that should begin at offset 51. Would cut off ${last.bytes.length - 7 - last.positions[5]} bytes; lost: offsets 51 to 53.`,
      '2 repairs to be made. Nothing was changed; add --yes to do it.',
    ]);
    assert.equal(get(disk, first.path), damaged);
    assert.not(disk.list('broker-1/t-0').some((name) => name.includes('dropped')));

    const made = await tidemark('log', 'repair', path, '--yes');
    assert.is(made.exitCode, 0, made.out);
    assert.match(made.out, /Putting a batch without records in the place of/);
    assert.match(made.out, /What was dropped is kept in .*\.log\.dropped-1\./);
    assert.match(made.out, /\n2 repairs made\.\n$/);
    assert.is((await tidemark('log', 'verify', path)).exitCode, 0);
    assert.equal(
      disk.list('broker-1/t-0').filter((name) => !/\.(log|index|timeindex)$/.test(name)),
      ['00000000000000000000.log.dropped-1', '00000000000000000036.log.dropped-1', 'leader-epoch-checkpoint'],
    );
    const again = await tidemark('log', 'repair', path, '--yes');
    assert.is(again.exitCode, 0);
    assert.is(again.out, 'There is nothing to repair.\n');
  });
});

test('what is dropped need not be kept', async () => {
  await withDataDirectory({}, async ({ at, disk, segments }) => {
    flip(disk, segments[0].path, 90);
    const { exitCode } = await tidemark('log', 'repair', at('broker-1/t-0'), '--yes', '--discard');
    assert.is(exitCode, 0);
    assert.not(disk.list('broker-1/t-0').some((name) => name.includes('dropped')));
  });
});

test('what was dropped can be printed', async () => {
  await withDataDirectory({}, async ({ at, disk, segments }) => {
    flip(disk, segments[0].path, 90);
    await tidemark('log', 'repair', at('broker-1'), '--yes');
    const { exitCode, out } = await tidemark('log', 'dump', at(`${segments[0].path}.dropped-1`));
    assert.is(exitCode, 1);
    assert.match(out, /DAMAGED: \d+ bytes, offsets 0 to 2 are missing\. .*CRC/);
  });
});

test('a directory in use is refused with the process that uses it', async () => {
  await withDataDirectory({}, async ({ at, path, disk, segments }) => {
    flip(disk, segments[0].path, 90);
    const damaged = get(disk, segments[0].path);
    const lock = DirectoryLock.acquire(path);
    try {
      for (const level of ['', 'broker-1', 'broker-1/t-0']) {
        const { exitCode, err } = await tidemark('log', 'repair', at(level), '--yes');
        assert.is(exitCode, 2);
        assert.match(err, new RegExp(`is in use by this process \\(pid ${process.pid}\\)`));
      }
    } finally {
      lock.release();
    }
    assert.equal(get(disk, segments[0].path), damaged);
    assert.is((await tidemark('log', 'repair', path)).exitCode, 1);
    // The repair has let go of its own lock.
    assert.not(disk.list('').some((name) => name.startsWith('.lock')));
  });
});

test('a lock that a killed process has left stays, and tells the next start what it knows', async () => {
  await withDataDirectory({}, async ({ path, disk, segments }) => {
    flip(disk, segments[0].path, 90);
    const dead = { pid: 2 ** 31 - 1, startTime: '1', boot: 'before', powerLost: false, token: 'dead' };
    put(disk, '.lock', Buffer.from(`${JSON.stringify(dead)}\n`));
    assert.is((await tidemark('log', 'repair', path, '--yes')).exitCode, 0);
    assert.is(lockHolder(path), undefined);
    const lock = DirectoryLock.acquire(path);
    assert.is(lock.wasPowerLost, true);
    lock.recovered();
    lock.leave();
    assert.is((await tidemark('log', 'repair', path)).exitCode, 0);
    const next = DirectoryLock.acquire(path);
    assert.equal([next.isTakenOver, next.wasPowerLost], [true, false]);
    next.release();
  });
});

test("the log of the cluster's metadata is left to the next start", async () => {
  await withDataDirectory({}, async ({ at, path, disk }) => {
    const index = `${METADATA_LOG}/00000000000000000001.index`;
    put(disk, index, Buffer.alloc(11, 1));
    const damaged = get(disk, index);
    for (const level of ['', METADATA_LOG]) {
      const { exitCode, out } = await tidemark('log', 'repair', at(level), '--yes');
      assert.is(exitCode, 1);
      assert.ok(out.includes(`${at(METADATA_LOG)}: The log of the cluster's metadata is damaged here.`), out);
      assert.equal(get(disk, index), damaged);
    }
    flip(disk, `${METADATA_LOG}/quorum-state`, 20);
    const unknown = await tidemark('log', 'repair', path, '--yes');
    assert.is(unknown.exitCode, 1);
    assert.match(unknown.err, /it is not known which topics are compacted\. .*quorum-state is damaged/);
  });
});

test('what a cluster knows as compacted is not taken for damaged', async () => {
  const gap = (batch: number): number => (batch === 1 ? 4 : 0);
  await withDataDirectory({ gap, config: { 'cleanup.policy': 'compact' } }, async ({ path }) => {
    assert.is((await tidemark('log', 'repair', path)).out, 'There is nothing to repair.\n');
  });
});

test('a directory that cannot be locked is left alone, and that is said in a sentence', async () => {
  await withDataDirectory({}, async ({ at, path, disk, segments }) => {
    flip(disk, segments[0].path, 90);
    const damaged = get(disk, segments[0].path);
    // Nobody may look through it, whatever rights they have.
    symlinkSync('.lock', at('.lock'));
    const { exitCode, err } = await tidemark('log', 'repair', path, '--yes');
    assert.is(exitCode, 2);
    assert.match(
      err,
      /^tidemark: The data directory .* could not be locked, and nothing was changed: .*ELOOP.*\.\n$/,
    );
    assert.equal(get(disk, segments[0].path), damaged);
    const verified = await tidemark('log', 'verify', path);
    assert.is(verified.exitCode, 2);
    assert.match(verified.err, /^tidemark: ELOOP.*\.\n$/);
  });
});

test('one segment is not repaired by itself', async () => {
  await withDataDirectory({}, async ({ at, segments }) => {
    const { exitCode, err } = await tidemark('log', 'repair', at(segments[0].path));
    assert.is(exitCode, 2);
    assert.match(err, /is one segment: repair its partition, .*t-0\./);
  });
});

test.run();
