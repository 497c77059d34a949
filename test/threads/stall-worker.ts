// A thread that writes records with acks all and reads them back until it is ended, and counts both.
import { workerData } from 'node:worker_threads';
import { type ClusterHandle, connect } from '../../src/index.ts';

export interface StallTask {
  readonly handle: ClusterHandle;
  /** Records that were acknowledged, and records that were read. */
  readonly progress: Int32Array;
}

const { handle, progress } = workerData as StallTask;
const client = await connect(handle);
const producer = client.producer({ acks: 'all' });
for (;;) {
  const values = Array.from({ length: 10 }, (_, n) => ({ value: `${n}` }));
  const places = await producer.sendBatch('t', values);
  Atomics.add(progress, 0, places.length);
  const { records } = await client.read('t', places[0]);
  Atomics.add(progress, 1, records.length);
}
