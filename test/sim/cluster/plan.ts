import type { Durability } from '../../../src/types.ts';
import type { Dice } from '../dice.ts';

type Span = readonly [number, number];

/** What a seed is about. Rates are mean times between two faults of a kind. */
export interface Plan {
  readonly brokers: number;
  readonly durability: Durability;
  readonly partitions: number;
  /** Of each of them, at first. */
  readonly replicas: number;
  readonly segmentBytes: number;
  readonly ringBytes: number;
  readonly channelBytes: number;
  readonly sessionMs: number;
  /** Between two passes of a thread that has work, and from a ring to its first pass. */
  readonly passMs: Span;
  readonly wakeMs: Span;
  readonly portMs: Span;
  /** Until a client hears of what was announced. */
  readonly newsMs: Span;
  readonly syncMs: Span;
  /** Of a hundred calls of a disk those in whose midst other threads get on. */
  readonly meanwhilePercent: number;
  readonly producers: number;
  /** Of these, with sequence numbers. */
  readonly idempotent: number;
  /** The topic's replica.lag.time.max.ms. */
  readonly lagMs: number;
  readonly readers: number;
  /** Of all producers; none is 'mixed'. */
  readonly acks: readonly (0 | 1 | -1)[];
  readonly sendEveryMs: number;
  readonly valueBytes: readonly number[];
  readonly rates: {
    readonly kill: number;
    /** Of a leader, while somebody comes back to it. */
    readonly killInReturn: number;
    readonly crash: number;
    readonly stop: number;
    readonly isolate: number;
    readonly pause: number;
    readonly stall: number;
    readonly stallOfMain: number;
    readonly processKill: number;
    readonly powerCut: number;
    readonly diskFault: number;
    readonly slowDisk: number;
    readonly wipe: number;
    readonly topics: number;
    /** Of partitions, to other replicas and other leaders. */
    readonly moves: number;
  };
}

export const healedSyncMs: Span = [0.1, 0.5];

export function drawPlan(dice: Dice): Plan {
  const durability = dice.pick(['memory', 'os', 'os', 'fsync', 'fsync'] as const);
  const isKept = durability !== 'memory';
  const maybe = (share: number, meanMs: number): number =>
    dice.percent(share) ? meanMs * dice.between(0.6, 1.5) : Number.POSITIVE_INFINITY;
  return {
    brokers: dice.percent(70) ? 3 : 5,
    durability,
    partitions: dice.pick([1, 1, 2, 3]),
    replicas: 3,
    segmentBytes: dice.pick([16_384, 16_384, 65_536, 1 << 20]),
    ringBytes: dice.pick([4_096, 16_384, 65_536, 262_144]),
    channelBytes: dice.pick([16_384, 65_536]),
    sessionMs: dice.pick([1_000, 1_500, 3_000]),
    passMs: dice.pick([
      [0.005, 0.02],
      [0.02, 0.3],
      [0.02, 5],
    ] as const),
    wakeMs: dice.pick([
      [0.005, 0.05],
      [0.02, 1],
      [0.02, 20],
    ] as const),
    portMs: dice.pick([
      [0.01, 0.1],
      [0.05, 2],
      [0.05, 30],
    ] as const),
    newsMs: dice.pick([
      [0.01, 0.1],
      [0.05, 30],
      [1, 500],
    ] as const),
    syncMs: dice.pick([
      [0.1, 0.5],
      [0.5, 8],
      [0.2, 60],
    ] as const),
    meanwhilePercent: dice.pick([0, 2, 20]),
    producers: dice.pick([1, 2, 3]),
    idempotent: dice.pick([0, 1, 1]),
    lagMs: dice.pick([500, 1_000, 10_000]),
    readers: dice.pick([1, 2]),
    acks: dice.pick([[-1], [-1], [-1, 1], [-1, 1, 0]] as const),
    sendEveryMs: dice.pick([4, 15, 40]),
    valueBytes: dice.pick([[10], [10, 300], [10, 300, 900]] as const),
    rates: {
      kill: maybe(60, 2_000),
      killInReturn: maybe(30, 150),
      crash: maybe(60, 2_000),
      stop: maybe(25, 4_000),
      isolate: maybe(40, 3_000),
      pause: maybe(40, 3_000),
      stall: maybe(50, 1_000),
      stallOfMain: maybe(30, 4_000),
      processKill: isKept ? maybe(30, 6_000) : Number.POSITIVE_INFINITY,
      powerCut: durability === 'fsync' ? maybe(40, 6_000) : Number.POSITIVE_INFINITY,
      diskFault: isKept ? maybe(35, 4_000) : Number.POSITIVE_INFINITY,
      slowDisk: durability === 'fsync' ? maybe(30, 3_000) : Number.POSITIVE_INFINITY,
      wipe: isKept ? maybe(30, 5_000) : Number.POSITIVE_INFINITY,
      topics: maybe(30, 3_000),
      moves: maybe(40, 500),
    },
  };
}
