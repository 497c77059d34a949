// time limit: 120 s
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { withDirectory } from '../runtime/directory-fixtures.ts';
import { type Acknowledged, faultsOf, runAndKill } from './crash-records.ts';

const KILLS = 5;

for (const durability of ['os', 'fsync']) {
  test(`a process that is killed under load has lost nothing it acknowledged, with durability ${durability}`, () =>
    withDirectory(async (dataDir) => {
      const acknowledged: Acknowledged = new Map();
      for (let kill = 0; kill < KILLS; kill++) {
        // From the first writes to some seconds of them.
        const delayMs = Math.round(20 + Math.random() * 200 * (kill + 1));
        const before = acknowledged.size;
        await runAndKill(dataDir, `${durability}${kill}`, delayMs, acknowledged, durability);
        assert.ok(kill === 0 || acknowledged.size >= before);
      }
      assert.ok(acknowledged.size > 0);
      assert.equal(await faultsOf(dataDir, acknowledged), []);
    }));
}

test.run();
