import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { endingThreads } from '../../src/runtime/thread-end.ts';

// Ends threads while V8 compiles for them, one after the other in two turns at once.
const [ENDS, LEAST_MS, SPREAD_MS] = [60, 5, 35];

async function endSome(): Promise<void> {
  for (let n = 0; n < ENDS; n++) {
    const begun = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(new URL('./thread-end-worker.js', import.meta.url), {
      workerData: begun.buffer,
    });
    while (Atomics.load(begun, 0) === 0) await sleep(1);
    await sleep(LEAST_MS + Math.random() * SPREAD_MS);
    await endingThreads(() => worker.terminate());
  }
}

await Promise.all([endSome(), endSome()]);
process.stdout.write(`${2 * ENDS} threads ended\n`);
