// Partitions that go to other brokers while they are used, through failures and restarts.
// time limit: 180 s
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster, connect } from '../../src/index.ts';
import { assertRefused, outcomeOf, refusal } from '../client/refusals.ts';
import { assertReplicated, numbered, partitionOf, sleep, until, withCluster } from './fixtures.ts';
import { underLoad } from './load.ts';

/** Nothing is under way, and everybody is in sync. */
async function settled(cluster: Cluster, topic = 't'): Promise<void> {
  await until('all partitions are where they should be', async () => {
    if ((await cluster.admin.listReassignments()).length > 0) return false;
    const { partitions = [] } = cluster.status().topics.find(({ name }) => name === topic) ?? {};
    return partitions.every(({ isr, replicas }) => isr.length === replicas.length);
  });
}

function replicasOf(cluster: Cluster, topic = 't'): (readonly number[])[] {
  const found = cluster.status().topics.find(({ name }) => name === topic);
  return found?.partitions.map(({ replicas }) => replicas) ?? [];
}

for (const durability of ['memory', 'os', 'fsync'] as const) {
  test(`${durability}: partitions go to other brokers under load, leaders among them`, () =>
    withCluster({ durability, brokers: 6, partitions: 3, replicationFactor: 3 }, async (cluster) => {
      await cluster.producer().sendBatch('t', numbered(3_000, 200));
      const load = underLoad(cluster);
      const wanted = [
        [4, 5, 6],
        [5, 6, 4],
        [6, 4, 5],
      ];
      await cluster.admin.reassign(
        wanted.map((replicas, partition) => ({ topic: 't', partition, replicas })),
      );
      await settled(cluster);
      assert.equal(replicasOf(cluster), wanted);
      await sleep(50);
      await assertReplicated(cluster, await load.end());
      for (const [partition, replicas] of wanted.entries())
        assert.is(partitionOf(cluster, partition).leader, replicas[0]);
    }));
}

test('the files of replicas that left are gone, and a replica that comes back begins anew', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'tidemark-moves-'));
  const there = (broker: number): boolean => existsSync(join(dataDir, `broker-${broker}`, 't-0'));
  try {
    await using cluster = await Cluster.start({ brokers: 3, dataDir });
    await cluster.admin.createTopic('t', { replicationFactor: 1 });
    const first = partitionOf(cluster).leader;
    const [next] = [1, 2, 3].filter((id) => id !== first);
    const producer = cluster.producer();
    for (const [turn, to] of [next, first, next].entries()) {
      await producer.sendBatch('t', numbered(100));
      await cluster.admin.reassign([{ topic: 't', partition: 0, replicas: [to] }]);
      await settled(cluster);
      await until('the files are where the replica is', () =>
        [1, 2, 3].every((id) => there(id) === (id === to)),
      );
      assert.is(partitionOf(cluster).hwm, 100 * (turn + 1));
    }
    const { records } = await cluster.read('t', { partition: 0, offset: 200 });
    assert.is(records.length, 100);
  } finally {
    rmSync(dataDir, { recursive: true });
  }
});

test('the number of replicas of a topic grows and shrinks under load', () =>
  withCluster({ durability: 'os', brokers: 4, partitions: 4, replicationFactor: 1 }, async (cluster) => {
    const load = underLoad(cluster);
    for (const replicationFactor of [3, 2, 4, 1, 3]) {
      await cluster.admin.reassign('t', { replicationFactor });
      await settled(cluster);
      for (const replicas of replicasOf(cluster)) assert.is(replicas.length, replicationFactor);
    }
    await assertReplicated(cluster, await load.end());
    await assertRefused(
      cluster.admin.reassign('t', { replicationFactor: 5 }),
      'INVALID_REPLICATION_FACTOR',
      /4 can take replicas/,
    );
  }));

for (const [name, victim] of [
  ['the leader', 1],
  ['a broker that it goes to', 4],
  ['a broker that it leaves', 3],
] as const) {
  test(`a reassignment comes to its end though ${name} dies in the midst of it`, () =>
    withCluster({ durability: 'os', brokers: 5 }, async (cluster) => {
      await cluster.admin.createTopic('u', { partitions: 1, replicationFactor: 1 });
      await cluster.admin.reassign([{ topic: 't', partition: 0, replicas: [1, 2, 3] }]);
      await settled(cluster);
      await cluster.admin.electLeaders();
      await cluster.producer().sendBatch('t', numbered(2_000, 500));
      const load = underLoad(cluster);
      // Slow enough for something to happen meanwhile.
      const slow = { throttleBytesPerSecond: 1_000_000 };
      await cluster.admin.reassign([{ topic: 't', partition: 0, replicas: [4, 5, 2] }], slow);
      assert.is((await cluster.admin.listReassignments()).length, 1);
      await cluster.faults.kill(victim);
      await sleep(100);
      assert.is((await cluster.admin.listReassignments()).length, 1);
      await cluster.faults.restart(victim);
      await cluster.admin.reassign([{ topic: 't', partition: 0, replicas: [4, 5, 2] }]);
      await settled(cluster);
      assert.equal(replicasOf(cluster), [[4, 5, 2]]);
      await assertReplicated(cluster, await load.end());
    }));
}

test('a reassignment goes on after a restart of the whole cluster, and what has left is cleared away', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'tidemark-moves-'));
  try {
    let cluster = await Cluster.start({ brokers: 4, dataDir });
    await cluster.admin.createTopic('t', { partitions: 2, replicationFactor: 2 });
    await cluster.producer().sendBatch('t', numbered(4_000, 500));
    const before = replicasOf(cluster);
    const targets = before.map((replicas, partition) => ({
      topic: 't',
      partition,
      replicas: [1, 2, 3, 4].filter((id) => !replicas.includes(id)),
    }));
    await cluster.admin.reassign(targets, { throttleBytesPerSecond: 100_000 });
    const hwms = [0, 1].map((partition) => partitionOf(cluster, partition).hwm);
    await cluster.close();
    cluster = await Cluster.start({ brokers: 4, dataDir });
    try {
      const [one] = await cluster.admin.listReassignments();
      assert.is(one?.throttleBytesPerSecond, 100_000);
      await cluster.admin.reassign(targets);
      await settled(cluster);
      assert.equal(
        replicasOf(cluster),
        targets.map(({ replicas }) => replicas),
      );
      assert.equal(
        [0, 1].map((partition) => partitionOf(cluster, partition).hwm),
        hwms,
      );
      await assertReplicated(cluster, hwms[0] + hwms[1]);
    } finally {
      // Before the files that have left are gone.
      await cluster.close();
    }
    cluster = await Cluster.start({ brokers: 4, dataDir });
    try {
      await until('nothing is left', () =>
        [1, 2, 3, 4].every((id) =>
          targets.every(
            ({ partition, replicas }) =>
              readdirSync(join(dataDir, `broker-${id}`)).includes(`t-${partition}`) === replicas.includes(id),
          ),
        ),
      );
    } finally {
      await cluster.close();
    }
  } finally {
    rmSync(dataDir, { recursive: true });
  }
});

test('a throttle holds back replicas that come, tells how far they are, and nobody else waits', () =>
  withCluster({ durability: 'os', brokers: 3, replicationFactor: 2 }, async (cluster) => {
    await cluster.producer().sendBatch('t', numbered(1_000, 2_000));
    const [{ leader, replicas }] = cluster.status().topics[0].partitions;
    const [third] = [1, 2, 3].filter((id) => !replicas.includes(id));
    const target = { topic: 't', partition: 0, replicas: [...replicas, third] };
    const begun = performance.now();
    await cluster.admin.reassign([target], { throttleBytesPerSecond: 1_000_000 });
    let least = Number.POSITIVE_INFINITY;
    await until('some of it is there', async () => {
      const [{ progress }] = await cluster.admin.listReassignments();
      assert.equal([progress.length, progress[0].broker, progress[0].inSync], [1, third, false]);
      least = Math.min(least, progress[0].doneRecords);
      return progress[0].doneRecords > 0;
    });
    const sent = performance.now();
    await cluster.producer({ acks: 'all' }).send('t', { value: 'v' });
    assert.ok(performance.now() - sent < 1_000, 'those in sync do not wait');
    await settled(cluster);
    // Two megabytes at one a second.
    const tookMs = performance.now() - begun;
    assert.ok(tookMs > 1_300, `it took ${tookMs} ms`);
    assert.is(partitionOf(cluster).leader, leader);
    await assertReplicated(cluster, 1_001);
  }));

test('a cancelled reassignment leaves the replicas as they were', () =>
  withCluster({ durability: 'os', brokers: 5, replicationFactor: 3 }, async (cluster) => {
    await cluster.producer().sendBatch('t', numbered(1_000, 1_000));
    const [before] = replicasOf(cluster);
    const others = [1, 2, 3, 4, 5].filter((id) => !before.includes(id));
    const target = { topic: 't', partition: 0, replicas: [before[0], ...others] };
    await cluster.admin.reassign([target], { throttleBytesPerSecond: 10_000 });
    const { adding, removing } = partitionOf(cluster);
    assert.equal([adding, removing], [others, before.slice(1)]);
    await cluster.admin.cancelReassignments([{ topic: 't', partition: 0 }]);
    await settled(cluster);
    assert.equal([...replicasOf(cluster)[0]].sort(), [...before].sort());
    await assertReplicated(cluster, 1_000);
    await cluster.admin.cancelReassignments();
    await assertRefused(
      cluster.admin.cancelReassignments([{ topic: 't', partition: 0 }]),
      'NO_REASSIGNMENT_IN_PROGRESS',
      /not being reassigned/,
    );
  }));

test('a broker that holds replicas is emptied before it is removed, if that is asked for', () =>
  withCluster({ durability: 'os', brokers: 4, partitions: 4, replicationFactor: 3 }, async (cluster) => {
    const load = underLoad(cluster);
    await assertRefused(
      cluster.removeBroker(2),
      'INVALID_ARGUMENT',
      /removeBroker\(2, \{ reassign: true \}\)/,
    );
    await cluster.removeBroker(2, { reassign: true });
    assert.equal(
      cluster.status().brokers.map(({ id }) => id),
      [1, 3, 4],
    );
    for (const replicas of replicasOf(cluster)) assert.equal([...replicas].sort(), [1, 3, 4]);
    await settled(cluster);
    await assertReplicated(cluster, await load.end());
    await assertRefused(
      cluster.removeBroker(1, { reassign: true }),
      'INVALID_REPLICATION_FACTOR',
      /besides broker 1/,
    );
  }));

/** A cluster of which a broker is being emptied, so slowly that a test comes before its end. */
function whileEmptied(run: (cluster: Cluster, broker: number, removed: Promise<unknown>) => Promise<void>) {
  return withCluster({ brokers: 4, replicationFactor: 3 }, async (cluster) => {
    await cluster.producer().sendBatch('t', numbered(2_000, 1_000));
    const broker = replicasOf(cluster)[0][2];
    const slowly = { reassign: true, throttleBytesPerSecond: 1_000 };
    const removed = outcomeOf(cluster.removeBroker(broker, slowly));
    await until('it has begun', async () => (await cluster.admin.listReassignments()).length > 0);
    await run(cluster, broker, removed);
  });
}

test('a broker that is being emptied when the cluster closes is not removed, and that is said before the close is through', () =>
  whileEmptied(async (cluster, _, removed) => {
    let outcome: unknown;
    const settled = removed.then((value) => {
      outcome = value;
    });
    await cluster.close();
    assert.ok(refusal('CLOSED', /was not removed/)(outcome), `${outcome}`);
    await settled;
  }));

test('a broker that is being emptied gets no replicas of other topics', () =>
  whileEmptied(async (cluster, broker, removed) => {
    const { admin } = cluster;
    await admin.createTopic('u', { partitions: 8, replicationFactor: 2 });
    await admin.createPartitions('u', 12);
    await admin.reassign('u', { replicationFactor: 3 });
    for (const replicas of replicasOf(cluster, 'u')) {
      assert.is(replicas.length, 3);
      assert.not.ok(replicas.includes(broker));
    }
    await admin.createTopic('w', { partitions: 4 });
    for (const replicas of replicasOf(cluster, 'w')) assert.not.ok(replicas.includes(broker));
    await assertRefused(
      admin.createTopic('v', { replicationFactor: 4 }),
      'INVALID_REPLICATION_FACTOR',
      new RegExp(`3 are running\\. Broker ${broker} is being emptied\\.`),
    );
    await cluster.close();
    await removed;
  }));

test('attached threads ask for the same', () =>
  withCluster({ brokers: 3, replicationFactor: 2 }, async (cluster) => {
    const client = await connect(cluster.handle);
    await client.admin.reassign('t', { replicationFactor: 3 });
    await settled(cluster);
    assert.equal(await client.admin.listReassignments(), []);
    assert.equal(await client.admin.electLeaders(), []);
    await client.close();
  }));

test('what makes no sense is refused with a sentence, and moves nothing', () =>
  withCluster({ brokers: 3, replicationFactor: 2 }, async (cluster) => {
    const { admin } = cluster;
    const of = (part: object) => [{ topic: 't', partition: 0, replicas: [1], ...part }];
    const refused = async (call: Promise<unknown>, code: string, sentence: RegExp): Promise<void> => {
      await assertRefused(call, code as 'INVALID_ARGUMENT', sentence);
    };
    await refused(admin.reassign([]), 'INVALID_ARGUMENT', /an empty array/);
    await refused(admin.reassign({} as never), 'INVALID_ARGUMENT', /array of partitions/);
    await refused(admin.reassign(of({ replicas: 1 })), 'INVALID_ARGUMENT', /array of broker ids/);
    await refused(admin.reassign(of({ partition: -1 })), 'INVALID_ARGUMENT', /partition must be/);
    await refused(admin.reassign(of({ topic: 7 })), 'INVALID_ARGUMENT', /name of a topic/);
    await refused(admin.reassign(of({ replica: 7 })), 'INVALID_ARGUMENT', /did you mean/i);
    await refused(admin.reassign(of({ topic: 'u' })), 'UNKNOWN_TOPIC_OR_PARTITION', /no topic 'u'/);
    await refused(admin.reassign(of({ partition: 1 })), 'UNKNOWN_TOPIC_OR_PARTITION', /and not 1/);
    await refused(admin.reassign(of({ replicas: [9] })), 'INVALID_REPLICA_ASSIGNMENT', /9 is not registered/);
    await refused(admin.reassign(of({}), { throttleBytesPerSecond: 0 }), 'INVALID_ARGUMENT', /throttle/);
    await refused(admin.reassign('u', { replicationFactor: 1 }), 'UNKNOWN_TOPIC_OR_PARTITION', /'u'/);
    await refused(admin.reassign('t', {} as never), 'INVALID_ARGUMENT', /replicationFactor/);
    await refused(admin.electLeaders({ topics: ['u'] }), 'UNKNOWN_TOPIC_OR_PARTITION', /'u'/);
    await refused(admin.electLeaders({ type: 'best' as 'unclean' }), 'INVALID_ARGUMENT', /type must be/);
    assert.equal(await admin.listReassignments(), []);
  }));

test.run();
