import { statSync } from 'node:fs';
import { join } from 'node:path';
import { PARTITION_METADATA_FILE } from '../log/checkpoint-files.ts';
import type { ClosedLog } from '../log/closed-logs.ts';
import { EPOCHS_FILE, LOG_SUFFIX, segmentFile } from '../log/file-names.ts';

/**
 * Tells whether anybody has touched a log's files, without a look into one of them: which file it is, its size, and when
 * it was changed last, which the system keeps by itself and nobody can set. The directory's own says whether names have
 * come or gone. Indexes are left out, since they are held against their segment before they are believed.
 *
 * Undefined where something is missing or cannot be looked at. A copy of the files has another stamp than they.
 */
export function stampOf(
  root: string,
  directory: string,
  { segments, epochs }: ClosedLog,
): string | undefined {
  const path = join(root, directory);
  const names = segments.map(({ baseOffset }) => segmentFile(baseOffset, LOG_SUFFIX));
  if (epochs.length > 0) names.push(EPOCHS_FILE);
  const stamps: string[] = [];
  try {
    for (const file of [path, ...[PARTITION_METADATA_FILE, ...names].map((name) => `${path}/${name}`)]) {
      const { ino, size, ctimeMs } = statSync(file);
      stamps.push(`${ino}.${size}.${ctimeMs}`);
    }
  } catch {
    return undefined;
  }
  return stamps.join(' ');
}
