// time limit: 600 s
// runs alone
// The same for whole clusters: what the product does wrong in one line is found within five hundred seeds.
import { test } from 'uvu';
import { assertFound } from '../fault-run.ts';
import { clusterFaults } from '../planted-faults.ts';

for (const { name } of clusterFaults)
  test(`the simulator finds that ${name}`, () => assertFound('cluster', name));

test.run();
