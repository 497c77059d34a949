// A start that is refused, or a broker that is lost, makes nothing worse: the next start has what it has to go by.
import { existsSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster } from '../../src/index.ts';
import { assertRefused } from '../client/refusals.ts';
import { withDirectory } from '../runtime/directory-fixtures.ts';
import { assertReplicated, numbered, partitionOf, until, withCluster } from './fixtures.ts';

const RECORDS = 200;
const PARTITIONS = 8;
const BROKERS = [1, 2, 3];

const start = (dataDir: string): Promise<Cluster> => Cluster.start({ brokers: 3, dataDir });
const homeOf = (dataDir: string, broker: number): string => join(dataDir, `broker-${broker}`);
const markerOf = (dataDir: string, broker: number): string =>
  join(homeOf(dataDir, broker), '.kafka_cleanshutdown');

function markers(dataDir: string): boolean[] {
  return BROKERS.map((broker) => existsSync(markerOf(dataDir, broker)));
}

/** Records at every broker, and no word of a clean end. */
async function killed(dataDir: string): Promise<void> {
  const cluster = await start(dataDir);
  try {
    await cluster.admin.createTopic('t', { partitions: PARTITIONS });
    await cluster.producer().sendBatch('t', numbered(RECORDS));
    await assertReplicated(cluster, RECORDS);
  } finally {
    await cluster.close();
  }
  for (const broker of BROKERS) rmSync(markerOf(dataDir, broker));
}

test('a broker that refuses to start is not taken for one that ended clean, and the others end what they began', () =>
  withDirectory(async (dataDir) => {
    await killed(dataDir);
    const file = join(homeOf(dataDir, 1), 'recovery-point-offset-checkpoint');
    const text = readFileSync(file, 'utf8');
    const newer = text.replace(/^0/, '1');
    writeFileSync(file, newer);
    const refusal = await start(dataDir).then(
      () => undefined,
      (error: Error) => error,
    );
    assert.match(refusal?.message ?? '', /recovery-point-offset-checkpoint/);
    assert.equal(markers(dataDir), [false, true, true]);
    assert.is(readFileSync(file, 'utf8'), newer);
    assert.ok(existsSync(join(dataDir, '.lock')), 'a power cut before the next start would be known');
    writeFileSync(file, text);
    const cluster = await start(dataDir);
    try {
      assert.equal(cluster.recovery, []);
      await assertReplicated(cluster, RECORDS);
    } finally {
      await cluster.close();
    }
    assert.equal(markers(dataDir), [true, true, true]);
    assert.not.ok(existsSync(join(dataDir, '.lock')));
  }));

test('where a broker was lost the lock stays, held by nobody, and the next start takes it', () =>
  withDirectory(async (dataDir) => {
    await withCluster({ dataDir, durability: 'os' }, async (cluster, { threads }) => {
      await threads[1].terminate();
      await until('the broker is missed', () => cluster.status().brokers[1].state === 'failed');
    });
    assert.equal(markers(dataDir), [true, false, true]);
    assert.ok(existsSync(join(dataDir, '.lock')));
    await (await start(dataDir)).close();
    assert.equal(markers(dataDir), [true, true, true]);
    assert.not.ok(existsSync(join(dataDir, '.lock')));
  }));

test('a file or a directory that the system does not open is told at the start, with what helps', () =>
  withDirectory(async (dataDir) => {
    await (await start(dataDir)).close();
    for (const name of ['', 'meta.properties', '__cluster_metadata-0/voter-id']) {
      const path = join(homeOf(dataDir, 1), name);
      renameSync(path, `${dataDir}-aside`);
      // Nobody may look through it, whatever rights they have.
      symlinkSync(path, path);
      const sentence =
        /cannot be used: [a-z]+ .*: ELOOP\. (Nothing was changed\. )?Check the disk, and start again\.$/;
      await assertRefused(start(dataDir), 'DATA_DIRECTORY_INVALID', sentence);
      rmSync(path);
      renameSync(`${dataDir}-aside`, path);
    }
    await (await start(dataDir)).close();
  }));

for (const way of ['the file comes back', 'what is there is made do with']) {
  test(`a broker that has lost its meta.properties is told why nobody leads, until ${way}`, () =>
    withDirectory(async (dataDir) => {
      const alone = async (run: (cluster: Cluster) => Promise<void>): Promise<void> => {
        await using cluster = await Cluster.start({ brokers: 1, dataDir });
        await run(cluster);
      };
      await alone(async (cluster) => {
        await cluster.admin.createTopic('t');
        await cluster.producer().sendBatch('t', numbered(RECORDS));
      });
      const file = join(homeOf(dataDir, 1), 'meta.properties');
      const text = readFileSync(file, 'utf8');
      const id = /directory\.id=(.*)/.exec(text)?.[1] as string;
      rmSync(file);
      // The first start finds out, and the next one goes by what that has written down.
      for (let round = 1; round <= 2; round++)
        await alone(async (cluster) => {
          const { leader, error = '' } = partitionOf(cluster);
          assert.is(leader, -1);
          assert.match(error, /broker 1, which alone had all of its records, came with another directory/);
          assert.ok(error.includes(`whose id is ${id}. Restore that directory`), error);
          assert.match(error, /electLeaders\(\{ type: 'unclean' \}\)/);
        });
      if (way === 'the file comes back') writeFileSync(file, text);
      await alone(async (cluster) => {
        if (way !== 'the file comes back') await cluster.admin.electLeaders({ type: 'unclean' });
        await assertReplicated(cluster, RECORDS);
      });
    }));
}

test.run();
