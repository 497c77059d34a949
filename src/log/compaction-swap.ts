// How the segments that compaction has written take the place of those that they were made from, so that a crash
// between any two steps leaves one or the other. The suffixes are Kafka's:
//
//   .cleaned   being written: dropped at the next start
//   .swap      complete and on the device, and the directory says so: the next start finishes the swap
//
//   1  X.log.cleaned, X.index.cleaned and X.timeindex.cleaned are synced
//   2  the indexes are renamed to .swap, and last the log: a .log.swap is never without what belongs to it
//   3  the directory is synced: the swap will happen, whatever comes
//   4  the segments that are replaced are removed, all but the one of the same name
//   5  the indexes are renamed to their own names, and last the log, over the old one
//
// 4 and 5 are one turn of the owner's thread, so that no reader finds a segment missing. That they reach the device in
// their order is what journalling file systems do with changes of one directory.
import type { Disk } from './disk.ts';
import { baseOffsetOf, INDEX_SUFFIX, LOG_SUFFIX, segmentFile, TIME_INDEX_SUFFIX } from './file-names.ts';
import { scan } from './scan.ts';
import { DamagedSegmentError } from './segment.ts';

export const CLEANED_SUFFIX = '.cleaned';
export const SWAP_SUFFIX = '.swap';

/** The log comes last: it decides. */
const SUFFIXES = [INDEX_SUFFIX, TIME_INDEX_SUFFIX, LOG_SUFFIX];

/** A cleaned segment, and what it stands for. */
export interface CleanedGroup {
  /** Of the new segment, and of the first that it replaces. */
  readonly baseOffset: number;
  /** The offset after the last batch, before and after. */
  readonly nextOffset: number;
  /** Base offsets of the segments that it replaces. */
  readonly replaced: readonly number[];
  readonly bytes: number;
  /** The largest timestamp of the first batch, and of all. */
  readonly firstTimestamp: number;
  readonly maxTimestamp: number;
}

/** The log whose segments are to be replaced. */
export interface SwapOwner {
  /** Whether the log still consists of these segments, among others. It is asked after every wait. */
  stands(group: CleanedGroup): boolean;
  /** The files have changed, just now and within this turn: what is open of the old ones has to be let go. */
  swapped(group: CleanedGroup): void;
}

/**
 * Puts groups in their places, the oldest first. It stops at the first one whose segments the log no longer has, and
 * drops the rest: what a group left out because of its tombstones has to be gone from all groups before it. True where
 * all are in their places; only then the cleaner's checkpoint may rise.
 */
export async function swapIn(
  disk: Disk,
  directory: string,
  groups: readonly CleanedGroup[],
  owner: SwapOwner,
): Promise<boolean> {
  let isWhole = true;
  for (const group of groups) {
    isWhole &&= await swapGroup(disk, directory, group, owner);
    if (!isWhole) dropCleaned(disk, directory, group.baseOffset);
  }
  return isWhole;
}

/** True once the group is in its place; false where the log had changed meanwhile. */
async function swapGroup(
  disk: Disk,
  directory: string,
  group: CleanedGroup,
  owner: SwapOwner,
): Promise<boolean> {
  const path = (suffix: string): string => `${directory}/${segmentFile(group.baseOffset, suffix)}`;
  for (const suffix of SUFFIXES) await syncFile(disk, `${path(suffix)}${CLEANED_SUFFIX}`);
  if (!owner.stands(group)) return false;
  for (const suffix of SUFFIXES) {
    disk.rename(`${path(suffix)}${CLEANED_SUFFIX}`, `${path(suffix)}${SWAP_SUFFIX}`);
  }
  await disk.syncDirectory(directory);
  if (!owner.stands(group)) return false;
  takePlace(disk, directory, group.baseOffset, group.nextOffset);
  owner.swapped(group);
  return true;
}

/** Removes what compaction has written of a group, whether it is complete or not. */
export function dropCleaned(disk: Disk, directory: string, baseOffset: number): void {
  for (const kind of [SWAP_SUFFIX, CLEANED_SUFFIX]) {
    // The log goes first: without it the others mean nothing.
    for (const suffix of [LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX])
      disk.remove(`${directory}/${segmentFile(baseOffset, suffix)}${kind}`);
  }
}

/**
 * Before a log is opened: swaps that a crash has interrupted are finished, and attempts dropped. Gives the base offsets
 * of the segments that were put in their place. Throws a DamagedSegmentError where the complete segment of a swap has
 * become unreadable, and leaves that swap as it is.
 */
export function finishSwaps(disk: Disk, directory: string): number[] {
  const finished: number[] = [];
  for (const name of disk.list(directory)) {
    const baseOffset = baseOffsetOf(name, `${LOG_SUFFIX}${SWAP_SUFFIX}`);
    if (baseOffset === undefined) continue;
    takePlace(disk, directory, baseOffset, endOfSwap(disk, `${directory}/${name}`, baseOffset));
    finished.push(baseOffset);
  }
  for (const name of disk.list(directory)) {
    if (name.endsWith(CLEANED_SUFFIX) || name.endsWith(SWAP_SUFFIX)) disk.remove(`${directory}/${name}`);
  }
  return finished;
}

/** Steps 4 and 5; what of them was done before is passed over. */
function takePlace(disk: Disk, directory: string, baseOffset: number, nextOffset: number): void {
  const names = disk.list(directory);
  for (const name of names) {
    const base = baseOffsetOf(name, LOG_SUFFIX);
    if (base === undefined || base <= baseOffset || base >= nextOffset) continue;
    for (const suffix of SUFFIXES) disk.remove(`${directory}/${segmentFile(base, suffix)}`);
  }
  for (const suffix of SUFFIXES) {
    const name = segmentFile(baseOffset, suffix);
    if (names.includes(`${name}${SWAP_SUFFIX}`))
      disk.rename(`${directory}/${name}${SWAP_SUFFIX}`, `${directory}/${name}`);
  }
}

/** Which segments a swap replaces stands in itself: compaction never drops the last batch of a group. */
function endOfSwap(disk: Disk, path: string, baseOffset: number): number {
  const file = disk.open(path);
  try {
    const { fault, batches, position, nextOffset } = scan(file, {
      position: 0,
      offset: baseOffset,
      gapsAllowed: true,
    });
    if (fault === undefined && batches > 0) return nextOffset;
    throw new DamagedSegmentError(path, position, fault?.sentence ?? 'It holds no batch.');
  } finally {
    file.close();
  }
}

async function syncFile(disk: Disk, path: string): Promise<void> {
  const file = disk.open(path);
  try {
    await file.sync();
  } finally {
    file.close();
  }
}
