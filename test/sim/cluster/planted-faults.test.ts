// time limit: 600 s
// runs alone
// The same for whole clusters. It begins with seeds that are known to show each fault; after a change of the product these
// may be others, and the search takes longer until they are written down: `npm run sim -- --planted --only cluster`.
import { createHash } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { findFault, simulateWith } from '../fault-run.ts';
import { clusterFaults } from '../planted-faults.ts';

for (const { name, seed } of clusterFaults)
  test(`the simulator finds that ${name}`, async () => {
    assert.ok(await findFault('cluster', name, seed), 'no seed shows it');
  });

/** A run with brokers that die and come back, in the midst of which files are opened that hardly any broker needs. */
const WITH_RESTARTS = 3;

for (const fault of [
  'what a lapped reader has taken is kept',
  'a follower cuts its log to the HWM instead of by epoch',
])
  test(`a seed gives the same history in every process, also where ${fault}`, async () => {
    const args = ['--only', 'cluster', '--seed', String(WITH_RESTARTS)];
    const [one, other] = [await simulateWith(fault, args), await simulateWith(fault, args)];
    assert.match(one.output, /is restarted$/m);
    assert.is(digestOf(other.output), digestOf(one.output));
  });

function digestOf(history: string): string {
  return createHash('sha256').update(history).digest('hex');
}

test.run();
