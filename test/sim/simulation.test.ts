// time limit: 120 s
// The simulator itself: a run is its seed's, and today's product passes. `npm run sim` runs many more seeds.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runSeeds } from './seeds.ts';
import { runSeed } from './simulation.ts';

const SEEDS = 50;

test('a seed gives the same run, event for event, as often as it is run', async () => {
  for (const seed of [1, 2, 3, 5, 8]) {
    const lines: string[] = [];
    const first = await runSeed(seed, { seconds: 10 });
    const again = await runSeed(seed, { seconds: 10, trace: (line) => lines.push(line) });
    assert.equal(again, first);
    assert.ok(first.events > 100, `${first.events} events`);
    assert.ok(lines.length > first.events / 2, 'what happens is told');
  }
});

test('other seeds give other runs', async () => {
  const hashes = new Set<number>();
  for (const seed of [1, 2, 3, 4, 5]) hashes.add((await runSeed(seed, { seconds: 3 })).hash);
  assert.is(hashes.size, 5);
});

test('no invariant of the quorum is violated, and work is done', async () => {
  const { failed, seeds, simulatedMs, counts } = await runSeeds({
    kind: 'quorum',
    first: 1,
    count: SEEDS,
    seconds: 30,
    jobs: 1,
    done: () => undefined,
  });
  assert.is(
    failed,
    undefined,
    `seed ${failed?.seed}: ${failed?.violation?.invariant}: ${failed?.violation?.detail}`,
  );
  assert.is(seeds, SEEDS);
  assert.ok(simulatedMs >= SEEDS * 30_000);
  const { entries, terms } = counts;
  assert.ok(entries > SEEDS * 20 && terms > SEEDS * 2, `${entries} entries, ${terms} terms`);
});

test.run();
