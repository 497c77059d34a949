import { setTimeout as sleep } from 'node:timers/promises';
import type { Producer } from '../src/client/producer.ts';
import { Cluster, type Durability } from '../src/index.ts';
import { batchLoad, CALL_RECORDS, pacedLoad } from './load.ts';
import { percentilesOf } from './percentiles.ts';
import { median, RECORD_BYTES } from './scenario.ts';
import { Toucher } from './toucher.ts';
import { replicasEqual } from './verify.ts';

// How a replica comes back that has missed much, and what very many replicas cost. `npm run bench:replication`

const MISSED_BYTES = 1e9;
const SEGMENT_BYTES = 64 << 20;
const PIECE_BYTES = 4 << 20;
const LOAD_MS = 2_000;
const WARM_UP_MS = 500;
const PIECE_MS = 250;
const PIECES = 4;
const MEMORY_RECORDS_A_SECOND = 1_000_000;
const FILES_RECORDS_A_SECOND = 400_000;
/** One passage of the machine's neighbours is not to decide what it can do. */
const READ_PASSES = 3;
const RETURNS = 3;
const RETURN_LIMIT_MS = 60_000;
const CATCHING_UP = 'catch-up';

const mbPerSecond = (bytes: number, elapsedMs: number): string =>
  `${(bytes / 1000 / elapsedMs).toFixed(0)} MB/s`;

function partitionOf(cluster: Cluster, topic: string) {
  const found = cluster.status().topics.find(({ name }) => name === topic)?.partitions[0];
  if (found === undefined) throw new Error(`there is no topic ${topic}`);
  return found;
}

/** How fast the log of the leader can be read through another thread, with nothing else to do, in bytes a millisecond. */
async function readSpeed(cluster: Cluster): Promise<number> {
  const passes: number[] = [];
  for (let pass = 0; pass < READ_PASSES; pass++) passes.push(await readOnce(cluster));
  return median(passes);
}

async function readOnce(cluster: Cluster): Promise<number> {
  const { leader: broker, hwm, logStart } = partitionOf(cluster, CATCHING_UP);
  const startedMs = performance.now();
  let bytes = 0;
  for (let offset = logStart; offset < hwm && bytes < MISSED_BYTES; ) {
    const piece = await cluster.inspect(CATCHING_UP, { broker, partition: 0, offset, maxBytes: PIECE_BYTES });
    bytes += piece.bytes.length;
    offset = piece.nextOffset;
  }
  return bytes / (performance.now() - startedMs);
}

/** As fast as it goes, or so many records a second, in calls that are as large or larger. */
async function load(
  producer: Producer,
  durationMs: number,
  written: { records: number },
  rate?: number,
): Promise<void> {
  const { records, failed } =
    rate === undefined
      ? await batchLoad(producer, CATCHING_UP, durationMs)
      : await pacedLoad(producer, CATCHING_UP, durationMs, rate, CALL_RECORDS);
  if (failed > 0) throw new Error(`${failed} records failed`);
  written.records += records;
}

/** Records a millisecond, in pieces as they are taken while a replica comes back. */
async function rateOf(
  producer: Producer,
  written: { records: number },
  isOver: (pieces: number) => boolean,
  paced?: number,
): Promise<number> {
  const first = written.records;
  const startedMs = performance.now();
  for (let pieces = 0; !isOver(pieces); pieces++) await load(producer, PIECE_MS, written, paced);
  return (written.records - first) / (performance.now() - startedMs);
}

/**
 * What a replica's return came to: its speed, and what producers kept meanwhile of what they had while all replicas were in
 * sync, and of what they had while this one was gone: there is a broker less for the same cores then.
 */
interface Shares {
  readonly ofReading: number;
  readonly ofWhole: number;
  readonly ofLess: number;
}

/**
 * Broker 2 is dead while a gigabyte is written, and comes back under a load of so many records a second, or of as many as
 * there may be. With files the load is what a device takes three times: at full speed the page cache fills up, the system
 * makes all writers wait for the device, and nothing else would be measured.
 */
async function catchUp(durability: Durability, paced?: number): Promise<void> {
  const shares: Shares[] = [];
  while (shares.length < RETURNS) shares.push(await comeBack(durability, paced));
  const percent = (share: (one: Shares) => number): string =>
    `${(100 * median(shares.map(share))).toFixed(0)} %`;
  console.log(
    `${what(durability, paced)}, median of ${RETURNS}: ${percent(({ ofReading }) => ofReading)} of the read speed, while producers keep ` +
      `${percent(({ ofWhole }) => ofWhole)} of what they had with all replicas in sync, ${percent(({ ofLess }) => ofLess)} of what they had while it was gone`,
  );
}

function what(durability: Durability, paced: number | undefined): string {
  return `durability ${durability}, ${paced === undefined ? 'full' : 'paced'} load`;
}

async function comeBack(durability: Durability, paced: number | undefined): Promise<Shares> {
  await toucher.touch();
  const isMemory = durability === 'memory';
  // What was missed has to be there still. Memory that was never touched before would be most of what is measured.
  const retained = isMemory ? MISSED_BYTES + 2 * SEGMENT_BYTES : -1;
  const config = { 'min.insync.replicas': 2, 'segment.bytes': SEGMENT_BYTES, 'retention.bytes': retained };
  const cluster = await Cluster.start({ brokers: 3, durability, config });
  try {
    await cluster.admin.createTopic(CATCHING_UP, { replicationFactor: 3 });
    const producer = cluster.producer({ acks: 'all' });
    const written = { records: 0 };
    await load(producer, WARM_UP_MS, written);
    while (written.records * RECORD_BYTES < 1.5 * retained) await load(producer, PIECE_MS, written);
    const { leader } = partitionOf(cluster, CATCHING_UP);
    const gone = leader === 2 ? 3 : 2;
    const isEnough = (pieces: number): boolean => pieces === PIECES;
    const whole = await rateOf(producer, written, isEnough, paced);
    await cluster.faults.kill(gone);
    const from = written.records;
    while ((written.records - from) * RECORD_BYTES < MISSED_BYTES) await load(producer, PIECE_MS, written);
    const less = await rateOf(producer, written, isEnough, paced);
    const speed = await readSpeed(cluster);
    // What was free at the start is taken away again within seconds.
    await toucher.touch();
    let isBack = false;
    const overMs = performance.now() + RETURN_LIMIT_MS;
    const loading = rateOf(producer, written, () => isBack || performance.now() > overMs, paced);
    await cluster.faults.restart(gone);
    const openedMs = performance.now();
    const { logStart, hwm } = partitionOf(cluster, CATCHING_UP);
    // In memory nothing of a life is left for the next one.
    const missed = hwm - (isMemory ? logStart : from);
    while (!partitionOf(cluster, CATCHING_UP).isr.includes(gone)) {
      if (openedMs + RETURN_LIMIT_MS < performance.now()) throw new Error('it did not come back');
      await sleep(2);
    }
    const elapsedMs = performance.now() - openedMs;
    isBack = true;
    const during = await loading;
    // What came meanwhile had to be fetched as well.
    const bytes = (missed + during * elapsedMs) * RECORD_BYTES;
    const share = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(0)} %`;
    const rate = (perMs: number): string => `${Math.round(perMs * 1000).toLocaleString('en-US')} records/s`;
    console.log(
      `${what(durability, paced)}: a replica that missed ${((missed * RECORD_BYTES) / 1e9).toFixed(2)} GB is back in the ISR ${elapsedMs.toFixed(0)} ms after its start: ` +
        `${mbPerSecond(bytes, elapsedMs)}, ${share(bytes / elapsedMs, speed)} of the ${mbPerSecond(speed * 1000, 1000)} at which its leader's log can be read`,
    );
    console.log(
      `producers meanwhile: ${rate(during)}, ${share(during, whole)} of the ${rate(whole)} with all replicas in sync, ${share(during, less)} of the ${rate(less)} while it was gone; ` +
        `verified: ${(await replicasEqual(cluster, CATCHING_UP, written.records)) ? 'yes' : 'NO'}`,
    );
    return { ofReading: bytes / elapsedMs / speed, ofWhole: during / whole, ofLess: during / less };
  } finally {
    await cluster.close();
  }
}

const WIDE_BROKERS = 21;
/** With three replicas each, every broker follows 300 partitions. */
const WIDE_PARTITIONS = (300 * WIDE_BROKERS) / 2;

/** A leader with twenty followers in one partition, and very many partitions with three replicas. */
async function wide(): Promise<void> {
  const config = { 'retention.bytes': 1 << 20, 'segment.bytes': 1 << 19 };
  const cluster = await Cluster.start({ brokers: WIDE_BROKERS, durability: 'memory', config });
  try {
    await cluster.admin.createTopic('wide', { replicationFactor: WIDE_BROKERS });
    await cluster.admin.createTopic('many', { partitions: WIDE_PARTITIONS, replicationFactor: 3 });
    const producer = cluster.producer({ acks: 'all' });
    for (const topic of ['wide', 'many']) {
      await batchLoad(producer, topic, LOAD_MS);
      const already = committed(cluster, topic);
      const result = await batchLoad(producer, topic, LOAD_MS);
      const rate = Math.round((result.records / result.elapsedMs) * 1000).toLocaleString('en-US');
      const verified = await replicasEqual(cluster, topic, already + result.records);
      const what =
        topic === 'wide' ? '1 partition with 20 followers' : `${WIDE_PARTITIONS} partitions with 3 replicas`;
      const { p50, p99 } = percentilesOf(result.latenciesMs);
      console.log(
        `${WIDE_BROKERS} brokers, ${what}: ${rate} records/s with acks all, a call of 512 records p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms; ` +
          `failed: ${result.failed}; verified: ${verified ? 'yes' : 'NO'}`,
      );
    }
  } finally {
    await cluster.close();
  }
}

function committed(cluster: Cluster, topic: string): number {
  const partitions = cluster.status().topics.find(({ name }) => name === topic)?.partitions ?? [];
  return partitions.reduce((sum, { hwm }) => sum + hwm, 0);
}

const toucher = new Toucher();
try {
  await catchUp('memory', MEMORY_RECORDS_A_SECOND);
  await catchUp('memory');
  await catchUp('os', FILES_RECORDS_A_SECOND);
} finally {
  toucher.close();
}
await wide();
