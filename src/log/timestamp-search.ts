import type { TimestampedOffset } from '../types.ts';
import { codecOf, readAttributes, readBaseOffset, readMaxTimestamp } from './record-batch.ts';
import { readRecords } from './record-batch-reader.ts';

/**
 * The first record of the batch at `at`, which ends at `end`, that is not older than `timestamp`. Of a compressed
 * batch it is the batch's beginning: whoever reads from there misses nothing.
 */
export function firstRecordSince(
  bytes: Uint8Array,
  at: number,
  end: number,
  timestamp: number,
): TimestampedOffset | undefined {
  const newest = readMaxTimestamp(bytes, at);
  if (newest < timestamp) return undefined;
  if (codecOf(readAttributes(bytes, at)) !== 0)
    return { offset: readBaseOffset(bytes, at), timestamp: newest };
  let found: TimestampedOffset | undefined;
  const visit = (offset: number, recordTimestamp: number): void => {
    if (found === undefined && recordTimestamp >= timestamp) found = { offset, timestamp: recordTimestamp };
  };
  readRecords(bytes, at, end, visit, { includeControl: true });
  return found;
}
