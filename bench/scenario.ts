import type { Percentiles } from '../src/runtime/histogram.ts';
import { percentilesOf } from './percentiles.ts';

export interface RoundResult {
  /** Acknowledged records. */
  readonly records: number;
  readonly failed: number;
  readonly elapsedMs: number;
  /** Samples, from the call to its acknowledgement. */
  readonly latenciesMs: readonly number[];
  /** Processor time of all threads of the scenario. */
  readonly cpuMs?: number;
}

/** One thing that is measured. It is started once, and run in rounds between those of others. */
export interface Scenario {
  readonly name: string;
  start(): Promise<void>;
  /** Those that keep a pace are told it. */
  round(durationMs: number, recordsPerSecond: number): Promise<RoundResult>;
  /** The rounds so far were warm-up. */
  forget?(): void;
  readonly lags?: ScenarioLags;
  /** Compares every follower's bytes with the leader's. */
  verify(): Promise<boolean>;
  close(): Promise<void>;
}

export interface Lags {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface ScenarioLags {
  /** From the leader's append to the HWM. */
  readonly lagMs: Lags;
  /** From the leader's append to a follower's LEO. */
  readonly followerLagMs: Lags;
}

/** A row of the report, as `--json` writes it. */
export interface Result {
  readonly scenario: string;
  readonly records: number;
  readonly failed: number;
  /** The median of the rounds. */
  readonly recordsPerSecond: number;
  readonly mbPerSecond: number;
  /** The slowest and the fastest round, in records per second. */
  readonly spread: readonly [number, number];
  readonly latencyMs: Percentiles | null;
  /** Processor time of all threads for one record. */
  readonly cpuNsPerRecord: number;
  readonly lagMs: ScenarioLags['lagMs'] | null;
  readonly followerLagMs?: ScenarioLags['followerLagMs'];
  readonly verified: boolean;
}

export const RECORD_BYTES = 256;

export function rateOf({ records, elapsedMs }: RoundResult): number {
  return (records / elapsedMs) * 1000;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function summarise(scenario: string, rounds: readonly RoundResult[], verified: boolean): Result {
  const rates = rounds.map(rateOf);
  const recordsPerSecond = median(rates);
  const latencies = rounds.flatMap(({ latenciesMs }) => latenciesMs);
  const records = rounds.reduce((sum, round) => sum + round.records, 0);
  const cpuMs = rounds.reduce((sum, round) => sum + (round.cpuMs ?? 0), 0);
  return {
    scenario,
    records,
    failed: rounds.reduce((sum, { failed }) => sum + failed, 0),
    recordsPerSecond: Math.round(recordsPerSecond),
    mbPerSecond: Math.round((recordsPerSecond * RECORD_BYTES) / 1e5) / 10,
    spread: [Math.round(Math.min(...rates)), Math.round(Math.max(...rates))],
    latencyMs: latencies.length === 0 ? null : percentilesOf(latencies),
    cpuNsPerRecord: Math.round((cpuMs * 1e6) / records),
    lagMs: null,
    verified,
  };
}
