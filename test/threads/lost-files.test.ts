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

async function withKept(
  dataDir: string,
  run: (cluster: Cluster) => Promise<void>,
  brokers = 3,
): Promise<void> {
  const cluster = await Cluster.start({ brokers, dataDir });
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

/** In several segments; the leader. */
async function filledSegments(dataDir: string, brokers = 3): Promise<number> {
  let leader = -1;
  const fill = async (cluster: Cluster): Promise<void> => {
    const config = { 'segment.bytes': 16_384 };
    await cluster.admin.createTopic('t', { replicationFactor: brokers, config });
    const producer = cluster.producer();
    for (let from = 0; from < RECORDS; from += 10) await producer.sendBatch('t', numbered(10, 1000, from));
    await assertReplicated(cluster, RECORDS);
    leader = partitionOf(cluster).leader;
  };
  await withKept(dataDir, fill, brokers);
  return leader;
}

/** As a whole, or its records alone. */
function loseFirstSegment(home: string, withIndexes = true): void {
  const first = '0'.repeat(20);
  for (const name of readdirSync(join(home, 't-0')))
    if (name === `${first}.log` || (withIndexes && name.startsWith(first))) rmSync(join(home, 't-0', name));
}

for (const withIndexes of [true, false])
  for (const role of ['leader', 'follower'])
    test(`a ${role} that has lost its first segment gets it from another, ${withIndexes ? 'and its indexes' : 'whose indexes are there'}`, () =>
      withDirectory(async (dataDir) => {
        const leader = await filledSegments(dataDir);
        const lost = role === 'leader' ? leader : (leader % 3) + 1;
        loseFirstSegment(join(dataDir, `broker-${lost}`), withIndexes);
        await withKept(dataDir, async (cluster) => {
          assert.is.not(partitionOf(cluster).leader, lost);
          await until('all are in sync', () => partitionOf(cluster).isr.length === 3);
          assert.is(cluster.recovery[0]?.broker, lost);
          await assertReplicated(cluster, RECORDS);
        });
        await withKept(dataDir, async (cluster) => {
          assert.equal(cluster.recovery, []);
          await assertReplicated(cluster, RECORDS);
        });
      }));

for (const brokers of [1, 3])
  test(`where ${brokers === 1 ? 'the only replica has' : 'all replicas have'} lost the first segment, nobody leads until a repair lets the log begin behind it`, () =>
    withDirectory(async (dataDir) => {
      await filledSegments(dataDir, brokers);
      for (let id = 1; id <= brokers; id++) loseFirstSegment(join(dataDir, `broker-${id}`));
      const verified = await tidemark('log', 'verify', dataDir);
      assert.is(verified.exitCode, 1);
      assert.match(verified.out, /t-0: The log is known to begin at offset 0, and begins at 10/);
      const refuse = async (cluster: Cluster): Promise<void> => {
        assert.is(partitionOf(cluster).leader, -1);
        assert.match(partitionOf(cluster).error ?? '', /segment begins at 10.* log repair /);
      };
      for (let start = 0; start < 2; start++) await withKept(dataDir, refuse, brokers);
      const shown = await tidemark('log', 'repair', dataDir);
      assert.match(shown.out, /Would let the log begin at offset 10; lost: offsets 0 to 9\./);
      assert.is((await tidemark('log', 'repair', dataDir, '--yes')).exitCode, 0);
      assert.is((await tidemark('log', 'verify', dataDir)).exitCode, 0);
      const goOn = async (cluster: Cluster): Promise<void> => {
        assert.is.not(partitionOf(cluster).leader, -1);
        for (const offset of [10, RECORDS - 1])
          assert.is((await cluster.read('t', { partition: 0, offset })).records[0].offset, offset);
        await assertRefused(cluster.read('t', { partition: 0, offset: 9 }), 'OFFSET_OUT_OF_RANGE', /./);
      };
      for (let start = 0; start < 2; start++) await withKept(dataDir, goOn, brokers);
    }));

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

for (const brokers of [1, 3])
  for (const what of ['the directory', 'all files'])
    test(`where ${what} of a partition ${brokers === 1 ? 'is lost' : 'are lost everywhere'}, a repair lets it begin empty`, () =>
      withDirectory(async (dataDir) => {
        await filledSegments(dataDir, brokers);
        const homes = BROKERS.slice(0, brokers).map((id) => join(dataDir, `broker-${id}`));
        for (const home of homes) {
          losses['the directory of a partition'](home);
          if (what === 'all files') mkdirSync(join(home, 't-0'));
        }
        const refuse = async (cluster: Cluster): Promise<void> => {
          assert.is(partitionOf(cluster).leader, -1);
          assert.match(partitionOf(cluster).error ?? '', ` log repair ${join(homes[0], 't-0')}\``);
        };
        await withKept(dataDir, refuse, brokers);
        for (const path of [dataDir, homes[0], join(homes[0], 't-0')]) {
          const { out, exitCode } = await tidemark('log', 'verify', path);
          assert.is(exitCode, 1);
          assert.match(out, /t-0: .*known to have gone up to 50/);
          const shown = await tidemark('log', 'repair', path);
          assert.match(shown.out, /; lost: offsets 0 to 49\./);
        }
        await withKept(dataDir, refuse, brokers);
        for (const home of homes)
          assert.is((await tidemark('log', 'repair', join(home, 't-0'), '--yes')).exitCode, 0);
        assert.is((await tidemark('log', 'verify', dataDir)).exitCode, 0);
        const goOn = async (cluster: Cluster): Promise<void> => {
          await cluster.producer().sendBatch('t', numbered(RECORDS));
          await assertReplicated(cluster, RECORDS);
        };
        await withKept(dataDir, goOn, brokers);
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
