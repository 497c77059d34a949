import { Buffer } from 'node:buffer';
import { ProducerStates } from '../core/producer-states.ts';
import type { DiskFile } from './disk.ts';
import type { EpochStart } from './epoch-list.ts';
import { encodeProducers } from './producer-snapshot.ts';
import {
  nextOffset,
  producedBatch,
  readBaseOffset,
  readLeaderEpoch,
  readMaxTimestamp,
} from './record-batch.ts';
import { findSoundBatch, type ScanFault, scan } from './scan.ts';
import { SegmentIndex } from './segment-index.ts';

/** What a segment file holds, found by checking every byte of it. Plain data: another thread may have looked. */
export interface SegmentScan {
  readonly baseOffset: number;
  /** End of the last sound batch, and the offset after it. */
  readonly bytes: number;
  readonly nextOffset: number;
  readonly batches: number;
  readonly firstTimestamp: number;
  /** The epochs of its batches, as they begin. */
  readonly epochs: readonly EpochStart[];
  readonly fileBytes: number;
  /** Why the batches end before the file does. */
  readonly fault: ScanFault | undefined;
  /** Where a sound batch lies beyond the fault: then it is damage, and no torn end. */
  readonly soundBeyond: number | undefined;
  /** The indexes, as they are stored. */
  readonly offsets: Uint8Array;
  readonly times: Uint8Array;
  /** What its batches alone say of producers, as a snapshot of its end; undefined where they say nothing. */
  readonly producers: Uint8Array | undefined;
}

export interface SegmentScanOptions {
  readonly baseOffset: number;
  readonly intervalBytes: number;
  readonly gapsAllowed: boolean;
}

export function scanSegment(file: DiskFile, options: SegmentScanOptions): SegmentScan {
  const { baseOffset, intervalBytes, gapsAllowed } = options;
  const index = new SegmentIndex(intervalBytes);
  const epochs: EpochStart[] = [];
  const producers = new ProducerStates();
  let firstTimestamp = -1;
  const result = scan(file, {
    position: 0,
    offset: baseOffset,
    gapsAllowed,
    batch: (bytes, at, position) => {
      if (position === 0) firstTimestamp = readMaxTimestamp(bytes, at);
      index.add(position, nextOffset(bytes, at) - 1, readMaxTimestamp(bytes, at));
      const epoch = readLeaderEpoch(bytes, at);
      if (epoch > (epochs.at(-1)?.epoch ?? -1))
        epochs.push({ epoch, startOffset: readBaseOffset(bytes, at) });
      const produced = producedBatch(bytes, at);
      if (produced !== undefined) producers.note(produced);
    },
  });
  index.seal();
  const { fault, position, nextOffset: end } = result;
  const isTorn = fault !== undefined && fault.kind !== 'end-mark';
  return {
    baseOffset,
    bytes: position,
    nextOffset: end,
    batches: result.batches,
    firstTimestamp,
    epochs,
    fileBytes: file.size,
    fault,
    soundBeyond: isTorn ? findSoundBatch(file, position + 1, end) : undefined,
    offsets: index.encodeOffsets(baseOffset),
    times: index.encodeTimes(baseOffset),
    producers:
      producers.size === 0
        ? undefined
        : encodeProducers(producers, { offset: end, leaderEpoch: result.lastEpoch }),
  };
}

/** The index that a scan made. */
export function indexOfScan(found: SegmentScan, options: SegmentScanOptions): SegmentIndex | undefined {
  const { intervalBytes, baseOffset } = options;
  // What comes from another thread is no Buffer any more.
  const [offsets, times] = [found.offsets, found.times].map((bytes) =>
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length),
  );
  return SegmentIndex.decode(intervalBytes, baseOffset, found.bytes, offsets, times);
}
