// Processes of their own for bench:footprint, about the metadata: node footprint-metadata.js TASK DIRECTORY
import { setImmediate as turn } from 'node:timers/promises';
import { topicDefaults } from '../src/config.ts';
import { Cluster } from '../src/index.ts';
import { systemClock } from '../src/runtime/clock.ts';
import { openDataDirectory } from '../src/runtime/data-directory.ts';
import { Metadata } from '../src/runtime/metadata.ts';
import { newUuid } from '../src/runtime/uuid.ts';
import { percentilesOf } from './percentiles.ts';

const CREATIONS = 200;
const WARM_UP = 20;
const ELECTIONS = 10;
const TOPICS = 10_000;
const TOPICS_AT_ONCE = 250;
const [task, dataDir] = process.argv.slice(2);

function shown(samples: readonly number[]): string {
  const { p50, p99, max } = percentilesOf(samples);
  return `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, most ${max.toFixed(1)} ms`;
}

async function create(): Promise<string> {
  const cluster = await Cluster.start({ brokers: 3, dataDir, durability: 'fsync' });
  const samples: number[] = [];
  for (let n = 0; n < WARM_UP + CREATIONS; n++) {
    const startedMs = performance.now();
    await cluster.admin.createTopic(`t${n}`, { replicationFactor: 3 });
    if (n >= WARM_UP) samples.push(performance.now() - startedMs);
  }
  await cluster.close();
  return shown(samples);
}

/** From the order to kill the broker whose voter leads, until another voter does. */
async function elect(): Promise<string> {
  const cluster = await Cluster.start({ brokers: 3, dataDir, durability: 'fsync' });
  await cluster.admin.createTopic('t', { partitions: 3, replicationFactor: 3 });
  const samples: number[] = [];
  for (let n = 0; n < ELECTIONS; n++) {
    const { leaderId } = cluster.status().quorum;
    if (leaderId === undefined) throw new Error('no voter leads');
    const startedMs = performance.now();
    const killed = cluster.faults.kill(leaderId);
    for (let now: number | undefined = leaderId; now === undefined || now === leaderId; await turn())
      now = cluster.status().quorum.leaderId;
    samples.push(performance.now() - startedMs);
    await killed;
    await cluster.startBroker(leaderId);
  }
  await cluster.close();
  return shown(samples);
}

async function makeTopics(): Promise<string> {
  const cluster = await Cluster.start({ brokers: 3, dataDir });
  const startedMs = performance.now();
  for (let made = 0; made < TOPICS; made += TOPICS_AT_ONCE) {
    const names = Array.from({ length: TOPICS_AT_ONCE }, (_, n) => `topic-${made + n}`);
    await Promise.all(names.map((name) => cluster.admin.createTopic(name, { replicationFactor: 1 })));
  }
  const elapsedMs = performance.now() - startedMs;
  await cluster.close();
  return `${elapsedMs.toFixed(0)} ms`;
}

/** What the voters and the image take by themselves, until changes can be made. */
async function load(): Promise<string> {
  const startedMs = performance.now();
  const directory = await openDataDirectory(dataDir, 'os', 3, undefined);
  const metadata = new Metadata({
    clock: systemClock,
    random: Math.random,
    directory,
    context: {
      isAlive: () => true,
      isEmptied: () => false,
      hasLog: () => true,
      logEnd: () => ({ leo: 0, lastEpoch: 0 }),
      newUuid,
      defaults: topicDefaults('os'),
    },
    voters: undefined,
    sides: () => ({ areLinked: () => true, isWithCoordinator: () => true }),
    written: () => undefined,
  });
  await metadata.start();
  const elapsedMs = performance.now() - startedMs;
  const { length } = metadata.image.topics();
  await metadata.close();
  directory.close();
  if (length !== TOPICS) throw new Error(`the image has ${length} topics`);
  return `${elapsedMs.toFixed(0)} ms`;
}

async function start(): Promise<string> {
  const startedMs = performance.now();
  const cluster = await Cluster.start({ brokers: 3, dataDir });
  const elapsedMs = performance.now() - startedMs;
  const { length } = cluster.status().topics;
  await cluster.producer().send('topic-0', { value: 'v' });
  await cluster.close();
  if (length !== TOPICS) throw new Error(`the cluster has ${length} topics`);
  return `${elapsedMs.toFixed(0)} ms`;
}

const tasks: Readonly<Record<string, () => Promise<string>>> = { create, elect, makeTopics, load, start };
console.log(await tasks[task]());
