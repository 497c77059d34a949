// Disks that are slow, full, failing, or replaced by empty ones, as a user makes them so.
// time limit: 120 s
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Cluster } from '../../src/index.ts';
import { assertRefused } from '../client/refusals.ts';
import { assertReplicated, numbered, partitionOf, until, withCluster } from './fixtures.ts';

function brokerOf(cluster: Cluster, broker: number): { readonly state?: string; readonly error?: string } {
  return cluster.status().brokers.find(({ id }) => id === broker) ?? {};
}

async function allInSync(cluster: Cluster): Promise<void> {
  for (const partition of [0, 1, 2])
    await until('all replicas are in sync', () => partitionOf(cluster, partition).isr.length === 3);
}

for (const durability of ['os', 'fsync', 'memory'] as const) {
  for (const [fault, sentence] of [
    ['full', /ENOSPC.*Make room/],
    ['failing', /EIO.*Check the disk/],
  ] as const) {
    test(`${durability}: a broker whose disk is ${fault} goes offline, and follows again when it was mended`, () =>
      withCluster({ durability, partitions: 3 }, async (cluster) => {
        await cluster.faults.disk(2, fault);
        const producer = cluster.producer();
        await until('it is offline', async () => {
          await producer.sendBatch('t', numbered(10)).catch(() => undefined);
          return brokerOf(cluster, 2).state === 'offline';
        });
        assert.match(brokerOf(cluster, 2).error ?? '', sentence);
        await until('others lead', () => [0, 1, 2].every((n) => partitionOf(cluster, n).leader !== 2));
        await cluster.producer().sendBatch('t', numbered(100));
        // A start alone does not mend it.
        await cluster.faults.restart(2).catch(() => undefined);
        await cluster.producer().sendBatch('t', numbered(100));
        for (const partition of [0, 1, 2]) assert.is.not(partitionOf(cluster, partition).leader, 2);
        await cluster.faults.disk(2, 'sound');
        await cluster.faults.restart(2);
        await allInSync(cluster);
        await cluster.producer().sendBatch('t', numbered(100));
        const hwms = [0, 1, 2].map((n) => partitionOf(cluster, n).hwm);
        await assertReplicated(
          cluster,
          hwms.reduce((sum, hwm) => sum + hwm, 0),
        );
      }));
  }

  test(`${durability}: a broker whose disk was wiped has nothing, and gets everything from its leaders`, () =>
    withCluster({ durability, partitions: 3 }, async (cluster) => {
      await cluster.producer().sendBatch('t', numbered(300));
      await cluster.faults.disk(2, 'wiped');
      await cluster.producer().sendBatch('t', numbered(300));
      await allInSync(cluster);
      await assertReplicated(cluster, 600);
      await until('it votes again', () => cluster.status().quorum.voters.length === 3);
      await cluster.faults.kill(2);
      await cluster.faults.disk(2, 'wiped');
      await allInSync(cluster);
      await assertReplicated(cluster, 600);
    }));
}

test('a leader whose disk is slow is slow, and its records arrive', () =>
  withCluster({ durability: 'os' }, async (cluster) => {
    const { leader } = partitionOf(cluster);
    await cluster.faults.disk(leader, 'slow');
    const producer = cluster.producer();
    const startedMs = performance.now();
    for (let n = 0; n < 5; n++) await producer.send('t', { value: `${n}` });
    assert.ok(performance.now() - startedMs >= 5 * 15);
    await cluster.faults.kill(leader);
    await cluster.faults.restart(leader);
    await cluster.faults.disk(leader, 'sound');
    await until('all are in sync', () => partitionOf(cluster).isr.length === 3);
    await assertReplicated(cluster, 5);
  }));

test('disks of brokers that nobody knows, faults that do not exist, and the last vote are refused', async () => {
  await withCluster({}, async (cluster) => {
    await assertRefused(cluster.faults.disk(9, 'full'), 'INVALID_ARGUMENT', /no broker 9/);
    await assertRefused(cluster.faults.disk(9, 'wiped'), 'INVALID_ARGUMENT', /no broker 9/);
    await assertRefused(cluster.faults.disk(1, 'broken' as never), 'INVALID_ARGUMENT', /slow.*full/);
  });
  await withCluster({ brokers: 1 }, async (cluster) => {
    await assertRefused(cluster.faults.disk(1, 'wiped'), 'INVALID_ARGUMENT', /only vote/);
    await cluster.producer().sendBatch('t', numbered(10));
  });
});

test.run();
