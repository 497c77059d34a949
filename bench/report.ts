import { cpus, totalmem } from 'node:os';
import type { Result } from './scenario.ts';

export interface Report {
  readonly schema: 1;
  readonly host: {
    readonly cpu: string;
    readonly cores: number;
    readonly memoryGiB: number;
    readonly node: string;
  };
  readonly config: { readonly quick: boolean; readonly rounds: number; readonly roundMs: number };
  readonly results: readonly Result[];
  /** Medians over the rounds of one rate by another's. */
  readonly ratios: Readonly<Record<string, number>>;
}

export function hostFacts(): Report['host'] {
  const all = cpus();
  return {
    cpu: all[0]?.model.trim() ?? 'unknown',
    cores: all.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.versions.node,
  };
}

function row(cells: readonly string[], widths: readonly number[]): string {
  return cells
    .map((cell, index) => (index === 0 ? cell.padEnd(widths[index]) : cell.padStart(widths[index])))
    .join('  ')
    .trimEnd();
}

function thousands(value: number): string {
  return value.toLocaleString('en-US');
}

export function printReport({ results, ratios, host, config }: Report): void {
  const header = [
    'scenario',
    'records/s',
    'MB/s',
    'slowest',
    'fastest',
    'p50 ms',
    'p99 ms',
    'cpu ns',
    'failed',
    'verified',
  ];
  const lines = results.map((result) => [
    result.scenario,
    thousands(result.recordsPerSecond),
    thousands(result.mbPerSecond),
    thousands(result.spread[0]),
    thousands(result.spread[1]),
    result.latencyMs?.p50.toFixed(2) ?? '-',
    result.latencyMs?.p99.toFixed(2) ?? '-',
    thousands(result.cpuNsPerRecord),
    String(result.failed),
    result.verified ? 'yes' : 'NO',
  ]);
  const widths = header.map((name, column) =>
    Math.max(name.length, ...lines.map((line) => line[column].length)),
  );
  console.log(`\n${row(header, widths)}`);
  for (const line of lines) console.log(row(line, widths));
  for (const { scenario, lagMs, followerLagMs } of results) {
    if (lagMs === null) continue;
    console.log(`\n${scenario}, from the leader's append`);
    console.log(`  to the HWM             p50 ${lagMs.p50} ms, p99 ${lagMs.p99} ms, max ${lagMs.max} ms`);
    if (followerLagMs === undefined) continue;
    const { p50, p99, max } = followerLagMs;
    console.log(`  to each follower's LEO p50 ${p50} ms, p99 ${p99} ms, max ${max} ms`);
  }
  if (Object.keys(ratios).length > 0) console.log('\nratios, medians over the rounds of this run');
  for (const [name, ratio] of Object.entries(ratios)) console.log(`  ${name.padEnd(44)} ${ratio.toFixed(2)}`);
  console.log(
    `\n${host.cpu}, ${host.cores} cores, Node ${host.node}; 256 B records, ${config.rounds} rounds of ${config.roundMs} ms each`,
  );
}
