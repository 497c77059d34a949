/** Which sealed segment is checked next: the one that has been due for longest, and none too often. */
export class ScrubSchedule {
  readonly #intervalMs: number;
  /** Since when a segment is due, or will be, by its path: at once where it was never checked. */
  readonly #dueMs = new Map<string, number>();

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /**
   * Of all sealed segments there are now; undefined while none has its turn. Those that are gone are forgotten, those
   * that are `busy` keep their place. However many come, an old one has its turn before those that came after it was due.
   */
  next(
    paths: Iterable<string>,
    nowMs: number,
    busy: (path: string) => boolean = () => false,
  ): string | undefined {
    const present = new Set<string>();
    let chosen: string | undefined;
    let chosenMs = Number.POSITIVE_INFINITY;
    for (const path of paths) {
      present.add(path);
      const dueMs = this.#dueMs.get(path) ?? nowMs;
      this.#dueMs.set(path, dueMs);
      if (dueMs > nowMs || dueMs >= chosenMs || busy(path)) continue;
      chosen = path;
      chosenMs = dueMs;
    }
    for (const path of this.#dueMs.keys()) if (!present.has(path)) this.#dueMs.delete(path);
    return chosen;
  }

  /** It was looked at, whatever was found. */
  checked(path: string, nowMs: number): void {
    this.#dueMs.set(path, nowMs + this.#intervalMs);
  }
}
