// Runs seeds in a thread of its own, as they are handed to it.
import { parentPort, workerData } from 'node:worker_threads';
import { type Kind, play } from './kinds.ts';

const { kind, seconds } = workerData as { readonly kind: Kind; readonly seconds: number };

parentPort?.on('message', async (seeds: readonly number[]) => {
  for (const seed of seeds) parentPort?.postMessage(await play(kind, seed, { seconds }));
  parentPort?.postMessage('more');
});
parentPort?.postMessage('more');
