// Brokers are killed, restarted, stopped and paused at random under load. Whatever was acknowledged with acks all is then
// where it was acknowledged, and all replicas are equal. The seed is printed with a failure; set SEED to play it again.
// time limit: 120 s
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Client, type Cluster, connect } from '../../src/index.ts';
import { seededRandom } from '../log/seeded-random.ts';
import { assertReplicated, partitionOf, sleep, text, until, withCluster } from './fixtures.ts';

const PARTITIONS = 4;
const RUN_MS = 10_000;
const SESSION_MS = 700;

/** By partition and offset: the value that was acknowledged there. */
type Acknowledged = Map<string, string>;

interface Load {
  stop(): Promise<void>;
}

/** Sends one record after the other, some in batches, each with a value of its own. */
function startLoad(client: Cluster | Client, name: string, acknowledged: Acknowledged): Load {
  const producer = client.producer();
  let isOver = false;
  const run = async (): Promise<void> => {
    for (let n = 0; !isOver; n++) {
      const records = Array.from({ length: n % 7 === 0 ? 20 : 1 }, (_, m) => {
        const value = `${name} ${n} ${m}`;
        return { key: value, value };
      });
      try {
        const places = await producer.sendBatch('t', records);
        for (const [m, { partition, offset }] of places.entries()) {
          const key = `${partition} ${offset}`;
          assert.not(acknowledged.has(key), `${key} was acknowledged twice`);
          acknowledged.set(key, records[m].value);
        }
      } catch (error) {
        // A failed assertion is no refusal.
        if ((error as { code?: string }).code === 'ERR_ASSERTION') throw error;
        await sleep(2);
      }
    }
    await producer.close();
  };
  const running = run();
  return {
    stop: () => {
      isOver = true;
      return running;
    },
  };
}

/** One fault at a time, now and then two; what has ended is started again some time later. */
async function play(cluster: Cluster, random: () => number): Promise<string[]> {
  const story: string[] = [];
  const untilMs = performance.now() + RUN_MS;
  const undo = new Map<number, () => Promise<void>>();
  while (performance.now() < untilMs) {
    const broker = 1 + Math.floor(random() * 3);
    const mend = undo.get(broker);
    const choice = random();
    if (mend !== undefined) {
      story.push(`mend ${broker}`);
      undo.delete(broker);
      await mend();
    } else if (undo.size < 2) {
      const fault = choice < 0.45 ? 'kill' : choice < 0.65 ? 'stop' : 'pause';
      story.push(`${fault} ${broker}`);
      if (fault === 'kill') await cluster.faults.kill(broker);
      if (fault === 'stop') await cluster.stopBroker(broker);
      if (fault === 'pause') await cluster.faults.pause(broker);
      undo.set(broker, () =>
        fault === 'pause' ? cluster.faults.resume(broker) : cluster.startBroker(broker),
      );
    }
    await sleep(random() < 0.3 ? SESSION_MS * 1.7 : random() * 150);
  }
  for (const mend of undo.values()) await mend();
  return story;
}

async function assertKept(cluster: Cluster, acknowledged: Acknowledged): Promise<number> {
  let total = 0;
  const missing = new Map(acknowledged);
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const { hwm } = partitionOf(cluster, partition);
    for (let offset = 0; offset < hwm; ) {
      const read = await cluster.read('t', { partition, offset });
      for (const record of read.records) {
        const key = `${partition} ${record.offset}`;
        if (missing.has(key)) assert.is(text(record.value), missing.get(key), key);
        missing.delete(key);
      }
      offset = read.nextOffset;
    }
    total += hwm;
  }
  assert.is(
    missing.size,
    0,
    `${missing.size} acknowledged records are missing, ${[...missing.keys()].slice(0, 5)}`,
  );
  return total;
}

const SEED = Number(process.env.SEED ?? 1 + Math.floor(Math.random() * 1e9));

for (const durability of ['os', 'memory'] as const) {
  test(`${durability}: seed ${SEED}: nothing acknowledged is lost while brokers die, stop, hang and return`, () =>
    withCluster({ durability, partitions: PARTITIONS, sessionMs: SESSION_MS }, async (cluster) => {
      const acknowledged: Acknowledged = new Map();
      const client = await connect(cluster.handle);
      const loads = [
        startLoad(cluster, 'a', acknowledged),
        startLoad(cluster, 'b', acknowledged),
        startLoad(client, 'c', acknowledged),
      ];
      const numbers = seededRandom(SEED);
      const random = (): number => numbers(1_000) / 1_000;
      // In memory a broker that ends has nothing any more: two at a time might be all that had it.
      const story = durability === 'os' ? await play(cluster, random) : await playOneByOne(cluster, random);
      for (const load of loads) await load.stop();
      try {
        for (let partition = 0; partition < PARTITIONS; partition++)
          await until('all are in sync', () => partitionOf(cluster, partition).isr.length === 3);
        assert.ok(acknowledged.size > 500, `${acknowledged.size} were acknowledged`);
        await assertReplicated(cluster, await assertKept(cluster, acknowledged));
      } catch (error) {
        const { topics, brokers } = cluster.status();
        throw new Error(`seed ${SEED}: ${story.join(', ')}: ${JSON.stringify({ topics, brokers })}`, {
          cause: error,
        });
      } finally {
        await client.close();
      }
    }));
}

async function playOneByOne(cluster: Cluster, random: () => number): Promise<string[]> {
  const story: string[] = [];
  const untilMs = performance.now() + RUN_MS;
  while (performance.now() < untilMs) {
    const broker = 1 + Math.floor(random() * 3);
    const isPause = random() < 0.4;
    story.push(`${isPause ? 'pause' : 'kill'} ${broker}`);
    if (isPause) await cluster.faults.pause(broker);
    else await cluster.faults.kill(broker);
    await sleep(random() < 0.3 ? SESSION_MS * 1.7 : random() * 150);
    if (isPause) await cluster.faults.resume(broker);
    else await cluster.startBroker(broker);
    for (let partition = 0; partition < PARTITIONS; partition++)
      await until('all are in sync', () => partitionOf(cluster, partition).isr.length === 3);
  }
  return story;
}

test.run();
