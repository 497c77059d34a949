import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { crc32c } from '../../native-free/crc32c/index.ts';
import { lz4CompressFrame } from '../../native-free/lz4/index.ts';
import { snappyCompress } from '../../native-free/snappy/index.ts';
import { ProducerStates } from '../../src/core/producer-states.ts';
import { encodeProducers } from '../../src/log/producer-snapshot.ts';
import { BATCH_HEADER_BYTES, CRC_FROM, writeAttributes, writeCrc } from '../../src/log/record-batch.ts';
import { FileDisk } from '../../src/runtime/file-disk.ts';
import { openSeat } from '../../src/runtime/quorum-seats.ts';
import { flip, put } from '../log/partition-fixtures.ts';
import { encodeBatch, goldenBatches } from '../log/record-batch-fixtures.ts';
import { clusterRecords, configEntry, dataEntry, persistOf } from '../runtime/seat-fixtures.ts';
import { CLUSTER_ID, linesOf, METADATA_LOG, tidemark, VOTER_ID, withDataDirectory } from './fixtures.ts';

test('the batches of a partition are printed, in order, with what their headers say', async () => {
  await withDataDirectory({ batches: 2, segments: 2 }, async ({ at, segments }) => {
    const { exitCode, out } = await tidemark('log', 'dump', at('broker-1/t-0'));
    assert.is(exitCode, 0);
    assert.equal(out.split('\n').slice(0, 2), [
      't-0/00000000000000000000.log',
      `position 0  offsets 0 to 2  records 3  epoch 0  CreateTime 2023-11-14T22:13:20.000Z to 2023-11-14T22:13:20.002Z  codec none  ${segments[0].positions[1]} bytes  crc ok`,
    ]);
    const lines = linesOf((await tidemark('log', 'dump', at('broker-1/t-0'), '--json')).out);
    assert.equal(
      lines.map(({ segment, baseOffset, position }) => [segment, baseOffset, position]),
      segments.flatMap(({ path, baseOffset, offsets, positions }) => [
        [path.replace('broker-1/', ''), baseOffset, undefined],
        [undefined, offsets[0], positions[0]],
        [undefined, offsets[1], positions[1]],
      ]),
    );
  });
});

test('a dump begins at an offset, and ends after so many batches', async () => {
  await withDataDirectory({}, async ({ at, segments }) => {
    const dump = async (path: string, ...args: string[]): Promise<unknown[]> => {
      const { exitCode, out } = await tidemark('log', 'dump', at(path), '--json', ...args);
      assert.is(exitCode, 0);
      return linesOf(out).map(({ baseOffset }) => baseOffset);
    };
    assert.equal(await dump('broker-1/t-0', '--from', '25', '--limit', '5'), [18, 24, 27, 30, 33, 36, 36]);
    assert.equal(await dump(segments[1].path, '--limit', '2'), [18, 21]);
    assert.equal(await dump('broker-1/t-0', '--from', '53'), [36, 51]);
    for (const path of ['broker-1/t-0', segments.at(-1)?.path ?? '']) {
      const { out } = await tidemark('log', 'dump', at(path), '--from', '54');
      assert.match(out, /It ends at offset 54 \(exclusive\), and nothing lies from 54 on\.\n$/);
      assert.not.match((await tidemark('log', 'dump', at(path), '--from', '53')).out, /It ends at/);
    }
  });
});

test('records are printed as text where they are text, and as bytes where they are none', async () => {
  await withDataDirectory({ segments: 1 }, async ({ at, disk, segments }) => {
    const records = [
      {
        key: Buffer.from('k'),
        value: Buffer.from('line\n"two"'),
        headers: [['h', Buffer.from('1')] as const],
      },
      { key: null, value: Buffer.from([0xff, 0x00]), headers: [['none', null] as const] },
      { key: Buffer.from(''), value: null },
    ];
    put(disk, segments[0].path, encodeBatch(records));
    const path = at(segments[0].path);
    const { out } = await tidemark('log', 'dump', path, '--records');
    assert.equal(out.split('\n').slice(1, 4), [
      '  offset 0  2023-11-14T22:13:20.000Z  key "k"  value "line\\n\\"two\\""  header h="1"',
      '  offset 1  2023-11-14T22:13:20.000Z  key null  value 0xff00  header none=null',
      '  offset 2  2023-11-14T22:13:20.000Z  key ""  value null',
    ]);
    const [, ...lines] = linesOf(
      (await tidemark('log', 'dump', path, '--records', '--json', '--from', '1')).out,
    );
    assert.equal(lines, [
      {
        offset: 1,
        timestamp: 1_700_000_000_000,
        key: null,
        valueBase64: '/wA=',
        headers: [{ name: 'none', value: null }],
      },
      { offset: 2, timestamp: 1_700_000_000_000, key: '', value: null, headers: [] },
    ]);
  });
});

test('compressed records are decoded, all but those of zstd', async () => {
  const plain = encodeBatch([{ value: Buffer.from('within') }]);
  const section = plain.subarray(BATCH_HEADER_BYTES);
  const encoders = [gzipSync, snappyCompress, lz4CompressFrame, (bytes: Uint8Array) => bytes];
  await withDataDirectory({ segments: 1 }, async ({ at, disk, segments }) => {
    for (const [n, encode] of encoders.entries()) {
      const batch = Buffer.concat([plain.subarray(0, BATCH_HEADER_BYTES), encode(section)]);
      batch.writeInt32BE(batch.length - 12, 8);
      writeAttributes(batch, 0, n + 1);
      writeCrc(batch, 0, crc32c(batch.subarray(CRC_FROM)));
      put(disk, segments[0].path, batch);
      const { exitCode, out } = await tidemark('log', 'dump', at(segments[0].path), '--records');
      assert.is(exitCode, 0);
      if (n < 3) assert.match(out, /codec (gzip|snappy|lz4) .*\n {2}offset 0 .* value "within"/);
      else assert.match(out, /codec zstd .*\n {2}\(records not decoded: .*zstd/);
    }
  });
});

test("other implementations' batches are printed without a fault", async () => {
  await withDataDirectory({ segments: 1 }, async ({ at, disk, segments }) => {
    for (const { bytes, golden, source } of goldenBatches()) {
      put(disk, segments[0].path, bytes);
      const { exitCode, out } = await tidemark('log', 'dump', at(segments[0].path), '--records');
      assert.is(exitCode, 0, `${source} ${golden.name}\n${out}`);
      assert.ok(out.includes('crc ok'));
    }
  });
});

test('damage is shown where it lies, what follows it too, and the exit code tells', async () => {
  await withDataDirectory({ segments: 1 }, async ({ at, disk, segments }) => {
    const [{ path, positions }] = segments;
    flip(disk, path, positions[2] + 100);
    const { exitCode, out } = await tidemark('log', 'dump', at(path));
    assert.is(exitCode, 1);
    const lines = out.trimEnd().split('\n');
    assert.is(lines.length, 6);
    const bytes = positions[3] - positions[2];
    assert.is(
      lines[2],
      `position ${positions[2]}  DAMAGED: ${bytes} bytes, offsets 6 to 8 are missing. The batch of offsets 6 to 8 does not match its CRC.`,
    );
    assert.match(lines[3], new RegExp(`^position ${positions[3]}  offsets 9 to 11 `));
    // Nobody has asked for what lies behind the limit.
    assert.is((await tidemark('log', 'dump', at(path), '--limit', '1')).exitCode, 0);
  });
});

/** Of one producer, with a batch that was there before its last one. */
function producersAt(offset: number): Buffer {
  const states = new ProducerStates();
  const of = { producerId: 4_000, producerEpoch: 3, timestamp: 1 };
  states.note({ ...of, firstSequence: 7, baseOffset: 10, nextOffset: 13 });
  states.note({ ...of, firstSequence: 10, baseOffset: 20, nextOffset: 21 });
  return encodeProducers(states, { offset, leaderEpoch: 2 });
}

test('what is known of idempotent producers is printed, and what is damaged of it is told and removed', async () => {
  await withDataDirectory({}, async ({ at, path, disk }) => {
    const file = 'broker-1/t-0/00000000000000000054.snapshot';
    put(disk, file, producersAt(54));
    const { exitCode, out } = await tidemark('log', 'dump', at(file));
    assert.is(exitCode, 0);
    assert.is(out, 'producer 4000/3  offsets 10 to 12 from sequence 7  offsets 20 to 20 from sequence 10\n');
    const [line] = linesOf((await tidemark('log', 'dump', at(file), '--json')).out);
    assert.equal(line, {
      producerId: 4_000,
      producerEpoch: 3,
      batches: [
        { firstSequence: 7, baseOffset: 10, lastOffset: 12 },
        { firstSequence: 10, baseOffset: 20, lastOffset: 20 },
      ],
    });
    assert.is((await tidemark('log', 'verify', path)).exitCode, 0);
    for (const bad of [producersAt(53), producersAt(54).subarray(0, 30)]) {
      put(disk, file, bad);
      const verified = await tidemark('log', 'verify', path);
      assert.is(verified.exitCode, 1);
      assert.match(verified.out, /00054\.snapshot: The snapshot of idempotent producers is damaged/);
    }
    const damaged = await tidemark('log', 'dump', at(file));
    assert.is(damaged.exitCode, 1);
    assert.match(damaged.out, /00054\.snapshot is damaged/);
    await tidemark('log', 'repair', path, '--yes');
    assert.is((await tidemark('log', 'verify', path)).exitCode, 0);
  });
});

test('indexes and checkpoints are printed as what they say', async () => {
  await withDataDirectory({}, async ({ at, disk, segments }) => {
    const [{ path, positions }] = segments;
    const index = await tidemark('log', 'dump', at(path.replace('.log', '.index')));
    assert.is(index.out.split('\n')[0], `offset 5  position ${positions[1]}`);
    const times = await tidemark(
      'log',
      'dump',
      at(path.replace('.log', '.timeindex')),
      '--json',
      '--limit',
      '1',
    );
    assert.equal(linesOf(times.out), [{ timestamp: 1_700_000_000_005, offset: 5 }]);
    const epochs = await tidemark('log', 'dump', at('broker-1/t-0/leader-epoch-checkpoint'));
    assert.is(epochs.out, 'epoch 0  start offset 0\nepoch 1  start offset 18\nepoch 2  start offset 36\n');
    put(disk, 'broker-1/replication-offset-checkpoint', Buffer.from('0\n1\nt 0 54\n'));
    const offsets = await tidemark('log', 'dump', at('broker-1/replication-offset-checkpoint'), '--json');
    assert.equal(linesOf(offsets.out), [{ topic: 't', partition: 0, offset: 54 }]);
    put(disk, 'broker-1/replication-offset-checkpoint', Buffer.from('0\n2\nt 0 54\n'));
    const damaged = await tidemark('log', 'dump', at('broker-1/replication-offset-checkpoint'));
    assert.is(damaged.exitCode, 1);
    assert.match(damaged.out, /line 4 should be/);
    flip(disk, path.replace('.log', '.index'), 0);
    put(disk, path.replace('.log', '.index'), Buffer.alloc(11, 1));
    const torn = await tidemark('log', 'dump', at(path.replace('.log', '.index')));
    assert.is(torn.exitCode, 1);
    assert.match(torn.out, /The file ends within an entry, 3 bytes behind the last whole one/);
  });
});

test("the metadata log is printed by its entries' kinds and records", async () => {
  await withDataDirectory({ config: { 'cleanup.policy': 'compact' } }, async ({ at }) => {
    const plain = await tidemark('log', 'dump', at(METADATA_LOG));
    assert.is(plain.exitCode, 0);
    assert.equal(
      plain.out.split('\n').filter((line) => line.startsWith(' ')),
      ['  entry 1  noop  term 1', '  entry 2  data  term 1  records 2', '  entry 3  data  term 1  records 2'],
    );
    const { out } = await tidemark('log', 'dump', at(METADATA_LOG), '--records', '--from', '3');
    const [, , entry, topic, partition] = out.split('\n');
    assert.is(entry, '  entry 3  data  term 1  records 2');
    assert.match(topic, /^ {4}\{"type":"topic","name":"t",.*"config":\{"cleanup\.policy":"compact"\}\}$/);
    assert.match(partition, /^ {4}\{"type":"partition","id":0,.*\}$/);
    const [, , noop, , cluster] = linesOf(
      (await tidemark('log', 'dump', at(METADATA_LOG), '--records', '--json')).out,
    );
    assert.equal(noop, { index: 1, kind: 'noop', term: 1, content: [] });
    assert.equal([cluster.index, cluster.kind, cluster.term], [2, 'data', 1]);
    assert.equal((cluster.content as unknown[])[0], { type: 'cluster', clusterId: CLUSTER_ID, version: 1 });
  });
});

test('the other files of a voter are printed too, and said to be damaged where they are', async () => {
  await withDataDirectory({}, async ({ at, disk, path }) => {
    const settings = { clusterId: CLUSTER_ID, broker: 1, isDurable: false, wasPowerLost: false };
    const { store, member } = await openSeat(new FileDisk(join(path, 'broker-1')), settings);
    const configuration = { voters: [member] };
    const { data } = dataEntry(3, 1, clusterRecords(CLUSTER_ID));
    await store.persist(
      persistOf({
        snapshot: { index: 3, term: 1, configuration, data },
        entries: [configEntry(4, 1, [1, 2])],
      }),
    );
    await store.close();
    const snapshot = `${METADATA_LOG}/00000000000000000004-0000000001.checkpoint`;
    const dump = (name: string, ...args: string[]) => tidemark('log', 'dump', at(name), ...args);
    assert.equal((await dump(snapshot)).out.trimEnd().split('\n'), [
      'snapshot of entry 3  term 1',
      `  configuration  {"voters":[{"id":1,"directoryId":"${VOTER_ID}"}]}`,
      `  state  {"type":"cluster","clusterId":"${CLUSTER_ID}","version":1}`,
      `  state  ${JSON.stringify(clusterRecords(CLUSTER_ID)[1])}`,
      '  origin  self',
    ]);
    const lines = linesOf((await dump(snapshot, '--json')).out);
    assert.equal([lines[0], lines[1]], [{ snapshot: { index: 3, term: 1 } }, { configuration }]);
    assert.match(
      (await dump(METADATA_LOG, '--records', '--from', '4')).out,
      /entry 4 {2}config {2}term 1\n {4}\{"voters":\[/,
    );
    assert.is((await dump(`${METADATA_LOG}/voter-id`)).out, `${VOTER_ID}\n`);
    assert.equal(linesOf((await dump(`${METADATA_LOG}/quorum-state`, '--json')).out), [
      { version: 1, clusterId: CLUSTER_ID, id: 1, directoryId: VOTER_ID, term: 1, lastIndex: 4 },
    ]);
    assert.is((await tidemark('log', 'verify', path)).exitCode, 0);
    for (const name of [snapshot, `${METADATA_LOG}/voter-id`, `${METADATA_LOG}/quorum-state`]) {
      flip(disk, name, 5);
      const { exitCode, out } = await dump(name);
      assert.is(exitCode, 1, name);
      assert.match(out, /damaged, or no|damaged, or not/);
    }
  });
});

test("what has the name of a metadata log and is not Tidemark's is printed as any other", async () => {
  await withDataDirectory({ segments: 1 }, async ({ at, disk }) => {
    const log = `${METADATA_LOG}/00000000000000000000.log`;
    for (const records of [
      [{ key: null, value: Buffer.from([1, 0, 7]) }],
      [{ key: Buffer.from('data'), value: null }],
      [
        { key: Buffer.from('data 1'), value: Buffer.from('[]') },
        { key: Buffer.from('data 1'), value: Buffer.from('[]') },
      ],
    ]) {
      put(disk, log, encodeBatch(records));
      const { exitCode, out } = await tidemark('log', 'dump', at(log), '--records');
      assert.match(out, /\n {2}offset \d+ .* key /, `${exitCode} ${out}`);
      assert.not.match(out, /entry/);
    }
  });
});

test('of a partition without records is said that it is empty', async () => {
  await withDataDirectory({}, async ({ at, disk }) => {
    disk.makeDirectory('broker-1/empty-0');
    put(
      disk,
      'broker-1/empty-0/partition.metadata',
      Buffer.from(`version: 0\ntopic_id: ${'V'.repeat(22)}\n`),
    );
    const { exitCode, out } = await tidemark('log', 'dump', at('broker-1/empty-0'));
    assert.is(exitCode, 0);
    assert.is(out, 'empty-0 is empty: it has no segment yet.\n');
    assert.equal(linesOf((await tidemark('log', 'dump', at('broker-1/empty-0'), '--json')).out), [
      { segments: 0 },
    ]);
  });
});

test('a directory of several logs is refused with one of them', async () => {
  await withDataDirectory({}, async ({ at, path }) => {
    const { exitCode, err } = await tidemark('log', 'dump', path);
    assert.is(exitCode, 2);
    assert.ok(err.includes(`dump one of them, such as ${at('broker-1/t-0')}.`));
  });
});

test.run();
