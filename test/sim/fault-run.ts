// Looks for a planted fault: seeds are played in a process of their own until one shows it.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Kind } from './kinds.ts';

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

/** A simulation in a process of its own, with a fault in one module. */
export function simulateWith(fault: string, args: readonly string[]): Promise<FaultRun> {
  const plant = new URL('./plant-fault.js', import.meta.url).href;
  const main = fileURLToPath(new URL('./main.js', import.meta.url));
  const child = spawn(process.execPath, [NURSERY, '--import', plant, main, ...args], {
    env: { ...process.env, TIDEMARK_SIM_FAULT: fault },
    timeout: LIMIT_MS,
  });
  let output = '';
  child.stdout.on('data', (bytes: Buffer) => {
    output += bytes.toString();
  });
  child.stderr.on('data', (bytes: Buffer) => {
    output += bytes.toString();
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
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
