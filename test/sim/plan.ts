// What a seed stands for: how large the quorum is, how it is set up, and what happens to it.
import type { RaftOptions } from '../../src/core/raft/index.ts';
import type { Dice } from './dice.ts';

/** Milliseconds between two of a kind, on average; infinite: never. */
export interface FaultRates {
  readonly kill: number;
  readonly powerCut: number;
  readonly powerCutOfAll: number;
  readonly pause: number;
  readonly partition: number;
  readonly lostDirectory: number;
  readonly diskFault: number;
  readonly membership: number;
  readonly transfer: number;
}

export interface Plan {
  /** Each voter in a process of its own, with its own clock; or all of them in one thread, as in the product. */
  readonly layout: 'processes' | 'one thread';
  readonly voters: number;
  readonly nodes: number;
  /** Whether voters wait for the device; if not, there are no power cuts. */
  readonly isDurable: boolean;
  readonly options: RaftOptions;
  readonly snapshotEveryEntries: number;
  readonly segmentBytes: number;
  readonly driftPercent: number;
  readonly network: {
    readonly delayMs: readonly [number, number];
    /** So many of a hundred messages come later by up to so much, behind others. */
    readonly latePercent: number;
    readonly lateMs: number;
    readonly lossPercent: number;
    readonly doublePercent: number;
  };
  readonly syncMs: readonly [number, number];
  readonly rates: FaultRates;
  readonly clients: number;
  readonly clientWaitMs: number;
}

export function drawPlan(dice: Dice): Plan {
  const voters = dice.pick([1, 3, 3, 3, 3, 3, 5, 5]);
  const isDurable = dice.percent(90);
  const electionTimeoutMs = dice.pick([250, 500, 1_000]);
  const appendMaxEntries = dice.pick([1, 3, 64]);
  const isCalm = dice.percent(30);
  const maybe = (share: number, meanMs: number): number =>
    dice.percent(share) ? meanMs * dice.between(0.6, 1.5) : Number.POSITIVE_INFINITY;
  return {
    layout: dice.percent(40) ? 'one thread' : 'processes',
    voters,
    nodes: Math.max(voters, dice.pick([3, 4, 5])),
    isDurable,
    options: {
      electionTimeoutMs,
      heartbeatMs: electionTimeoutMs / dice.pick([3, 4]),
      lostLeaderDelayMs: 30,
      appendMaxEntries,
      appendMaxBytes: dice.pick([1, 400, 1 << 20]),
      inFlightMaxEntries: appendMaxEntries * dice.pick([1, 2, 16]),
      inFlightMaxBytes: 8 << 20,
      uncommittedMaxEntries: dice.pick([2, 20, 4_096]),
      uncommittedMaxBytes: dice.pick([600, 8 << 20]),
      readsMax: dice.pick([2, 4_096]),
      tailEntries: dice.pick([0, 2, 20]),
      catchUpLimitMs: 3_000,
    },
    snapshotEveryEntries: dice.pick([3, 10, 40, 10_000]),
    segmentBytes: dice.pick([16_384, 1 << 20]),
    driftPercent: dice.pick([0, 0.1, 5]),
    network: {
      delayMs: dice.pick([
        [0.05, 0.5],
        [0.05, 0.5],
        [0.5, 5],
        [5, 30],
      ] as const),
      latePercent: isCalm ? 0 : dice.pick([0, 2, 10]),
      lateMs: electionTimeoutMs,
      lossPercent: isCalm ? 0 : dice.pick([0, 0, 2, 10]),
      doublePercent: isCalm ? 0 : dice.pick([0, 5]),
    },
    syncMs: dice.pick([
      [0.1, 0.5],
      [0.5, 8],
      [0.2, 60],
    ] as const),
    rates: {
      kill: maybe(60, 2_500),
      powerCut: isDurable ? maybe(60, 2_500) : Number.POSITIVE_INFINITY,
      powerCutOfAll: isDurable ? maybe(30, 8_000) : Number.POSITIVE_INFINITY,
      pause: maybe(40, 3_000),
      partition: maybe(65, 2_000),
      lostDirectory: maybe(30, 5_000),
      diskFault: isDurable ? maybe(35, 4_000) : Number.POSITIVE_INFINITY,
      membership: maybe(50, 2_000),
      transfer: maybe(40, 2_500),
    },
    clients: dice.pick([1, 2, 4]),
    clientWaitMs: dice.pick([200, 500, 1_000]),
  };
}

/** What is left once all faults have ended. */
export const healedNetwork: Plan['network'] = {
  delayMs: [0.05, 0.5],
  latePercent: 0,
  lateMs: 0,
  lossPercent: 0,
  doublePercent: 0,
};

export const healedSyncMs: Plan['syncMs'] = [0.1, 0.5];
