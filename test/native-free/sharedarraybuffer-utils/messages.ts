// What the threads of these tests send each other: messages that can be told apart from any mixture of two.
import { Worker } from 'node:worker_threads';
import { endingThreads } from '../../../src/runtime/thread-end.ts';

/** A reproducible sequence of 32-bit numbers (xorshift). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  next(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return state >>> 0;
  }

  below(end: number): number {
    return this.next() % end;
  }
}

/** Mostly tens of bytes, some hundreds, a few thousands; also none at all. */
export function messageLength(random: Random): number {
  const dice = random.next();
  const choice = dice & 0xff;
  if (choice < 224) return (dice >>> 8) & 0x3f;
  if (choice < 252) return (dice >>> 8) & 0x1ff;
  return (dice >>> 8) & 0xfff;
}

/** The word that belongs at a place of the message with this sequence number. */
function canary(sequence: number, place: number): number {
  return Math.imul(sequence, 0x9e37_79b1) ^ Math.imul(place + 1, 0x85eb_ca6b);
}

export function fillMessage(int32: Int32Array, offset: number, length: number, sequence: number): void {
  const first = offset / 4;
  const words = length >>> 2;
  for (let place = 0; place < words; place += 1) int32[first + place] = canary(sequence, place);
}

/** Whether every word is as written. */
export function isWhole(int32: Int32Array, offset: number, length: number, sequence: number): boolean {
  const first = offset / 4;
  const words = length >>> 2;
  for (let place = 0; place < words; place += 1) {
    if (int32[first + place] !== canary(sequence, place)) return false;
  }
  return true;
}

/** A worker whose file lies beside this one. */
export interface Companion {
  worker: Worker;
  /** Its exit code; rejects with what it threw. */
  exited: Promise<number>;
}

/** Starts a worker that ends by itself or with the test, whichever comes first. */
export function startWorker(file: string, workerData: unknown): Companion {
  const worker = new Worker(new URL(file, import.meta.url), { workerData, execArgv: [] });
  const exited = new Promise<number>((resolve, reject) => {
    worker.once('error', reject);
    worker.once('exit', resolve);
  });
  running.add(worker);
  worker.once('exit', () => running.delete(worker));
  return { worker, exited };
}

const running = new Set<Worker>();

/** For test.after.each: a test that failed half-way leaves no thread behind. */
export async function endWorkers(): Promise<void> {
  for (const worker of running) await endingThreads(() => worker.terminate());
}

export function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
