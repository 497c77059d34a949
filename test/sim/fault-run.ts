// Looks for a planted fault: seeds are played in a process of their own until one shows it.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Kind } from './kinds.ts';
import { withPlanted } from './planted-tree.ts';

/** Within so many seeds every fault has to be found. */
export const FAULT_SEEDS_MAX = 500;
const LIMIT_MS = 600_000;
const SHOWN_CHARACTERS = 2_000;
/** As in the threads that play many seeds (seeds.ts). */
const NURSERY = '--max-semi-space-size=64';

export interface FaultRun {
  readonly code: number | null;
  readonly output: string;
}

/** What a fault has led to. */
export interface Finding {
  readonly seed: number;
  readonly invariant: string;
}

/** A simulation in a process of its own, with a fault in one module. Where somebody prints, all that it says is shown. */
export function simulateWith(
  fault: string,
  args: readonly string[],
  print: (text: string) => void = () => undefined,
): Promise<FaultRun> {
  return withPlanted(fault, (built) => {
    const main = join(built, 'test/sim/main.js');
    const child = spawn(process.execPath, [NURSERY, main, ...args], { timeout: LIMIT_MS });
    let output = '';
    const take = (bytes: Buffer): void => {
      output += bytes.toString();
      print(bytes.toString());
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    return new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code) => resolve({ code, output }));
    });
  });
}

/** The first seed from `first` on that shows a fault; undefined where none of five hundred does. */
export async function findFault(kind: Kind, fault: string, first = 1): Promise<Finding | undefined> {
  const which = ['--from', String(first), '--seeds', String(FAULT_SEEDS_MAX)];
  const { code, output } = await simulateWith(fault, ['--only', kind, ...which, '--jobs', '1']);
  const [, seed, invariant] = /^Seed (\d+) violates an invariant at [\d.]+ ms: (.+)\.$/m.exec(output) ?? [];
  if (code === 1 && invariant !== undefined) return { seed: Number(seed), invariant };
  if (code === 0 && /: no violation$/m.test(output)) return undefined;
  throw new Error(`The simulation with a fault ended with ${code}:\n${output.slice(-SHOWN_CHARACTERS)}`);
}
