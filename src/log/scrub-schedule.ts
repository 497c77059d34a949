/** Which sealed segments are checked next: those that have been due for longest first, and none too often. */
export class ScrubSchedule {
  readonly #intervalMs: number;
  /** Since when a segment is due, or will be, by its path: at once where it was never checked. */
  #dueMs = new Map<string, number>();

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /**
   * Of all sealed segments there are now, those that have their turn, the one that is due for longest first. Those that are
   * gone are forgotten. However many come, an old one has its turn before those that came after it was due.
   */
  due(paths: Iterable<string>, nowMs: number): string[] {
    const present = new Map<string, number>();
    for (const path of paths) present.set(path, this.#dueMs.get(path) ?? nowMs);
    this.#dueMs = present;
    const due = [...present].filter(([, dueMs]) => dueMs <= nowMs);
    return due.sort(([, one], [, other]) => one - other).map(([path]) => path);
  }

  /** It was looked at, whatever was found. */
  checked(path: string, nowMs: number): void {
    this.#dueMs.set(path, nowMs + this.#intervalMs);
  }
}
