// time limit: 240 s
// runs alone
// The whole process is killed at random moments while topics are made, changed and deleted, and started again on what it
// left. Nothing that was acknowledged is missing, and nothing is half made.
import { cpSync, readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster } from '../../src/index.ts';
import { CLEAN_SHUTDOWN_FILE } from '../../src/log/checkpoint-files.ts';
import { withDirectory } from '../runtime/directory-fixtures.ts';
import { numbered, partitionOf } from './fixtures.ts';
import { drawnFrom, type Expected, faultsOf, runAndKill } from './metadata-changes.ts';

const DELAY_MAX_MS = 400;

/** Kills on one directory. What was in doubt after one of them is settled before the next. */
async function killAgainAndAgain(durability: 'os' | 'fsync', kills: number, seed: number): Promise<void> {
  await withDirectory(async (dataDir) => {
    const expected: Expected = new Map();
    let acknowledged = 0;
    for (let kill = 0; kill < kills; kill++) {
      const run = `${seed} ${kill}`;
      const delayMs = drawnFrom(run, DELAY_MAX_MS);
      acknowledged += await runAndKill(dataDir, run, delayMs, expected, durability);
      const cluster = await Cluster.start({ brokers: 3, dataDir, durability });
      try {
        const label = `seed ${seed}, kill ${kill} after ${delayMs} ms`;
        assert.equal(await faultsOf(cluster, expected), [], label);
      } finally {
        await cluster.close();
      }
    }
    assert.ok(acknowledged > kills, `only ${acknowledged} changes were acknowledged`);
  });
}

test('killed 25 times while topics change, what was acknowledged is there, and nothing is half made', () =>
  killAgainAndAgain('os', 25, 1));

test('the same with durability fsync', () => killAgainAndAgain('fsync', 3, 2));

test('a topic that has the name of one before it is not missed as far as that went', () =>
  withDirectory(async (root) => {
    const dataDir = join(root, 'one');
    const start = (): Promise<Cluster> => Cluster.start({ brokers: 3, dataDir });
    const first = await start();
    await first.admin.createTopic('t', { replicationFactor: 3 });
    await first.producer().sendBatch('t', numbered(27));
    // Its end is written down.
    await first.close();
    const second = await start();
    await second.admin.deleteTopic('t');
    await second.admin.createTopic('t', { replicationFactor: 3 });
    // As a crash would leave it: the next words about ends come seconds later.
    const crashed = join(root, 'two');
    const isLock = (path: string): boolean => /lock/.test(basename(path));
    cpSync(dataDir, crashed, { recursive: true, filter: (path) => !isLock(path) });
    await second.close();
    const third = await Cluster.start({ brokers: 3, dataDir: crashed });
    try {
      assert.is.not(partitionOf(third).leader, -1, partitionOf(third).error);
      await third.producer().sendBatch('t', numbered(3));
      assert.is(partitionOf(third).hwm, 3);
    } finally {
      await third.close();
    }
  }));

/** What brokers say of the ends of their logs, from one directory to another. */
function copyCheckpoints(from: string, to: string): void {
  for (const id of [1, 2, 3]) {
    const names = readdirSync(join(from, `broker-${id}`)).filter((name) => /-checkpoint$/.test(name));
    for (const name of names) cpSync(join(from, `broker-${id}`, name), join(to, `broker-${id}`, name));
  }
}

for (const others of [['u'], []])
  test(`a topic is not missed as far as one went that was deleted in the moment before a crash, ${others.length === 0 ? 'alone' : 'beside another'}`, () =>
    withDirectory(async (root) => {
      const [dataDir, before, between, crashed] = ['data', 'before', 'between', 'crashed'].map((name) =>
        join(root, name),
      );
      const start = (path = dataDir): Promise<Cluster> => Cluster.start({ brokers: 3, dataDir: path });
      const first = await start();
      for (const name of ['t', ...others]) await first.admin.createTopic(name, { replicationFactor: 3 });
      await first.producer().sendBatch('t', numbered(27));
      await first.close();
      cpSync(dataDir, before, { recursive: true });
      const second = await start();
      await second.admin.deleteTopic('t');
      await second.close();
      // The deletion is written down, and no broker has got to its files.
      copyCheckpoints(before, dataDir);
      for (const id of [1, 2, 3]) rmSync(join(dataDir, `broker-${id}`, CLEAN_SHUTDOWN_FILE));
      const third = await start();
      cpSync(dataDir, between, { recursive: true });
      await third.admin.createTopic('t', { replicationFactor: 3 });
      cpSync(dataDir, crashed, { recursive: true, filter: (path) => !/lock/.test(basename(path)) });
      await third.close();
      // And so is the creation.
      copyCheckpoints(between, crashed);
      const fourth = await start(crashed);
      try {
        assert.is.not(partitionOf(fourth).leader, -1, partitionOf(fourth).error);
        await fourth.producer().sendBatch('t', numbered(3));
        assert.is(partitionOf(fourth).hwm, 3);
      } finally {
        await fourth.close();
      }
    }));

test.run();
