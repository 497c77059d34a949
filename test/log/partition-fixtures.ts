import { encodeEpochs } from '../../src/log/checkpoint-files.ts';
import type { Disk } from '../../src/log/disk.ts';
import {
  EPOCHS_FILE,
  INDEX_SUFFIX,
  LOG_SUFFIX,
  segmentFile,
  TIME_INDEX_SUFFIX,
} from '../../src/log/file-names.ts';
import { scanSegment } from '../../src/log/segment-scan.ts';
import { type Segment, type SegmentOptions, segmentOf } from './scan-fixtures.ts';

export interface PartitionOptions extends SegmentOptions {
  readonly directory?: string;
  readonly segments?: number;
}

export interface WrittenSegment extends Segment {
  readonly path: string;
  readonly baseOffset: number;
}

export function put(disk: Disk, path: string, bytes: Uint8Array): void {
  const file = disk.open(path, 'create');
  file.truncate(0);
  file.write(0, [bytes]);
  file.close();
}

export function get(disk: Disk, path: string): Buffer {
  const file = disk.open(path);
  const bytes = Buffer.from(file.read(0, file.size));
  file.close();
  return bytes;
}

/** Flips bits of one byte; a negative position counts from the end. */
export function flip(disk: Disk, path: string, position: number, bits = 1): void {
  const bytes = get(disk, path);
  const at = position < 0 ? bytes.length + position : position;
  bytes[at] ^= bits;
  put(disk, path, bytes);
}

/** A partition as a clean stop leaves it: segments, indexes, epochs. Each segment belongs to an epoch of its own. */
export function writePartition(disk: Disk, options: PartitionOptions = {}): WrittenSegment[] {
  const { directory = 't-0', segments = 3, baseOffset = 0 } = options;
  disk.makeDirectory(directory);
  const written: WrittenSegment[] = [];
  let next = baseOffset;
  for (let n = 0; n < segments; n++) {
    const segment = segmentOf({ batches: 6, valueBytes: 1500, epoch: () => n, ...options, baseOffset: next });
    const path = (suffix: string): string => `${directory}/${segmentFile(next, suffix)}`;
    put(disk, path(LOG_SUFFIX), segment.bytes);
    const file = disk.open(path(LOG_SUFFIX));
    const found = scanSegment(file, { baseOffset: next, intervalBytes: 4096, gapsAllowed: true });
    put(disk, path(INDEX_SUFFIX), Buffer.from(found.offsets));
    put(disk, path(TIME_INDEX_SUFFIX), Buffer.from(found.times));
    file.close();
    written.push({ ...segment, path: path(LOG_SUFFIX), baseOffset: next });
    next = segment.offsets.at(-1) as number;
  }
  const epochs = written.map(({ baseOffset: startOffset }, epoch) => ({ epoch, startOffset }));
  put(disk, `${directory}/${EPOCHS_FILE}`, encodeEpochs(epochs));
  return written;
}
