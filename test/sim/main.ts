// `npm run sim -- [--seeds N] [--from S] [--seconds T]` runs N seeds of each kind; `--seed S` one, and tells what happens.
// `--planted` looks whether the simulator would notice, and `--wide` plays many brokers.
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { simulateWith } from './fault-run.ts';
import { KINDS, type Kind, type Played, play, SECONDS } from './kinds.ts';
import { lookForFaults } from './planted-run.ts';
import { runSeeds } from './seeds.ts';
import { showWide } from './wide-run.ts';

const LINES_SHOWN = 50;
const PROGRESS_EVERY = 50;
/** A leader and a hundred followers. */
const WIDE_BROKERS = 101;
const WIDE_SECONDS = 2;

const USAGE = `Usage: npm run sim -- [options]

Plays metadata quorums and whole clusters, each from a seed, with faults, and checks what has to hold.

  --seeds N      how many seeds to run, of each kind (200)
  --from S       the first of them (1)
  --only KIND    quorum: the voters of the metadata alone; cluster: brokers, their records, and clients besides
  --seed S       one seed, event by event; of a cluster, unless --only says otherwise
  --seconds T    simulated seconds of each (${SECONDS.quorum} of a quorum, ${SECONDS.cluster} of a cluster)
  --jobs N       threads (as many as there are cores)
  --verbose      a line for each seed

  --planted [PART...]  lets the product do something wrong, one line at a time, and tells which seed shows it first;
                 only faults with one of these parts in their names
  --fault NAME   plays seeds, or one of them, while the product does this wrong
  --wide         one partition with a replica on each of many brokers: how they keep up, and that all end the same
  --brokers N    how many (${WIDE_BROKERS})
`;

interface Wanted {
  readonly first: number;
  readonly count: number;
  readonly seconds: number | undefined;
  readonly jobs: number;
  readonly isVerbose: boolean;
}

function wholeNumber(text: string, option: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new Error(`--${option} wants a whole number above 0, not '${text}'.`);
}

function kindOf(text: string): Kind {
  const kind = KINDS.find((each) => each === text);
  if (kind === undefined) throw new Error(`--only wants ${KINDS.join(' or ')}, not '${text}'.`);
  return kind;
}

const write = (text: string): void => void process.stdout.write(text);
const print = (line: string): void => write(`${line}\n`);

async function main(): Promise<number> {
  const { values, positionals, tokens } = parseArgs({
    allowPositionals: true,
    tokens: true,
    options: {
      seeds: { type: 'string', default: '200' },
      from: { type: 'string', default: '1' },
      only: { type: 'string' },
      seed: { type: 'string' },
      seconds: { type: 'string' },
      jobs: { type: 'string', default: String(availableParallelism()) },
      verbose: { type: 'boolean', default: false },
      planted: { type: 'boolean', default: false },
      fault: { type: 'string' },
      wide: { type: 'boolean', default: false },
      brokers: { type: 'string', default: String(WIDE_BROKERS) },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    print(USAGE);
    return 0;
  }
  const seconds = values.seconds === undefined ? undefined : wholeNumber(values.seconds, 'seconds');
  const only = values.only === undefined ? undefined : kindOf(values.only);
  const kinds = only === undefined ? KINDS : [only];
  if (values.planted) return lookForFaults(kinds, positionals, print);
  if (values.fault !== undefined) {
    const args = tokens.flatMap((token) => {
      if (token.kind !== 'option' || token.name === 'fault') return [];
      return token.value === undefined ? [token.rawName] : [token.rawName, token.value];
    });
    return (await simulateWith(values.fault, args, write)).code ?? 1;
  }
  if (positionals.length > 0) throw new Error(`'${positionals[0]}' is no option; see --help.`);
  if (values.wide) return showWide(wholeNumber(values.brokers, 'brokers'), seconds ?? WIDE_SECONDS, print);
  if (values.seed !== undefined) return replay(only ?? 'cluster', wholeNumber(values.seed, 'seed'), seconds);
  const wanted: Wanted = {
    first: wholeNumber(values.from, 'from'),
    count: wholeNumber(values.seeds, 'seeds'),
    seconds,
    jobs: wholeNumber(values.jobs, 'jobs'),
    isVerbose: values.verbose,
  };
  let code = 0;
  for (const kind of kinds) code = Math.max(code, await runAll(kind, wanted));
  return code;
}

async function runAll(
  kind: Kind,
  { first, count, seconds = SECONDS[kind], jobs, isVerbose }: Wanted,
): Promise<number> {
  const startedMs = performance.now();
  const isTerminal = process.stdout.isTTY === true;
  const { failed, ...sums } = await runSeeds({
    kind,
    first,
    count,
    seconds,
    jobs,
    done: (result, done) => {
      if (isVerbose) print(describe(result));
      else if (isTerminal && done % PROGRESS_EVERY === 0) process.stdout.write(`\r${done} of ${count} seeds`);
    },
  });
  if (isTerminal && !isVerbose) process.stdout.write('\r');
  if (failed !== undefined) await show(failed, seconds);
  const wallS = (performance.now() - startedMs) / 1000;
  const counts = Object.entries(sums.counts).map(([name, sum]) => `${sum} ${name}`);
  print(
    `${sums.seeds} seeds, ${Math.round(sums.simulatedMs / 1000)} simulated s in ${wallS.toFixed(1)} s, ` +
      `${[`${sums.events} events`, ...counts].join(', ')} (${kind}): ` +
      `${failed === undefined ? 'no violation' : `seed ${failed.seed} violates an invariant`}`,
  );
  return failed === undefined ? 0 : 1;
}

async function replay(kind: Kind, seed: number, seconds = SECONDS[kind]): Promise<number> {
  const result = await play(kind, seed, { seconds, trace: print });
  print(describe(result));
  return result.violation === undefined ? 0 : 1;
}

/** What a seed did before the violation, by running it once more. */
async function show({ kind, seed, violation }: Played, seconds: number): Promise<void> {
  const lines: string[] = [];
  await play(kind, seed, { seconds, trace: (line) => lines.push(line) });
  print(`Seed ${seed} violates an invariant at ${violation?.atMs.toFixed(3)} ms: ${violation?.invariant}.`);
  print(`  ${violation?.detail}`);
  print(`The last ${LINES_SHOWN} events:`);
  for (const line of lines.slice(-LINES_SHOWN)) print(line);
  print(`All of them: npm run sim -- --only ${kind} --seed ${seed} --seconds ${seconds}`);
}

function describe({ seed, what, violation, events, counts, hash }: Played): string {
  const sums = Object.entries(counts).map(([name, count]) => `${count} ${name}`);
  const end = violation === undefined ? 'no violation' : `${violation.invariant}: ${violation.detail}`;
  return `seed ${seed} (${[what, `${events} events`, ...sums].join(', ')}, hash ${hash.toString(16)}): ${end}`;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
