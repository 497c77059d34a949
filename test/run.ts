// Runs the built test files: `node dist/test/run.js [--jobs N] [--time-limit SECONDS] [part of a path]...`
import type { ChildProcess } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  findTestFiles,
  killGroup,
  runTestFile,
  type TestFile,
  type TestFileResult,
} from './tools/test-file.ts';

export type RunOptions = {
  /** The directory that holds test/ and dist/. */
  readonly root: string;
  /** Run only the files whose path contains one of these; none means all. */
  readonly only: readonly string[];
  readonly jobs: number;
  /** For the files that do not state a limit of their own. */
  readonly timeLimitMs: number;
  readonly print: (line: string) => void;
  /** The processes that run at the moment, for whoever must end them early. */
  readonly running: Set<ChildProcess>;
};

const TAIL_LINES = 20;
const SLOWEST_SHOWN = 5;

/** Resolves to the exit code. */
export async function run(options: RunOptions): Promise<number> {
  const { root, only, print } = options;
  const all = findTestFiles(root, options.timeLimitMs);
  const chosen = all.filter(({ source }) => only.length === 0 || only.some((part) => source.includes(part)));
  if (chosen.length === 0) {
    print(`No test file matches ${only.join(', ') || 'test/**/*.test.ts'}.`);
    return 1;
  }
  const startedMs = Date.now();
  const results: TestFileResult[] = [];
  const runQueue = async (queue: TestFile[], jobs: number): Promise<void> => {
    const worker = async (): Promise<void> => {
      for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
        const result = await runTestFile(file, root, options.running);
        results.push(result);
        print(describe(result));
        // At once too: a run takes minutes, and may be ended before it reports.
        if (result.failure !== undefined && result.output !== '')
          print(tailOf(result).replace(/^/gm, '    | '));
      }
    };
    await Promise.all(Array.from({ length: Math.min(jobs, queue.length) }, worker));
  };
  await runQueue(
    chosen.filter(({ alone }) => !alone),
    options.jobs,
  );
  await runQueue(
    chosen.filter(({ alone }) => alone),
    1,
  );
  return report(results, Date.now() - startedMs, print);
}

function describe({ source, failure, passed, skipped, durationMs }: TestFileResult): string {
  const counts = `${passed} passed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
  const ending = failure === undefined ? '' : `: ${failure}`;
  return `${failure === undefined ? 'ok    ' : 'FAILED'} ${source} (${counts}, ${seconds(durationMs)})${ending}`;
}

function tailOf({ output }: TestFileResult): string {
  return output.trimEnd().split('\n').slice(-TAIL_LINES).join('\n');
}

function seconds(durationMs: number): string {
  return `${(durationMs / 1000).toFixed(1)} s`;
}

function report(
  results: readonly TestFileResult[],
  durationMs: number,
  print: (line: string) => void,
): number {
  for (const result of results) {
    if (result.failure === undefined) continue;
    print(`\n--- ${result.failure}: ${result.source}`);
    // Of a hanging file only the end says where it hangs.
    print(result.failure.startsWith('TIMED OUT') ? tailOf(result) : result.output.trimEnd());
  }
  const slowest = [...results].sort((a, b) => b.durationMs - a.durationMs).slice(0, SLOWEST_SHOWN);
  print(
    `\n${results.length} ${results.length === 1 ? 'file' : 'files'} in ${seconds(durationMs)}, the slowest of them:`,
  );
  for (const { source, durationMs } of slowest) print(`${seconds(durationMs).padStart(8)}  ${source}`);
  const failures = results.filter(({ failure }) => failure !== undefined);
  if (failures.length > 0) print('\nFailed files:');
  for (const { source, failure } of failures) print(`  ${failure}: ${source}`);

  const sum = (count: (result: TestFileResult) => number): number =>
    results.reduce((total, result) => total + count(result), 0);
  const skipped = sum((result) => result.skipped);
  const counts = `${sum((result) => result.passed)} passed, ${sum((result) => result.failed)} failed`;
  print(`\n${counts}${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  return failures.length > 0 ? 1 : 0;
}

function positive(text: string, option: string): number {
  const value = Number(text);
  if (value > 0) return value;
  throw new Error(`--${option} wants a number above 0, not ${text}`);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { jobs: { type: 'string', default: '2' }, 'time-limit': { type: 'string', default: '60' } },
  });
  const running = new Set<ChildProcess>();
  // The test processes are in groups of their own: neither Ctrl-C nor the runner's end reaches them by itself.
  process.on('exit', () => running.forEach(killGroup));
  process.on('SIGINT', () => process.exit(130));
  process.on('SIGTERM', () => process.exit(143));
  process.on('SIGHUP', () => process.exit(129));
  process.exitCode = await run({
    root: dirname(dirname(dirname(fileURLToPath(import.meta.url)))),
    only: positionals,
    jobs: positive(values.jobs, 'jobs'),
    timeLimitMs: positive(values['time-limit'], 'time-limit') * 1000,
    print: (line) => process.stdout.write(`${line}\n`),
    running,
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
