// Idempotent producers through leaders that die and come back, with answers that are lost: each batch is there once.
// time limit: 120 s
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster } from '../../src/index.ts';
import { assertReplicated, partitionOf, text, until, withCluster } from './fixtures.ts';
import { IdempotentClient } from './idempotent-client.ts';

const CONFIG = { 'min.insync.replicas': 2, 'segment.bytes': 16_384 } as const;

async function values(cluster: Cluster): Promise<number[]> {
  const found: number[] = [];
  const { hwm } = partitionOf(cluster);
  for (let offset = 0; offset < hwm; ) {
    const { records, nextOffset } = await cluster.read('t', { partition: 0, offset });
    for (const { value } of records) found.push(Number(text(value)));
    offset = nextOffset;
  }
  return found;
}

/** Every sequence number once, in order, and where its producer was told. */
async function assertOnceEach(cluster: Cluster, client: IdempotentClient): Promise<void> {
  const found = await values(cluster);
  assert.equal(
    found,
    Array.from({ length: client.produced }, (_, n) => n),
  );
  for (const [sequence, offset] of client.places) assert.is(found[offset], sequence);
}

async function allInSync(cluster: Cluster): Promise<void> {
  await until('all replicas are in sync', () => partitionOf(cluster).isr.length === 3);
}

for (const durability of ['memory', 'os'] as const) {
  test(`${durability}: leaders die under load and answers are lost, and no batch is missing or there twice`, () =>
    withCluster({ durability, topicConfig: CONFIG }, async (cluster) => {
      const client = await IdempotentClient.open(cluster);
      let isOver = false;
      const running = client.run(() => isOver);
      // Of a test that ends early another sentence tells why.
      running.catch(() => undefined);
      for (let round = 0; round < 6; round++) {
        const before = client.places.size;
        await until('more is acknowledged', () => client.places.size >= before + 20);
        const { leader } = partitionOf(cluster);
        await cluster.faults.kill(leader);
        await cluster.faults.restart(leader);
        await allInSync(cluster);
      }
      isOver = true;
      await running;
      await assertOnceEach(cluster, client);
      await assertReplicated(cluster, client.produced);
      assert.ok(client.lost > 0);
      assert.ok((client.errors.get('BROKER_FAILED') ?? 0) > 0, 'a leader died with requests');
      assert.is(client.errors.get('UNKNOWN_PRODUCER_ID') ?? 0, 0);
      await client.close();
    }));
}

for (const end of ['clean', 'clean and looked at'] as const) {
  test(`a cluster that starts again after a ${end} end knows its producers, and gives nobody their ids`, async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'tidemark-idempotence-'));
    const ids = new Set<number>();
    let before: IdempotentClient | undefined;
    try {
      for (let life = 1; life <= 3; life++) {
        const cluster = await Cluster.start({ brokers: 3, dataDir, config: CONFIG });
        if (life === 1) await cluster.admin.createTopic('t', { partitions: 1 });
        const other = await IdempotentClient.open(cluster);
        const client = await IdempotentClient.open(cluster, before);
        ids.add(other.producer.producerId).add(client.producer.producerId);
        assert.is(ids.size, life + 1);
        await client.run(() => client.produced >= 500 * life);
        await assertOnceEach(cluster, client);
        await other.close();
        await client.close();
        before = client;
        await cluster.close();
        if (end === 'clean') continue;
        for (const broker of [1, 2, 3]) rmSync(join(dataDir, `broker-${broker}`, 'closed-logs-checkpoint'));
      }
    } finally {
      rmSync(dataDir, { recursive: true, force: true });
    }
  });
}

test.run();
