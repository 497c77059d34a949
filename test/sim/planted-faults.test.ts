// time limit: 300 s
// runs alone
// A simulator that finds nothing proves nothing: each of these faults it must find, and soon.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { findFault, simulateWith } from './fault-run.ts';
import { plantedFaults } from './planted-faults.ts';

for (const { name } of plantedFaults)
  test(`the simulator finds that ${name}`, async () => {
    assert.ok(await findFault('quorum', name), 'no seed shows it');
  });

test('a fault that does not fit the module any more is no fault that was not found', async () => {
  const refused = await simulateWith('no such fault', []).then(
    () => 'nothing',
    (error: Error) => error.message,
  );
  assert.is(refused, "There is no fault 'no such fault' to plant.");
});

test.run();
