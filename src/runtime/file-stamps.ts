import { statSync } from 'node:fs';
import { join } from 'node:path';
import { PARTITION_METADATA_FILE } from '../log/checkpoint-files.ts';
import type { ClosedLog, FileStamp, NamedClosedLog } from '../log/closed-logs.ts';
import { EPOCHS_FILE, LOG_SUFFIX, segmentFile } from '../log/file-names.ts';

/**
 * Tells whether anybody has touched a log's files, without a look into one of them: which file each is, its size, and
 * when it was changed last, which the system keeps by itself and nobody can set. The directory's own says whether names
 * have come or gone. Indexes are left out, since they are held against their segment before they are believed. What is
 * changed within the same tick of the system's clock, and keeps its size, is not seen.
 *
 * Undefined where something is missing or cannot be looked at. A copy of the files has another stamp than they.
 */
export function stampOf(
  root: string,
  directory: string,
  { segments, epochs }: ClosedLog,
): FileStamp | undefined {
  const path = join(root, directory);
  const stamp: number[] = [];
  try {
    note(stamp, path);
    note(stamp, `${path}/${PARTITION_METADATA_FILE}`);
    if (epochs.length > 0) note(stamp, `${path}/${EPOCHS_FILE}`);
    for (const { baseOffset } of segments) note(stamp, `${path}/${segmentFile(baseOffset, LOG_SUFFIX)}`);
  } catch {
    return undefined;
  }
  return stamp;
}

/** Whether the files have this stamp still. */
export function isUntouched(root: string, log: NamedClosedLog): boolean {
  const stamp = stampOf(root, log.directory, log);
  return stamp?.length === log.stamp.length && stamp.every((number, at) => number === log.stamp[at]);
}

function note(stamp: number[], file: string): void {
  const { ino, size, ctimeMs } = statSync(file);
  stamp.push(ino, size, ctimeMs);
}
