// What can be played from a seed.
import { runCluster } from './cluster/simulation.ts';
import { runSeed } from './simulation.ts';
import type { Violation } from './world.ts';

export const KINDS = ['quorum', 'cluster'] as const;

/** The voters of the metadata alone, or all of a cluster. */
export type Kind = (typeof KINDS)[number];

/** Simulated seconds of a seed, where nothing else is asked for. */
export const SECONDS: Readonly<Record<Kind, number>> = { quorum: 30, cluster: 10 };

export interface Played {
  readonly kind: Kind;
  readonly seed: number;
  readonly violation: Violation | undefined;
  readonly simulatedMs: number;
  readonly events: number;
  /** The same for the same seed. */
  readonly hash: number;
  /** What it was about, for people. */
  readonly what: string;
  readonly counts: Readonly<Record<string, number>>;
}

export interface PlayOptions {
  readonly seconds: number;
  /** Prints what happens, a line each. */
  readonly trace?: ((line: string) => void) | undefined;
}

export async function play(kind: Kind, seed: number, options: PlayOptions): Promise<Played> {
  if (kind === 'quorum') {
    const { plan, entries, terms, ...rest } = await runSeed(seed, options);
    return { kind, what: `${plan.voters} voters, ${plan.layout}`, counts: { entries, terms }, ...rest };
  }
  const { plan, records, ...rest } = await runCluster(seed, options);
  return { kind, what: `${plan.brokers} brokers, ${plan.durability}`, counts: { records }, ...rest };
}
