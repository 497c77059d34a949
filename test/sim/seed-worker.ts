// Runs seeds in a thread of its own, as they are handed to it.
import { parentPort, workerData } from 'node:worker_threads';
import { runSeed } from './simulation.ts';

const { seconds } = workerData as { readonly seconds: number };

parentPort?.on('message', async (seeds: readonly number[]) => {
  for (const seed of seeds) parentPort?.postMessage(await runSeed(seed, { seconds }));
  parentPort?.postMessage('more');
});
parentPort?.postMessage('more');
