// Scenarios that a person can follow, with the output that they had when somebody last looked. See scenario.ts;
// UPDATE_GOLDEN=1 writes what they print now.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runScenario } from './scenario.ts';

const folder = new URL('../../../../test/core/raft/scenarios/', import.meta.url);
const files = readdirSync(folder)
  .filter((file) => file.endsWith('.txt'))
  .sort();

for (const file of files) {
  test(`${file.slice(0, -'.txt'.length).replaceAll('-', ' ')} goes as it is written`, () => {
    const golden = readFileSync(new URL(file, folder), 'utf8');
    const printed = runScenario(golden);
    if (process.env.UPDATE_GOLDEN === '1') writeFileSync(new URL(file, folder), printed);
    else assert.snapshot(printed, golden, file);
  });
}

test('there are scenarios', () => {
  assert.ok(files.length >= 8, `${files.length} scenarios`);
});

test('another output than the golden one is noticed', () => {
  const script = 'start 1\ncampaign 1\n----\n';
  assert.is(runScenario(script), 'start 1\ncampaign 1\n----\n  1 is leader of term 1\n  1 commits to 1\n');
});

test.run();
