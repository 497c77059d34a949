import { appendFileSync, cpSync, readdirSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { MetadataImage } from '../../src/core/metadata/image.ts';
import { QUORUM_DIRECTORY } from '../../src/log/quorum-store.ts';
import { type DataDirectory, openDataDirectory } from '../../src/runtime/data-directory.ts';
import { readMetadata } from '../../src/runtime/metadata-reading.ts';
import { assertRefused } from '../client/refusals.ts';
import { withDirectory } from './directory-fixtures.ts';
import { clusterRecords, dataEntry, persistOf, topicRecords, writeEntries } from './seat-fixtures.ts';

const LOG = '00000000000000000001.log';

/** A cluster of three brokers, and what to do to it before it is closed. */
async function withCluster(
  write: (directory: DataDirectory) => Promise<void>,
  read: (root: string) => Promise<void>,
): Promise<void> {
  await withDirectory(async (root) => {
    const directory = await openDataDirectory(root, 'os', 3);
    await write(directory);
    directory.close();
    await read(root);
  });
}

async function writeSeat(
  directory: DataDirectory,
  broker: number,
  term: number,
  topics: number,
  isClean = true,
): Promise<void> {
  const { store } = await directory.openSeat(broker);
  const records = Array.from({ length: topics }, (_, n) => topicRecords(n));
  await writeEntries(store, term, 1, clusterRecords(directory.clusterId), ...records);
  if (isClean) await store.close();
  else store.release();
}

const fileOf = (root: string, broker: number, name: string): string =>
  join(root, `broker-${broker}`, QUORUM_DIRECTORY, name);

interface Read {
  readonly image: MetadataImage | undefined;
  readonly sentences: readonly string[];
}

/** Reads, and holds it to changing nothing. */
async function readOf(root: string): Promise<Read> {
  const before = stateOf(root);
  const sentences: string[] = [];
  const image = await readMetadata(root, (directory, sentence) => {
    assert.ok(sentence.includes(directory), sentence);
    sentences.push(sentence);
  });
  assert.equal(stateOf(root), before);
  return { image, sentences };
}

function stateOf(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const stats = statSync(join(root, name));
      const content = stats.isFile() ? readFileSync(join(root, name), 'base64') : '';
      return `${name} ${stats.mtimeMs} ${content}`;
    });
}

const topicsOf = (image: MetadataImage | undefined): string[] | undefined =>
  image?.topics().map(({ name }) => name);

test('a cluster that has only been founded has no metadata', () =>
  withCluster(
    async () => undefined,
    async (root) => assert.equal(await readOf(root), { image: undefined, sentences: [] }),
  ));

test('the voter whose log reaches furthest tells: by its last term, and then by its length', () =>
  withCluster(
    async (directory) => {
      await writeSeat(directory, 1, 1, 5);
      await writeSeat(directory, 2, 2, 1);
      await writeSeat(directory, 3, 2, 2);
    },
    async (root) => {
      const { image, sentences } = await readOf(root);
      assert.equal(topicsOf(image), ['t0', 't1']);
      assert.equal([image?.offset, image?.term, sentences], [4, 2, []]);
    },
  ));

test('a snapshot counts with what lies behind it', () =>
  withCluster(
    async (directory) => {
      await writeSeat(directory, 1, 1, 1);
      const { store } = await directory.openSeat(2);
      const records = [...clusterRecords(directory.clusterId), ...topicRecords(0), ...topicRecords(1)];
      const ids = { type: 'ids', nextPartition: 2, nextBrokerEpoch: 1, nextProducerId: 0 } as const;
      const { data } = dataEntry(40, 1, [...records, ids]);
      const configuration = { voters: directory.founders };
      await store.persist(
        persistOf({
          hardState: { term: 1, vote: undefined },
          snapshot: { index: 40, term: 1, configuration, data },
          restartAt: 41,
          entries: [dataEntry(41, 1, topicRecords(2))],
        }),
      );
      await store.close();
    },
    async (root) => {
      const { image } = await readOf(root);
      assert.equal(topicsOf(image), ['t0', 't1', 't2']);
      assert.is(image?.offset, 41);
    },
  ));

test('what is being written is passed over, and nothing of it is cut', () =>
  withCluster(
    (directory) => writeSeat(directory, 1, 1, 3, false),
    async (root) => {
      const log = fileOf(root, 1, LOG);
      const whole = readFileSync(log);
      appendFileSync(log, whole.subarray(0, 50));
      assert.equal(topicsOf((await readOf(root)).image), ['t0', 't1', 't2']);
      truncateSync(log, whole.length - 10);
      assert.equal(topicsOf((await readOf(root)).image), ['t0', 't1']);
    },
  ));

test('a voter that is at work is read, with what it has persisted', () =>
  withDirectory(async (root) => {
    const directory = await openDataDirectory(root, 'os', 1);
    const { store } = await directory.openSeat(1);
    try {
      await writeEntries(store, 1, 1, clusterRecords(directory.clusterId));
      for (let n = 0; n < 20; n++) {
        const read = readMetadata(root, (_, sentence) => assert.unreachable(sentence));
        await store.persist(persistOf({ entries: [dataEntry(3 + n, 1, topicRecords(n))] }));
        const topics = (await read)?.topicCount ?? -1;
        assert.ok(topics === n || topics === n + 1, `${topics} topics after ${n}`);
        const image = await readMetadata(root, (_, sentence) => assert.unreachable(sentence));
        assert.is(image?.topicCount, n + 1);
      }
    } finally {
      await store.close();
      directory.close();
    }
  }));

test('a voter whose files are damaged is told, and the others are read', () =>
  withCluster(
    async (directory) => {
      for (const broker of [1, 2]) await writeSeat(directory, broker, 1, 4 - broker);
    },
    async (root) => {
      truncateSync(fileOf(root, 1, LOG), 100);
      const { image, sentences } = await readOf(root);
      assert.equal(topicsOf(image), ['t0', 't1']);
      assert.is(sentences.length, 1);
      rmSync(fileOf(root, 2, 'voter-id'));
      rmSync(join(root, 'broker-3'), { recursive: true });
      const none = await readOf(root);
      assert.is(none.image, undefined);
      assert.equal(none.sentences.length, 2);
      assert.match(none.sentences[1], /broker-2.*voter-id is missing/);
    },
  ));

test('what another cluster has written is told as such, and not read', () =>
  withCluster(
    (directory) => writeSeat(directory, 1, 1, 1),
    (root) =>
      withCluster(
        (directory) => writeSeat(directory, 1, 1, 3),
        async (other) => {
          const seat = fileOf(root, 2, '');
          rmSync(seat, { recursive: true });
          cpSync(fileOf(other, 1, ''), seat, { recursive: true });
          const { image, sentences } = await readOf(root);
          assert.equal(topicsOf(image), ['t0']);
          assert.match(sentences[0], /is that of voter 1 .*, and not of voter 2/);
        },
      ),
  ));

test('records that do not fit are refused with the place where they lie', () =>
  withCluster(
    async (directory) => {
      const { store } = await directory.openSeat(1);
      await writeEntries(store, 1, 1, topicRecords(0));
      await store.close();
    },
    async (root) => {
      await assertRefused(
        readMetadata(root, () => undefined),
        'DATA_DIRECTORY_INVALID',
        /broker-1.__cluster_metadata-0 cannot be read: .*does not fit/,
      );
    },
  ));

test.run();
