import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Cluster } from '../src/index.ts';
import { median } from './scenario.ts';

// What a cluster costs before it does anything: the time to the first committed record, the processor while idle,
// time and memory for a thousand partitions, and how long it takes to start again, after whatever end. And what changes of the metadata cost.
// `npm run bench:footprint`

const STARTS = 7;
/** V8 collects what a start has left behind some eight seconds later, once. */
const SETTLE_MS = 12_000;
const IDLE_MS = 10_000;
const PARTITIONS = 1000;

async function firstAcknowledgementMs(): Promise<number> {
  const startedMs = performance.now();
  const cluster = await Cluster.start({ brokers: 3, durability: 'memory' });
  await cluster.admin.createTopic('first', { replicationFactor: 3 });
  await cluster.producer({ acks: 'all' }).send('first', { value: 'v' });
  const elapsedMs = performance.now() - startedMs;
  await cluster.close();
  return elapsedMs;
}

/** Share of one core, in percent, of the whole process. */
async function idlePercent(): Promise<number> {
  const cluster = await Cluster.start({ brokers: 3, durability: 'memory' });
  await cluster.admin.createTopic('idle', { partitions: 3, replicationFactor: 3 });
  await cluster.producer({ acks: 'all' }).send('idle', { value: 'v' });
  await sleep(SETTLE_MS);
  const before = process.cpuUsage();
  await sleep(IDLE_MS);
  const { user, system } = process.cpuUsage(before);
  await cluster.close();
  return ((user + system) / 1000 / IDLE_MS) * 100;
}

async function thousandPartitions(): Promise<{ elapsedMs: number; megabytes: number }> {
  const cluster = await Cluster.start({ brokers: 3, durability: 'memory' });
  await cluster.admin.createTopic('warm-up', { replicationFactor: 3 });
  const before = process.memoryUsage.rss();
  const startedMs = performance.now();
  await cluster.admin.createTopic('many', { partitions: PARTITIONS, replicationFactor: 3 });
  const producer = cluster.producer({ acks: 'all' });
  // A record in every partition, so that each of the 3,000 replicas has a log with something in it.
  const records = Array.from({ length: PARTITIONS * 12 }, (_, key) => ({ key: String(key), value: 'v' }));
  await producer.sendBatch('many', records);
  const elapsedMs = performance.now() - startedMs;
  const megabytes = (process.memoryUsage.rss() - before) / 1e6;
  await cluster.close();
  return { elapsedMs, megabytes };
}

/** Runs one of the scripts beside this, which says in its last line what it measured, or waits to be killed. */
async function child(task: string, directory: string, file = './footprint-child.js'): Promise<string> {
  const script = fileURLToPath(new URL(file, import.meta.url));
  const running = spawn(process.execPath, [script, task, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 120_000,
    killSignal: 'SIGKILL',
  });
  let output = '';
  running.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
    if (output.endsWith('kill me\n')) running.kill('SIGKILL');
  });
  await once(running, 'close');
  return output.trimEnd().split('\n').at(-1) ?? '';
}

/** In a directory that is gone afterwards. */
async function inDirectory(measure: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'tidemark-footprint-'));
  try {
    await measure(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** As if nothing of it had ever been written down as safe: every byte has to be looked at. */
function forgetRecoveryPoints(directory: string): void {
  for (const broker of readdirSync(directory).filter((name) => name.startsWith('broker-')))
    rmSync(join(directory, broker, 'recovery-point-offset-checkpoint'), { force: true });
}

const startsMs: number[] = [];
for (let n = 0; n < STARTS; n++) startsMs.push(await firstAcknowledgementMs());
const shown = startsMs.map((ms) => ms.toFixed(0)).join(', ');
console.log(
  `start of three brokers to the first acks=all acknowledgement: median ${median(startsMs).toFixed(0)} ms (${shown})`,
);
console.log(`idle cluster of three brokers: ${(await idlePercent()).toFixed(2)} % of a core`);
const { elapsedMs, megabytes } = await thousandPartitions();
console.log(
  `${PARTITIONS} partitions x 3 replicas: created and written to in ${elapsedMs.toFixed(0)} ms, ${megabytes.toFixed(0)} MB more`,
);

await inDirectory(async (directory) => {
  await child('write-gigabyte', directory);
  forgetRecoveryPoints(directory);
  console.log(`unclean log of 1 GiB, one partition of one broker: ${await child('recover', directory)}`);
});
await inDirectory(async (directory) => {
  await child('make-partitions', directory);
  console.log(`clean restart of ${PARTITIONS} partitions x 3 replicas: ${await child('restart', directory)}`);
});
const metadata = (task: string, directory: string): Promise<string> =>
  child(task, directory, './footprint-metadata.js');
await inDirectory(async (directory) => {
  console.log(
    `creation of a topic with 3 replicas, three brokers, durability fsync: ${await metadata('create', directory)}`,
  );
});
await inDirectory(async (directory) => {
  console.log(
    `death of the broker whose voter leads, until another one does: ${await metadata('elect', directory)}`,
  );
});
await inDirectory(async (directory) => {
  console.log(
    `10,000 topics of one partition and one replica: made in ${await metadata('makeTopics', directory)}`,
  );
  console.log(`their metadata alone, loaded by three voters: ${await metadata('load', directory)}`);
  console.log(`the whole restart, with their logs: ${await metadata('start', directory)}`);
});
