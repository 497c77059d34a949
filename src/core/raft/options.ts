import { assert } from './assert.ts';

export interface RaftOptions {
  /** The least time without a leader before a voter campaigns; it waits up to twice as long, by chance. */
  readonly electionTimeoutMs: number;
  readonly heartbeatMs: number;
  /**
   * A voter that deaths have left without a leader campaigns within this time, by chance, so that votes do not split:
   * messages have to be faster than that.
   */
  readonly lostLeaderDelayMs: number;
  /** Entries and bytes of one append message; a larger entry travels alone. */
  readonly appendMaxEntries: number;
  readonly appendMaxBytes: number;
  /** Entries and bytes on the way to one peer that it has not answered for. */
  readonly inFlightMaxEntries: number;
  readonly inFlightMaxBytes: number;
  /** Proposals that are not committed: beyond that a leader is BUSY. */
  readonly uncommittedMaxEntries: number;
  readonly uncommittedMaxBytes: number;
  /** Reads that wait for a round of heartbeats. */
  readonly readsMax: number;
  /** Entries below a snapshot that stay for peers that are a little behind. */
  readonly tailEntries: number;
  /** How long a new voter may take to catch up. */
  readonly catchUpLimitMs: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

export const defaultRaftOptions: RaftOptions = {
  // A voter says nothing before its disk has answered, so that the timeout has to bear slow syncs, and those of
  // hundreds of milliseconds are no rarity. Deaths do not wait for it, since the host tells of them: it is for voters
  // that hang and for links that are cut.
  electionTimeoutMs: 2_000,
  heartbeatMs: 200,
  lostLeaderDelayMs: 30,
  appendMaxEntries: 256,
  appendMaxBytes: MIB,
  inFlightMaxEntries: 4_096,
  inFlightMaxBytes: 8 * MIB,
  uncommittedMaxEntries: 4_096,
  uncommittedMaxBytes: 8 * MIB,
  readsMax: 4_096,
  tailEntries: 1_000,
  catchUpLimitMs: 30_000,
};

export function checkedOptions(given: Partial<RaftOptions> | undefined): RaftOptions {
  const options = { ...defaultRaftOptions, ...given };
  for (const [name, value] of Object.entries(options)) {
    assert(Number.isFinite(value) && value >= 0, `the option ${name} is ${value}`);
  }
  const { electionTimeoutMs, heartbeatMs } = options;
  assert(heartbeatMs > 0 && heartbeatMs * 2 <= electionTimeoutMs, 'one lost heartbeat ends a reign');
  assert(options.lostLeaderDelayMs <= electionTimeoutMs, 'the word of a death is slower than silence');
  assert(options.appendMaxEntries >= 1 && options.appendMaxBytes >= 1, 'an append message holds nothing');
  assert(options.appendMaxEntries <= options.inFlightMaxEntries, 'an append message is never in flight');
  assert(options.appendMaxBytes <= options.inFlightMaxBytes, 'an append message is never in flight');
  assert(options.uncommittedMaxEntries >= 1, 'nothing may be proposed');
  return options;
}
