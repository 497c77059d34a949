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
  /** When the client is told that it has waited long enough. */
  readonly deadlineMs: number;
}

const DROP_AFTER = 256;

/** The pending batches of one partition in the order of their offsets. Settled entries are dropped in blocks. */
export class CommitQueue {
  readonly #batches: PendingBatch[] = [];
  #head = 0;
  /** Batches before this one lie below the leader's stable end. */
  #unstable = 0;
  /** No deadline of anybody who waits is earlier. */
  #dueMs = Number.POSITIVE_INFINITY;

  get size(): number {
    return this.#batches.length - this.#head;
  }

  push(batch: PendingBatch): void {
    this.#batches.push(batch);
    this.#expect(batch);
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
    this.#expect(batch);
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

  /** Those who have waited long enough, and from now on do not: the batches stay pending. */
  expire(nowMs: number): readonly PendingBatch[] {
    if (nowMs < this.#dueMs) return [];
    const late = this.#release(({ deadlineMs }) => deadlineMs <= nowMs);
    this.#dueMs = Number.POSITIVE_INFINITY;
    for (let index = this.#head; index < this.#batches.length; index++) {
      const { client, deadlineMs } = this.#batches[index];
      if (client !== NOBODY && deadlineMs < this.#dueMs) this.#dueMs = deadlineMs;
    }
    return late;
  }

  /** Everybody who waits, and the end of all waiting: nothing stays pending. */
  abandon(): PendingBatch[] {
    const waiting = this.#release(() => true);
    this.#batches.length = 0;
    this.#head = 0;
    this.#unstable = 0;
    return waiting;
  }

  #expect({ client, deadlineMs }: PendingBatch): void {
    if (client !== NOBODY && deadlineMs < this.#dueMs) this.#dueMs = deadlineMs;
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

/**
 * What a follower has taken and not yet published: where each batch ends, and when its leader appended it. The
 * replication lag comes from it.
 */
export class TakenBatches {
  /** An end and a time for each: kept, since arrays that are emptied are made anew. */
  #numbers = new Float64Array(2 * 16);
  #head = 0;
  #tail = 0;

  push(nextOffset: number, appendedAtMs: number): void {
    if (this.#tail === this.#numbers.length) this.#makeRoom();
    this.#numbers[this.#tail] = nextOffset;
    this.#numbers[this.#tail + 1] = appendedAtMs;
    this.#tail += 2;
  }

  /** The batches below `end` are published: `each` is told when they were appended. */
  settle(end: number, each: (appendedAtMs: number) => void): void {
    for (; this.#head < this.#tail && this.#numbers[this.#head] <= end; this.#head += 2)
      each(this.#numbers[this.#head + 1]);
    if (this.#head === this.#tail) this.clear();
  }

  /** The log ends at `leo`: what lay beyond has not been kept. */
  truncateTo(leo: number): void {
    while (this.#tail > this.#head && this.#numbers[this.#tail - 2] > leo) this.#tail -= 2;
  }

  clear(): void {
    this.#head = 0;
    this.#tail = 0;
  }

  #makeRoom(): void {
    const waiting = this.#numbers.subarray(this.#head, this.#tail);
    if (2 * waiting.length > this.#numbers.length) {
      this.#numbers = new Float64Array(2 * this.#numbers.length);
      this.#numbers.set(waiting);
    } else this.#numbers.copyWithin(0, this.#head, this.#tail);
    this.#tail = waiting.length;
    this.#head = 0;
  }
}
