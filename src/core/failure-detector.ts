/** What a look has found: who has given no sign of life for a session, who has given one again, and when to look next. */
export interface Findings {
  readonly suspected: number[];
  readonly back: number[];
  readonly nextLookMs: number;
}

interface Session {
  /** When the last sign was given, as whoever gave it says; undefined before there was one. */
  signMs: number | undefined;
  /** From when on it has been silent: that time, or when the session was begun afresh. */
  sinceMs: number;
  isSuspected: boolean;
}

/** So often in a session at least it is looked, so that whoever looks finds out that he stood still himself. */
const LOOKS_A_SESSION = 4;

/**
 * Tells who hangs, by the times at which everybody who lives says that he does. Whoever looks may stand still himself, and
 * the whole process with him: then nobody is suspected for what was not looked at, and all sessions begin afresh.
 */
export class FailureDetector {
  readonly #intervalMs: number;
  readonly #sessionMs: number;
  readonly #sessions = new Map<number, Session>();
  #expectedMs = Number.POSITIVE_INFINITY;

  /** Who lives gives a sign every `intervalMs`; who gives none for `sessionMs` is suspected. */
  constructor(intervalMs: number, sessionMs: number) {
    this.#intervalMs = intervalMs;
    this.#sessionMs = sessionMs;
  }

  /**
   * `signs` has the time of the last sign of those that are to live, and undefined before the first; whoever is not among them
   * is forgotten. Each number is that of a life, not of a broker: what follows a life in its place begins a session of its
   * own. A look is to come when the one before has said, to the millisecond: that is when a session ends.
   */
  look(signs: ReadonlyMap<number, number | undefined>, nowMs: number): Findings {
    const hasStalled = nowMs - this.#expectedMs > 2 * this.#intervalMs;
    const found = { suspected: [] as number[], back: [] as number[] };
    for (const id of [...this.#sessions.keys()]) if (!signs.has(id)) this.#sessions.delete(id);
    for (const [id, signMs] of signs) {
      const session = this.#sessions.get(id);
      if (session === undefined) this.#sessions.set(id, { signMs, sinceMs: nowMs, isSuspected: false });
      else if (signMs !== undefined && signMs !== session.signMs) {
        session.signMs = signMs;
        session.sinceMs = signMs;
      }
    }
    for (const [id, session] of this.#sessions) {
      if (hasStalled && !session.isSuspected) session.sinceMs = nowMs;
      const isSilent = nowMs - session.sinceMs >= this.#sessionMs;
      if (isSilent === session.isSuspected) continue;
      session.isSuspected = isSilent;
      if (isSilent) found.suspected.push(id);
      else found.back.push(id);
    }
    this.#expectedMs = this.#nextLookMs(nowMs);
    return { ...found, nextLookMs: this.#expectedMs };
  }

  /** Whether the last look found it silent for a session. */
  isSuspected(id: number): boolean {
    return this.#sessions.get(id)?.isSuspected === true;
  }

  #nextLookMs(nowMs: number): number {
    let nextMs = nowMs + this.#sessionMs / LOOKS_A_SESSION;
    for (const { sinceMs, isSuspected } of this.#sessions.values()) {
      // Whoever is back is waited for.
      const dueMs = isSuspected ? nowMs + this.#intervalMs : sinceMs + this.#sessionMs;
      nextMs = Math.min(nextMs, dueMs);
    }
    return nextMs;
  }
}
