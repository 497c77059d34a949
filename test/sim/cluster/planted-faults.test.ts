// time limit: 600 s
// runs alone
// The same for whole clusters. It begins with seeds that are known to show each fault; after a change of the product these
// may be others, and the search takes longer until they are written down: `npm run sim -- --planted --only cluster`.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { findFault } from '../fault-run.ts';
import { clusterFaults } from '../planted-faults.ts';

for (const { name, seed } of clusterFaults)
  test(`the simulator finds that ${name}`, async () => {
    assert.ok(await findFault('cluster', name, seed), 'no seed shows it');
  });

test.run();
