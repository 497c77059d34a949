import { Worker } from 'node:worker_threads';
import { endingThreads } from '../../src/runtime/thread-end.ts';
import { type Kind, type Played, play } from './kinds.ts';

export interface SeedsOptions {
  readonly kind: Kind;
  readonly first: number;
  readonly count: number;
  readonly seconds: number;
  /** Threads; 1 runs them here. */
  readonly jobs: number;
  readonly done: (result: Played, count: number) => void;
}

export interface SeedsSummary {
  readonly seeds: number;
  readonly simulatedMs: number;
  readonly events: number;
  readonly counts: Readonly<Record<string, number>>;
  /** Of the lowest seed that has one, of those that were run. */
  readonly failed: Played | undefined;
}

/** Seeds that a thread takes at once. */
const CHUNK = 8;
/** Most of what a simulation allocates is garbage at once: a large nursery lets it die there. */
const NURSERY_MB = 64;

/** Runs the seeds one after the other until one fails; what other threads have begun by then is still run. */
export async function runSeeds(options: SeedsOptions): Promise<SeedsSummary> {
  const { kind, first, count, seconds, jobs, done } = options;
  let summary: SeedsSummary = {
    seeds: 0,
    simulatedMs: 0,
    events: 0,
    counts: {},
    failed: undefined,
  };
  const add = (result: Played): void => {
    const { failed } = summary;
    const isFirst = result.violation !== undefined && (failed === undefined || result.seed < failed.seed);
    summary = {
      seeds: summary.seeds + 1,
      simulatedMs: summary.simulatedMs + result.simulatedMs,
      events: summary.events + result.events,
      counts: sumOf(summary.counts, result.counts),
      failed: isFirst ? result : failed,
    };
    done(result, summary.seeds);
  };
  let next = first;
  const take = (): number[] => {
    const size = summary.failed === undefined ? Math.min(CHUNK, first + count - next) : 0;
    next += size;
    return Array.from({ length: size }, (_, n) => next - size + n);
  };
  if (jobs > 1) await Promise.all(Array.from({ length: jobs }, () => runThread(kind, seconds, take, add)));
  else for (let seeds = take(); seeds.length > 0; seeds = take()) await runHere(kind, seeds, seconds, add);
  return summary;
}

async function runHere(
  kind: Kind,
  seeds: readonly number[],
  seconds: number,
  add: (result: Played) => void,
): Promise<void> {
  for (const seed of seeds) {
    const result = await play(kind, seed, { seconds });
    add(result);
    if (result.violation !== undefined) return;
  }
}

function runThread(
  kind: Kind,
  seconds: number,
  take: () => readonly number[],
  add: (result: Played) => void,
): Promise<void> {
  const worker = new Worker(new URL('./seed-worker.js', import.meta.url), {
    workerData: { kind, seconds },
    resourceLimits: { maxYoungGenerationSizeMb: NURSERY_MB },
  });
  return new Promise((resolve, reject) => {
    worker.on('error', reject);
    worker.on('message', (message: Played | 'more') => {
      if (message !== 'more') {
        add(message);
        return;
      }
      const seeds = take();
      if (seeds.length > 0) worker.postMessage(seeds);
      else void endingThreads(() => worker.terminate()).then(() => resolve(), reject);
    });
  });
}

function sumOf(
  one: Readonly<Record<string, number>>,
  other: Readonly<Record<string, number>>,
): Readonly<Record<string, number>> {
  const sum: Record<string, number> = { ...one };
  for (const [name, count] of Object.entries(other)) sum[name] = (sum[name] ?? 0) + count;
  return sum;
}
