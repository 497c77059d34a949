/** The client of a batch that nobody waits for. Real clients count from 1. */
export const NOBODY = 0;

/** A batch above the HWM, and who is told when: one entry per batch, nothing per record. */
export interface PendingBatch {
  /** The offset that an end has to reach for the batch to lie below it. */
  readonly nextOffset: number;
  readonly baseOffset: number;
  readonly appendedAtMs: number;
  /** NOBODY with acks 0, and once the client has been told. */
  client: number;
  readonly correlation: number;
  /** What the client waits for: that the leader has the batch as durably as asked (acks 1), or its commitment. */
  readonly waitsFor: 'stable' | 'committed';
}

const DROP_AFTER = 256;

/** The pending batches of one partition in the order of their offsets. Settled entries are dropped in blocks. */
export class CommitQueue {
  readonly #batches: PendingBatch[] = [];
  #head = 0;
  /** Batches before this one lie below the leader's stable end. */
  #unstable = 0;

  get size(): number {
    return this.#batches.length - this.#head;
  }

  push(batch: PendingBatch): void {
    this.#batches.push(batch);
  }

  /**
   * Somebody more waits for a batch that is in the log: one that lies here, or that this leader has taken as a follower.
   * It comes behind those that end no later.
   */
  join(batch: PendingBatch): void {
    let index = this.#batches.length;
    while (index > this.#head && this.#batches[index - 1].nextOffset > batch.nextOffset) index--;
    this.#batches.splice(index, 0, batch);
    if (index < this.#unstable) this.#unstable++;
  }

  /** Tells those who wait for the leader alone, up to its stable end. Their batches stay pending. */
  tellStable(end: number, tell: (client: number, batch: PendingBatch) => void): void {
    while (this.#unstable < this.#batches.length) {
      const batch = this.#batches[this.#unstable];
      if (batch.nextOffset > end) return;
      this.#unstable++;
      const { client } = batch;
      if (client === NOBODY || batch.waitsFor !== 'stable') continue;
      batch.client = NOBODY;
      tell(client, batch);
    }
  }

  /** The oldest batch that an HWM of `hwm` commits, taken out of the queue. */
  take(hwm: number): PendingBatch | undefined {
    const batch = this.#batches[this.#head];
    if (batch === undefined || batch.nextOffset > hwm) return undefined;
    this.#head++;
    if (this.#unstable < this.#head) this.#unstable = this.#head;
    if (this.#head === this.#batches.length) {
      this.#batches.length = 0;
      this.#unstable = 0;
      this.#head = 0;
    } else if (this.#head === DROP_AFTER) {
      this.#batches.splice(0, DROP_AFTER);
      this.#unstable -= DROP_AFTER;
      this.#head = 0;
    }
    return batch;
  }

  /** Those who wait for a commitment, and from now on do not: the batches stay pending. */
  disown(): PendingBatch[] {
    return this.#release((batch) => batch.waitsFor === 'committed');
  }

  /** Everybody who waits, and the end of all waiting: nothing stays pending. */
  abandon(): PendingBatch[] {
    const waiting = this.#release(() => true);
    this.#batches.length = 0;
    this.#head = 0;
    this.#unstable = 0;
    return waiting;
  }

  #release(isMeant: (batch: PendingBatch) => boolean): PendingBatch[] {
    const released: PendingBatch[] = [];
    for (let index = this.#head; index < this.#batches.length; index++) {
      const batch = this.#batches[index];
      if (batch.client === NOBODY || !isMeant(batch)) continue;
      released.push({ ...batch });
      batch.client = NOBODY;
    }
    return released;
  }
}
