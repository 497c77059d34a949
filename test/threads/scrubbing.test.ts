// time limit: 120 s
// Bits that flip in the files of a cluster that runs: found, told, and healed where another replica has what was lost.
import { closeSync, openSync, readdirSync, readFileSync, readSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster, type ClusterOptions, TidemarkError } from '../../src/index.ts';
import { withDirectory } from '../runtime/directory-fixtures.ts';
import { assertReplicated, numbered, partitionOf, text, until } from './fixtures.ts';

const RECORDS = 2_000;
const care = { everyMs: 30, scrubIntervalMs: 200, scrubBytesPerSecond: 1 << 30 };

async function withKept(options: ClusterOptions, run: (cluster: Cluster) => Promise<void>): Promise<void> {
  const cluster = await Cluster.start({ brokers: 3, ...options });
  try {
    await run(cluster);
  } finally {
    await cluster.close();
  }
}

/** Several sealed segments, of a hundred records each or so. */
async function fill(cluster: Cluster, from = 0): Promise<void> {
  const producer = cluster.producer();
  for (let n = 0; n < RECORDS; n += 50) await producer.sendBatch('t', numbered(50, 150, from + n));
  await producer.close();
}

async function makeTopic(cluster: Cluster): Promise<void> {
  await cluster.admin.createTopic('t', { config: { 'segment.bytes': 32_768 } });
  await fill(cluster);
}

function segmentsOf(dataDir: string, broker: number): string[] {
  const directory = join(dataDir, `broker-${broker}`, 't-0');
  const names = readdirSync(directory).filter((name) => name.endsWith('.log'));
  return names.sort().map((name) => join(directory, name));
}

/** Turns one bit over, at some place of a file. */
function flip(path: string, position: number): void {
  const descriptor = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  readSync(descriptor, byte, 0, 1, position);
  byte[0] ^= 0x10;
  writeSync(descriptor, byte, 0, 1, position);
  closeSync(descriptor);
}

/** In a record's value, in the second batch or behind it, and so under the checksum of its batch alone. */
function flipValue(path: string): void {
  const bytes = readFileSync(path);
  flip(path, bytes.indexOf('....', bytes.length / 2) + 2);
}

/** In the length of the first batch: nothing behind it can be found. */
function flipHeader(path: string): void {
  flip(path, 9);
}

function counted(cluster: Cluster, broker: number): number {
  return cluster.metrics()[broker - 1].counters.damagedSegments;
}

async function refusalOf(promise: Promise<unknown>): Promise<TidemarkError> {
  const outcome = await promise.then(
    () => new Error('it was not refused'),
    (error: unknown) => error,
  );
  assert.ok(outcome instanceof TidemarkError, `${outcome}`);
  return outcome;
}

for (const [what, damage] of [
  ['value', flipValue],
  ['header', flipHeader],
] as const) {
  test(`a bit of a ${what} that flips on a follower's disk is found, and its segment fetched anew`, () =>
    withDirectory((dataDir) =>
      withKept({ dataDir, care }, async (cluster) => {
        await makeTopic(cluster);
        const { leader } = partitionOf(cluster);
        const [follower] = [1, 2, 3].filter((id) => id !== leader);
        const path = segmentsOf(dataDir, follower)[2];
        damage(path);
        await until('it is healed', () => cluster.recovery.length > 0);
        const [{ action, broker, topic, partition, file, fromOffset, reason }] = cluster.recovery;
        assert.equal([action, broker, topic, partition], ['set aside', follower, 't', 0]);
        assert.is(file, `${path}.damaged`);
        assert.ok(fromOffset > 0 && fromOffset < RECORDS);
        assert.match(reason, /fetched again from the leader/);
        await until('it is in sync again', () => partitionOf(cluster).isr.includes(follower));
        assert.is(partitionOf(cluster).isr.length, 3);
        await fill(cluster, RECORDS);
        await assertReplicated(cluster, 2 * RECORDS);
        assert.is(counted(cluster, follower), 1);
        assert.equal(
          [1, 2, 3].reduce((sum, id) => sum + counted(cluster, id), 0),
          1,
        );
        assert.is(cluster.recovery.length, 1);
        const names = readdirSync(join(dataDir, `broker-${follower}`, 't-0'));
        assert.is(names.filter((name) => name.endsWith('.damaged')).length, 1);
      }),
    ));
}

test('a single broker reports what it finds, once, and other offsets are read on', () =>
  withDirectory((dataDir) =>
    withKept({ dataDir, care, brokers: 1 }, async (cluster) => {
      await makeTopic(cluster);
      const paths = segmentsOf(dataDir, 1);
      flipValue(paths[2]);
      await until('it is reported', () => cluster.recovery.length > 0);
      const [{ action, file, fromOffset, reason }] = cluster.recovery;
      assert.equal([action, file], ['reported', paths[2]]);
      assert.match(reason, /does not match its CRC/);
      assert.match(reason, new RegExp(`npx tidemark log repair ${join(dataDir, 'broker-1', 't-0')}`));
      assert.not.match(reason, /another replica/);
      const refusal = await refusalOf(cluster.read('t', { partition: 0, offset: fromOffset }));
      assert.is(refusal.code, 'CORRUPT_MESSAGE');
      assert.match(refusal.message, new RegExp(`damaged at offset ${fromOffset} there`));
      assert.match(refusal.message, new RegExp(`npx tidemark log verify ${paths[2]}\``));
      const directory = join(dataDir, 'broker-1', 't-0');
      assert.match(refusal.message, new RegExp(`Every replica is damaged.*log repair ${directory}\``));
      const { records } = await cluster.read('t', { partition: 0, offset: 0 });
      assert.is(text(records[0].value)?.replaceAll('.', ''), '0');
      await fill(cluster, RECORDS);
      const { records: last } = await cluster.read('t', { partition: 0, offset: 2 * RECORDS - 1 });
      assert.is(last.length, 1);
      // Other segments are checked on, and this one is not told again.
      await new Promise((resolve) => setTimeout(resolve, 600));
      assert.is(cluster.recovery.length, 1);
      assert.is(counted(cluster, 1), 1);
    }),
  ));

test('a read gives what lies before a damaged batch, and the next one says where to look', () =>
  withDirectory((dataDir) =>
    withKept({ dataDir }, async (cluster) => {
      await makeTopic(cluster);
      const { leader } = partitionOf(cluster);
      const path = segmentsOf(dataDir, leader)[0];
      flipValue(path);
      const { records, nextOffset } = await cluster.read('t', { partition: 0, offset: 0 });
      assert.is(records.length, nextOffset);
      assert.ok(nextOffset > 0 && nextOffset < 250);
      const refusal = await refusalOf(cluster.read('t', { partition: 0, offset: nextOffset }));
      assert.is(refusal.code, 'CORRUPT_MESSAGE');
      const directory = join(dataDir, `broker-${leader}`, 't-0');
      assert.match(refusal.message, new RegExp(`damaged at offset ${nextOffset} there`));
      assert.match(refusal.message, new RegExp(`npx tidemark log verify ${directory}\``));
      const [, other] = /such as `broker: (\d)`/.exec(refusal.message) ?? [];
      assert.not.match(refusal.message, /log repair/);
      const elsewhere = { partition: 0, offset: nextOffset, broker: Number(other) };
      assert.ok((await cluster.read('t', elsewhere)).records.length > 0);
    }),
  ));

test('a reader that meets damage is told so, and the broker lives on', () =>
  withDirectory((dataDir) =>
    withKept({ dataDir, brokers: 1 }, async (cluster) => {
      await makeTopic(cluster);
      const paths = segmentsOf(dataDir, 1);
      const offset = Number(/(\d+)\.log$/.exec(paths[2])?.[1]);
      flipHeader(paths[2]);
      for (const read of [
        () => cluster.read('t', { partition: 0, offset }),
        () => cluster.inspect('t', { broker: 1, partition: 0, offset }),
      ]) {
        const refusal = await refusalOf(read());
        assert.is(refusal.code, 'CORRUPT_MESSAGE');
        assert.match(refusal.message, /damaged/);
      }
      await until('it is reported', () => cluster.recovery.length > 0);
      assert.is(cluster.recovery.length, 1);
      assert.is(cluster.recovery[0].action, 'reported');
      assert.is(counted(cluster, 1), 1);
      assert.ok((await cluster.read('t', { partition: 0, offset: 0 })).records.length > 0);
      await fill(cluster, RECORDS);
      assert.is(cluster.status().brokers[0].state, 'running');
    }),
  ));

test("a leader's damage is reported, and after a restart another replica leads and heals it", () =>
  withDirectory(async (dataDir) => {
    let damaged = 0;
    await withKept({ dataDir, care }, async (cluster) => {
      await makeTopic(cluster);
      damaged = partitionOf(cluster).leader;
      flipValue(segmentsOf(dataDir, damaged)[2]);
      await until('it is reported', () => cluster.recovery.length > 0);
      assert.is(cluster.recovery[0].action, 'reported');
      assert.match(cluster.recovery[0].reason, /or start the cluster again: another replica leads then/);
      assert.is(partitionOf(cluster).isr.length, 3);
      await cluster.producer().send('t', { value: 'v' });
    });
    await withKept({ dataDir }, async (cluster) => {
      assert.is.not(partitionOf(cluster).leader, damaged);
      assert.is(cluster.recovery.find(({ broker }) => broker === damaged)?.action, 'set aside');
      await until('it is in sync again', () => partitionOf(cluster).isr.length === 3);
      await assertReplicated(cluster, RECORDS + 1);
    });
  }));

test("a leader's damage is healed in a running cluster, when its broker is stopped and started again", () =>
  withDirectory((dataDir) =>
    withKept({ dataDir, care }, async (cluster) => {
      await makeTopic(cluster);
      const damaged = partitionOf(cluster).leader;
      flipValue(segmentsOf(dataDir, damaged)[2]);
      await until('it is reported', () => cluster.recovery.length > 0);
      assert.match(
        cluster.recovery[0].reason,
        new RegExp(`cluster.stopBroker\\(${damaged}\\). and .cluster.startBroker\\(${damaged}\\)`),
      );
      await cluster.stopBroker(damaged);
      await cluster.producer().send('t', { value: 'v' });
      await cluster.startBroker(damaged);
      assert.is.not(partitionOf(cluster).leader, damaged);
      await until('it is in sync again', () => partitionOf(cluster).isr.length === 3);
      assert.ok(cluster.recovery.some(({ broker, action }) => broker === damaged && action === 'set aside'));
      await assertReplicated(cluster, RECORDS + 1);
    }),
  ));

test('what is lost on a follower is read from its leader while records come, and none is missing', () =>
  withDirectory((dataDir) =>
    withKept({ dataDir, care, durability: 'fsync' }, async (cluster) => {
      await makeTopic(cluster);
      let isOver = false;
      let sent = RECORDS;
      const producer = cluster.producer();
      const write = async (): Promise<void> => {
        while (!isOver) {
          await producer.sendBatch('t', numbered(20, 150, sent));
          sent += 20;
        }
      };
      const writing = write();
      writing.catch(() => {});
      const { leader } = partitionOf(cluster);
      const followers = [1, 2, 3].filter((id) => id !== leader);
      for (const [index, follower] of followers.entries())
        flipValue(segmentsOf(dataDir, follower)[1 + index]);
      await until('both are healed', () => cluster.recovery.length === 2);
      await until('all are in sync', () => partitionOf(cluster).isr.length === 3);
      isOver = true;
      await writing;
      assert.equal(
        cluster.recovery.map(({ action }) => action),
        ['set aside', 'set aside'],
      );
      await assertReplicated(cluster, sent);
    }),
  ));

test('a file that is gone is damage too', () =>
  withDirectory((dataDir) =>
    withKept({ dataDir, brokers: 1, care }, async (cluster) => {
      await makeTopic(cluster);
      rmSync(segmentsOf(dataDir, 1)[1]);
      await until('it is reported', () => cluster.recovery.length > 0);
      assert.is(cluster.recovery[0].action, 'reported');
    }),
  ));

test.run();
