import { Worker } from 'node:worker_threads';
import { runSeed, type SeedResult } from './simulation.ts';

export interface SeedsOptions {
  readonly first: number;
  readonly count: number;
  readonly seconds: number;
  /** Threads; 1 runs them here. */
  readonly jobs: number;
  readonly done: (result: SeedResult, count: number) => void;
}

export interface SeedsSummary {
  readonly seeds: number;
  readonly simulatedMs: number;
  readonly events: number;
  readonly entries: number;
  readonly terms: number;
  /** Of the lowest seed that has one, of those that were run. */
  readonly failed: SeedResult | undefined;
}

/** Seeds that a thread takes at once. */
const CHUNK = 8;
/** Most of what a simulation allocates is garbage at once: a large nursery lets it die there. */
const NURSERY_MB = 64;

/** Runs the seeds one after the other until one fails; what other threads have begun by then is still run. */
export async function runSeeds(options: SeedsOptions): Promise<SeedsSummary> {
  const { first, count, seconds, jobs, done } = options;
  let summary: SeedsSummary = {
    seeds: 0,
    simulatedMs: 0,
    events: 0,
    entries: 0,
    terms: 0,
    failed: undefined,
  };
  const add = (result: SeedResult): void => {
    const { failed } = summary;
    const isFirst = result.violation !== undefined && (failed === undefined || result.seed < failed.seed);
    summary = {
      seeds: summary.seeds + 1,
      simulatedMs: summary.simulatedMs + result.simulatedMs,
      events: summary.events + result.events,
      entries: summary.entries + result.entries,
      terms: summary.terms + result.terms,
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
  if (jobs > 1) await Promise.all(Array.from({ length: jobs }, () => runThread(seconds, take, add)));
  else for (let seeds = take(); seeds.length > 0; seeds = take()) await runHere(seeds, seconds, add);
  return summary;
}

async function runHere(
  seeds: readonly number[],
  seconds: number,
  add: (result: SeedResult) => void,
): Promise<void> {
  for (const seed of seeds) {
    const result = await runSeed(seed, { seconds });
    add(result);
    if (result.violation !== undefined) return;
  }
}

function runThread(
  seconds: number,
  take: () => readonly number[],
  add: (result: SeedResult) => void,
): Promise<void> {
  const worker = new Worker(new URL('./seed-worker.js', import.meta.url), {
    workerData: { seconds },
    resourceLimits: { maxYoungGenerationSizeMb: NURSERY_MB },
  });
  return new Promise((resolve, reject) => {
    worker.on('error', reject);
    worker.on('message', (message: SeedResult | 'more') => {
      if (message !== 'more') {
        add(message);
        return;
      }
      const seeds = take();
      if (seeds.length > 0) worker.postMessage(seeds);
      else void worker.terminate().then(() => resolve(), reject);
    });
  });
}
