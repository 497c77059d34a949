// Whether Kafka's DumpLogSegments reads what our brokers write: in use, after a clean stop, in files that were recycled,
// and after compaction. It checks lengths and CRCs by itself, and indexes against the logs that they are of.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { ProducerStates } from '../../src/core/producer-states.ts';
import { Cluster, type Producer } from '../../src/index.ts';
import { encodeProducers } from '../../src/log/producer-snapshot.ts';
import { FileDisk } from '../../src/runtime/file-disk.ts';
import type { ProducedBatch } from '../../src/types.ts';
import { batchOf, compactNow, DIRECTORY, recordsOf, writeSegments } from '../log/compaction-fixtures.ts';
import type { Checks } from './checks.ts';
import { checkIndexDump, type DumpedLog, type DumpedRecord, parseDump } from './dump-output.ts';
import type { KafkaTools } from './kafka-tools.ts';
import type { ProgramEnd } from './programs.ts';

const SEGMENT_BYTES = 16_384;
const INTERVAL_BYTES = 1024;
const ROUNDS = 24;
const RECORDS_A_ROUND = 40;
const ROUNDS_MAX = 100;
const T0 = 1_700_000_000_000;
const BROKERS = [1, 2];
/** What the tool says where it comes upon the zeros behind the last batch of a file that is in use. */
const END_OF_WRITTEN = /CorruptRecordException: Found record size 0 smaller than minimum record overhead/;

/** What it prints of a producer, and of its last batch. */
const PRODUCER_LINE =
  /producerId: (?<id>\d+) producerEpoch: (?<epoch>\d+) .*lastTimestamp: (?<time>\d+) firstSequence: (?<first>\d+) lastSequence: (?<last>\d+) lastOffset: (?<offset>\d+)/g;

/** What was acknowledged of a partition, in the order of the offsets. */
type Sent = DumpedRecord[];

function logFiles(directory: string, suffix = '.log'): string[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith(suffix))
    .sort()
    .map((name) => join(directory, name));
}

/** Sizes that vary, keys and values that are missing at times, times that go back. */
async function sendRound(producer: Producer, topic: string, round: number, sent: Sent): Promise<void> {
  const records = Array.from({ length: RECORDS_A_ROUND }, (_, n) => {
    const id = round * RECORDS_A_ROUND + n;
    return {
      key: id % 5 === 0 ? null : `key-${id}`,
      value: id % 11 === 0 ? null : `${id}-`.padEnd(8 + ((id * 7) % 120), 'v'),
      timestamp: T0 + id * 10 - (id % 13 === 0 ? 5000 : 0),
      headers: id % 3 === 0 ? [['trace', 'x'] as const] : [],
    };
  });
  const places = await producer.sendBatch(topic, records);
  records.forEach(({ key, value, timestamp }, n) => {
    const { offset } = places[n];
    const id = round * RECORDS_A_ROUND + n;
    sent.push({ offset, timestamp, key, value, headers: id % 3 === 0 ? 'trace' : '' });
  });
}

function requireSilent({ code, errors }: ProgramEnd): void {
  assert.is(errors, '');
  assert.is(code, 0);
}

function recordsIn(dumped: ReadonlyMap<string, DumpedLog>, files: readonly string[]): DumpedRecord[] {
  return files.flatMap((file) => {
    const log = dumped.get(file);
    if (log === undefined) throw new Error(`${file} was not dumped`);
    return [...log.records];
  });
}

/** Whole files, to their last byte. */
async function checkWhole(
  tools: KafkaTools,
  files: readonly string[],
  expected: readonly DumpedRecord[],
): Promise<void> {
  assert.ok(expected.length > 0);
  const end = await tools.dumpLogSegments(files, '--print-data-log', '--deep-iteration');
  const dumped = parseDump(end.output);
  assert.equal(recordsIn(dumped, files), expected);
  for (const file of files) assert.is(dumped.get(file)?.endBytes, statSync(file).size, file);
  requireSilent(end);
}

/** Every index of these files: the check of a broker that starts, and each entry against the log. */
async function checkIndexes(tools: KafkaTools, directory: string): Promise<void> {
  const files = [...logFiles(directory, '.index'), ...logFiles(directory, '.timeindex')];
  const logs = logFiles(directory);
  assert.is(files.length, 2 * logs.length);
  const sanity = await tools.dumpLogSegments(files, '--index-sanity-check');
  requireSilent(sanity);
  for (const file of files)
    assert.ok(
      new RegExp(`^${file} (passed sanity check|is empty)\\.$`, 'm').test(sanity.output),
      sanity.output,
    );
  const whole = await tools.dumpLogSegments(files, '--deep-iteration');
  requireSilent(whole);
  const entries = checkIndexDump(whole.output);
  assert.ok(entries > 2 * logs.length, `${entries} entries of ${logs.length} segments`);
}

/** One whose file is in use: all records, and then its end, which the tool may stumble over if it is told no end. */
async function checkActive(
  tools: KafkaTools,
  file: string,
  expected: readonly DumpedRecord[],
): Promise<{ staleBytes: number }> {
  const end = await tools.dumpLogSegments([file], '--print-data-log', '--deep-iteration');
  const { records = [], endBytes = 0 } = parseDump(end.output).get(file) ?? {};
  assert.ok(records.length > 0, `${file} holds no records`);
  assert.equal(records, expected.slice(-records.length));
  const staleBytes = statSync(file).size - endBytes;
  if (staleBytes === 0) {
    requireSilent(end);
    return { staleBytes };
  }
  assert.match(end.errors, END_OF_WRITTEN);
  const bounded = await tools.dumpLogSegments([file], '--print-data-log', '--max-bytes', String(endBytes));
  requireSilent(bounded);
  assert.equal(parseDump(bounded.output).get(file)?.records, records);
  return { staleBytes };
}

class ClusterFiles {
  readonly #dataDir: string;
  readonly #tools: KafkaTools;
  readonly #checks: Checks;

  constructor(dataDir: string, tools: KafkaTools, checks: Checks) {
    this.#dataDir = dataDir;
    this.#tools = tools;
    this.#checks = checks;
  }

  async run(): Promise<void> {
    const checks = this.#checks;
    const config = {
      'segment.bytes': SEGMENT_BYTES,
      'index.interval.bytes': INTERVAL_BYTES,
      // These records are years old: time must neither drop them nor close their segments.
      'retention.ms': -1,
      'segment.ms': Number.MAX_SAFE_INTEGER,
    };
    const kept: Sent = [];
    const recycled: Sent = [];
    let cluster: Cluster | undefined;
    try {
      cluster = await Cluster.start({ brokers: BROKERS.length, dataDir: this.#dataDir, config });
      await cluster.admin.createTopic('kept', { replicationFactor: BROKERS.length });
      const small = { 'retention.bytes': 2 * SEGMENT_BYTES };
      await cluster.admin.createTopic('recycled', { replicationFactor: BROKERS.length, config: small });
      const producer = cluster.producer({ acks: 'all', batchBytes: 1500 });
      for (let round = 0; round < ROUNDS; round++) await sendRound(producer, 'kept', round, kept);
      for (const broker of BROKERS) {
        await checks.check(`sealed segments of broker ${broker}, in use`, () =>
          this.#checkSealed(broker, kept),
        );
        await checks.check(`the active segment of broker ${broker}`, async () => {
          await checkActive(this.#tools, logFiles(this.#directory(broker, 'kept')).at(-1) as string, kept);
        });
      }
      await checks.check('an active segment in a recycled file, in use', () =>
        this.#checkRecycled(producer, recycled),
      );
    } finally {
      await cluster?.close();
    }
    for (const broker of BROKERS) await this.#checkClosed(broker, kept, recycled);
  }

  #directory(broker: number, topic: string): string {
    return join(this.#dataDir, `broker-${broker}`, `${topic}-0`);
  }

  async #checkSealed(broker: number, kept: Sent): Promise<void> {
    const files = logFiles(this.#directory(broker, 'kept'));
    const sealed = files.slice(0, -1);
    const end = Number((files.at(-1) as string).slice(-24, -4));
    await checkWhole(
      this.#tools,
      sealed,
      kept.filter(({ offset }) => offset < end),
    );
  }

  /** Until a segment was begun in a file that holds more than it. */
  async #checkRecycled(producer: Producer, sent: Sent): Promise<void> {
    const [broker] = BROKERS;
    const directory = this.#directory(broker, 'recycled');
    let active = '';
    for (let round = 0; round < ROUNDS_MAX; round++) {
      await sendRound(producer, 'recycled', round, sent);
      const newest = logFiles(directory).at(-1) as string;
      const isNew = newest !== active;
      active = newest;
      if (!isNew || logFiles(directory)[0].includes('/00000000000000000000.log')) continue;
      const { staleBytes } = await checkActive(this.#tools, active, sent);
      if (staleBytes > 0) return;
    }
    throw new Error(`after ${ROUNDS_MAX} rounds no file in ${directory} was recycled`);
  }

  async #checkClosed(broker: number, kept: Sent, recycled: Sent): Promise<void> {
    const topics = [
      ['kept', kept],
      ['recycled', recycled],
    ] as const;
    for (const [topic, sent] of topics) {
      const directory = this.#directory(broker, topic);
      const files = logFiles(directory);
      // Retention has dropped what lies before.
      const start = sent === recycled ? Number(files[0].slice(-24, -4)) : 0;
      await this.#checks.check(`all logs of ${topic} at broker ${broker}, closed`, () =>
        checkWhole(
          this.#tools,
          files,
          sent.filter(({ offset }) => offset >= start),
        ),
      );
      await this.#checks.check(`all indexes of ${topic} at broker ${broker}, closed`, () =>
        checkIndexes(this.#tools, directory),
      );
    }
  }
}

/** A log of many keys, compressed and not, before and after compaction has dropped most of it. */
async function checkCompacted(directory: string, tools: KafkaTools): Promise<void> {
  const disk = new FileDisk(directory);
  let base = 0;
  const segments = Array.from({ length: 6 }, (_segment, s) =>
    Array.from({ length: 30 }, (_batch, n) => {
      const puts = Array.from({ length: 4 }, (_put, i) => ({
        key: `k${(base + i * 7) % 90}`,
        value: n % 9 === 0 ? null : `value-${s}-${n}-${i}`.padEnd(60, '.'),
      }));
      base += 4;
      return batchOf(base - 4, puts, { codec: n % 4 });
    }),
  );
  writeSegments(disk, segments);
  const { recordsDropped } = await compactNow(disk, {
    indexIntervalBytes: 1024,
    segmentBytes: SEGMENT_BYTES,
  });
  assert.ok(recordsDropped > base / 2);
  const location = join(directory, DIRECTORY);
  const files = logFiles(location);
  const end = await tools.dumpLogSegments(files, '--print-data-log', '--deep-iteration');
  assert.is(end.code, 0);
  const dumped = recordsIn(parseDump(end.output), files);
  const plain = ({ offset, timestamp, key, value }: DumpedRecord): unknown => [offset, timestamp, key, value];
  assert.equal(dumped.map(plain), (recordsOf(disk) as unknown as DumpedRecord[]).map(plain));
  // What was dropped is all that it notices.
  for (const line of end.errors.split('\n'))
    assert.match(line, /^(Non-consecutive offsets in \S+| {2}\d+ is followed by \d+|)$/);
  await checkIndexes(tools, location);
}

/** Snapshots of idempotent producers: Kafka reads the last batch of each, and minds nothing of what stands behind. */
async function checkProducers(directory: string, tools: KafkaTools): Promise<void> {
  const states = new ProducerStates();
  const producers = [3, 4_000, Number.MAX_SAFE_INTEGER];
  let offset = 0;
  for (let n = 0; n < 20; n++) {
    const baseOffset = offset;
    offset += 2;
    const producerId = producers[n % 3];
    const of = { producerId, producerEpoch: n % 3, timestamp: T0 + n };
    states.note({ ...of, firstSequence: 2 * Math.floor(n / 3), baseOffset, nextOffset: offset });
  }
  mkdirSync(directory);
  const file = join(directory, `${String(offset).padStart(20, '0')}.snapshot`);
  writeFileSync(file, encodeProducers(states, { offset, leaderEpoch: 7 }));
  const end = await tools.dumpLogSegments([file]);
  requireSilent(end);
  const dumped = [...end.output.matchAll(PRODUCER_LINE)].map(({ groups }) =>
    Object.values(groups as Record<string, string>).map(Number),
  );
  const expected = [...states.entries()].map(([id, { epoch, batches }]) => {
    const { firstSequence, nextOffset, timestamp } = batches.at(-1) as ProducedBatch;
    return [id, epoch, timestamp, firstSequence, firstSequence + 1, nextOffset - 1];
  });
  const byId = ([one]: number[], [other]: number[]): number => one - other;
  assert.equal(dumped.sort(byId), expected.sort(byId));
}

/** Kafka's dump tool over everything that we write. */
export async function dumpLogChecks(tools: KafkaTools, checks: Checks): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'tidemark-dump-log-'));
  try {
    await new ClusterFiles(join(directory, 'cluster'), tools, checks).run();
    await checks.check('a snapshot of producers', () => checkProducers(join(directory, 'producers'), tools));
    await checks.check('a compacted log', () => checkCompacted(join(directory, 'compacted'), tools));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
