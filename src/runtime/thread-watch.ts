import type { Worker } from 'node:worker_threads';

/**
 * Calls back with the id of each worker thread that has ended, among those that this thread starts from now on. (Node
 * tells of no others.) Returns what stops the watch.
 */
export function watchThreads(ended: (threadId: number) => void): () => void {
  const watch = (worker: Worker): void => {
    // A worker that has ended has lost its id.
    const { threadId } = worker;
    worker.once('exit', () => ended(threadId));
  };
  process.on('worker', watch);
  return () => {
    process.off('worker', watch);
  };
}
