/**
 * What a follower has taken and not yet published: where each batch ends, and when its leader appended it. The
 * replication lag comes from it.
 */
export class TakenBatches {
  readonly #ends: number[] = [];
  readonly #times: number[] = [];

  push(nextOffset: number, appendedAtMs: number): void {
    this.#ends.push(nextOffset);
    this.#times.push(appendedAtMs);
  }

  /** The batches below `end` are published: `each` is told when they were appended. */
  settle(end: number, each: (appendedAtMs: number) => void): void {
    const count = this.#ends.length;
    let settled = 0;
    while (settled < count && this.#ends[settled] <= end) each(this.#times[settled++]);
    if (settled === count) this.clear();
    else if (settled > 0) {
      this.#ends.splice(0, settled);
      this.#times.splice(0, settled);
    }
  }

  /** The log ends at `leo`: what lay beyond has not been kept. */
  truncateTo(leo: number): void {
    while (this.#ends.length > 0 && (this.#ends.at(-1) as number) > leo) {
      this.#ends.pop();
      this.#times.pop();
    }
  }

  clear(): void {
    this.#ends.length = 0;
    this.#times.length = 0;
  }
}
