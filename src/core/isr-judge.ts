import type { Replica } from './replica.ts';

/** A burst takes no longer than this many looks. */
const LOOKS_BEYOND_MAX = 3;

/** How finely the time is divided after which somebody lags. */
const MARKS = 16;

/** How one follower keeps up with one partition. */
interface Follower {
  /** When it last had all that the leader had at some moment; the judge's clock. */
  caughtUpMs: number;
  /** Looks in a row at which it was further behind than the bound on messages. */
  beyond: number;
  /** When it was last said to lag. */
  saidMs: number;
}

/** Where the leader's log ended at some look. */
interface Mark {
  readonly ms: number;
  readonly leo: number;
}

/** What a leader remembers from one look to the next. */
export interface Pace {
  look: number;
  last: Mark;
  /** Earlier ones, the oldest first, as far as they lie apart. */
  readonly marks: Mark[];
  readonly followers: Map<number, Follower>;
}

/** What is found of a follower: for how long it has not been caught up, and how many records it lacks. */
export type EachLag = (follower: number, behindMs: number, records: number) => void;

/**
 * Who of an ISR does not keep up, in the eyes of its leader: a follower that has all that the
 * leader had at some look was caught up then, whatever was written since. Who follows closely stays, therefore; one that
 * has not been caught up with any look of the last `replica.lag.time.max.ms` lags. (Kafka remembers one fetch; a follower
 * that waits for its disk would always be a look behind that.) Where `replica.lag.max.messages` is set, so does one that is further behind at several
 * looks in a row: a burst is no lag.
 *
 * Looks are rare, and only at partitions with something uncommitted: elsewhere everybody in the ISR is caught up. The
 * clock does not go on while the leader itself stands still, since nobody could have been seen to catch up then.
 */
export class IsrJudge {
  readonly #everyMs: number;
  #look = 0;
  #clockMs = 0;
  #beganMs: number | undefined;

  /** `everyMs`: how often it is meant to look. */
  constructor(everyMs: number) {
    this.#everyMs = everyMs;
  }

  /** A round of looks begins. */
  begin(nowMs: number): void {
    const passedMs = this.#beganMs === undefined ? 0 : nowMs - this.#beganMs;
    this.#beganMs = nowMs;
    this.#look += 1;
    this.#clockMs += Math.min(passedMs, 2 * this.#everyMs);
  }

  /** Those that have to leave the ISR; `leoOf` tells a follower's LEO in this reign, -1 where it has none. */
  look(
    replica: Replica,
    leoOf: (brokerId: number, partitionId: number) => number,
    each: EachLag,
  ): readonly number[] {
    const { leo } = replica.log;
    const pace = this.#paceOf(replica, leo);
    const lagging: number[] = [];
    for (const id of pace.followers.keys()) if (!replica.isAwaited(id)) pace.followers.delete(id);
    for (const id of replica.info.replicas) {
      if (id === replica.brokerId) continue;
      const theirs = leoOf(id, replica.id);
      const records = leo - Math.max(0, theirs);
      if (!replica.isAwaited(id)) {
        each(id, 0, records);
        continue;
      }
      const follower = this.#see(pace, id, theirs, leo);
      each(id, this.#clockMs - follower.caughtUpMs, records);
      if (this.#lags(replica, follower, records)) lagging.push(id);
    }
    this.#mark(pace, { ms: this.#clockMs, leo }, replica.config['replica.lag.time.max.ms']);
    return lagging;
  }

  /** Where it was not looked at the last time, everything was committed then: everybody begins afresh. */
  #paceOf(replica: Replica, leo: number): Pace {
    const known = replica.pace;
    if (known !== undefined && known.look === this.#look - 1) return known;
    const last = { ms: this.#clockMs, leo };
    const pace = { look: this.#look, last, marks: [last], followers: new Map() };
    replica.pace = pace;
    return pace;
  }

  #mark(pace: Pace, mark: Mark, timeMaxMs: number): void {
    const { marks } = pace;
    pace.look = this.#look;
    pace.last = mark;
    if (mark.ms - marks[marks.length - 1].ms < timeMaxMs / MARKS) return;
    marks.push(mark);
    if (marks.length > MARKS + 1) marks.shift();
  }

  #see(pace: Pace, id: number, theirs: number, leo: number): Follower {
    let follower = pace.followers.get(id);
    if (follower === undefined) {
      follower = { caughtUpMs: this.#clockMs, beyond: 0, saidMs: Number.NEGATIVE_INFINITY };
      pace.followers.set(id, follower);
    }
    if (theirs >= leo) follower.caughtUpMs = this.#clockMs;
    else follower.caughtUpMs = Math.max(follower.caughtUpMs, lastReached(pace, theirs));
    return follower;
  }

  #lags({ config }: Replica, follower: Follower, records: number): boolean {
    const timeMaxMs = config['replica.lag.time.max.ms'];
    const messagesMax = config['replica.lag.max.messages'];
    follower.beyond = messagesMax !== -1 && records > messagesMax ? follower.beyond + 1 : 0;
    const isLate = this.#clockMs - follower.caughtUpMs > timeMaxMs;
    if (!isLate && follower.beyond < LOOKS_BEYOND_MAX) return false;
    // Said once, and again only if nothing has come of it.
    if (this.#clockMs - follower.saidMs <= timeMaxMs) return false;
    follower.saidMs = this.#clockMs;
    return true;
  }
}

/** The last look at which the leader had no more than `leo`. */
function lastReached({ last, marks }: Pace, leo: number): number {
  if (leo >= last.leo) return last.ms;
  for (let n = marks.length - 1; n >= 0; n--) if (leo >= marks[n].leo) return marks[n].ms;
  return Number.NEGATIVE_INFINITY;
}
