// Topics that are created while brokers die, hang, or lose their disks.
// time limit: 90 s
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Cluster } from '../../src/index.ts';
import { assertRefused } from '../client/refusals.ts';
import { assertReplicated, numbered, partitionOf, sleep, until, withCluster } from './fixtures.ts';

/** Somebody who does not look whether a broker hangs before the test is over. */
const PATIENT_MS = 60_000;

/** What is created while a broker stands still, and what becomes of it once that broker has come to some end. */
async function createdMeanwhile(
  cluster: Cluster,
  broker: number,
  create: () => Promise<void>,
  end: () => Promise<void>,
): Promise<void> {
  await cluster.faults.pause(broker);
  // It stands still once it has come by its next pass.
  await sleep(100);
  const created = create();
  // It is written down, and the others have made their replicas or are about to.
  const { offset } = cluster.status().quorum;
  await until('it is written down', () => cluster.status().quorum.offset > offset);
  await end();
  await created;
}

async function assertWhole(cluster: Cluster, name: string, replicas = 3): Promise<void> {
  const partitions = cluster.status().topics.find((topic) => topic.name === name)?.partitions ?? [];
  await cluster.producer().sendBatch(
    name,
    numbered(60).map(({ value }) => ({ key: value as string, value })),
  );
  for (const partition of partitions.keys())
    await until('all are in sync', () => partitionOf(cluster, partition, name).isr.length === replicas);
  await assertReplicated(cluster, 60, name);
}

for (const durability of ['memory', 'os'] as const) {
  test(`${durability}: a topic is created though a broker dies meanwhile, which makes its replicas when it is back`, () =>
    withCluster({ durability, sessionMs: PATIENT_MS }, async (cluster) => {
      const create = () => cluster.admin.createTopic('u', { partitions: 6, replicationFactor: 3 });
      await createdMeanwhile(cluster, 2, create, () => cluster.faults.kill(2));
      for (const { leader } of cluster.status().topics[1].partitions) assert.ok(leader === 1 || leader === 3);
      await cluster.faults.restart(2);
      await assertWhole(cluster, 'u');
    }));

  test(`${durability}: where nobody is left of those who were to have a partition, others get it`, () =>
    withCluster({ durability, sessionMs: PATIENT_MS }, async (cluster) => {
      const create = () => cluster.admin.createTopic('u', { partitions: 6, replicationFactor: 1 });
      await createdMeanwhile(cluster, 2, create, () => cluster.faults.kill(2));
      const { partitions } = cluster.status().topics[1];
      assert.is(partitions.length, 6);
      for (const { replicas } of partitions) assert.ok(!replicas.includes(2), `${replicas}`);
      await cluster.faults.restart(2);
      await assertWhole(cluster, 'u', 1);
    }));
}

test('a topic is created though a broker hangs meanwhile, which makes its replicas when it wakes', () =>
  withCluster({ durability: 'os', sessionMs: 2_000 }, async (cluster) => {
    const create = () => cluster.admin.createTopic('u', { partitions: 6, replicationFactor: 3 });
    await createdMeanwhile(cluster, 2, create, () => Promise.resolve());
    await cluster.faults.resume(2);
    await assertWhole(cluster, 'u');
  }));

test('a topic is created though a disk fails with it', () =>
  withCluster({ durability: 'os' }, async (cluster) => {
    await cluster.faults.disk(2, 'failing');
    await cluster.admin.createTopic('u', { partitions: 6, replicationFactor: 3 });
    await until('its broker is offline', () => cluster.status().brokers[1].state === 'offline');
    await cluster.faults.disk(2, 'sound');
    await cluster.faults.restart(2);
    await assertWhole(cluster, 'u');
  }));

test('a topic that cannot be made by those who are left is not there, and the error says why', () =>
  withCluster({ brokers: 2, sessionMs: PATIENT_MS, controllers: 1 }, async (cluster) => {
    const other = cluster.status().quorum.leaderId === 1 ? 2 : 1;
    await cluster.faults.pause(other);
    const created = cluster.admin.createTopic('u', { partitions: 2, replicationFactor: 1 });
    await cluster.faults.kill(other);
    await created;
    await assertRefused(
      cluster.admin.createTopic('v', { replicationFactor: 2 }),
      'INVALID_REPLICATION_FACTOR',
      /2 needs as many brokers; 1 are running\. Broker \d has ended/,
    );
    assert.equal(await cluster.admin.listTopics(), ['t', 'u']);
  }));

test('new partitions that nobody has lived to make are told, and can be given to others', () =>
  withCluster({ durability: 'os', sessionMs: PATIENT_MS, replicationFactor: 1 }, async (cluster) => {
    const [holder] = partitionOf(cluster).replicas;
    const add = async (): Promise<void> => {
      await assertRefused(
        cluster.admin.createPartitions('t', 6),
        'BROKER_FAILED',
        /has 6 partitions now, but .* partition \d \(\d\) have died .*admin\.reassign.*electLeaders/,
      );
    };
    const other = holder === 2 ? 3 : 2;
    await createdMeanwhile(cluster, other, add, () => cluster.faults.kill(other));
    const { partitions } = cluster.status().topics[0];
    const lost = [...partitions.keys()].filter((partition) => partitions[partition].leader === -1);
    assert.ok(lost.length > 0);
    await cluster.admin.reassign(lost.map((partition) => ({ topic: 't', partition, replicas: [holder] })));
    const elected = await cluster.admin.electLeaders({ topics: ['t'], type: 'unclean' });
    assert.equal(
      elected.map(({ leader }) => leader),
      lost.map(() => holder),
    );
    await assertWhole(cluster, 't', 1);
  }));

test.run();
