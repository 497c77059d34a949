import { isSameMember, type Member } from './raft/index.ts';

/** More voters make every change of the metadata dearer, and no failure that is likely harmless. */
const VOTERS_MAX = 5;

/** A broker as far as its vote goes. */
export interface VoterCandidate extends Member {
  /** Whether it runs: one that does not could not catch up. */
  readonly isUp: boolean;
}

export type QuorumChange = { readonly add: Member } | { readonly remove: Member };

/** How many voters so many brokers have, if they may: an odd number, since one more would bear no more failures. */
export function votersFor(brokers: number, wanted = VOTERS_MAX): number {
  const most = Math.min(brokers, wanted, VOTERS_MAX);
  return most % 2 === 1 ? most : Math.max(1, most - 1);
}

/**
 * The next change on the way to as many voters as the brokers should have, or undefined. One at a time, and those go
 * first that will not come back: a directory that was lost, a broker that was removed.
 */
export function nextQuorumChange(
  voters: readonly Member[],
  brokers: readonly VoterCandidate[],
  wanted?: number,
): QuorumChange | undefined {
  const target = votersFor(brokers.length, wanted);
  const lost = voters.find((voter) => !brokers.some((broker) => isSameMember(broker, voter)));
  const others = brokers.filter((broker) => !voters.some((voter) => isSameMember(voter, broker)));
  // Somebody in its place has to come first where it was the last one.
  if (lost !== undefined && voters.length > 1) return { remove: lost };
  const next = others.find(({ isUp }) => isUp);
  if (next !== undefined && (voters.length < target || lost !== undefined))
    return { add: { id: next.id, directoryId: next.directoryId } };
  if (voters.length <= target) return undefined;
  const isUp = (voter: Member): boolean =>
    brokers.some((broker) => isSameMember(broker, voter) && broker.isUp);
  const leaving = voters.findLast((voter) => !isUp(voter)) ?? voters.at(-1);
  return leaving === undefined ? undefined : { remove: leaving };
}
