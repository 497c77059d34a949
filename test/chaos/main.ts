// `npm run chaos -- [--seconds N] [--seed S]`: real threads under random faults, and a checker over what clients saw.
import { parseArgs } from 'node:util';
import { addUp, type Progress, type Round, runRound } from './round.ts';
import { play, SCENARIOS } from './scenarios.ts';

/** Each round is a cluster of its own, with brokers, durability and times drawn by its seed. */
const ROUND_SECONDS = 20;
/** Of each kind of anomaly. */
const SHOWN_MAX = 8;
const PROGRESS_EVERY_MS = 5_000;

const USAGE = `Usage: npm run chaos -- [options]

  --seconds N    for how long faults are played, in rounds of about ${ROUND_SECONDS} s with a cluster each (45)
  --seed S       of the first round; the next one has S + 1 (random)
  --verbose      tells every fault when it happens
  --scenario X   plays one scenario and tells what happens when; 'all' for one after the other
  --list         which scenarios there are

Real threads: a seed plays the same faults again, and not the same run.
The last line is JSON. Exit code 1 where anything was found.
`;

const print = (line: string): void => void process.stdout.write(`${line}\n`);

function wholeNumber(text: string, option: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new Error(`--${option} wants a whole number above 0, not '${text}'.`);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '45' },
      seed: { type: 'string', default: String(1 + Math.floor(Math.random() * 1e9)) },
      verbose: { type: 'boolean', default: false },
      scenario: { type: 'string' },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) print(USAGE);
  if (values.list) for (const { name, sentence } of SCENARIOS) print(`${name.padEnd(26)} ${sentence}`);
  if (values.help || values.list) return 0;
  if (values.scenario !== undefined) return show(values.scenario);
  const seconds = wholeNumber(values.seconds, 'seconds');
  const seed = wholeNumber(values.seed, 'seed');
  const startedMs = performance.now();
  const count = Math.max(1, Math.round(seconds / ROUND_SECONDS));
  const rounds: Round[] = [];
  for (let n = 0; n < count; n++) {
    const round = await runRound(seed + n, (seconds * 1_000) / count, shower(seed + n, startedMs));
    rounds.push(round);
    tell(round, startedMs, values.verbose);
    if (isBad(round)) break;
  }
  const anomalies = addUp(
    rounds.flatMap((round) => [
      ...round.anomalies.map(({ kind }) => ({ [kind]: 1 })),
      ...(round.trouble === undefined ? [] : [{ 'not-healed': 1 }]),
    ]),
  );
  const result = {
    seed,
    seconds,
    rounds: rounds.length,
    faults: addUp(rounds.map(({ faults }) => faults)),
    acknowledged: rounds.reduce((sum, { acknowledged }) => sum + acknowledged, 0),
    anomalies,
    replicasEqual: rounds.every((round) => round.replicasEqual),
  };
  print(JSON.stringify(result));
  return rounds.some(isBad) ? 1 : 0;
}

/** 0 where all was as it has to be. */
async function show(name: string): Promise<number> {
  const chosen = SCENARIOS.filter((scenario) => name === 'all' || scenario.name === name);
  if (chosen.length === 0)
    throw new Error(
      `There is no scenario '${name}'; there are ${SCENARIOS.map((each) => each.name).join(', ')}.`,
    );
  let failed = 0;
  for (const scenario of chosen) {
    try {
      await play(scenario, 'usual', print);
      print(`${scenario.name} is over, and all was as it has to be.\n`);
    } catch (error) {
      failed += 1;
      print(`${scenario.name} has FAILED: ${(error as Error).message}\n`);
    }
  }
  return failed === 0 ? 0 : 1;
}

function isBad({ anomalies, trouble, replicasEqual }: Round): boolean {
  return anomalies.length > 0 || trouble !== undefined || !replicasEqual;
}

function clockOf(startedMs: number): string {
  return `${((performance.now() - startedMs) / 1_000).toFixed(0)} s`;
}

function shower(seed: number, startedMs: number): (now: Progress) => void {
  let shownMs = performance.now();
  return ({ plan, acknowledged, faults }) => {
    if (performance.now() - shownMs < PROGRESS_EVERY_MS) return;
    shownMs = performance.now();
    const { durability, brokers } = plan;
    print(
      `${clockOf(startedMs)}: seed ${seed}, ${brokers} brokers, ${durability}: ${acknowledged} acknowledged, ${listed(faults)}`,
    );
  };
}

function listed(counts: Readonly<Record<string, number>>): string {
  const entries = Object.entries(counts).sort(([, one], [, other]) => other - one);
  return entries.map(([name, count]) => `${count} ${name}`).join(', ') || 'nothing yet';
}

function tell(round: Round, startedMs: number, isVerbose: boolean): void {
  const { seed, durability, brokers, acknowledged, faults, refusals, anomalies, trouble, story, times } =
    round;
  const verdict = isBad(round) ? 'BAD' : 'well';
  print(
    `${clockOf(startedMs)}: seed ${seed} is over and ${verdict}: ${brokers} brokers, ${durability}: ${acknowledged} acknowledged under ${listed(faults)}; refusals: ${listed(refusals)}; ${times}`,
  );
  if (isVerbose || isBad(round)) for (const line of story) print(line);
  if (!isBad(round)) return;
  if (trouble !== undefined) print(`It did not become whole again: ${trouble}`);
  if (!round.replicasEqual) print('Replicas differ.');
  for (const kind of new Set(anomalies.map((anomaly) => anomaly.kind))) {
    const same = anomalies.filter((anomaly) => anomaly.kind === kind);
    for (const { sentence } of same.slice(0, SHOWN_MAX)) print(`${kind}: ${sentence}`);
    if (same.length > SHOWN_MAX) print(`${kind}: and ${same.length - SHOWN_MAX} more`);
  }
  print(`The same faults again: npm run chaos -- --seconds ${ROUND_SECONDS} --seed ${seed} --verbose`);
}

try {
  process.exitCode = await main();
} catch (error) {
  // What was asked for makes no sense; anything else is a fault of its own.
  const { name, message, stack, code } = error as NodeJS.ErrnoException;
  const isAsked = name === 'Error' || code?.startsWith('ERR_PARSE_ARGS') === true;
  process.stderr.write(`chaos: ${isAsked ? `${message} See --help.` : stack}\n`);
  process.exitCode = 2;
}
