// time limit: 120 s
// Compaction of live topics: real threads, writers and readers beside it. What was acknowledged is the model.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Durability, RecordInput, TopicConfigInput } from '../../src/index.ts';
import { Cluster, TidemarkError } from '../../src/index.ts';
import { seededRandom } from '../log/seeded-random.ts';
import { withDirectory } from '../runtime/directory-fixtures.ts';
import { partitionOf, sleep, text, until } from './fixtures.ts';

const KEYS = 200;
const WRITE_MS = 3_000;
/** At least so much is done, however long a busy machine takes for it. */
const RECORDS_MIN = 3_000;
const ROUNDS_MIN = 3;
/** Soon, and as fast as it can. */
const care = { everyMs: 50, compactionBytesPerSecond: 1 << 30 };
const config: TopicConfigInput = {
  'cleanup.policy': 'compact',
  'segment.bytes': 32_768,
  'min.cleanable.dirty.ratio': 0.1,
};

/** By key: the version that was written last, where it stands, and whether that deleted it. */
type Model = Map<string, { readonly version: number; readonly offset: number; readonly isDeleted: boolean }>;

/** Values tell their version, so that a reader can tell an older one. */
function recordOf(key: string, version: number, isDeleted: boolean): RecordInput {
  return { key, value: isDeleted ? null : `${version}`.padEnd(100, '.') };
}

/** Writes puts and deletes of its own keys until told to stop, and notes what was acknowledged. */
async function write(cluster: Cluster, writer: number, model: Model, isOver: () => boolean): Promise<void> {
  const producer = cluster.producer();
  const random = seededRandom(writer + 1);
  let version = 0;
  while (!isOver()) {
    const puts = Array.from({ length: 50 }, () => {
      version += 1;
      return { key: `${writer}-${random(KEYS)}`, version, isDeleted: random(4) === 0 };
    });
    const places = await producer.sendBatch(
      't',
      puts.map((put) => recordOf(put.key, put.version, put.isDeleted)),
    );
    for (const [index, { key, ...put }] of puts.entries())
      model.set(key, { ...put, offset: places[index].offset });
    await sleep(1);
  }
  await producer.close();
}

interface Replay {
  readonly records: number;
  /** By key: the last record, also where it is a tombstone. */
  readonly last: ReadonlyMap<string, { readonly offset: number; readonly value: string | null }>;
}

/** Reads everything, and holds every offset against the one before. */
async function replay(cluster: Cluster, broker?: number): Promise<Replay> {
  const last = new Map<string, { offset: number; value: string | null }>();
  let records = 0;
  let end = -1;
  for (let offset = 0; ; ) {
    const result = await cluster.read('t', { partition: 0, offset, broker, maxBytes: 20_000 });
    assert.ok(result.nextOffset >= offset, 'a read goes on');
    for (const record of result.records) {
      assert.ok(record.offset > end, `offset ${record.offset} comes after ${end}`);
      end = record.offset;
      last.set(`${text(record.key)}`, { offset: record.offset, value: text(record.value) });
      records += 1;
    }
    if (result.nextOffset === offset) return { records, last };
    offset = result.nextOffset;
  }
}

/** Nothing that was acknowledged before the reading began may be missing, or be an older one. */
function check(before: Model, { last }: Replay): void {
  for (const [key, { version, offset, isDeleted }] of before) {
    const found = last.get(key);
    if (found === undefined) {
      assert.ok(isDeleted, `the last value of '${key}', at ${offset}, is missing`);
      continue;
    }
    assert.ok(found.offset >= offset, `'${key}' was last written at ${offset}, and ${found.offset} was read`);
    if (found.offset !== offset) continue;
    assert.is(found.value === null, isDeleted);
    if (found.value !== null) assert.is(Number.parseInt(found.value, 10), version);
  }
}

/** What is there, without what was deleted. */
function live({ last }: Replay): Map<string, string> {
  const values = [...last].filter(([, { value }]) => value !== null).map(([key, { value }]) => [key, value]);
  return new Map((values as [string, string][]).sort(([one], [other]) => (one < other ? -1 : 1)));
}

async function readUntil(
  cluster: Cluster,
  model: Model,
  isOver: () => boolean,
  reader: { rounds: number; readonly broker?: number },
): Promise<void> {
  const { broker } = reader;
  for (; !isOver(); reader.rounds++) {
    const before = new Map(model);
    // A follower may be behind what was acknowledged by its HWM, which it learns later.
    const seen = await replay(cluster, broker);
    if (broker === undefined) check(before, seen);
  }
}

async function assertReplicasAgree(cluster: Cluster, model: Model): Promise<void> {
  await until('the followers have everything', () => {
    const { hwm, leo } = partitionOf(cluster);
    return Object.values(leo).every((end) => end === hwm);
  });
  const { leo } = partitionOf(cluster);
  const expected = [...model].filter(([, { isDeleted }]) => !isDeleted).map(([key]) => key);
  for (const broker of Object.keys(leo).map(Number)) {
    const seen = await replay(cluster, broker);
    check(model, seen);
    assert.equal([...live(seen).keys()], expected.sort(), `the keys at broker ${broker}`);
  }
}

/** Sealed segments hold each key about once: the active one is left alone. */
async function untilCompacted(cluster: Cluster, model: Model): Promise<void> {
  await until('every replica is compacted', async () => {
    for (const broker of cluster.status().brokers) {
      const { records } = await replay(cluster, broker.id);
      if (records > model.size + 800) return false;
    }
    return true;
  });
}

async function compactUnderLoad(cluster: Cluster, model: Model): Promise<void> {
  await cluster.admin.createTopic('t', { config });
  let isOver = false;
  const ended = (): boolean => isOver;
  const writers = [0, 1].map((writer) => write(cluster, writer, model, ended));
  const readers = [undefined, undefined, 2].map((broker) => ({ broker, rounds: 0 }));
  const reading = readers.map((reader) => readUntil(cluster, model, ended, reader));
  const isEnough = (): boolean =>
    partitionOf(cluster).hwm > RECORDS_MIN && readers.every(({ rounds }) => rounds > ROUNDS_MIN);
  const enough = sleep(WRITE_MS).then(() => until('enough was written and read', isEnough));
  await Promise.race([enough, ...writers, ...reading]);
  isOver = true;
  await Promise.all([...writers, ...reading]);
  await untilCompacted(cluster, model);
  await assertReplicasAgree(cluster, model);
  assert.equal(cluster.recovery, []);
}

for (const durability of ['os', 'memory', 'fsync'] satisfies Durability[]) {
  test(`${durability}: a topic is compacted under writers and readers, and no key's last value is ever missing`, async () => {
    const cluster = await Cluster.start({ brokers: 3, durability, care });
    try {
      await compactUnderLoad(cluster, new Map());
    } finally {
      await cluster.close();
    }
  });
}

test('what was compacted is there after a restart, and goes on being compacted', () =>
  withDirectory(async (dataDir) => {
    const model: Model = new Map();
    const first = await Cluster.start({ brokers: 3, dataDir, care });
    try {
      await compactUnderLoad(first, model);
    } finally {
      await first.close();
    }
    const second = await Cluster.start({ brokers: 3, dataDir, care });
    try {
      assert.equal(second.recovery, []);
      await assertReplicasAgree(second, model);
      let isOver = false;
      const writing = write(second, 7, model, () => isOver);
      await sleep(1_000);
      isOver = true;
      await writing;
      await untilCompacted(second, model);
      await assertReplicasAgree(second, model);
    } finally {
      await second.close();
    }
  }));

test('a record without a key is refused, and what is sent beside it is written', async () => {
  const cluster = await Cluster.start({ durability: 'memory' });
  try {
    await cluster.admin.createTopic('t', { config: { 'cleanup.policy': 'compact' } });
    const producer = cluster.producer();
    const [keyed, keyless] = await Promise.allSettled([
      producer.send('t', { key: 'k', value: 'v' }),
      producer.send('t', { value: 'v' }),
    ]);
    assert.is(keyed.status, 'fulfilled');
    assert.ok(keyless.status === 'rejected' && keyless.reason instanceof TidemarkError);
    assert.is(keyless.reason.code, 'INVALID_RECORD');
  } finally {
    await cluster.close();
  }
});

test.run();
