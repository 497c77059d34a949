import { randomUUID } from 'node:crypto';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { FileDisk } from '../../src/runtime/file-disk.ts';
import type { BrokerSurroundings, Clock } from '../../src/runtime/surroundings.ts';

/** What a broker's thread finds around it. */
export const threadSurroundings: BrokerSurroundings = {
  clock: systemClock,
  newUuid: randomUUID,
  openDisk: (home) => (home === undefined ? new MemoryDisk() : new FileDisk(home.path, !home.isTemporary)),
};

interface Due {
  atMs: number;
  readonly everyMs: number | undefined;
  readonly callback: () => void;
}

/** A clock that stands still until the test lets time pass. */
export class PlayedClock implements Clock {
  #nowMs = 1_000_000;
  readonly #due = new Set<Due>();

  nowMs(): number {
    return this.#nowMs;
  }

  wallClockMs(): number {
    return this.#nowMs;
  }

  schedule(delayMs: number, callback: () => void): () => void {
    return this.#add({ atMs: this.#nowMs + delayMs, everyMs: undefined, callback });
  }

  scheduleKept(delayMs: number, callback: () => void): () => void {
    return this.schedule(delayMs, callback);
  }

  every(everyMs: number, callback: () => void): () => void {
    return this.#add({ atMs: this.#nowMs + everyMs, everyMs, callback });
  }

  turn(): Promise<void> {
    return Promise.resolve();
  }

  /** What is due until then is called back, each at its time. */
  pass(milliseconds: number): void {
    const endMs = this.#nowMs + milliseconds;
    for (let next = this.#next(endMs); next !== undefined; next = this.#next(endMs)) {
      this.#nowMs = next.atMs;
      if (next.everyMs === undefined) this.#due.delete(next);
      else next.atMs += next.everyMs;
      next.callback();
    }
    this.#nowMs = endMs;
  }

  #add(due: Due): () => void {
    this.#due.add(due);
    return () => this.#due.delete(due);
  }

  #next(endMs: number): Due | undefined {
    let first: Due | undefined;
    for (const due of this.#due)
      if (due.atMs <= endMs && (first === undefined || due.atMs < first.atMs)) first = due;
    return first;
  }
}
