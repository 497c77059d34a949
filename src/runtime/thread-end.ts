/** The V8 of Node 20. Later ones keep at hand what they ask the platform for. */
const IS_NEEDED = process.versions.v8.startsWith('11.');

/** How many ends of threads are under way. */
let ends = 0;

/**
 * Wherever threads are ended that have not come to rest. Node 20 takes a thread off V8's platform before it disposes of its
 * heap, and does not wait for what V8 still compiles for it on other threads. Where that needs memory, and the heap is
 * near its limit, V8 asks the platform for a turn of its marking, and Node aborts the process: `Assertion failed:
 * (data.first) != nullptr`. So V8 asks for no such turns meanwhile, and its marking goes on with what is allocated.
 */
export async function endingThreads<T>(end: () => Promise<T>): Promise<T> {
  if (ends++ === 0) setTurns(false);
  try {
    return await end();
  } finally {
    ends--;
    afterEnd();
  }
}

/** The same in a thread that is about to end by itself; whoever has begun it calls `afterEnd` then. */
export function beforeEnd(): void {
  setTurns(false);
}

export function afterEnd(): void {
  if (ends === 0) setTurns(true);
}

function setTurns(areAsked: boolean): void {
  if (!IS_NEEDED) return;
  // Asked for here, as a thread that begins has no time for it.
  const { setFlagsFromString } = process.getBuiltinModule('node:v8');
  setFlagsFromString(areAsked ? '--incremental-marking-task' : '--no-incremental-marking-task');
}
