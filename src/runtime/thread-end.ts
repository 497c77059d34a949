const NAME = 'incremental-marking-task';
/** The V8 of Node 20, unless the process began with that flag. Later ones keep at hand what they ask the platform for. */
const IS_NEEDED =
  process.versions.v8.startsWith('11.') &&
  !`${process.execArgv} ${process.env.NODE_OPTIONS}`.replaceAll('_', '-').includes(NAME);

/** How many ends are under way that this thread has begun. */
let ends = 0;

/**
 * Wherever threads are ended that have not come to rest. Node 20 takes a thread off V8's platform before it disposes of its
 * heap, and does not wait for what V8 still compiles for it on other threads. Where that needs memory, and the heap is
 * near its limit, V8 asks the platform for a task of its marking, and Node aborts the process: `Assertion failed:
 * (data.first) != nullptr`. So V8 asks for no such tasks meanwhile, and its marking goes on with what is allocated. (A
 * thread that begins in that time takes some 15 ms longer, as V8's cache of Node's own code is for one set of flags.)
 *
 * A thread that ends by itself as it has nothing left to do waits for V8.
 */
export async function endingThreads<T>(end: () => Promise<T>): Promise<T> {
  ends++;
  allowMarkingTasks(false);
  try {
    return await end();
  } finally {
    ends--;
    afterEnd();
  }
}

/** The same in a thread that ends by itself in the midst of its work; whoever has begun it calls `afterEnd` then. */
export function beforeEnd(): void {
  allowMarkingTasks(false);
}

/** Does nothing while others end. */
export function afterEnd(): void {
  if (ends === 0) allowMarkingTasks(true);
}

function allowMarkingTasks(areAllowed: boolean): void {
  if (!IS_NEEDED) return;
  // Loaded here, as a thread that begins has no time for it.
  process.getBuiltinModule('node:v8').setFlagsFromString(areAllowed ? `--${NAME}` : `--no-${NAME}`);
}
