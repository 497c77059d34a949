// A process that writes to a cluster until it is killed, and says line by line what was acknowledged:
//   node crash-child.js DATA_DIR RUN [DURABILITY]
//   ready                               the cluster has started
//   acked <partition> <offset> <hash>   a record is committed; the hash is hashOf its value
// Only what stands here may be counted on: a record that was acknowledged a moment before the end may not.
import { Cluster, type Durability } from '../../src/index.ts';
import { hashOf, PARTITIONS, TOPIC } from './crash-records.ts';

const SENDERS = 4;
const BATCH_MAX = 40;
const VALUE_MAX = 2_000;

const [dataDir, run, durability = 'os'] = process.argv.slice(2);
const cluster = await Cluster.start({ brokers: 3, dataDir, durability: durability as Durability });
if (!cluster.status().topics.some(({ name }) => name === TOPIC)) {
  // Small segments: a kill is to meet rolls too.
  const config = { 'segment.bytes': 256 * 1024 };
  await cluster.admin.createTopic(TOPIC, { partitions: PARTITIONS, replicationFactor: 3, config });
}
const producer = cluster.producer({ acks: 'all' });
process.stdout.write('ready\n');

let sent = 0;
/** Values that occur once, of sizes that seem random and are the same in every run. */
function nextValue(): string {
  const n = sent++;
  return `${run}:${n}:`.padEnd(1 + ((n * 7_919) % VALUE_MAX), 'x');
}

async function send(): Promise<never> {
  for (;;) {
    const values = Array.from({ length: 1 + (sent % BATCH_MAX) }, nextValue);
    const places = await producer.sendBatch(
      TOPIC,
      values.map((value) => ({ value })),
    );
    const lines = places.map(
      ({ partition, offset }, n) => `acked ${partition} ${offset} ${hashOf(values[n])}\n`,
    );
    process.stdout.write(lines.join(''));
  }
}

await Promise.all(Array.from({ length: SENDERS }, send));
