import type { Guard, ProducedBatch } from '../types.ts';

/** Of each batch: its size, where it ends, and its last timestamp. */
const NUMBERS = 3;

/** Batches that a log has taken and not written: where their bytes lie, and what is to be known of each afterwards. */
export class StagedBatches {
  readonly pieces: Uint8Array[] = [];
  /** Of batches that a guard speaks of: known only once they are written. */
  readonly produced: ProducedBatch[] = [];
  bytes = 0;
  guard: Guard | undefined;
  /** Of the first batch. */
  guardFrom = 0;
  /** Kept, since arrays that are emptied are made anew. */
  #numbers = new Float64Array(16 * NUMBERS);
  #filled = 0;

  add(batch: Uint8Array, nextOffset: number, timestamp: number, guard: Guard | undefined): void {
    if (this.bytes === 0) {
      this.guard = guard;
      this.guardFrom = guard?.framePosition ?? 0;
    }
    if (this.#filled === this.#numbers.length) this.#grow();
    const at = this.#filled;
    this.#numbers[at] = batch.length;
    this.#numbers[at + 1] = nextOffset;
    this.#numbers[at + 2] = timestamp;
    this.#filled += NUMBERS;
    this.pieces.push(batch);
    this.bytes += batch.length;
  }

  each(visit: (size: number, nextOffset: number, timestamp: number) => void): void {
    const numbers = this.#numbers;
    for (let at = 0; at < this.#filled; at += NUMBERS) visit(numbers[at], numbers[at + 1], numbers[at + 2]);
  }

  clear(): void {
    this.pieces.length = 0;
    this.#filled = 0;
    this.produced.length = 0;
    this.bytes = 0;
    this.guard = undefined;
  }

  #grow(): void {
    const grown = new Float64Array(2 * this.#numbers.length);
    grown.set(this.#numbers);
    this.#numbers = grown;
  }
}
