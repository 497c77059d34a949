/** The client of a batch that nobody waits for (acks 0 and 1). Real clients count from 1. */
export const NOBODY = 0;

/** A batch above the HWM, and who is told when it is committed: one entry per batch, nothing per record. */
export interface PendingBatch {
  /** The batch is committed once the HWM has reached this offset. */
  readonly nextOffset: number;
  readonly baseOffset: number;
  readonly appendedAtMs: number;
  readonly client: number;
  readonly correlation: number;
}

const DROP_AFTER = 256;

/** The pending batches of one partition in the order of their offsets. Settled entries are dropped in blocks. */
export class CommitQueue {
  readonly #batches: PendingBatch[] = [];
  #head = 0;

  get size(): number {
    return this.#batches.length - this.#head;
  }

  push(batch: PendingBatch): void {
    this.#batches.push(batch);
  }

  /** The oldest batch that an HWM of `hwm` commits, taken out of the queue. */
  take(hwm: number): PendingBatch | undefined {
    const batch = this.#batches[this.#head];
    if (batch === undefined || batch.nextOffset > hwm) return undefined;
    this.#head++;
    if (this.#head === this.#batches.length) {
      this.#batches.length = 0;
      this.#head = 0;
    } else if (this.#head === DROP_AFTER) {
      this.#batches.splice(0, DROP_AFTER);
      this.#head = 0;
    }
    return batch;
  }

  /** Those who wait, and who from now on do not: the batches stay pending. */
  disown(): PendingBatch[] {
    const disowned: PendingBatch[] = [];
    for (let index = this.#head; index < this.#batches.length; index++) {
      const batch = this.#batches[index];
      if (batch.client === NOBODY) continue;
      disowned.push(batch);
      this.#batches[index] = { ...batch, client: NOBODY };
    }
    return disowned;
  }
}
