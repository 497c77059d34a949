import type { DiskFile } from '../../src/log/disk.ts';
import { batchBytes, nextOffset } from '../../src/log/record-batch.ts';
import type { ScanOptions } from '../../src/log/scan.ts';
import { encodeBatch } from './record-batch-fixtures.ts';

/** A file that only reads. Each read overwrites what the last one gave, as a disk may. */
export function fileOf(bytes: Uint8Array, path = 't-0/00000000000000000000.log'): DiskFile {
  let last: Buffer | undefined;
  const refuse = (): never => {
    throw new Error('this file only reads');
  };
  return {
    path,
    size: bytes.length,
    read: (position, length) => {
      last?.fill(0xaa);
      last = Buffer.from(bytes.slice(position, position + length));
      return last;
    },
    write: refuse,
    truncate: refuse,
    sync: refuse,
    close: () => undefined,
  };
}

export interface SegmentOptions {
  readonly batches?: number;
  readonly recordsPerBatch?: number;
  readonly valueBytes?: number;
  readonly baseOffset?: number;
  /** Of each batch, by its number. */
  readonly epoch?: (batch: number) => number;
  /** How many offsets are left out before a batch. */
  readonly gap?: (batch: number) => number;
}

export interface Segment {
  readonly bytes: Buffer;
  /** Of each batch, and the end of the last one. */
  readonly positions: readonly number[];
  readonly offsets: readonly number[];
}

/** What a partition's file holds: batches one behind the other. */
export function segmentOf(options: SegmentOptions = {}): Segment {
  const { batches = 5, recordsPerBatch = 3, valueBytes = 20, baseOffset = 0 } = options;
  const { epoch = () => 0, gap = () => 0 } = options;
  const pieces: Uint8Array[] = [];
  const positions = [0];
  const offsets: number[] = [];
  let next = baseOffset;
  for (let batch = 0; batch < batches; batch++) {
    next += gap(batch);
    offsets.push(next);
    const records = Array.from({ length: recordsPerBatch }, (_, n) => ({
      timestamp: 1_700_000_000_000 + next + n,
      key: Buffer.from(`key ${next + n}`),
      value: Buffer.alloc(valueBytes, 1 + ((next + n) % 255)),
    }));
    const bytes = encodeBatch(records, {
      baseOffset: next,
      leaderEpoch: epoch(batch),
      capacityBytes: 1 << 26,
    });
    pieces.push(bytes);
    positions.push((positions.at(-1) as number) + batchBytes(bytes, 0));
    next = nextOffset(bytes, 0);
  }
  offsets.push(next);
  return { bytes: Buffer.concat(pieces), positions, offsets };
}

export const fromStart: ScanOptions = { position: 0, offset: 0, gapsAllowed: false };
