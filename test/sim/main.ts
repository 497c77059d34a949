// `npm run sim -- [--seeds N] [--from S] [--seconds T]` runs N seeds; `--seed S` one of them, and tells what happens.
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { runSeeds } from './seeds.ts';
import { runSeed, type SeedResult } from './simulation.ts';

const LINES_SHOWN = 50;
const PROGRESS_EVERY = 50;

const USAGE = `Usage: npm run sim -- [options]

  --seeds N      how many seeds to run (200)
  --from S       the first of them (1)
  --seed S       one seed, event by event
  --seconds T    simulated seconds of each (30)
  --jobs N       threads (as many as there are cores)
  --verbose      a line for each seed
`;

function wholeNumber(text: string, option: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new Error(`--${option} wants a whole number above 0, not '${text}'.`);
}

const print = (line: string): void => void process.stdout.write(`${line}\n`);

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '200' },
      from: { type: 'string', default: '1' },
      seed: { type: 'string' },
      seconds: { type: 'string', default: '30' },
      jobs: { type: 'string', default: String(availableParallelism()) },
      verbose: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    print(USAGE);
    return 0;
  }
  const seconds = wholeNumber(values.seconds, 'seconds');
  if (values.seed !== undefined) return replay(wholeNumber(values.seed, 'seed'), seconds);
  const count = wholeNumber(values.seeds, 'seeds');
  const startedMs = performance.now();
  const isTerminal = process.stdout.isTTY === true;
  const { failed, ...sums } = await runSeeds({
    first: wholeNumber(values.from, 'from'),
    count,
    seconds,
    jobs: wholeNumber(values.jobs, 'jobs'),
    done: (result, done) => {
      if (values.verbose) print(describe(result));
      else if (isTerminal && done % PROGRESS_EVERY === 0) process.stdout.write(`\r${done} of ${count} seeds`);
    },
  });
  if (isTerminal && !values.verbose) process.stdout.write('\r');
  if (failed !== undefined) await show(failed, seconds);
  const wallS = (performance.now() - startedMs) / 1000;
  print(
    `${sums.seeds} seeds, ${Math.round(sums.simulatedMs / 1000)} simulated s in ${wallS.toFixed(1)} s, ` +
      `${sums.events} events, ${sums.entries} entries, ${sums.terms} terms: ` +
      `${failed === undefined ? 'no violation' : `seed ${failed.seed} violates an invariant`}`,
  );
  return failed === undefined ? 0 : 1;
}

async function replay(seed: number, seconds: number): Promise<number> {
  const result = await runSeed(seed, { seconds, trace: print });
  print(describe(result));
  return result.violation === undefined ? 0 : 1;
}

/** What a seed did before the violation, by running it once more. */
async function show({ seed, violation }: SeedResult, seconds: number): Promise<void> {
  const lines: string[] = [];
  await runSeed(seed, { seconds, trace: (line) => lines.push(line) });
  print(`Seed ${seed} violates an invariant at ${violation?.atMs.toFixed(3)} ms: ${violation?.invariant}.`);
  print(`  ${violation?.detail}`);
  print(`The last ${LINES_SHOWN} events:`);
  for (const line of lines.slice(-LINES_SHOWN)) print(line);
  print(`All of them: npm run sim -- --seed ${seed} --seconds ${seconds}`);
}

function describe({ seed, plan, violation, events, entries, terms, hash }: SeedResult): string {
  const what = `${plan.voters} voters, ${plan.layout}, ${events} events, ${entries} entries, ${terms} terms`;
  const end = violation === undefined ? 'no violation' : `${violation.invariant}: ${violation.detail}`;
  return `seed ${seed} (${what}, hash ${hash.toString(16)}): ${end}`;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
