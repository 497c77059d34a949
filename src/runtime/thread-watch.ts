import type { Worker } from 'node:worker_threads';

/** Who is to be told; several clusters of one thread share one listener on each worker. */
const watchers = new Set<(threadId: number) => void>();

function watch(worker: Worker): void {
  // A worker that has ended has lost its id.
  const { threadId } = worker;
  worker.once('exit', () => {
    for (const ended of [...watchers]) ended(threadId);
  });
}

/**
 * Calls back with the id of each worker thread that has ended, among those that this thread starts from now on. (Node
 * tells of no others.) Returns what stops the watch.
 */
export function watchThreads(ended: (threadId: number) => void): () => void {
  if (watchers.size === 0) process.on('worker', watch);
  watchers.add(ended);
  return () => {
    watchers.delete(ended);
    if (watchers.size === 0) process.off('worker', watch);
  };
}
