// time limit: 400 s
// runs alone
// The whole process is killed at random moments under load, and started again on what it left: a hundred times with
// durability os. Every so often all records are read, and the files are looked through by the command for people.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { withDirectory } from '../runtime/directory-fixtures.ts';
import { type Acknowledged, faultsOf, runAndKill } from './crash-records.ts';

const KILLS_A_DIRECTORY = 25;
const DELAY_MAX_MS = 300;
const tidemark = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

/** Kills, and what was found wrong afterwards. The moments are random, and told if anything is. */
async function killAgainAndAgain(durability: string, kills: number): Promise<void> {
  await withDirectory(async (dataDir) => {
    const acknowledged: Acknowledged = new Map();
    const delays: number[] = [];
    for (let kill = 0; kill < kills; kill++) {
      delays.push(Math.round(Math.random() * DELAY_MAX_MS));
      await runAndKill(dataDir, `${durability}${kill}`, delays[kill], acknowledged, durability);
    }
    const label = `killed after ${delays.join(', ')} ms`;
    assert.ok(acknowledged.size > 0, label);
    assert.equal(await faultsOf(dataDir, acknowledged), [], label);
    const { status, stdout, stderr } = spawnSync(process.execPath, [tidemark, 'log', 'verify', dataDir], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    assert.is(status, 0, `${label}\n${stdout}${stderr}`);
  });
}

for (let part = 1; part <= 4; part++) {
  test(`killed ${KILLS_A_DIRECTORY} times under load, part ${part} of 4, nothing that was acknowledged is lost`, () =>
    killAgainAndAgain('os', KILLS_A_DIRECTORY));
}

test('the same with durability fsync', () => killAgainAndAgain('fsync', KILLS_A_DIRECTORY));

test.run();
