import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommandLine } from '../../src/cli/program.ts';
import { writeClusterFile } from '../../src/runtime/cluster-file.ts';
import { FileDisk } from '../../src/runtime/file-disk.ts';
import { foundSeat, openSeat } from '../../src/runtime/quorum-seats.ts';
import { type PartitionOptions, type WrittenSegment, writePartition } from '../log/partition-fixtures.ts';
import { clusterRecords, topicRecords, writeEntries } from '../runtime/seat-fixtures.ts';

export interface CommandResult {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
}

/** A command's output, as if somebody had typed it. */
export async function tidemark(...args: string[]): Promise<CommandResult> {
  let out = '';
  let err = '';
  const exitCode = await runCommandLine(args, {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    showsProgress: false,
  });
  return { exitCode, out, err };
}

/** Each line of a command's --json. */
export function linesOf(out: string): Record<string, unknown>[] {
  return out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

export interface TestDirectory {
  readonly path: string;
  readonly disk: FileDisk;
  readonly segments: readonly WrittenSegment[];
  at(path: string): string;
}

export const CLUSTER_ID = 'test';
export const VOTER_ID = 'V'.repeat(22);
export const METADATA_LOG = 'broker-1/__cluster_metadata-0';

/** A data directory with one broker that has a vote, and a partition t-0, as a clean stop leaves it; gone afterwards. */
export async function withDataDirectory(
  options: PartitionOptions & { config?: Record<string, string> },
  work: (directory: TestDirectory) => Promise<void>,
): Promise<void> {
  const path = mkdtempSync(join(tmpdir(), 'tidemark-cli-'));
  try {
    mkdirSync(join(path, 'broker-1'));
    const origin = { clusterId: CLUSTER_ID, founders: [{ id: 1, directoryId: VOTER_ID }], isFounding: false };
    await writeClusterFile(join(path, 'cluster.json'), origin, false);
    await writeMetadata(join(path, 'broker-1'), options.config ?? {});
    const disk = new FileDisk(path);
    const segments = writePartition(disk, { ...options, directory: 'broker-1/t-0' });
    await work({ path, disk, segments, at: (name) => join(path, name) });
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

/** Entries 1 to 3: the beginning of a term, the cluster, the topic. */
async function writeMetadata(home: string, config: Record<string, string>): Promise<void> {
  const disk = new FileDisk(home);
  await foundSeat(disk, VOTER_ID, false);
  const settings = { clusterId: CLUSTER_ID, broker: 1, isDurable: false, wasPowerLost: false };
  const { store } = await openSeat(disk, settings);
  await writeEntries(store, 1, 1, clusterRecords(CLUSTER_ID), topicRecords(0, config, 't'));
  await store.close();
}
