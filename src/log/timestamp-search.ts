import type { TimestampedOffset } from '../types.ts';
import { decompress } from './codecs.ts';
import { readBaseOffset, readMaxTimestamp } from './record-batch.ts';
import { CorruptBatchError, UnsupportedCompressionError } from './record-batch-fault.ts';
import { readRecords } from './record-batch-reader.ts';

/**
 * The first record of the batch at `at`, which ends at `end`, that is not older than `timestamp`. Of a batch that cannot
 * be read here it is the batch's beginning: whoever reads from there misses nothing, and sees what is wrong with it.
 */
export function firstRecordSince(
  bytes: Uint8Array,
  at: number,
  end: number,
  timestamp: number,
): TimestampedOffset | undefined {
  const newest = readMaxTimestamp(bytes, at);
  if (newest < timestamp) return undefined;
  let found: TimestampedOffset | undefined;
  const visit = (offset: number, recordTimestamp: number): void => {
    if (found === undefined && recordTimestamp >= timestamp) found = { offset, timestamp: recordTimestamp };
  };
  try {
    readRecords(bytes, at, end, visit, { includeControl: true, decompress });
  } catch (error) {
    const isUnreadable = error instanceof UnsupportedCompressionError || error instanceof CorruptBatchError;
    if (!isUnreadable) throw error;
    return { offset: readBaseOffset(bytes, at), timestamp: newest };
  }
  return found;
}
