// time limit: 240 s
// Whole clusters: a run is its seed's, and today's product passes. `npm run sim` runs many more seeds.
import { createHash } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runSeeds } from '../seeds.ts';
import { runCluster } from './simulation.ts';

const SEEDS = 40;

test('a seed of a cluster gives the same run, event for event, as often as it is run', async () => {
  for (const seed of [1, 3, 4]) {
    const lines: string[] = [];
    const quiet = await runCluster(seed, { seconds: 3 });
    const first = await runCluster(seed, { seconds: 3, trace: (line) => lines.push(line) });
    const history = createHash('sha256');
    const again = await runCluster(seed, { seconds: 3, trace: (line) => history.update(line) });
    assert.equal(first, quiet);
    assert.equal(again, quiet);
    assert.is(history.digest('hex'), createHash('sha256').update(lines.join('')).digest('hex'));
    assert.ok(quiet.events > 100, `${quiet.events} events`);
    assert.ok(lines.length > quiet.events / 2, 'what happens is told');
  }
});

test('other seeds give other clusters', async () => {
  const hashes = new Set<number>();
  for (const seed of [1, 2, 3]) hashes.add((await runCluster(seed, { seconds: 2 })).hash);
  assert.is(hashes.size, 3);
});

test('no invariant of a cluster is violated, and records are committed', async () => {
  const { failed, seeds, counts } = await runSeeds({
    kind: 'cluster',
    first: 1,
    count: SEEDS,
    seconds: 8,
    jobs: 1,
    done: () => undefined,
  });
  assert.is(
    failed,
    undefined,
    `seed ${failed?.seed}: ${failed?.violation?.invariant}: ${failed?.violation?.detail}`,
  );
  assert.is(seeds, SEEDS);
  assert.ok(Number(counts.records) > SEEDS * 100, `${counts.records} records`);
});

test.run();
