// Brokers that stand in racks, over which replicas are spread.
// time limit: 60 s
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster } from '../../src/index.ts';
import { assertRefused } from '../client/refusals.ts';

function racksOf(cluster: Cluster): (string | null)[] {
  return cluster.status().brokers.map(({ rack }) => rack);
}

/** Every partition has its replicas on that many racks. */
function assertSpread(cluster: Cluster, topic: string, racks: number): void {
  const rackOf = new Map(cluster.status().brokers.map(({ id, rack }) => [id, rack]));
  const found = cluster.status().topics.find(({ name }) => name === topic);
  for (const { replicas } of found?.partitions ?? [])
    assert.is(new Set(replicas.map((id) => rackOf.get(id))).size, racks, `${topic} on ${replicas}`);
}

test('replicas are spread over racks, which are kept over restarts and given to brokers that are added', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'tidemark-racks-'));
  let cluster = await Cluster.start({ brokers: 4, dataDir, racks: ['a', 'a', 'b', 'b'] });
  try {
    await cluster.admin.createTopic('t', { partitions: 8, replicationFactor: 2 });
    assertSpread(cluster, 't', 2);
    assert.is(await cluster.addBroker({ rack: 'c' }), 5);
    assert.equal(racksOf(cluster), ['a', 'a', 'b', 'b', 'c']);
    await cluster.admin.createTopic('u', { partitions: 8, replicationFactor: 3 });
    assertSpread(cluster, 'u', 3);
    await cluster.faults.restart(3);
    assert.equal(racksOf(cluster), ['a', 'a', 'b', 'b', 'c']);
    await cluster.close();
    cluster = await Cluster.start({ dataDir });
    assert.equal(racksOf(cluster), ['a', 'a', 'b', 'b', 'c']);
    await cluster.close();
    cluster = await Cluster.start({ dataDir, racks: { 5: 'a' } });
    assert.equal(racksOf(cluster), ['a', 'a', 'b', 'b', 'a']);
    await cluster.admin.reassign('t', { replicationFactor: 1 });
    await cluster.admin.reassign('t', { replicationFactor: 2 });
    assertSpread(cluster, 't', 2);
  } finally {
    await cluster.close();
    rmSync(dataDir, { recursive: true });
  }
});

test('racks that make no sense are refused', async () => {
  const start = (racks: unknown) =>
    Cluster.start({ brokers: 2, durability: 'memory', racks: racks as string[] });
  await assertRefused(start('a'), 'INVALID_ARGUMENT', /array of names/);
  await assertRefused(start(['a', '']), 'INVALID_ARGUMENT', /broker 2 must be a text/);
  const sparse: string[] = [];
  sparse[1] = 'b';
  await assertRefused(start(sparse), 'INVALID_ARGUMENT', /broker 1 must be a text/);
  await assertRefused(start({ a: 'a' }), 'INVALID_ARGUMENT', /under the ids of brokers/);
  await assertRefused(start(['a', 'b', 'c']), 'INVALID_ARGUMENT', /no broker 3/);
  await using cluster = await Cluster.start({ durability: 'memory' });
  await assertRefused(cluster.addBroker({ rack: 7 as never }), 'INVALID_ARGUMENT', /rack must be a text/);
  assert.equal(racksOf(cluster), [null]);
});

test.run();
