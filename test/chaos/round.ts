// One cluster under faults and load for some seconds: what was done to it, and what is wrong with what its clients saw.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { replicasEqual } from '../../bench/verify.ts';
import { Cluster } from '../../src/index.ts';
import { endingThreads } from '../../src/runtime/thread-end.ts';
import { seededRandom } from '../log/seeded-random.ts';
import { type Anomaly, check } from './checker.ts';
import type { WorkerTask } from './client-worker.ts';
import { ChaosClient, type ClientHistory, type ClientTask, TOPIC } from './clients.ts';
import type { FinalLog, History, WriterSetup } from './history.ts';
import { readLogs } from './logs.ts';
import { Nemesis } from './nemesis.ts';
import { makeTopic } from './topic.ts';

const STOP_LIMIT_MS = 60_000;
const DELIVERY_TIMEOUT_MS = 6_000;

export interface Round {
  readonly seed: number;
  readonly durability: 'memory' | 'os' | 'fsync';
  readonly brokers: number;
  readonly acknowledged: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly refusals: Readonly<Record<string, number>>;
  readonly anomalies: readonly Anomaly[];
  readonly replicasEqual: boolean;
  /** Why it did not become whole again, where it did not. */
  readonly trouble: string | undefined;
  readonly story: readonly string[];
  /** How long faults, their end, and the look at what came of it have taken. */
  readonly times: string;
}

interface Plan {
  readonly durability: 'memory' | 'os' | 'fsync';
  readonly brokers: number;
  readonly partitions: number;
  readonly sessionMs: number;
}

/** What can be told of a round while it runs. */
export interface Progress {
  readonly plan: Plan;
  readonly acknowledged: number;
  readonly faults: Readonly<Record<string, number>>;
}

function drawPlan(random: (below: number) => number): Plan {
  return {
    durability: (['os', 'os', 'fsync', 'memory'] as const)[random(4)],
    brokers: random(3) === 0 ? 5 : 3,
    partitions: 2 + random(5),
    sessionMs: 1_000 + random(1_500),
  };
}

export async function runRound(
  seed: number,
  runMs: number,
  progress: (now: Progress) => void,
): Promise<Round> {
  const random = seededRandom(seed);
  const plan = drawPlan(random);
  const { durability, brokers, partitions, sessionMs } = plan;
  // So short that what hangs or is slow leaves the ISR by time, long before it is missed for its silence.
  const config = {
    'min.insync.replicas': 2,
    'replica.lag.time.max.ms': 700,
    'segment.bytes': 1 << 20,
    'retention.bytes': -1,
  } as const;
  const cluster = await Cluster.start({
    brokers,
    durability,
    sessionMs,
    deliveryTimeoutMs: DELIVERY_TIMEOUT_MS,
  });
  const counter = new Int32Array(new SharedArrayBuffer(4));
  const workers: Worker[] = [];
  try {
    // Of memory nothing can be kept for ever; but more than a round writes.
    const kept = durability === 'memory' ? { ...config, 'retention.bytes': 1 << 30 } : config;
    await makeTopic(cluster, { partitions, replicationFactor: 3, config: kept });
    const tasks = tasksOf(seed, partitions, brokers);
    const clients = new ChaosClient(cluster, tasks[0], counter);
    for (const task of tasks.slice(1))
      workers.push(await startWorker({ handle: cluster.handle, task, counter }));
    const losesAll = durability === 'memory';
    const troubledMax = losesAll ? 1 : brokers === 3 ? 2 : 3;
    const nemesis = new Nemesis(cluster, { brokers, partitions, losesAll, sessionMs, troubledMax }, random);
    const ticker = setInterval(
      () => progress({ plan, acknowledged: counter[0], faults: nemesis.counts }),
      1_000,
    );
    const watch = stopwatch();
    await nemesis.play(runMs);
    watch('faults');
    let trouble = await nemesis.heal();
    watch('healing');
    clearInterval(ticker);
    const histories = await Promise.all([clients.stop(), ...workers.map(stopWorker)]);
    // Records of calls that were under way.
    trouble ??= await nemesis.heal();
    watch('last calls');
    const logs = await readLogs(cluster, partitions);
    const total = logs.reduce((sum, { hwm }) => sum + hwm, 0);
    const areEqual = await replicasEqual(cluster, TOPIC, total).catch((error: Error) => {
      trouble ??= `a replica cannot be read: ${error.message} ${JSON.stringify(cluster.status())}`;
      return false;
    });
    const anomalies = check(historyOf(tasks, histories, logs));
    return {
      ...{ seed, durability, brokers, trouble, acknowledged: counter[0] },
      faults: nemesis.counts,
      story: nemesis.story,
      refusals: addUp(histories.map(({ refusals }) => refusals)),
      anomalies,
      replicasEqual: areEqual,
      times: watch('checks'),
    };
  } finally {
    for (const worker of workers) await endingThreads(() => worker.terminate());
    await cluster.close();
  }
}

/** Adds how long the last part has taken; all of them so far. */
function stopwatch(): (part: string) => string {
  const parts: string[] = [];
  let sinceMs = performance.now();
  return (part) => {
    parts.push(`${part} ${((performance.now() - sinceMs) / 1_000).toFixed(1)} s`);
    sinceMs = performance.now();
    return parts.join(', ');
  };
}

/** The clients of this thread, and those of two others. */
function tasksOf(seed: number, partitions: number, brokers: number): ClientTask[] {
  const all = (id: number): WriterSetup => ({ id, acks: 'all', isIdempotent: true });
  const one = (id: number): WriterSetup => ({ id, acks: 1, isIdempotent: false });
  const common = { partitions, brokers };
  return [
    { ...common, seed, writers: [all(1), one(2)], readers: [{ name: 'reader a', asks: 'leaders' }] },
    {
      ...common,
      seed: seed + 1,
      writers: [all(3)],
      readers: [
        { name: 'attached reader b', asks: 'replicas' },
        { name: 'attached reader c', asks: 'leaders' },
      ],
    },
    {
      ...common,
      seed: seed + 2,
      writers: [all(4), all(5)],
      readers: [{ name: 'attached reader d', asks: 'replicas' }],
    },
  ];
}

async function startWorker(workerData: WorkerTask): Promise<Worker> {
  const worker = new Worker(new URL('./client-worker.js', import.meta.url), { workerData });
  await once(worker, 'message');
  return worker;
}

async function stopWorker(worker: Worker): Promise<ClientHistory> {
  worker.postMessage('stop');
  const [history] = await once(worker, 'message', { signal: AbortSignal.timeout(STOP_LIMIT_MS) });
  return history as ClientHistory;
}

function historyOf(
  tasks: readonly ClientTask[],
  histories: readonly ClientHistory[],
  logs: readonly FinalLog[],
): History {
  return {
    writers: tasks.flatMap(({ writers }) => writers),
    begun: new Map(histories.flatMap(({ begun }) => [...begun])),
    acknowledged: histories.flatMap(({ acknowledged }) => acknowledged),
    polls: histories.flatMap(({ polls }) => polls),
    logs,
  };
}

/** Counts by name, over all of them. */
export function addUp(counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const each of counts)
    for (const [name, count] of Object.entries(each)) sum[name] = (sum[name] ?? 0) + count;
  return sum;
}
