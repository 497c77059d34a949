import { groupSegments, type SealedSegment } from './compaction.ts';

/** A sealed segment with its ages. */
export interface AgedSegment extends SealedSegment {
  /** The largest timestamp of its first batch, and of all its batches. */
  readonly firstTimestamp: number;
  readonly maxTimestamp: number;
}

/** Those of a topic's properties that say when it is compacted. */
export interface CompactionSettings {
  readonly 'min.cleanable.dirty.ratio': number;
  readonly 'min.compaction.lag.ms': number;
  readonly 'max.compaction.lag.ms': number;
  readonly 'segment.bytes': number;
}

/** So many files less are worth it to put small segments together, or half of them. */
const MERGED_MIN = 8;

export interface CompactionState {
  /** The cleaner's checkpoint. */
  readonly cleanedTo: number;
  /** The HWM. */
  readonly committed: number;
  readonly nowMs: number;
}

export interface CompactionPlan {
  readonly segments: readonly SealedSegment[];
  readonly firstDirtyOffset: number;
  readonly uncleanableFrom: number;
  /** The share of the bytes that is dirty: of several logs, the one with the largest comes first. */
  readonly dirtyRatio: number;
}

/** What there is to compact of a log, or undefined while it is too little, or too young. */
export function planCompaction(
  sealed: readonly AgedSegment[],
  state: CompactionState,
  settings: CompactionSettings,
): CompactionPlan | undefined {
  const { cleanedTo, committed, nowMs } = state;
  const lagMs = settings['min.compaction.lag.ms'];
  const segments: SealedSegment[] = [];
  let cleanBytes = 0;
  let dirtyBytes = 0;
  let cleanSegments = 0;
  let oldestDirtyMs = Number.POSITIVE_INFINITY;
  for (const segment of sealed) {
    const { baseOffset, nextOffset, bytes } = segment;
    // What lies behind a segment that may not be cleaned is younger still. Ages are read from files: only if needed.
    if (nextOffset > committed || (lagMs > 0 && nowMs - segment.maxTimestamp < lagMs)) break;
    if (bytes === 0) continue;
    segments.push({ baseOffset, nextOffset, bytes });
    if (nextOffset <= cleanedTo) {
      cleanBytes += bytes;
      cleanSegments += 1;
    } else {
      dirtyBytes += bytes;
      oldestDirtyMs = Math.min(oldestDirtyMs, segment.firstTimestamp);
    }
  }
  const merge = (): CompactionPlan | undefined =>
    planMerge(segments.slice(0, cleanSegments), cleanedTo, settings['segment.bytes']);
  if (dirtyBytes === 0) return merge();
  const dirtyRatio = dirtyBytes / (cleanBytes + dirtyBytes);
  const isLate = nowMs - oldestDirtyMs > settings['max.compaction.lag.ms'];
  if (dirtyRatio < settings['min.cleanable.dirty.ratio'] && !isLate) return merge();
  const [first] = segments;
  const last = segments[segments.length - 1];
  return {
    segments,
    // The checkpoint may lie below what retention has left.
    firstDirtyOffset: Math.max(cleanedTo, first.baseOffset),
    uncleanableFrom: last.nextOffset,
    dirtyRatio,
  };
}

/**
 * How much a segment shrinks is known only once it is cleaned: full ones that kept little have become many small files.
 * They are put together without any new keys, and where that leaves them as they are nothing is planned.
 */
function planMerge(
  segments: readonly SealedSegment[],
  cleanedTo: number,
  segmentBytes: number,
): CompactionPlan | undefined {
  const groups = groupSegments({ segments, segmentBytes }, cleanedTo).length;
  const saved = segments.length - groups;
  if (saved < MERGED_MIN && (saved === 0 || groups > saved)) return undefined;
  return { segments, firstDirtyOffset: cleanedTo, uncleanableFrom: cleanedTo, dirtyRatio: 0 };
}
