/** Which sealed segment is checked next: the one that was not checked for longest, and none too often. */
export class ScrubSchedule {
  readonly #intervalMs: number;
  /** When a segment was checked last, by its path. */
  readonly #checkedMs = new Map<string, number>();

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /** Of all sealed segments there are now; undefined while none has its turn. Those that are gone are forgotten. */
  next(paths: Iterable<string>, nowMs: number): string | undefined {
    const present = new Set<string>();
    let chosen: string | undefined;
    let chosenMs = nowMs - this.#intervalMs;
    for (const path of paths) {
      present.add(path);
      // What was never checked comes first, in the order in which it is given.
      const checkedMs = this.#checkedMs.get(path) ?? Number.NEGATIVE_INFINITY;
      if (checkedMs > chosenMs || (checkedMs === chosenMs && chosen !== undefined)) continue;
      chosen = path;
      chosenMs = checkedMs;
    }
    for (const path of this.#checkedMs.keys()) if (!present.has(path)) this.#checkedMs.delete(path);
    return chosen;
  }

  /** It was looked at, whatever was found. */
  checked(path: string, nowMs: number): void {
    this.#checkedMs.set(path, nowMs);
  }
}
