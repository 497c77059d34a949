import { join, relative, sep } from 'node:path';
import { Command } from 'commander';
import type { MetadataImage } from '../core/metadata/image.ts';
import { TidemarkError } from '../errors.ts';
import {
  type InspectedPartition,
  inspectBrokerFiles,
  inspectPartition,
  type Problem,
} from '../log/inspection.ts';
import { CLUSTER_FILE } from '../runtime/cluster-file.ts';
import { lockHolder } from '../runtime/directory-lock.ts';
import { FileDisk } from '../runtime/file-disk.ts';
import { readMetadata } from '../runtime/metadata-reading.ts';
import { CommandError, ExitCode, type Terminal } from './command-line.ts';
import { classify, isCompacted, type LogDirectory, lostPartition, partitionsAt } from './log-paths.ts';
import { Progress } from './progress.ts';

interface VerifyOptions {
  readonly compacted?: true;
  readonly json?: true;
}

export function logVerifyCommand(terminal: Terminal, done: (code: ExitCode) => void): Command {
  return new Command('verify')
    .description('check every byte of a log: checksums, offsets, epochs, indexes, checkpoints')
    .argument('<path>', "a data directory, a broker's directory, a partition's, or a segment file")
    .option(
      '--compacted',
      'offsets may be missing; what a data directory says of its topics is known without this',
    )
    .option('--json', 'a JSON object a line, for programs')
    .addHelpText(
      'after',
      '\nNothing is changed. Exits with 1 where something is wrong; `tidemark log repair` shows what can be done.',
    )
    .action(async (path: string, options: VerifyOptions) => {
      done((await verify(path, options, terminal)) === 0 ? ExitCode.FINE : ExitCode.FINDINGS);
    });
}

/** The number of problems. */
async function verify(path: string, options: VerifyOptions, terminal: Terminal): Promise<number> {
  const { target, segment } = logsAt(path);
  warnOfHolder(target, terminal);
  const disk = new FileDisk(target.root);
  const progress = new Progress(terminal);
  let problems = 0;
  const report = (problem: Problem): void => {
    problems += 1;
    terminal.out(
      options.json ? `${JSON.stringify(problemLine(target, problem))}\n` : problemText(target, problem),
    );
  };
  const { image, problem, seats } = await metadataOf(target);
  if (problem !== undefined) report(problem);
  for (const broker of target.brokers) for (const found of inspectBrokerFiles(disk, broker)) report(found);
  const all = partitionsAt(target, image);
  for (const directory of all) {
    const gapsAllowed = options.compacted === true || isCompacted(image, directory);
    const inspected = inspectPartition(disk, directory, {
      gapsAllowed,
      progress: (bytes) => progress.add(bytes),
      ...(segment !== undefined && { segment }),
    });
    progress.clear();
    const line = { partition: directory, ...summary(inspected), problems: inspected.problems.length };
    terminal.out(options.json ? `${JSON.stringify(line)}\n` : `${summaryText(inspected)}\n`);
    for (const found of inspected.problems) report(found);
    // What is wrong with a voter's log itself was told in full.
    if (inspected.problems.length > 0) seats.delete(directory);
  }
  for (const [file, sentence] of seats) report({ file, position: undefined, sentence });
  if (!options.json) {
    const partitions = counted(all.length, 'partition');
    terminal.out(`${partitions}: ${problems === 0 ? 'nothing is wrong' : counted(problems, 'problem')}.\n`);
  }
  return problems;
}

/** The directory with the logs, and the base offset of the one segment that was meant, if it was one. */
export function logsAt(path: string): { target: LogDirectory; segment: number | undefined } {
  const target = lostPartition(path) ?? classify(path);
  if (target.kind !== 'file') return { target, segment: undefined };
  if (target.segment?.suffix !== '.log' || !target.name.endsWith('.log')) {
    throw new CommandError(
      `${path} is no segment: expected a file such as ${'0'.repeat(20)}.log, or a directory.`,
    );
  }
  const partition = classify(target.directory) as LogDirectory;
  return { target: partition, segment: target.segment.baseOffset };
}

interface FoundMetadata {
  readonly image?: MetadataImage | undefined;
  /** Why there is none though there should be. */
  readonly problem?: Problem;
  /** By directory, below the one that was looked at: why the files of a voter there cannot be used. */
  readonly seats: Map<string, string>;
}

/** What a cluster's metadata log says, whoever is writing it, or what is wrong with it. */
export async function metadataOf({
  root,
  kind,
  partitions,
  dataDirectory,
}: LogDirectory): Promise<FoundMetadata> {
  const seats = new Map<string, string>();
  if (dataDirectory === undefined) return { seats };
  const sentences: string[] = [];
  try {
    const image = await readMetadata(dataDirectory, (path, sentence) => {
      sentences.push(sentence);
      const below = relative(root, path);
      const isBelow = below !== '..' && !below.startsWith(`..${sep}`);
      const isMeant = kind === 'partition' ? partitions.includes(below) : isBelow;
      if (isMeant) seats.set(below, sentence);
    });
    if (image !== undefined || sentences.length === 0) return { image, seats };
    const sentence = `The metadata of the cluster cannot be read, and so it is not known which topics are compacted. ${sentences[0]}`;
    return { problem: { file: relative(root, dataDirectory), position: undefined, sentence }, seats };
  } catch (error) {
    if (!(error instanceof TidemarkError)) throw error;
    const file = join(relative(root, dataDirectory), CLUSTER_FILE);
    return { problem: { file, position: undefined, sentence: error.message }, seats };
  }
}

function warnOfHolder({ dataDirectory }: LogDirectory, terminal: Terminal): void {
  const pid = dataDirectory === undefined ? undefined : lockHolder(dataDirectory);
  if (pid === undefined) return;
  terminal.err(`The process ${pid} is writing here: what it has not finished may look torn.\n`);
}

function summary({ segments }: InspectedPartition): Record<string, number> {
  const sum = (of: (segment: (typeof segments)[number]) => number): number =>
    segments.reduce((total, segment) => total + of(segment), 0);
  return {
    segments: segments.length,
    batches: sum(({ batches }) => batches),
    records: sum(({ records }) => records),
    bytes: sum(({ soundBytes }) => soundBytes),
    fromOffset: segments[0]?.baseOffset ?? 0,
    toOffset: segments.at(-1)?.nextOffset ?? 0,
  };
}

function summaryText(inspected: InspectedPartition): string {
  const { segments, batches, records, bytes, fromOffset, toOffset } = summary(inspected);
  const { length } = inspected.problems;
  const verdict = length === 0 ? 'fine' : counted(length, 'problem');
  const held = `${counted(batches, 'batch')}, ${counted(records, 'record')}, ${counted(bytes, 'byte')}`;
  return `${inspected.directory}: ${verdict}; offsets ${fromOffset} to ${toOffset} (exclusive), ${counted(segments, 'segment')}, ${held}`;
}

function problemText({ root }: LogDirectory, { file, position, sentence }: Problem): string {
  const at = position === undefined ? '' : `, byte ${position}`;
  return `  ${join(root, file)}${at}: ${sentence}\n`;
}

function problemLine({ root }: LogDirectory, { file, position, sentence }: Problem): object {
  return { problem: sentence, file: join(root, file), position: position ?? null };
}

export function counted(count: number, noun: string): string {
  const plural = noun.endsWith('h') ? `${noun}es` : `${noun}s`;
  return `${count} ${count === 1 ? noun : plural}`;
}
