// time limit: 180 s
// runs alone
// A simulator that finds nothing proves nothing: each of these faults it must find, and soon.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { plantedFaults } from './planted-faults.ts';

const SEEDS_MAX = 500;
const LIMIT_MS = 60_000;

interface Run {
  readonly code: number | null;
  readonly output: string;
}

/** A simulation in a process of its own, with a fault in one module, or with none. */
function simulate(fault: string, args: readonly string[]): Promise<Run> {
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

for (const { name } of plantedFaults) {
  test(`the simulator finds that ${name}`, async () => {
    const { code, output } = await simulate(name, ['--seeds', String(SEEDS_MAX), '--jobs', '1']);
    assert.is(code, 1, `nothing was found:\n${output.slice(-2_000)}`);
    assert.match(output, /^Seed \d+ violates an invariant at [\d.]+ ms: .+\.$/m);
    const [, found] = /^(\d+) seeds, .* violates an invariant$/m.exec(output) ?? [];
    assert.ok(Number(found) <= SEEDS_MAX, output.slice(-300));
  });
}

test('a fault that does not fit the module any more is no fault that was not found', async () => {
  const { code, output } = await simulate('no such fault', ['--seeds', '1', '--jobs', '1']);
  assert.is.not(code, 0);
  assert.match(output, /There is no fault 'no such fault' to plant/);
});

test.run();
