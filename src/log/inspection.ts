// What `tidemark log verify` and `tidemark log repair` know about a partition's files: nothing is believed, nothing is
// changed.
import {
  CheckpointError,
  CLEAN_SHUTDOWN_FILE,
  CLEANER_OFFSETS_FILE,
  CLOSED_LOGS_FILE,
  decodeEpochs,
  decodeMetaProperties,
  decodeOffsets,
  decodePartitionMetadata,
  HIGH_WATERMARKS_FILE,
  LOG_STARTS_FILE,
  META_PROPERTIES_FILE,
  PARTITION_METADATA_FILE,
  type PartitionOffset,
  RECOVERY_POINTS_FILE,
  readWhole,
} from './checkpoint-files.ts';
import { type Disk, DiskError } from './disk.ts';
import type { EpochStart } from './epoch-list.ts';
import {
  baseOffsetOf,
  EPOCHS_FILE,
  INDEX_SUFFIX,
  LOG_SUFFIX,
  partitionDirectory,
  SNAPSHOT_SUFFIX,
  segmentFile,
  TIME_INDEX_SUFFIX,
} from './file-names.ts';
import { IndexCheck, type IndexFault } from './index-check.ts';
import { knownEnd } from './known-log.ts';
import { decodeProducers } from './producer-snapshot.ts';
import { readBaseOffset, readLeaderEpoch, readRecordCount } from './record-batch.ts';
import { type WalkResult, walkSegment } from './segment-walk.ts';

/** Both tell how far logs have gone. */
const END_FILES = [RECOVERY_POINTS_FILE, HIGH_WATERMARKS_FILE] as const;

export interface Problem {
  /** On the disk. */
  readonly file: string;
  /** Undefined where it concerns the file as a whole. */
  readonly position: number | undefined;
  readonly sentence: string;
}

export interface InspectedSegment extends WalkResult {
  readonly file: string;
  readonly baseOffset: number;
  readonly indexFaults: readonly IndexFault[];
}

export interface InspectedPartition {
  readonly directory: string;
  /** Whether there is no such directory. */
  readonly isMissing: boolean;
  readonly gapsAllowed: boolean;
  /** In the order of their offsets. */
  readonly segments: readonly InspectedSegment[];
  /** Whether the file of epochs is there and cannot be read. */
  readonly areEpochsDamaged: boolean;
  /** Indexes whose segment is not there, and snapshots of producers that cannot be read: nobody misses them. */
  readonly orphans: readonly Problem[];
  /** Where the first segment begins that holds anything, and where the log is known to begin, if that is before it. */
  readonly startOffset: number;
  readonly knownStart: number;
  /** Where the log ends, and as far as the broker's checkpoints know that it went. */
  readonly endOffset: number;
  readonly knownEnd: number;
  readonly problems: readonly Problem[];
}

export interface InspectionOptions {
  /** Whether the topic is, or was, compacted. */
  readonly gapsAllowed: boolean;
  /** The base offset of the one segment to look at; all of them where it is left out. */
  readonly segment?: number;
  /** Called every few megabytes, with how many bytes have been gone through since the last call. */
  readonly progress?: (bytes: number) => void;
}

/** Base offsets of a partition's segments, ascending. */
export function segmentBases(disk: Disk, directory: string): number[] {
  const bases = disk.list(directory).map((name) => baseOffsetOf(name, LOG_SUFFIX));
  return bases.filter((base) => base !== undefined).sort((one, other) => one - other);
}

export function inspectPartition(
  disk: Disk,
  directory: string,
  options: InspectionOptions,
): InspectedPartition {
  if (!isThere(disk, directory)) return missing(disk, directory, options);
  const problems: Problem[] = [];
  const epochs = decoded(disk, `${directory}/${EPOCHS_FILE}`, decodeEpochs, problems);
  decoded(disk, `${directory}/${PARTITION_METADATA_FILE}`, decodePartitionMetadata, problems);
  const areEpochsDamaged = problems.some(({ file }) => file.endsWith(EPOCHS_FILE));
  const epochCheck = new EpochCheck(epochs ?? []);
  const { bases, startOffset, knownStart } = beginOf(disk, directory, options);
  if (knownStart < startOffset)
    problems.push({ file: directory, position: undefined, sentence: lateBy(startOffset, knownStart) });
  const wanted = bases.filter((base) => options.segment === undefined || base === options.segment);
  const segments = wanted.map((base) => {
    const following = bases[bases.indexOf(base) + 1];
    const segment = inspectSegment(disk, directory, base, following, options, epochCheck);
    for (const { position, sentence } of segment.damages) {
      problems.push({ file: segment.file, position, sentence });
    }
    for (const { kind, position, sentence } of segment.indexFaults) {
      const suffix = kind === 'offsets' ? INDEX_SUFFIX : TIME_INDEX_SUFFIX;
      const file = `${directory}/${segmentFile(base, suffix)}`;
      problems.push({ file, position, sentence: `The index is wrong: ${sentence}.` });
    }
    return segment;
  });
  // Where batches themselves are damaged, what the epochs say of them is no news.
  if (segments.every(({ damages }) => damages.length === 0)) problems.push(...epochCheck.problems);
  // Of a log whose records have all been deleted nothing is left but where it begins.
  const endOffset = segments.at(-1)?.nextOffset ?? checkpointed(disk, LOG_STARTS_FILE, directory) ?? 0;
  const known = options.segment === undefined ? endKnownOf(disk, directory) : 0;
  if (endOffset < known)
    problems.push({ file: directory, position: undefined, sentence: shortOf(endOffset, known) });
  const orphans =
    options.segment === undefined ? [...orphansIn(disk, directory), ...badSnapshotsIn(disk, directory)] : [];
  problems.push(...orphans);
  const { gapsAllowed } = options;
  return {
    directory,
    isMissing: false,
    gapsAllowed,
    segments,
    areEpochsDamaged,
    orphans,
    startOffset,
    knownStart,
    endOffset,
    knownEnd: known,
    problems,
  };
}

/** A log that is missing with its directory: nothing is left of it but what the broker's checkpoints say. */
function missing(disk: Disk, directory: string, { gapsAllowed }: InspectionOptions): InspectedPartition {
  const endOffset = checkpointed(disk, LOG_STARTS_FILE, directory) ?? 0;
  const known = Math.max(endOffset, endKnownOf(disk, directory));
  return {
    directory,
    isMissing: true,
    gapsAllowed,
    segments: [],
    areEpochsDamaged: false,
    orphans: [],
    startOffset: endOffset,
    knownStart: endOffset,
    endOffset,
    knownEnd: known,
    problems: [{ file: directory, position: undefined, sentence: missingUpTo(known) }],
  };
}

export function missingUpTo(known: number): string {
  return `The directory is missing, and its log is known to have gone up to ${known}.`;
}

function isThere(disk: Disk, directory: string): boolean {
  try {
    disk.list(directory);
    return true;
  } catch (error) {
    if (error instanceof DiskError && error.code === 'ENOENT') return false;
    throw error;
  }
}

function endKnownOf(disk: Disk, directory: string): number {
  const [recoveryPoint, highWatermark] = END_FILES.map((name) => checkpointed(disk, name, directory));
  return knownEnd(recoveryPoint, highWatermark);
}

/** The partitions of a broker that its checkpoints know of. */
export function knownPartitions(disk: Disk, broker: string): PartitionOffset[] {
  const found = new Map<string, PartitionOffset>();
  for (const name of END_FILES) {
    const path = broker === '' ? name : `${broker}/${name}`;
    for (const entry of decoded(disk, path, decodeOffsets, []) ?? [])
      found.set(partitionDirectory(entry.topic, entry.partition), entry);
  }
  return [...found.values()];
}

/**
 * The segments of a log, and where it should begin. An empty one before others stands for what a start has missed:
 * there were records, or the next one would not begin behind it. Of compacted logs gaps say nothing.
 */
function beginOf(
  disk: Disk,
  directory: string,
  { gapsAllowed, segment }: InspectionOptions,
): { bases: readonly number[]; startOffset: number; knownStart: number } {
  const bases = segmentBases(disk, directory);
  const [first = 0] = bases;
  if (gapsAllowed || segment !== undefined || bases.length === 0)
    return { bases, startOffset: first, knownStart: first };
  const file = disk.open(`${directory}/${segmentFile(first, LOG_SUFFIX)}`);
  const isHollow = file.size === 0 && bases.length > 1;
  file.close();
  if (isHollow) bases.shift();
  return { bases, startOffset: bases[0], knownStart: Math.min(first, cleanStart(disk, directory) ?? first) };
}

/**
 * Where a log began at a clean end, the last thing that happened to it. One of ours: Kafka's table of log starts leaves
 * out those that begin with their first segment, and retention may have dropped segments before a crash.
 */
function cleanStart(disk: Disk, directory: string): number | undefined {
  const isClean = [CLEAN_SHUTDOWN_FILE, CLOSED_LOGS_FILE].every(
    (name) => readWhole(disk, besides(directory, name)) !== undefined,
  );
  // The tables know nothing of a voter's log, which begins at 1.
  const isKnown = checkpointed(disk, RECOVERY_POINTS_FILE, directory) !== undefined;
  const starts =
    isClean && isKnown ? decoded(disk, besides(directory, LOG_STARTS_FILE), decodeOffsets, []) : undefined;
  return starts === undefined ? undefined : (starts.find((entry) => isOf(entry, directory))?.offset ?? 0);
}

export function lateBy(startOffset: number, known: number): string {
  return `The log is known to begin at offset ${known}, and begins at ${startOffset}: what lay before that is missing.`;
}

export function shortOf(endOffset: number, known: number): string {
  return `The log ends at offset ${endOffset}, and is known to have gone up to ${known}: what lay there is missing.`;
}

/** What one of the broker's checkpoints says of a partition. */
function checkpointed(disk: Disk, name: string, directory: string): number | undefined {
  // What is damaged there is told with the broker's files.
  const offsets = decoded(disk, besides(directory, name), decodeOffsets, []) ?? [];
  return offsets.find((entry) => isOf(entry, directory))?.offset;
}

/** A file of the broker that a partition's directory belongs to. */
export function besides(directory: string, name: string): string {
  return `${directory.slice(0, directory.lastIndexOf('/') + 1)}${name}`;
}

/** Whether an entry of a checkpoint speaks of the partition in this directory. */
export function isOf({ topic, partition }: PartitionOffset, directory: string): boolean {
  return partitionDirectory(topic, partition) === directory.slice(directory.lastIndexOf('/') + 1);
}

function orphansIn(disk: Disk, directory: string): Problem[] {
  const names = disk.list(directory);
  const found: Problem[] = [];
  for (const suffix of [INDEX_SUFFIX, TIME_INDEX_SUFFIX]) {
    for (const name of names) {
      const base = baseOffsetOf(name, suffix);
      if (base === undefined || names.includes(segmentFile(base, LOG_SUFFIX))) continue;
      const sentence = `It is the index of a segment that is not there: ${segmentFile(base, LOG_SUFFIX)} was lost, or removed by a process that was killed while it did. Nothing reads it.`;
      found.push({ file: `${directory}/${name}`, position: undefined, sentence });
    }
  }
  return found;
}

function badSnapshotsIn(disk: Disk, directory: string): Problem[] {
  const found: Problem[] = [];
  for (const name of disk.list(directory)) {
    const offset = baseOffsetOf(name, SNAPSHOT_SUFFIX);
    const file = `${directory}/${name}`;
    const bytes = offset === undefined ? undefined : readWhole(disk, file);
    if (bytes === undefined) continue;
    const snapshot = decodeProducers(bytes);
    if (snapshot !== undefined && (snapshot.place?.offset ?? offset) === offset) continue;
    const sentence =
      'The snapshot of idempotent producers is damaged, or another one of another name. What it should say is read from the batches instead.';
    found.push({ file, position: undefined, sentence });
  }
  return found;
}

function inspectSegment(
  disk: Disk,
  directory: string,
  baseOffset: number,
  endOffset: number | undefined,
  options: InspectionOptions,
  epochCheck: EpochCheck,
): InspectedSegment {
  const path = (suffix: string): string => `${directory}/${segmentFile(baseOffset, suffix)}`;
  const offsets = readWhole(disk, path(INDEX_SUFFIX));
  const times = readWhole(disk, path(TIME_INDEX_SUFFIX));
  const indexCheck = new IndexCheck(offsets, times, baseOffset);
  const file = disk.open(path(LOG_SUFFIX));
  let done = 0;
  try {
    const walked = walkSegment(file, {
      baseOffset,
      endOffset,
      gapsAllowed: options.gapsAllowed,
      batch: (bytes, at, position) => {
        indexCheck.add(bytes, at, position);
        epochCheck.add(bytes, at, path(LOG_SUFFIX), position);
      },
      goOn: (position) => {
        options.progress?.(position - done);
        done = position;
        return true;
      },
    });
    const isSound = walked.damages.length === 0;
    const indexFaults = isSound ? indexCheck.finish(walked.nextOffset) : [];
    return { ...walked, file: path(LOG_SUFFIX), baseOffset, indexFaults };
  } finally {
    file.close();
  }
}

/** Holds the epochs of batches against the file that tells where each began. */
class EpochCheck {
  readonly #epochs: readonly EpochStart[];
  readonly problems: Problem[] = [];
  #present = -1;

  constructor(epochs: readonly EpochStart[]) {
    this.#epochs = epochs;
  }

  add(bytes: Uint8Array, at: number, file: string, position: number): void {
    const base = readBaseOffset(bytes, at);
    while ((this.#epochs[this.#present + 1]?.startOffset ?? Number.POSITIVE_INFINITY) <= base)
      this.#present += 1;
    const known = this.#epochs[this.#present];
    const epoch = readLeaderEpoch(bytes, at);
    // What stands for lost offsets has the epoch of what came before them.
    if (readRecordCount(bytes, at) === 0) return;
    // The first mismatch is the news; those behind it follow from it as a rule.
    if (known === undefined || known.epoch === epoch || this.problems.length > 0) return;
    const sentence = `The batch at offset ${base} has leader epoch ${epoch}, and ${EPOCHS_FILE} says ${known.epoch}.`;
    this.problems.push({ file, position, sentence });
  }
}

/** What is wrong with the small files of a broker's directory. */
export function inspectBrokerFiles(disk: Disk, directory: string): Problem[] {
  const problems: Problem[] = [];
  const path = (name: string): string => (directory === '' ? name : `${directory}/${name}`);
  decoded(disk, path(META_PROPERTIES_FILE), decodeMetaProperties, problems);
  for (const name of [RECOVERY_POINTS_FILE, LOG_STARTS_FILE, HIGH_WATERMARKS_FILE, CLEANER_OFFSETS_FILE]) {
    decoded(disk, path(name), decodeOffsets, problems);
  }
  return problems;
}

/** What a small file says; undefined where there is none, or nothing that can be read. */
function decoded<T>(
  disk: Disk,
  file: string,
  decode: (path: string, bytes: Uint8Array) => T,
  problems: Problem[],
): T | undefined {
  const bytes = readWhole(disk, file);
  if (bytes === undefined) return undefined;
  try {
    return decode(file, bytes);
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    problems.push({ file, position: undefined, sentence: error.message });
    return undefined;
  }
}
