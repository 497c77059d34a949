// Stands in for background-worker.ts: the thread ends in the midst of every task.
export function run(): Promise<never> {
  process.exit(7);
}
