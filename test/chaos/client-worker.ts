// A thread of a user's program, with clients of the cluster that another thread has started.
import { parentPort, workerData } from 'node:worker_threads';
import { type ClusterHandle, connect } from '../../src/index.ts';
import { ChaosClient, type ClientTask, type Counter } from './clients.ts';

export interface WorkerTask {
  readonly handle: ClusterHandle;
  readonly task: ClientTask;
  readonly counter: Counter;
}

const { handle, task, counter } = workerData as WorkerTask;
if (parentPort === null) throw new Error('client-worker runs as a worker thread');
const parent = parentPort;
const client = await connect(handle);
const clients = new ChaosClient(client, task, counter);
parent.postMessage('ready');
parent.once('message', async () => {
  const history = await clients.stop();
  await client.close();
  parent.postMessage(history);
  parent.close();
});
