import type { Disk } from './disk.ts';
import { readLeaderEpoch } from './record-batch.ts';
import { scan } from './scan.ts';

/** What is read before others have their turn. */
const STEP_BYTES = 1 << 20;

/** A sealed segment as it was written. Plain data: it goes to another thread. */
export interface ScrubbedSegment {
  readonly path: string;
  readonly baseOffset: number;
  readonly nextOffset: number;
  readonly bytes: number;
  readonly gapsAllowed: boolean;
}

/** Where a segment is no longer what it was. */
export interface ScrubFault {
  readonly path: string;
  readonly position: number;
  /** The first offset that cannot be read. */
  readonly offset: number;
  readonly sentence: string;
}

/**
 * Checks every byte of a sealed segment again, and yields how many it has checked after every step. A fault means
 * something only if the segment is still the log's when it comes: retention and compaction take files away.
 */
export function* scrub(disk: Disk, segment: ScrubbedSegment): Generator<number, ScrubFault | undefined> {
  const { path, bytes, gapsAllowed } = segment;
  const file = disk.open(path);
  try {
    let position = 0;
    let offset = segment.baseOffset;
    let epoch = -1;
    while (position < bytes) {
      const bytesMax = Math.min(STEP_BYTES, bytes - position);
      let firstEpoch = -1;
      // The scan knows nothing of the step before. Epochs are not under the CRC: that they go back is all that tells.
      const batch = (batches: Uint8Array, at: number): void => {
        if (firstEpoch === -1) firstEpoch = readLeaderEpoch(batches, at);
      };
      const found = scan(file, { position, offset, gapsAllowed, bytesMax, batch });
      if (found.fault !== undefined)
        return {
          path,
          position: found.fault.position,
          offset: found.nextOffset,
          sentence: found.fault.sentence,
        };
      if (found.position === position) {
        const sentence = `${path} ends at byte ${position}, and had ${bytes} bytes.`;
        return { path, position, offset, sentence };
      }
      if (firstEpoch < epoch) {
        const sentence = `${path}, byte ${position}: The batch at offset ${offset} has leader epoch ${firstEpoch}, after one of ${epoch}.`;
        return { path, position, offset, sentence };
      }
      yield found.position - position;
      ({ position, nextOffset: offset, lastEpoch: epoch } = found);
    }
    // Where the next segment begins may lie behind a gap.
    const isEnd = gapsAllowed ? offset <= segment.nextOffset : offset === segment.nextOffset;
    if (isEnd && position === bytes) return undefined;
    const sentence = `${path} ends at offset ${offset} and byte ${position}, and ended at ${segment.nextOffset} and ${bytes}.`;
    return { path, position, offset, sentence };
  } finally {
    file.close();
  }
}
