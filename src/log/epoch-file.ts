import {
  CheckpointError,
  decodeEpochs,
  encodeEpochs,
  readWhole,
  replaceFileNow,
} from './checkpoint-files.ts';
import type { Disk } from './disk.ts';
import type { EpochStart } from './epoch-list.ts';
import { EPOCHS_FILE } from './file-names.ts';

/** A partition's epochs; none where there is no file, and undefined where it is no good: the log knows them too. */
export function readEpochs(disk: Disk, directory: string): EpochStart[] | undefined {
  const path = `${directory}/${EPOCHS_FILE}`;
  const bytes = readWhole(disk, path);
  if (bytes === undefined) return [];
  try {
    return decodeEpochs(path, bytes);
  } catch (error) {
    if (error instanceof CheckpointError) return undefined;
    throw error;
  }
}

/** At once, though not on the device before the log's next sync. */
export function writeEpochs(disk: Disk, directory: string, entries: readonly EpochStart[]): void {
  replaceFileNow(disk, `${directory}/${EPOCHS_FILE}`, encodeEpochs(entries));
}
