// time limit: 120 s
// Files that are gone between a clean end and a start: nothing is damaged that could be found, and yet it is missed.
import { mkdirSync, readdirSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster } from '../../src/index.ts';
import { tidemark } from '../cli/fixtures.ts';
import { assertRefused } from '../client/refusals.ts';
import { withDirectory } from '../runtime/directory-fixtures.ts';
import { assertReplicated, numbered, partitionOf, until } from './fixtures.ts';

const RECORDS = 50;
const BROKERS = [1, 2, 3];
const VOTE = '__cluster_metadata-0';

async function withKept(dataDir: string, run: (cluster: Cluster) => Promise<void>): Promise<void> {
  const cluster = await Cluster.start({ brokers: 3, dataDir });
  try {
    await run(cluster);
  } finally {
    await cluster.close();
  }
}

/** Each takes what broker `id` has of partition t-0, in another way. */
const losses: Record<string, (home: string) => void> = {
  "all of a partition's segments": (home) => {
    const directory = join(home, 't-0');
    for (const name of readdirSync(directory)) if (name.startsWith('0000')) rmSync(join(directory, name));
  },
  'all that a segment held': (home) => truncateSync(join(home, 't-0', `${'0'.repeat(20)}.log`), 0),
  'the directory of a partition': (home) => rmSync(join(home, 't-0'), { recursive: true }),
  'all that a broker had but its vote': (home) => {
    for (const name of readdirSync(home)) if (name !== VOTE) rmSync(join(home, name), { recursive: true });
  },
};

/** The same, with what the broker's voter has persisted. */
const losesVote: Record<string, (home: string) => void> = {
  'the directory of a broker': (home) => rmSync(home, { recursive: true }),
  'all that a broker had': (home) => {
    rmSync(home, { recursive: true });
    mkdirSync(home);
  },
};

async function filled(dataDir: string): Promise<void> {
  await withKept(dataDir, async (cluster) => {
    await cluster.admin.createTopic('t');
    await cluster.admin.createTopic('empty');
    await cluster.producer().sendBatch('t', numbered(RECORDS));
    await assertReplicated(cluster, RECORDS);
  });
}

for (const [what, lose] of Object.entries({ ...losses, ...losesVote })) {
  test(`a replica that has lost ${what} gets it from its leader, and is not in sync before`, () =>
    withDirectory(async (dataDir) => {
      await filled(dataDir);
      lose(join(dataDir, 'broker-1'));
      await withKept(dataDir, async (cluster) => {
        assert.is.not(partitionOf(cluster).leader, 1);
        await until('all are in sync', () => partitionOf(cluster).isr.length === 3);
        await until('nothing is missing', () => partitionOf(cluster, 0, 'empty').isr.length === 3);
        await assertReplicated(cluster, RECORDS);
      });
      await withKept(dataDir, async (cluster) => {
        assert.equal(cluster.recovery, []);
        await assertReplicated(cluster, RECORDS);
      });
    }));
}

for (const moves of [false, true])
  test(`once it has them again it leads like any other, ${moves ? 'where all others go' : 'where the leader dies'}`, () =>
    withDirectory(async (dataDir) => {
      await withKept(dataDir, async (cluster) => {
        await cluster.admin.createTopic('t', { replicationFactor: 2 });
        await cluster.producer().sendBatch('t', numbered(RECORDS));
      });
      let lost = 0;
      await withKept(dataDir, async (cluster) => {
        lost = partitionOf(cluster).replicas[0];
      });
      rmSync(join(dataDir, `broker-${lost}`, 't-0'), { recursive: true });
      await withKept(dataDir, async (cluster) => {
        assert.is.not(partitionOf(cluster).leader, lost);
        await until('both are in sync', () => partitionOf(cluster).isr.length === 2);
        if (moves) await cluster.admin.reassign([{ topic: 't', partition: 0, replicas: [lost] }]);
        else await cluster.faults.kill(partitionOf(cluster).leader);
        await until('it leads', () => partitionOf(cluster).leader === lost);
        if (moves) assert.equal(partitionOf(cluster).replicas, [lost]);
        assert.is((await cluster.read('t', { partition: 0, offset: 0 })).records.length, RECORDS);
      });
    }));

for (const [what, lose] of Object.entries(losses)) {
  test(`where every replica has lost ${what}, nobody leads, and the sentence says what is missing`, () =>
    withDirectory(async (dataDir) => {
      await filled(dataDir);
      for (const id of BROKERS) lose(join(dataDir, `broker-${id}`));
      for (let start = 0; start < 2; start++) {
        await withKept(dataDir, async (cluster) => {
          const { leader, isr, error = '' } = partitionOf(cluster);
          assert.is(leader, -1);
          const missing = /t-0 is missing|ends there, and is known to have gone up to 50|was safe up to 50/;
          for (const id of isr) assert.match(error.split(`broker ${id}:`)[1], missing);
        });
      }
    }));
}

for (const [what, lose] of Object.entries(losesVote)) {
  test(`where every voter has lost ${what}, the cluster does not start, and says why`, () =>
    withDirectory(async (dataDir) => {
      await filled(dataDir);
      for (const id of BROKERS) lose(join(dataDir, `broker-${id}`));
      for (let start = 0; start < 2; start++) {
        const refusal = Cluster.start({ brokers: 3, dataDir });
        await assertRefused(refusal, 'DATA_DIRECTORY_INVALID', /voters .* brokers 1, 2, 3 cannot be used/);
      }
    }));
}

test('a partition that was never written is empty, and no loss', () =>
  withDirectory(async (dataDir) => {
    await withKept(dataDir, async (cluster) => {
      await cluster.admin.createTopic('t');
    });
    for (let start = 0; start < 2; start++) {
      await withKept(dataDir, async (cluster) => {
        assert.is.not(partitionOf(cluster).leader, -1);
        assert.equal(partitionOf(cluster).isr.length, 3);
      });
    }
  }));

test('log verify tells of what is missing, and log repair lets a log end where it does', () =>
  withDirectory(async (dataDir) => {
    await filled(dataDir);
    const directories = BROKERS.map((id) => join(dataDir, `broker-${id}`, 't-0'));
    for (const id of BROKERS) losses['all that a segment held'](join(dataDir, `broker-${id}`));
    const verified = await tidemark('log', 'verify', dataDir);
    assert.is(verified.exitCode, 1);
    for (const directory of directories)
      assert.ok(
        verified.out.includes(`  ${directory}: The log ends at offset 0, and is known to have gone up to 50`),
      );
    const shown = await tidemark('log', 'repair', dataDir);
    assert.match(shown.out, /Would let the log end there; lost: offsets 0 to 49\./);
    await withKept(dataDir, async (cluster) => {
      assert.is(partitionOf(cluster).leader, -1);
    });
    assert.is((await tidemark('log', 'repair', dataDir, '--yes')).exitCode, 0);
    await withKept(dataDir, async (cluster) => {
      await cluster.producer().sendBatch('t', numbered(RECORDS));
      await assertReplicated(cluster, RECORDS);
    });
  }));

test.run();
