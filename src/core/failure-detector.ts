/** What a look has found: who has given no sign of life for a session, and who has given one again. */
export interface Findings {
  readonly suspected: number[];
  readonly back: number[];
}

interface Session {
  beats: number;
  /** When the counter was last seen to move, or when the session was begun afresh. */
  sinceMs: number;
  isSuspected: boolean;
}

/**
 * Tells who hangs, by counters that everybody who lives moves. Whoever looks may stand still himself: then nobody is
 * suspected for what was not looked at, and all sessions begin afresh.
 */
export class FailureDetector {
  readonly #intervalMs: number;
  readonly #sessionMs: number;
  readonly #sessions = new Map<number, Session>();
  #lookedAtMs: number | undefined;

  /** Who lives moves every `intervalMs`; who does not for `sessionMs` is suspected. Looks are to come as often, or more. */
  constructor(intervalMs: number, sessionMs: number) {
    this.#intervalMs = intervalMs;
    this.#sessionMs = sessionMs;
  }

  /** `beats` has the counters of those that are to live, by id; whoever is not among them is forgotten. */
  look(beats: ReadonlyMap<number, number>, nowMs: number): Findings {
    const hasStalled = this.#lookedAtMs !== undefined && nowMs - this.#lookedAtMs > 3 * this.#intervalMs;
    this.#lookedAtMs = nowMs;
    const found: Findings = { suspected: [], back: [] };
    for (const id of [...this.#sessions.keys()]) if (!beats.has(id)) this.#sessions.delete(id);
    for (const [id, count] of beats) {
      const session = this.#sessions.get(id);
      if (session === undefined) {
        this.#sessions.set(id, { beats: count, sinceMs: nowMs, isSuspected: false });
      } else if (session.beats !== count) {
        if (session.isSuspected) found.back.push(id);
        Object.assign(session, { beats: count, sinceMs: nowMs, isSuspected: false });
      } else if (hasStalled) {
        session.sinceMs = nowMs;
      } else if (!session.isSuspected && nowMs - session.sinceMs >= this.#sessionMs) {
        session.isSuspected = true;
        found.suspected.push(id);
      }
    }
    return found;
  }
}
