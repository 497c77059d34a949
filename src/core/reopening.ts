/** How far a replica's log goes. */
export interface LogEnd {
  readonly leo: number;
  /** The newest epoch that has begun in it; -1 is none. */
  readonly lastEpoch: number;
}

/** How far a replica's log went when it was opened, and how far it knew that records were committed. */
export interface FoundReplica extends LogEnd {
  readonly broker: number;
  readonly hwm: number;
}

/** Who leads a partition after a start, and who is in sync with it. */
export interface Standing {
  readonly leader: number;
  readonly isr: readonly number[];
}

/**
 * Negative where one log reaches further than the other, by epoch and then by offset. Of the same epoch the longer log has
 * all that the other has. What is longer in an older epoch may be what nobody had acknowledged when a later leader began.
 */
export function furthestFirst(one: LogEnd, other: LogEnd): number {
  return other.lastEpoch - one.lastEpoch || other.leo - one.leo;
}

/**
 * Who leads after a start, out of the members of the ISR whose logs could be opened: the one whose log reaches furthest,
 * by epoch and then by offset, and among equals the leader of before. A log that reaches further in the same epoch has
 * all that the other has; so whatever was acknowledged, by one of them or by all, is kept where any of them kept it. A
 * killed process has lost nothing that was written; a machine that lost power may have, and not the same everywhere.
 *
 * A member that lacks what was known to be committed is no longer in sync. Without any member nobody leads, and the ISR
 * stays as it was: an outsider may lack what was acknowledged.
 */
export function electAtStart(before: Standing, found: readonly FoundReplica[]): Standing {
  const members = found.filter(({ broker }) => before.isr.includes(broker));
  if (members.length === 0) return { leader: -1, isr: before.isr };
  const rank = (replica: FoundReplica): number => (replica.broker === before.leader ? 1 : 0);
  const [first] = [...members].sort((one, other) => furthestFirst(one, other) || rank(other) - rank(one));
  const committed = Math.min(first.leo, Math.max(...members.map(({ hwm }) => hwm)));
  const inSync = members.filter(({ leo }) => leo >= committed).map(({ broker }) => broker);
  return { leader: first.broker, isr: before.isr.filter((broker) => inSync.includes(broker)) };
}
