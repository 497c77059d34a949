// Processes of their own for bench:footprint: node footprint-child.js TASK DIRECTORY
import { Cluster } from '../src/index.ts';

const GIB = 2 ** 30;
const PARTITIONS = 1000;
const RECORD_BYTES = 256;
const [task, dataDir] = process.argv.slice(2);

async function writeGigabyte(): Promise<void> {
  const config = { 'segment.bytes': 64 * 2 ** 20 };
  const cluster = await Cluster.start({ dataDir, config });
  await cluster.admin.createTopic('large');
  const producer = cluster.producer({ acks: 1 });
  const records = Array.from({ length: 4096 }, () => ({ value: new Uint8Array(RECORD_BYTES).fill(7) }));
  for (let bytes = 0; bytes < GIB; bytes += records.length * RECORD_BYTES)
    await producer.sendBatch('large', records);
  process.stdout.write('kill me\n');
  await new Promise(() => {});
}

async function makePartitions(): Promise<void> {
  const cluster = await Cluster.start({ brokers: 3, dataDir });
  await cluster.admin.createTopic('many', { partitions: PARTITIONS, replicationFactor: 3 });
  const records = Array.from({ length: PARTITIONS * 12 }, (_, key) => ({ key: String(key), value: 'v' }));
  await cluster.producer({ acks: 'all' }).sendBatch('many', records);
  await cluster.close();
}

/** From the call to a cluster that serves, checked by a read of the last record of a partition. */
async function start(topic: string, brokers: number): Promise<string> {
  const before = process.memoryUsage.rss();
  const startedMs = performance.now();
  const cluster = await Cluster.start({ dataDir, brokers });
  const elapsedMs = performance.now() - startedMs;
  const megabytes = (process.memoryUsage.rss() - before) / 1e6;
  const { hwm, leo } = cluster.status().topics.find(({ name }) => name === topic)?.partitions[0] ?? {
    hwm: 0,
  };
  const { records } = await cluster.read(topic, { partition: 0, offset: hwm - 1 });
  await cluster.close();
  if (records.length === 0) throw new Error('the last record cannot be read');
  return `${elapsedMs.toFixed(0)} ms, ${megabytes.toFixed(0)} MB (${leo?.[1]} records in its first partition)`;
}

if (task === 'write-gigabyte') await writeGigabyte();
else if (task === 'make-partitions') await makePartitions();
else console.log(task === 'recover' ? await start('large', 1) : await start('many', 3));
