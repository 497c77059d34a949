// One test file, run in a process of its own under a time limit. A lost wake-up would otherwise hang the whole
// run; here it becomes a failure with the file's name on it.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

export type TestFile = {
  /** Path of the TypeScript source relative to the root, with forward slashes. */
  readonly source: string;
  /** Path of the JavaScript that tsc made of it. */
  readonly script: string;
  readonly timeLimitMs: number;
  /** It wants the machine to itself, so it runs when no other file does. */
  readonly alone: boolean;
};

export type TestFileResult = {
  readonly source: string;
  /** Undefined when every test of the file passed. */
  readonly failure: string | undefined;
  readonly passed: number;
  /** At least 1 whenever there is a failure, even if no test had the time to fail. */
  readonly failed: number;
  readonly skipped: number;
  readonly durationMs: number;
  readonly output: string;
};

/** A file that prints without end must not fill the runner's memory; the end of the output says more. */
const OUTPUT_LENGTH_MAX = 1 << 20;

/** How long a descendant that left the process group may keep the pipes open after its parent has ended. */
const PIPE_GRACE_MS = 500;

/** The test files whose source exists, in a stable order: what dist/ keeps of a removed source never runs. */
export function findTestFiles(root: string, defaultTimeLimitMs: number): TestFile[] {
  const files: TestFile[] = [];
  for (const entry of readdirSync(join(root, 'test'), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.test.ts')) continue;
    const source = relative(root, join(entry.parentPath, entry.name)).split(sep).join('/');
    const wishes = readWishes(readFileSync(join(root, source), 'utf8'));
    files.push({
      source,
      script: join(root, 'dist', source.replace(/\.ts$/, '.js')),
      timeLimitMs: wishes.timeLimitMs ?? defaultTimeLimitMs,
      alone: wishes.alone,
    });
  }
  return files.sort((a, b) => (a.source < b.source ? -1 : 1));
}

/** Reads `// time limit: 120 s` and `// runs alone` in the comments that open a file. */
export function readWishes(sourceText: string): { timeLimitMs: number | undefined; alone: boolean } {
  let timeLimitMs: number | undefined;
  let alone = false;
  for (const line of sourceText.split('\n')) {
    if (line.trim() !== '' && !line.startsWith('//')) break;
    const limit = /^\/\/ time limit: (\d+) s\s*$/.exec(line);
    if (limit !== null) timeLimitMs = Number(limit[1]) * 1000;
    if (/^\/\/ runs alone\s*$/.test(line)) alone = true;
  }
  return { timeLimitMs, alone };
}

/** The counts of uvu's closing lines, or undefined when the output does not end with them. */
export function readSummary(output: string): { total: number; passed: number; skipped: number } | undefined {
  const pattern = /^ {2}Total: +(\d+)\n {2}Passed: +(\d+)\n {2}Skipped: +(\d+)$/gm;
  const last = [...stripColours(output).matchAll(pattern)].at(-1);
  if (last === undefined) return undefined;
  return { total: Number(last[1]), passed: Number(last[2]), skipped: Number(last[3]) };
}

function stripColours(text: string): string {
  // The escape character is built, because a control character in a regular expression is easily overlooked.
  return text.replace(new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g'), '');
}

export function runTestFile(
  file: TestFile,
  root: string,
  running: Set<ChildProcess>,
): Promise<TestFileResult> {
  const startedMs = Date.now();
  if (!existsSync(file.script)) {
    return Promise.resolve(
      judge(file, { output: '', printed: '', timedOut: false, status: 'is not built' }, 0),
    );
  }
  return new Promise((resolve) => {
    // Detached means: leader of a process group of its own, so that its descendants can be ended with it.
    const child = spawn(process.execPath, [...process.execArgv, file.script], {
      cwd: root,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(child);
    let output = '';
    let printed = '';
    let timedOut = false;
    let status = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output = appended(output, chunk);
      printed = appended(printed, chunk);
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      output = appended(output, chunk);
    });
    const limit = setTimeout(() => {
      timedOut = true;
      killGroup(child);
    }, file.timeLimitMs);
    child.on('error', (error) => {
      status = `could not be started: ${error.message}`;
    });
    child.on('exit', (code, signal) => {
      if (code !== 0) status = signal === null ? `ended with exit code ${code}` : `ended by ${signal}`;
      killGroup(child);
      setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, PIPE_GRACE_MS).unref();
    });
    child.on('close', () => {
      clearTimeout(limit);
      running.delete(child);
      resolve(judge(file, { output, printed, timedOut, status }, Date.now() - startedMs));
    });
  });
}

/** Ends a test process with all that it started. The group may be gone already; that is as good. */
export function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ESRCH' && code !== 'EPERM') throw error;
  }
}

function appended(output: string, chunk: string): string {
  const all = output + chunk;
  return all.length > 2 * OUTPUT_LENGTH_MAX ? all.slice(-OUTPUT_LENGTH_MAX) : all;
}

type Ending = {
  /** All that was written, for whoever reads it. */
  readonly output: string;
  /** What went to the standard output alone: uvu writes its closing lines one by one, and a complaint of a process that
   * the test has started may fall between them. */
  readonly printed: string;
  readonly timedOut: boolean;
  /** Empty when the process ended by itself with exit code 0. */
  readonly status: string;
};

function judge(file: TestFile, ending: Ending, durationMs: number): TestFileResult {
  const summary = ending.timedOut ? undefined : readSummary(ending.printed);
  const { total, passed, skipped } = summary ?? { total: 0, passed: 0, skipped: 0 };
  let failure: string | undefined;
  if (ending.timedOut) failure = `TIMED OUT after ${file.timeLimitMs / 1000} s`;
  else if (passed < total) failure = `${total - passed} of ${total} tests failed`;
  else if (ending.status !== '') failure = ending.status;
  else if (total + skipped === 0) failure = 'ran no test';
  const failed = failure === undefined ? 0 : Math.max(1, total - passed);
  return { source: file.source, failure, passed, failed, skipped, durationMs, output: ending.output };
}
