import { writeFileSync } from 'node:fs';
import { benchOptions } from './options.ts';
import { hostFacts, printReport, type Report } from './report.ts';
import { median, type Result, type RoundResult, rateOf, summarise } from './scenario.ts';
import { ScenarioProcess } from './scenario-process.ts';
import { groupsOf, LAG, LAG_OF, RATIOS, SCENARIOS, WARM_UP_RECORDS } from './scenarios.ts';

// Scenarios that are compared with each other are started first, each in a process of its own, and then run in turn, round by
// round: on a noisy machine only rates that were taken next to each other can be compared, so a ratio is the median of the
// ratios within the rounds. The others come after them, so that nothing of one lies idle for long between its rounds: what is
// not touched for half a minute, like the files of a thousand partitions, a system may have put away.

const rounds = new Map<string, RoundResult[]>();

function ratios(): Record<string, number> {
  const found: Record<string, number> = {};
  for (const [one, other] of RATIOS) {
    const mine = rounds.get(one);
    const theirs = rounds.get(other);
    if (mine === undefined || theirs === undefined) continue;
    const each = mine.map((round, index) => rateOf(round) / rateOf(theirs[index]));
    found[`${one} / ${other}`] = Math.round(median(each) * 1000) / 1000;
  }
  return found;
}

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
  else process.stderr.write(`${text}\n`);
}

interface Rounds {
  readonly count: number;
  readonly ms: number;
  /**
   * Where others had their turn before: all that a cluster does now and then, like looking after its logs every few seconds,
   * is due at once when it goes on, and would come in every round instead of in every fourth.
   */
  readonly runInMs: number;
}

async function run(
  chosen: readonly ScenarioProcess[],
  { count, ms, runInMs }: Rounds,
  pace = 0,
): Promise<void> {
  for (let round = 0; round < count; round++) {
    for (const scenario of chosen) {
      const result = await scenario.round(ms, pace, runInMs);
      const all = rounds.get(scenario.name) ?? [];
      rounds.set(scenario.name, [...all, result]);
      progress(
        `round ${round + 1}/${count}  ${scenario.name}  ${Math.round(rateOf(result)).toLocaleString('en-US')} records/s`,
      );
    }
  }
}

interface WarmUp {
  readonly ms: number;
  /** It goes on for so many times as long where a scenario has to write more than that takes. */
  readonly turnsMax: number;
}

const WARM_UP: WarmUp = { ms: 2_000, turnsMax: 30 };
const QUICK_WARM_UP: WarmUp = { ms: 1_200, turnsMax: 1 };

const ROUNDS: Rounds = { count: 9, ms: 1_200, runInMs: 400 };
const QUICK_ROUNDS: Rounds = { count: 3, ms: 250, runInMs: 50 };

async function begin(scenario: ScenarioProcess, { ms, turnsMax }: WarmUp, pace: number): Promise<void> {
  progress(`start and warm up  ${scenario.name}`);
  await scenario.start();
  const enough = WARM_UP_RECORDS[scenario.name] ?? 0;
  for (let written = 0, turns = 0; turns === 0 || (written < enough && turns < turnsMax); turns++)
    written += (await scenario.round(ms, pace)).records;
  await scenario.forget();
}

async function measure(names: readonly string[], counted: Rounds, warmUp: WarmUp): Promise<Result[]> {
  const results: Result[] = [];
  for (const group of groupsOf(names.filter((name) => name !== LAG)))
    results.push(...(await measureTogether(group, counted, warmUp)));
  if (names.includes(LAG)) {
    const pace = median((rounds.get(LAG_OF) ?? []).map(rateOf)) / 2;
    const aRound = { ms: counted.ms, turnsMax: 1 };
    results.push(...(await measureTogether([LAG], { ...counted, runInMs: 0 }, aRound, pace)));
  }
  progress('');
  return results.sort((one, other) => names.indexOf(one.scenario) - names.indexOf(other.scenario));
}

async function measureTogether(
  names: readonly string[],
  counted: Rounds,
  warmUp: WarmUp,
  pace = 0,
): Promise<Result[]> {
  const started: ScenarioProcess[] = [];
  try {
    for (const name of names) {
      const scenario = new ScenarioProcess(name);
      started.push(scenario);
      await begin(scenario, warmUp, pace);
    }
    await run(started, counted, pace);
    const results: Result[] = [];
    for (const scenario of started) {
      progress(`compare replicas  ${scenario.name}`);
      const { isVerified, lags } = await scenario.finish();
      results.push({ ...summarise(scenario.name, rounds.get(scenario.name) ?? [], isVerified), ...lags });
    }
    return results;
  } finally {
    await Promise.all(started.map((scenario) => scenario.close()));
  }
}

async function main(): Promise<void> {
  const names = Object.keys(SCENARIOS);
  const options = benchOptions(process.argv.slice(2), names);
  if (options === undefined) return;
  const { quick, only, json } = options;
  // Refused now rather than after minutes.
  if (json !== undefined) writeFileSync(json, '');
  const counted = quick ? QUICK_ROUNDS : ROUNDS;
  const config = { quick, rounds: counted.count, roundMs: counted.ms };
  const chosen = names.filter((name) => only.includes(name) || (name === LAG_OF && only.includes(LAG)));
  const results = await measure(chosen, counted, quick ? QUICK_WARM_UP : WARM_UP);
  const report: Report = { schema: 1, host: hostFacts(), config, results, ratios: ratios() };
  printReport(report);
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`);
  if (results.some(({ verified }) => !verified)) {
    console.error(
      'bench: replicas differ, or acknowledged records are missing: no figure of these rows counts.',
    );
    process.exitCode = 1;
  }
}

await main();
