import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeOffsets } from '../../src/log/checkpoint-files.ts';
import { DirectoryLock } from '../../src/runtime/directory-lock.ts';
import { FileDisk } from '../../src/runtime/file-disk.ts';
import { openSeat } from '../../src/runtime/quorum-seats.ts';
import { flip, get, put } from '../log/partition-fixtures.ts';
import { CLUSTER_ID, linesOf, METADATA_LOG, tidemark, withDataDirectory } from './fixtures.ts';

test('a sound directory is fine, from whichever of its levels it is looked at', async () => {
  await withDataDirectory({}, async ({ at, segments }) => {
    for (const path of ['', 'broker-1', 'broker-1/t-0']) {
      const { exitCode, out } = await tidemark('log', 'verify', at(path));
      assert.is(exitCode, 0, out);
      assert.match(
        out,
        /t-0: fine; offsets 0 to 54 \(exclusive\), 3 segments, 18 batches, 54 records, \d+ bytes\n/,
      );
      const [count, log] = path === 'broker-1/t-0' ? ['1 partition', ''] : ['2 partitions', METADATA_LOG];
      assert.ok(out.endsWith(`\n${count}: nothing is wrong.\n`), out);
      assert.is(
        log !== '',
        out.includes('__cluster_metadata-0: fine; offsets 1 to 4 (exclusive), 1 segment, '),
      );
    }
    const one = await tidemark('log', 'verify', at(segments[1].path));
    assert.match(one.out, /t-0: fine; offsets 18 to 36 \(exclusive\), 1 segment, /);
  });
});

test('a partition that is missing is told where its broker should have it, and no other', async () => {
  await withDataDirectory({}, async ({ path, at, disk }) => {
    const known = ['t', 'gone'].map((topic) => ({ topic, partition: 0, offset: 54 }));
    for (const name of ['recovery-point', 'replication'])
      put(disk, `broker-1/${name}-offset-checkpoint`, encodeOffsets(known));
    assert.match((await tidemark('log', 'verify', path)).out, /2 partitions: nothing is wrong/);
    rmSync(at('broker-1/t-0'), { recursive: true });
    const missing = `${at('broker-1/t-0')}: The directory is missing, and its log is known to have gone up to 54.`;
    for (const level of ['', 'broker-1', 'broker-1/t-0']) {
      const { out, exitCode } = await tidemark('log', 'verify', at(level));
      assert.is(exitCode, 1);
      assert.ok(out.includes(missing) && out.includes(': 1 problem.'), out);
    }
    assert.match((await tidemark('log', 'verify', at('broker-1/u-0'))).err, /There is no .*u-0\./);
  });
});

test('what is wrong is told with file, byte and offsets, and ends with 1', async () => {
  await withDataDirectory({}, async ({ at, path, disk, segments }) => {
    const [first, second] = segments;
    flip(disk, first.path, first.positions[1] + 90);
    flip(disk, second.path.replace('.log', '.index'), 6);
    put(disk, 'broker-1/recovery-point-offset-checkpoint', Buffer.from('0\n'));
    const { exitCode, out } = await tidemark('log', 'verify', path);
    assert.is(exitCode, 1);
    assert.ok(
      out.includes(
        `${at(first.path)}, byte ${first.positions[1]}: The batch of offsets 3 to 5 does not match its CRC.`,
      ),
    );
    assert.match(out, /\.index, byte 0: The index is wrong: /);
    assert.match(out, /recovery-point-offset-checkpoint: .*line 2 should be/);
    assert.match(out, /t-0: 2 problems; /);
    assert.match(out, /\n2 partitions: 3 problems\.\n$/);
    const lines = linesOf((await tidemark('log', 'verify', path, '--json')).out);
    assert.is(lines.length, 5);
    assert.equal(lines[3], {
      problem: 'The batch of offsets 3 to 5 does not match its CRC.',
      file: at(first.path),
      position: first.positions[1],
    });
    const one = await tidemark('log', 'verify', at(second.path));
    assert.is(one.exitCode, 1);
    assert.match(one.out, /1 problem\.\n$/);
  });
});

test('an index without its segment is told', async () => {
  await withDataDirectory({}, async ({ path, at, disk, segments }) => {
    const index = segments[1].path.replace('.log', '.index');
    disk.rename(segments[2].path, 'elsewhere');
    const { exitCode, out } = await tidemark('log', 'verify', path);
    assert.is(exitCode, 1);
    const [orphan] = [segments[2].path.replace('.log', '.timeindex')];
    assert.ok(
      out.includes(
        `  ${at(orphan)}: It is the index of a segment that is not there: 00000000000000000036.log`,
      ),
    );
    assert.not.match(out, new RegExp(`${at(index)}: It is the index`));
    assert.match(out, /2 problems\.\n$/);
    const repaired = await tidemark('log', 'repair', path, '--yes');
    assert.ok(repaired.out.includes(`${at(orphan)}: It is the index of a segment that is not there`));
    assert.match(repaired.out, /Removing this file; no records are lost\.\n2 repairs made\.\n$/);
    assert.is((await tidemark('log', 'verify', path)).exitCode, 0);
  });
});

test('gaps are fine in a topic that the cluster knows as compacted, or that is said to be', async () => {
  const gap = (batch: number): number => (batch === 1 ? 4 : 0);
  await withDataDirectory({ gap, config: { 'cleanup.policy': 'compact,delete' } }, async ({ path, at }) => {
    assert.is((await tidemark('log', 'verify', path)).exitCode, 0);
    assert.is((await tidemark('log', 'verify', at('broker-1/t-0'))).exitCode, 0);
  });
  await withDataDirectory({ gap }, async ({ path }) => {
    assert.is((await tidemark('log', 'verify', path)).exitCode, 1);
    assert.is((await tidemark('log', 'verify', path, '--compacted')).exitCode, 0);
  });
});

test('a damaged cluster.json is a problem, and the logs are looked at all the same', async () => {
  await withDataDirectory({}, async ({ path, disk }) => {
    put(disk, 'cluster.json', Buffer.from('{ "version": 2'));
    const { exitCode, out } = await tidemark('log', 'verify', path);
    assert.is(exitCode, 1);
    assert.match(out, /cluster\.json: .*is damaged: it is no JSON/);
    assert.match(out, /t-0: fine/);
  });
});

test("a voter's files that cannot be used are told once, and the logs are looked at all the same", async () => {
  await withDataDirectory({}, async ({ path, at, disk }) => {
    const log = get(disk, `${METADATA_LOG}/00000000000000000001.log`);
    flip(disk, `${METADATA_LOG}/quorum-state`, 20);
    const { exitCode, out } = await tidemark('log', 'verify', path);
    assert.is(exitCode, 1);
    assert.match(
      out,
      /The metadata of the cluster cannot be read, and so it is not known which topics are compacted/,
    );
    assert.ok(
      out.includes(`  ${at(METADATA_LOG)}: The file ${at(`${METADATA_LOG}/quorum-state`)} is damaged: `),
      out,
    );
    assert.match(out, /t-0: fine/);
    assert.match(out, /\n2 partitions: 2 problems\.\n$/);
    assert.match((await tidemark('log', 'verify', at('broker-1/t-0'))).out, /\n1 partition: 1 problem\.\n$/);
    flip(disk, `${METADATA_LOG}/quorum-state`, 20);
    flip(disk, `${METADATA_LOG}/00000000000000000001.log`, 100);
    const torn = await tidemark('log', 'verify', path);
    assert.match(
      torn.out,
      /__cluster_metadata-0: 1 problem; .*\n.*00000000000000000001\.log, byte 74: The batch of/,
    );
    assert.match(torn.out, /\n2 partitions: 2 problems\.\n$/);
    put(disk, `${METADATA_LOG}/00000000000000000001.log`, log);
    assert.is((await tidemark('log', 'verify', path)).exitCode, 0);
  });
});

test('of several voters one is enough, and what was set aside is left alone', async () => {
  const gap = (batch: number): number => (batch === 1 ? 4 : 0);
  await withDataDirectory({ gap, config: { 'cleanup.policy': 'compact' } }, async ({ path, disk }) => {
    disk.makeDirectory('broker-2');
    const { store } = await openSeat(new FileDisk(join(path, 'broker-2')), {
      clusterId: CLUSTER_ID,
      broker: 2,
      isDurable: false,
      wasPowerLost: false,
    });
    await store.close();
    assert.is((await tidemark('log', 'verify', path)).exitCode, 0);
    put(disk, 'broker-2/__cluster_metadata-0/voter-id', Buffer.from('x'));
    const { exitCode, out } = await tidemark('log', 'verify', path);
    assert.is(exitCode, 1);
    assert.match(out, /broker-2.__cluster_metadata-0: The file .*voter-id holds no voter's id\.\n/);
    assert.match(out, /1 problem\.\n$/);
    disk.rename('broker-2/__cluster_metadata-0', 'broker-2/__cluster_metadata-0.damaged-12345678');
    put(disk, 'broker-2/__cluster_metadata-0.damaged-12345678/00000000000000000001.log', Buffer.from('x'));
    assert.is((await tidemark('log', 'verify', path)).exitCode, 0);
  });
});

test('who writes here at the moment is told', async () => {
  await withDataDirectory({}, async ({ path }) => {
    const lock = DirectoryLock.acquire(path);
    try {
      const { exitCode, err } = await tidemark('log', 'verify', path);
      assert.is(exitCode, 0);
      assert.match(err, new RegExp(`^The process ${process.pid} is writing here`));
    } finally {
      lock.release();
    }
  });
});

test.run();
