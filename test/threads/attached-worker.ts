// A thread of a user's program that attaches to the cluster of another thread.
import { parentPort, workerData } from 'node:worker_threads';
import { type ClusterHandle, connect } from '../../src/index.ts';
import { beforeEnd } from '../../src/runtime/thread-end.ts';

export interface AttachedTask {
  readonly handle: ClusterHandle;
  /** What to call itself in keys and values. */
  readonly name: string;
  /** Records to write with acks all, ten a call. */
  readonly records: number;
  /** close: lets go of the cluster and ends by itself. desert: ends in the middle of everything. */
  readonly end: 'close' | 'desert';
  /** A word that counts acknowledged records, for a parent whose event loop stands still. */
  readonly acknowledged?: Int32Array;
  /** Creates this topic first. */
  readonly topic?: string;
}

const { handle, name, records, end, acknowledged, topic = 't' } = workerData as AttachedTask;
const client = await connect(handle);
if (topic !== 't') await client.admin.createTopic(topic);
const producer = client.producer({ acks: 'all' });
const places: { partition: number; offset: number; value: string }[] = [];
for (let n = 0; n < records; n += 10) {
  const values = Array.from({ length: 10 }, (_, record) => `${name} ${n + record}`);
  const written = await producer.sendBatch(
    topic,
    values.map((value) => ({ key: value, value })),
  );
  for (const [record, place] of written.entries()) places.push({ ...place, value: values[record] });
  if (acknowledged !== undefined) Atomics.add(acknowledged, 0, values.length);
}
if (end === 'desert') {
  for (let n = 0; n < 1_000; n++) void producer.send(topic, { value: `lost ${n}` }).catch(() => {});
  void client.read(topic, { partition: 0, offset: 0, waitMs: 60_000 }).catch(() => {});
  // The brokers' ends come after this one.
  beforeEnd();
  process.exit(0);
}
const { topics } = await client.status();
parentPort?.postMessage({ places, topics: topics.map((each) => each.name) });
await client.close();
