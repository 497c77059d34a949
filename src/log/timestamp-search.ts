import type { TimestampedOffset } from '../types.ts';
import { decompress } from './codecs.ts';
import { RecordWalker, sectionOf } from './compaction-records.ts';
import {
  BatchAttribute,
  readAttributes,
  readBaseOffset,
  readBaseTimestamp,
  readMaxTimestamp,
} from './record-batch.ts';
import { CorruptBatchError, UnsupportedCompressionError } from './record-batch-fault.ts';

/**
 * The first record of the batch at `at` that is not older than `timestamp`. Of a batch that cannot
 * be read here it is the batch's beginning: whoever reads from there misses nothing, and sees what is wrong with it.
 */
export function firstRecordSince(
  bytes: Uint8Array,
  at: number,
  timestamp: number,
): TimestampedOffset | undefined {
  const newest = readMaxTimestamp(bytes, at);
  if (newest < timestamp) return undefined;
  const base = readBaseOffset(bytes, at);
  const isStamped = (readAttributes(bytes, at) & BatchAttribute.LOG_APPEND_TIME) !== 0;
  const baseTimestamp = readBaseTimestamp(bytes, at);
  let found: TimestampedOffset | undefined;
  try {
    // To its end, since a batch that cannot be read is told apart by that.
    for (const records = new RecordWalker(sectionOf(bytes, at, decompress), bytes, at); records.next(); ) {
      const recordTimestamp = isStamped ? newest : baseTimestamp + records.timestampDelta;
      if (found === undefined && recordTimestamp >= timestamp)
        found = { offset: base + records.offsetDelta, timestamp: recordTimestamp };
    }
  } catch (error) {
    const isUnreadable = error instanceof UnsupportedCompressionError || error instanceof CorruptBatchError;
    if (!isUnreadable) throw error;
    return { offset: base, timestamp: newest };
  }
  return found;
}
