import { workerData } from 'node:worker_threads';

// Keeps V8 compiling on its other threads, with code that makes it allocate there, in a heap near its limit.
const begun = new Int32Array(workerData as SharedArrayBuffer);
const CALLS = 1000;
const FIELDS = Array.from({ length: 20 }, (_, n) => `k${n}`);

/** So much that the limit is not far, and not reached; so little that V8 doesn't find the heap worth marking. */
const outside = Array.from({ length: 30 }, () => new ArrayBuffer(1 << 20));

/** A number field of a constant object is made a number of its own while this is compiled. */
function newFunction(n: number): (x: number) => number {
  const constants = Object.fromEntries(FIELDS.map((field, i) => [field, n + i + 0.25]));
  const sum = FIELDS.map((field) => `c.${field} * x`).join(' + ');
  return new Function('o', `const c = o; return function f${n}(x) { return ${sum}; }`)(constants);
}

function work(n: number): void {
  const f = newFunction(n);
  for (let call = 0; call < CALLS; call++) f(outside.length);
  Atomics.store(begun, 0, 1);
  // What V8 has asked the platform for is done before the next turn, so that it asks again.
  setImmediate(work, n + 1);
}

work(0);
