import type { Guard, ProducedBatch } from '../types.ts';

/** Batches that a log has taken and not written: where their bytes lie, and what is to be known of each afterwards. */
export class StagedBatches {
  readonly pieces: Uint8Array[] = [];
  /** Of batches that a guard speaks of: known only once they are written. */
  readonly produced: ProducedBatch[] = [];
  bytes = 0;
  guard: Guard | undefined;
  /** Of the first batch. */
  guardFrom = 0;
  readonly #sizes: number[] = [];
  readonly #nextOffsets: number[] = [];
  readonly #timestamps: number[] = [];

  add(batch: Uint8Array, nextOffset: number, timestamp: number, guard: Guard | undefined): void {
    if (this.bytes === 0) {
      this.guard = guard;
      this.guardFrom = guard?.framePosition ?? 0;
    }
    this.pieces.push(batch);
    this.#sizes.push(batch.length);
    this.#nextOffsets.push(nextOffset);
    this.#timestamps.push(timestamp);
    this.bytes += batch.length;
  }

  each(visit: (size: number, nextOffset: number, timestamp: number) => void): void {
    for (let n = 0; n < this.#sizes.length; n++)
      visit(this.#sizes[n], this.#nextOffsets[n], this.#timestamps[n]);
  }

  clear(): void {
    this.pieces.length = 0;
    this.produced.length = 0;
    this.#sizes.length = 0;
    this.#nextOffsets.length = 0;
    this.#timestamps.length = 0;
    this.bytes = 0;
    this.guard = undefined;
  }
}
