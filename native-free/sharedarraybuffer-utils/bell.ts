// Bells: how a thread sleeps until another has work for it. All waiting of this package is in this file.
//
// A bell is one Int32 word, AWAKE (0) or ASLEEP (1).
//
//   sleeper                                 ringer
//   1  word := ASLEEP                       1  publish the work (an Atomics.store)
//   2  look for work: some? word := AWAKE   2  word is ASLEEP?
//   3  wait while the word is ASLEEP        3  exchange it for AWAKE, and notify if it was ASLEEP
//
// Each side writes before it looks, and both with sequentially consistent operations, so at least one of
// them sees what the other wrote: no wake-up is lost. A ring of a thread that is awake is one load.
//
// A bell's word is the one word here with several writers. It needs no more than an exchange: of several
// ringers one finds it ASLEEP, and that one notifies.

/** The sleeper is running, or has been rung and will be. */
export const AWAKE = 0;

/** The sleeper waits, or is about to: it wants to be rung. */
export const ASLEEP = 1;

const DONE: Promise<void> = Promise.resolve();

/**
 * Wakes the sleeper of this bell if it sleeps. Call it after the work was published by an Atomics operation.
 * Returns whether it notified, that is, whether the ring cost a system call.
 */
export function ringBell(int32: Int32Array, index: number): boolean {
  // Atomic load: orders the look at the flag after the store that published the work.
  if (Atomics.load(int32, index) !== ASLEEP) return false;
  if (Atomics.exchange(int32, index, AWAKE) !== ASLEEP) return false;
  // All waiters rather than one: a waiter left behind by a terminated thread must not swallow the ring.
  Atomics.notify(int32, index);
  return true;
}

/**
 * Wakes the sleeper whatever the flag says. For whoever finds that a thread has died: it may have died after
 * it took the flag down and before it notified, and then no ringBell would ever notify again.
 */
export function forceRing(int32: Int32Array, index: number): void {
  Atomics.store(int32, index, AWAKE);
  Atomics.notify(int32, index);
}

/** The one thread that sleeps on a bell. */
export class Sleeper {
  readonly #int32: Int32Array;
  readonly #index: number;
  /** True from sleep() to its end: one waiter at a time, so that none can be left behind. */
  #asleep = false;
  /** This thread called ring(): the sleep under way, or the next one, ends whether there is work or not. */
  #rung = false;

  constructor(int32: Int32Array, index: number) {
    if (!(int32 instanceof Int32Array) || !(int32.buffer instanceof SharedArrayBuffer)) {
      throw new TypeError('A bell is a word of an Int32Array over a SharedArrayBuffer.');
    }
    if (!Number.isInteger(index) || index < 0 || index >= int32.length) {
      throw new RangeError(
        `A bell's index must lie within its array of ${int32.length} words, not at ${index}.`,
      );
    }
    this.#int32 = int32;
    this.#index = index;
  }

  /**
   * Resolves as soon as hasWork() returns true, which is asked at once and after every ring, or as soon as
   * this thread called ring(). hasWork must look with Atomics operations. The pending promise does not keep
   * the event loop alive: the owner holds a referenced handle (an open port, a timer) while it wants to be
   * woken.
   */
  sleep(hasWork: () => boolean): Promise<void> {
    this.#checkAwake();
    if (hasWork() || this.#settleDown(hasWork)) {
      this.#rung = false;
      return DONE;
    }
    return this.#waitAsync(hasWork);
  }

  /** Blocks the thread until hasWork() returns true, or for timeoutMs; returns what hasWork() said last. */
  sleepSync(hasWork: () => boolean, timeoutMs = Number.POSITIVE_INFINITY): boolean {
    this.#checkAwake();
    if (!(timeoutMs >= 0)) throw new RangeError(`A timeout must be 0 ms or more, not ${timeoutMs}.`);
    if (hasWork()) return true;
    const timed = timeoutMs !== Number.POSITIVE_INFINITY;
    const deadlineMs = timed ? performance.now() + timeoutMs : timeoutMs;
    let remainingMs = timeoutMs;
    while (!this.#settleDown(hasWork)) {
      // Waits for a ringer's exchange; returns at once if that came after the flag went up.
      Atomics.wait(this.#int32, this.#index, ASLEEP, remainingMs);
      if (timed) remainingMs = Math.max(0, deadlineMs - performance.now());
      if (remainingMs === 0) {
        Atomics.store(this.#int32, this.#index, AWAKE);
        return hasWork();
      }
    }
    this.#rung = false;
    return hasWork();
  }

  /**
   * For the sleeper's own thread, from a socket's or a port's event: ends the sleep under way, or the next
   * one at once, whatever hasWork says.
   */
  ring(): void {
    this.#rung = true;
    if (this.#asleep) forceRing(this.#int32, this.#index);
  }

  #checkAwake(): void {
    if (this.#asleep) throw new Error('This sleeper sleeps already; its promise must resolve first.');
  }

  /** Raises the flag, then looks once more. True: there is work after all, and the flag is down again. */
  #settleDown(hasWork: () => boolean): boolean {
    // Orders the flag before the look for work: whoever publishes after that look finds the flag up.
    Atomics.store(this.#int32, this.#index, ASLEEP);
    let found = true;
    try {
      found = this.#rung || hasWork();
    } finally {
      if (found) Atomics.store(this.#int32, this.#index, AWAKE);
    }
    return found;
  }

  async #waitAsync(hasWork: () => boolean): Promise<void> {
    this.#asleep = true;
    try {
      do {
        // Waits for a ringer's exchange; not even pending if that came after the flag went up. Untimed,
        // because the timer of a timed waiter outlives the notification.
        const waiting = Atomics.waitAsync(this.#int32, this.#index, ASLEEP);
        if (waiting.async) await waiting.value;
      } while (!this.#settleDown(hasWork));
    } finally {
      this.#asleep = false;
      this.#rung = false;
    }
  }
}
