// Brings a damaged partition into a state that can be opened, at the price of what cannot be read any more. A batch of
// no records takes the place of what is lost in the midst of a log, so that offsets go on without a gap and everything
// behind the damage stays where it was.
import { Buffer } from 'node:buffer';
import { crc32c } from '../../native-free/crc32c/index.ts';
import {
  decodeOffsets,
  encodeOffsets,
  HIGH_WATERMARKS_FILE,
  LOG_STARTS_FILE,
  RECOVERY_POINTS_FILE,
  readDecoded,
  replaceFile,
  writeWhole,
} from './checkpoint-files.ts';
import type { Disk, DiskFile } from './disk.ts';
import type { EpochStart } from './epoch-list.ts';
import { writeEpochs } from './epoch-list.ts';
import {
  EPOCHS_FILE,
  INDEX_SUFFIX,
  LOG_SUFFIX,
  partitionOf,
  segmentFile,
  TIME_INDEX_SUFFIX,
} from './file-names.ts';
import {
  besides,
  type InspectedPartition,
  type InspectedSegment,
  isOf,
  lateBy,
  missingUpTo,
  shortOf,
} from './inspection.ts';
import {
  BATCH_HEADER_BYTES,
  CRC_FROM,
  writeBaseOffset,
  writeBatchHeader,
  writeCrc,
  writeLastOffsetDelta,
  writeLeaderEpoch,
} from './record-batch.ts';
import { scanSegment } from './segment-scan.ts';
import type { Damage } from './segment-walk.ts';

export interface RepairStep {
  /** On the disk. */
  readonly file: string;
  /** 'impossible': what no rule of this file can mend. */
  readonly action:
    | 'cut'
    | 'bridge'
    | 'renumber'
    | 'rebuild'
    | 'remove'
    | 'begin'
    | 'found'
    | 'shorten'
    | 'impossible';
  readonly position: number;
  /** That go. */
  readonly bytes: number;
  /** Offsets whose records go, from the first to behind the last, which is -1 where nobody can tell it. */
  readonly fromOffset: number;
  readonly toOffset: number;
  readonly sentence: string;
}

/** As Kafka's default for index.interval.bytes. */
const INDEX_INTERVAL_BYTES = 4096;
const COPY_BYTES = 1 << 20;
const OFFSETS_A_BATCH_MAX = 0x7fff_ffff;

export function planRepair(partition: InspectedPartition): RepairStep[] {
  const steps: RepairStep[] = [];
  if (partition.isMissing) {
    const { directory: file, endOffset: fromOffset, knownEnd: toOffset } = partition;
    const sentence = missingUpTo(toOffset);
    return [{ file, action: 'found', position: 0, bytes: 0, fromOffset, toOffset, sentence }];
  }
  for (const segment of partition.segments) {
    const isLast = segment === partition.segments.at(-1);
    for (const damage of segment.damages) steps.push(stepOf(segment, damage, isLast));
    for (const { kind, position, sentence } of segment.indexFaults) {
      const suffix = kind === 'offsets' ? INDEX_SUFFIX : TIME_INDEX_SUFFIX;
      const file = pathOf(partition, segment, suffix);
      steps.push({
        ...nothingLost(segment),
        file,
        action: 'rebuild',
        position,
        sentence: `The index is wrong: ${sentence}.`,
      });
    }
  }
  if (partition.areEpochsDamaged) {
    const file = `${partition.directory}/${EPOCHS_FILE}`;
    const sentence = 'It cannot be read, and is made anew from the batches.';
    steps.push({ file, action: 'rebuild', position: 0, bytes: 0, fromOffset: 0, toOffset: 0, sentence });
  }
  for (const { file, sentence } of partition.orphans)
    steps.push({ file, action: 'remove', position: 0, bytes: 0, fromOffset: 0, toOffset: 0, sentence });
  const { directory: file, startOffset, knownStart, endOffset: fromOffset, knownEnd: toOffset } = partition;
  if (knownStart < startOffset) {
    const lost = { position: 0, bytes: 0, fromOffset: knownStart, toOffset: startOffset };
    steps.push({ file, action: 'begin', ...lost, sentence: lateBy(startOffset, knownStart) });
  }
  if (fromOffset < toOffset) {
    const sentence = shortOf(fromOffset, toOffset);
    steps.push({ file, action: 'shorten', position: 0, bytes: 0, fromOffset, toOffset, sentence });
  }
  return steps;
}

function nothingLost({
  baseOffset,
}: InspectedSegment): Pick<RepairStep, 'bytes' | 'fromOffset' | 'toOffset'> {
  return { bytes: 0, fromOffset: baseOffset, toOffset: baseOffset };
}

const actions: Readonly<Record<Damage['kind'], RepairStep['action']>> = {
  lost: 'bridge',
  end: 'bridge',
  offset: 'renumber',
  epoch: 'renumber',
  overlap: 'impossible',
};

function stepOf(segment: InspectedSegment, damage: Damage, isLast: boolean): RepairStep {
  const { position, bytes, sentence } = damage;
  const action = isCut(damage, isLast) ? 'cut' : actions[damage.kind];
  const lost = action === 'renumber' ? nothingLost(segment) : damage;
  return {
    file: segment.file,
    action,
    position,
    bytes,
    fromOffset: lost.fromOffset,
    toOffset: lost.toOffset,
    sentence,
  };
}

/** At the end of a log what is lost is cut off: nothing has to stay where it was. */
function isCut({ kind }: Damage, isLast: boolean): boolean {
  return kind === 'end' && isLast;
}

export interface RepairOptions {
  /** Whether what is dropped is kept beside the file, as `NAME.dropped-1` and so on. */
  readonly keepDropped: boolean;
}

/** Does what planRepair says, but for what is impossible; gives the files that hold what was dropped. */
export async function repairPartition(
  disk: Disk,
  partition: InspectedPartition,
  { keepDropped }: RepairOptions,
): Promise<string[]> {
  const kept: string[] = [];
  if (partition.isMissing) disk.makeDirectory(partition.directory);
  let epoch = -1;
  for (const segment of partition.segments) {
    const { damages, file } = segment;
    const isLast = segment === partition.segments.at(-1);
    if (keepDropped) {
      for (const damage of damages.filter(({ bytes }) => bytes > 0)) {
        kept.push(await keepCopy(disk, file, damage));
      }
    }
    const repairs = damages.filter(({ kind }) => kind !== 'overlap');
    if (repairs.length > 0) await rewrite(disk, segment, repairs, isLast, epoch);
    if (repairs.length > 0 || segment.indexFaults.length > 0) await rebuildIndexes(disk, partition, segment);
    epoch = Math.max(epoch, segment.lastEpoch);
  }
  if (partition.areEpochsDamaged) await rebuildEpochs(disk, partition);
  for (const { file } of partition.orphans) disk.remove(file);
  if (partition.knownStart < partition.startOffset) await raiseLogStart(disk, partition);
  if (partition.endOffset < partition.knownEnd) await lowerCheckpoints(disk, partition);
  await disk.syncDirectory(partition.directory);
  if (partition.isMissing) await disk.syncDirectory(besides(partition.directory, '').slice(0, -1));
  return kept;
}

/** The log begins no earlier than what is left of it: what a start has put in the place of the rest goes last. */
async function raiseLogStart(
  disk: Disk,
  { directory, startOffset, knownStart }: InspectedPartition,
): Promise<void> {
  const path = besides(directory, LOG_STARTS_FILE);
  const entries = readDecoded(disk, path, decodeOffsets) ?? [];
  const others = entries.filter((entry) => !isOf(entry, directory));
  const before = entries.find((entry) => isOf(entry, directory))?.offset ?? 0;
  const name = directory.slice(directory.lastIndexOf('/') + 1);
  const raised = { ...partitionOf(name), offset: Math.max(before, startOffset) };
  await replaceFile(disk, path, encodeOffsets([...others, raised]));
  for (const suffix of [INDEX_SUFFIX, TIME_INDEX_SUFFIX, LOG_SUFFIX])
    disk.remove(`${directory}/${segmentFile(knownStart, suffix)}`);
}

/** The log goes no further than it goes now: otherwise a start would miss the rest, and not open it. */
async function lowerCheckpoints(disk: Disk, { directory, endOffset }: InspectedPartition): Promise<void> {
  for (const name of [HIGH_WATERMARKS_FILE, RECOVERY_POINTS_FILE]) {
    const path = besides(directory, name);
    const entries = readDecoded(disk, path, decodeOffsets) ?? [];
    const lowered = entries.map((entry) =>
      isOf(entry, directory) ? { ...entry, offset: Math.min(entry.offset, endOffset) } : entry,
    );
    await replaceFile(disk, path, encodeOffsets(lowered));
  }
}

async function keepCopy(disk: Disk, path: string, { position, bytes }: Damage): Promise<string> {
  const slash = path.lastIndexOf('/');
  const names = new Set(disk.list(path.slice(0, Math.max(slash, 0))));
  let number = 1;
  while (names.has(`${path.slice(slash + 1)}.dropped-${number}`)) number += 1;
  const copy = disk.open(`${path}.dropped-${number}`, 'create');
  const file = disk.open(path);
  try {
    copyRange(file, position, position + bytes, copy);
    await copy.sync();
    return copy.path;
  } finally {
    file.close();
    copy.close();
  }
}

/** The file as it should be, beside it and then in its place: a repair that is interrupted has changed nothing. */
async function rewrite(
  disk: Disk,
  segment: InspectedSegment,
  damages: readonly Damage[],
  isLast: boolean,
  epochBefore: number,
): Promise<void> {
  const file = disk.open(segment.file);
  const mended = disk.open(`${segment.file}.repaired`, 'create');
  try {
    mended.truncate(0);
    let from = 0;
    for (const damage of damages) {
      // A batch with two wrong numbers gets one of them right; the next repair sees the other.
      if (damage.position < from) continue;
      copyRange(file, from, damage.position, mended);
      from = damage.position + damage.bytes;
      if (damage.kind === 'offset' || damage.kind === 'epoch') {
        from = damage.position + copyHeader(file, damage, mended);
      } else if (!isCut(damage, isLast)) {
        const epoch = Math.max(epochBefore, damage.epochBefore);
        for (const filler of fillers(damage, epoch)) mended.write(mended.size, [filler]);
      }
    }
    copyRange(file, from, segment.fileBytes - segment.unusedBytes, mended);
    await mended.sync();
  } finally {
    file.close();
    mended.close();
  }
  disk.rename(`${segment.file}.repaired`, segment.file);
}

/** Copies a batch's header with the number that it should have. */
function copyHeader(file: DiskFile, { kind, position, rightNumber }: Damage, to: DiskFile): number {
  const header = Buffer.from(file.read(position, BATCH_HEADER_BYTES));
  if (kind === 'offset') writeBaseOffset(header, 0, rightNumber);
  else writeLeaderEpoch(header, 0, rightNumber);
  to.write(to.size, [header]);
  return header.length;
}

function copyRange(from: DiskFile, start: number, end: number, to: DiskFile): void {
  for (let at = start; at < end; at += COPY_BYTES) {
    // A copy, because what was read is valid only until a file is written.
    const piece = Buffer.from(from.read(at, Math.min(COPY_BYTES, end - at)));
    to.write(to.size, [piece]);
  }
}

/** Batches without records that stand for lost offsets, as compaction leaves them too. */
function fillers({ fromOffset, toOffset }: Damage, epoch: number): Buffer[] {
  const made: Buffer[] = [];
  for (let from = fromOffset; from < toOffset; ) {
    const to = Math.min(toOffset, from + OFFSETS_A_BATCH_MAX);
    const batch = Buffer.alloc(BATCH_HEADER_BYTES);
    writeBatchHeader(batch, 0, batch.length, 0, -1, -1);
    writeBaseOffset(batch, 0, from);
    writeLeaderEpoch(batch, 0, epoch);
    writeLastOffsetDelta(batch, 0, to - from - 1);
    writeCrc(batch, 0, crc32c(batch.subarray(CRC_FROM)));
    made.push(batch);
    from = to;
  }
  return made;
}

async function rebuildIndexes(
  disk: Disk,
  partition: InspectedPartition,
  segment: InspectedSegment,
): Promise<void> {
  const file = disk.open(segment.file);
  const { baseOffset } = segment;
  const { gapsAllowed } = partition;
  const found = scanSegment(file, { baseOffset, intervalBytes: INDEX_INTERVAL_BYTES, gapsAllowed });
  file.close();
  await replace(disk, pathOf(partition, segment, INDEX_SUFFIX), found.offsets);
  await replace(disk, pathOf(partition, segment, TIME_INDEX_SUFFIX), found.times);
}

async function replace(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const file = disk.open(path, 'create');
  try {
    writeWhole(file, bytes);
    await file.sync();
  } finally {
    file.close();
  }
}

async function rebuildEpochs(disk: Disk, partition: InspectedPartition): Promise<void> {
  const epochs: EpochStart[] = [];
  for (const segment of partition.segments) {
    const file = disk.open(segment.file);
    const { baseOffset } = segment;
    const { gapsAllowed } = partition;
    const found = scanSegment(file, { baseOffset, intervalBytes: INDEX_INTERVAL_BYTES, gapsAllowed });
    file.close();
    for (const start of found.epochs) if (start.epoch > (epochs.at(-1)?.epoch ?? -1)) epochs.push(start);
  }
  writeEpochs(disk, partition.directory, epochs);
  const file = disk.open(`${partition.directory}/${EPOCHS_FILE}`);
  try {
    await file.sync();
  } finally {
    file.close();
  }
}

function pathOf({ directory }: InspectedPartition, { baseOffset }: InspectedSegment, suffix: string): string {
  return `${directory}/${segmentFile(baseOffset, suffix)}`;
}
