// Other programs, each under a time limit and with its output in memory.
import { type ChildProcess, spawn } from 'node:child_process';

export interface ProgramEnd {
  /** Null where it was ended by a signal, the time limit's included. */
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

const OUTPUT_LENGTH_MAX = 256 << 20;

/** Rejects where the program cannot be started, prints without end, or takes longer than allowed. */
export function runProgram(
  program: string,
  args: readonly string[],
  limitMs: number,
  directory?: string,
): Promise<ProgramEnd> {
  return new Promise((resolve, reject) => {
    // A group of its own, so that what it starts ends with it.
    const child = spawn(program, args, {
      cwd: directory,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let errors = '';
    const fail = (reason: string): void => {
      endGroup(child);
      reject(new Error(`${program} ${args.slice(0, 4).join(' ')} ... ${reason}`));
    };
    const limit = setTimeout(() => fail(`took longer than ${limitMs / 1000} s`), limitMs);
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
      if (output.length > OUTPUT_LENGTH_MAX) fail('prints without end');
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      errors = (errors + chunk).slice(-OUTPUT_LENGTH_MAX);
    });
    child.on('error', (error) => {
      clearTimeout(limit);
      reject(error);
    });
    child.on('close', (code) => {
      clearTimeout(limit);
      resolve({ code, output, errors });
    });
  });
}

function endGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended by itself meanwhile.
  }
}
