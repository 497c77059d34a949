import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommandLine } from '../../src/cli/program.ts';
import { encodeClusterState } from '../../src/runtime/cluster-file.ts';
import { FileDisk } from '../../src/runtime/file-disk.ts';
import { type PartitionOptions, type WrittenSegment, writePartition } from '../log/partition-fixtures.ts';

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

/** A data directory with one broker that has a partition t-0, as a clean stop leaves it; gone afterwards. */
export async function withDataDirectory(
  options: PartitionOptions & { config?: Record<string, string> },
  work: (directory: TestDirectory) => Promise<void>,
): Promise<void> {
  const path = mkdtempSync(join(tmpdir(), 'tidemark-cli-'));
  try {
    mkdirSync(join(path, 'broker-1'));
    const partition = { id: 0, partition: 0, replicas: [1], isr: [1], leader: 1, epoch: 0 };
    const topic = {
      name: 't',
      topicId: 'AAAAAAAAAAAAAAAAAAAAAA',
      config: options.config ?? {},
      partitions: [partition],
    };
    const state = { clusterId: 'test', brokers: [1], nextPartition: 1, topics: [topic] };
    writeFileSync(join(path, 'cluster.json'), encodeClusterState(state));
    const disk = new FileDisk(path);
    const segments = writePartition(disk, { ...options, directory: 'broker-1/t-0' });
    await work({ path, disk, segments, at: (name) => join(path, name) });
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}
