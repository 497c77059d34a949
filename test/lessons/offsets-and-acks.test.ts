// What broke in other logs about offsets and acknowledgements (lessons 1 to 8), through real threads. Those of them that
// are not here lie with their subjects, in test/core, test/api and test/threads, under the same numbers.
// time limit: 120 s
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  assertReplicated,
  numbered,
  partitionOf,
  sleep,
  text,
  until,
  withCluster,
} from '../threads/fixtures.ts';
import { Load, valuesOf } from './load.ts';

test('LESSONS 1: every one of many batches under way is acknowledged, with the offset at which it then lies', () =>
  withCluster({}, async (cluster) => {
    const producer = cluster.producer({ batchBytes: 2_000 });
    const sent = await Promise.all(
      Array.from({ length: 200 }, async (_, n) => {
        const places = await producer.sendBatch('t', numbered(1 + (n % 7), 100, n * 10));
        return places.map(({ offset }, record) => [offset, `${n * 10 + record}`] as const);
      }),
    );
    const values = await valuesOf(cluster);
    for (const [offset, value] of sent.flat()) assert.is(values[offset]?.replace(/\.+$/, ''), value);
    assert.is(values.length, sent.flat().length);
  }));

test('LESSONS 2: nobody ever sees the HWM go back or reads beyond it, while leaders die and come back', () =>
  withCluster({ durability: 'os' }, async (cluster) => {
    const load = new Load(cluster);
    await load.more();
    const seen: (string | null)[] = [];
    let isOver = false;
    let hwmSeen = 0;
    const reader = (async () => {
      while (!isOver || seen.length < partitionOf(cluster).hwm) {
        try {
          const { records, nextOffset, hwm } = await cluster.read('t', { partition: 0, offset: seen.length });
          // Each reign learns of the HWM of the one before by and by, and readers wait for it.
          for (const { offset, value } of records) seen[offset] = text(value);
          assert.ok(nextOffset <= hwm, `${nextOffset} was read, and the HWM is ${hwm}`);
          hwmSeen = Math.max(hwmSeen, hwm);
        } catch (error) {
          assert.is((error as { retriable: boolean }).retriable, true, (error as Error).message);
        }
        await sleep(1);
      }
    })();
    for (let n = 0; n < 3; n++) {
      const { leader } = partitionOf(cluster);
      await cluster.faults.kill(leader);
      await load.more();
      await cluster.faults.restart(leader);
      await until('all are in sync', () => partitionOf(cluster).isr.length === 3);
      await load.more();
    }
    await load.end();
    isOver = true;
    await reader;
    assert.ok(partitionOf(cluster).hwm >= hwmSeen);
    // What somebody has read once stays what it was.
    assert.equal(seen, await valuesOf(cluster));
    await load.assertKept();
    await assertReplicated(cluster, partitionOf(cluster).hwm);
  }));

test('LESSONS 4: where nobody can decide who is in sync, acks all is acknowledged by nobody, and not by one', () =>
  withCluster({ durability: 'os' }, async (cluster) => {
    await cluster.producer().sendBatch('t', numbered(10));
    const { leader, replicas } = partitionOf(cluster);
    const others = replicas.filter((id) => id !== leader);
    // Two of three votes are gone with them: nobody can write down that the leader is alone.
    await Promise.all(others.map((id) => cluster.faults.kill(id)));
    let isAcknowledged = false;
    const sent = cluster
      .producer()
      .send('t', { value: '10' })
      .then(
        () => {
          isAcknowledged = true;
        },
        () => {},
      );
    await sleep(1_500);
    assert.is(isAcknowledged, false);
    assert.is(partitionOf(cluster).hwm, 10);
    for (const id of others) await cluster.faults.restart(id);
    await until('all are in sync', () => partitionOf(cluster).isr.length === 3);
    await sent;
    await until('it is committed', () => partitionOf(cluster).hwm >= 11);
    await assertReplicated(cluster, partitionOf(cluster).hwm);
  }));

test('LESSONS 6: whoever reads on from nextOffset gets every record once, over gaps that compaction has left', () =>
  withCluster(
    {
      durability: 'os',
      care: { everyMs: 50 },
      topicConfig: {
        'cleanup.policy': 'compact',
        'segment.bytes': 16_384,
        'min.cleanable.dirty.ratio': 0,
      },
    } as Parameters<typeof withCluster>[0],
    async (cluster) => {
      const producer = cluster.producer({ batchBytes: 1_000 });
      for (let n = 0; n < 1_500; n++)
        void producer.send('t', { key: `${n % 10}`, value: `${n}`.padEnd(100) });
      await producer.flush();
      const { hwm } = partitionOf(cluster);
      await until('there are gaps', async () => {
        const { records } = await cluster.read('t', { partition: 0, offset: 0, maxBytes: 1 });
        return records.length === 0 || records[0].offset > 0;
      });
      const offsets: number[] = [];
      let offset = 0;
      for (let reads = 0; offset < hwm; reads++) {
        assert.ok(reads < 2_000, `the reader does not get beyond ${offset}`);
        const read = await cluster.read('t', { partition: 0, offset, maxBytes: 1 });
        assert.ok(read.nextOffset > offset || read.records.length === 0);
        for (const record of read.records) offsets.push(record.offset);
        if (read.nextOffset === offset) await sleep(5);
        offset = read.nextOffset;
      }
      assert.ok(offsets.every((each, n) => n === 0 || each > offsets[n - 1]));
      assert.ok(offsets.length < 1_500);
      assert.is(offsets.at(-1), hwm - 1);
    },
  ));

test('LESSONS 7: where only one record is under way at a time, none waits for a look at requests or followers', () =>
  withCluster({}, async (cluster) => {
    const producer = cluster.producer();
    await producer.send('t', { value: 'first' });
    const startedMs = performance.now();
    for (let n = 0; n < 100; n++) await producer.send('t', { value: 'v' });
    // Each of them would wait for up to a fifth of a second if a timer moved the HWM.
    assert.ok(performance.now() - startedMs < 8_000);
  }));

test.run();
