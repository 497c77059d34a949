/** Which sealed segments are checked next: those that have been due for longest first, and none too often. */
export class ScrubSchedule<T> {
  readonly #intervalMs: number;
  /** Since when a segment is due, or will be: at once where it was never checked. */
  #dueMs = new Map<T, number>();

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /**
   * Of all sealed segments there are now, those that have their turn, the one that is due for longest first. Those that are
   * gone are forgotten. However many come, an old one has its turn before those that came after it was due.
   */
  due(sealed: Iterable<T>, nowMs: number): T[] {
    const present = new Map<T, number>();
    for (const segment of sealed) present.set(segment, this.#dueMs.get(segment) ?? nowMs);
    this.#dueMs = present;
    const due = [...present].filter(([, dueMs]) => dueMs <= nowMs);
    return due.sort(([, one], [, other]) => one - other).map(([segment]) => segment);
  }

  /** It was looked at, whatever was found. */
  checked(segment: T, nowMs: number): void {
    this.#dueMs.set(segment, nowMs + this.#intervalMs);
  }
}
