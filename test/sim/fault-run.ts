import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import * as assert from 'uvu/assert';
import type { Kind } from './kinds.ts';

const SEEDS_MAX = 500;
const LIMIT_MS = 120_000;

export interface Run {
  readonly code: number | null;
  readonly output: string;
}

/** A simulation in a process of its own, with a fault in one module. */
export function simulateWith(fault: string, args: readonly string[]): Promise<Run> {
  const plant = new URL('./plant-fault.js', import.meta.url).href;
  const main = fileURLToPath(new URL('./main.js', import.meta.url));
  const child = spawn(process.execPath, ['--import', plant, main, ...args], {
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

/** Fails where no seed of the first five hundred shows it. */
export async function assertFound(kind: Kind, fault: string): Promise<void> {
  const args = ['--only', kind, '--seeds', String(SEEDS_MAX), '--jobs', '1'];
  const { code, output } = await simulateWith(fault, args);
  assert.is(code, 1, `nothing was found:\n${output.slice(-2_000)}`);
  assert.match(output, /^Seed \d+ violates an invariant at [\d.]+ ms: .+\.$/m);
  const [, found] = /^(\d+) seeds, .* violates an invariant$/m.exec(output) ?? [];
  assert.ok(Number(found) <= SEEDS_MAX, output.slice(-300));
}
