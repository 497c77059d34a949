// How fast does compaction go, and how long does it keep a thread at a time?
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32c } from '../../native-free/crc32c/index.ts';
import { compact, type SealedSegment } from '../../src/log/compaction.ts';
import type { Disk } from '../../src/log/disk.ts';
import { LOG_SUFFIX, segmentFile } from '../../src/log/file-names.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { writeBaseOffset } from '../../src/log/record-batch.ts';
import { BatchWriter } from '../../src/log/record-batch-writer.ts';
import { FileDisk } from '../../src/runtime/file-disk.ts';

const LOG_BYTES = 64 << 20;
const SEGMENT_BYTES = 16 << 20;
const BATCH_BYTES = 64 << 10;
const RECORD_BYTES = 256;
const MAP_BYTES = 64 << 20;
const ROUNDS = 5;
const NOW = 1_700_000_000_000;
const DIRECTORY = 'bench-0';
const UNIQUE_KEYS = Math.floor(LOG_BYTES / RECORD_BYTES / 10);

/** Keys of 12 bytes, a tenth of them different, in no order; deterministic. */
function writeLog(disk: Disk): SealedSegment[] {
  disk.makeDirectory(DIRECTORY);
  const segments: SealedSegment[] = [];
  const writer = new BatchWriter(BATCH_BYTES);
  const value = Buffer.alloc(RECORD_BYTES - 12 - 8, 65);
  let offset = 0;
  let random = 1;
  while (segments.length * SEGMENT_BYTES < LOG_BYTES) {
    const baseOffset = offset;
    const file = disk.open(`${DIRECTORY}/${segmentFile(baseOffset, LOG_SUFFIX)}`, 'create');
    let bytes = 0;
    while (bytes < SEGMENT_BYTES) {
      writer.reset();
      do random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
      while (writer.tryAppend(NOW, `key ${String((random >>> 4) % UNIQUE_KEYS).padStart(8, '0')}`, value));
      const size = writer.finishWithCrc(crc32c);
      const batch = writer.bytesView();
      writeBaseOffset(batch, 0, offset);
      file.write(bytes, [batch]);
      bytes += size;
      offset += writer.count;
    }
    file.close();
    segments.push({ baseOffset, nextOffset: offset, bytes });
  }
  return segments;
}

function measure(
  name: string,
  disk: Disk,
  segments: readonly SealedSegment[],
  firstDirtyOffset: number,
): void {
  const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
  const times: number[] = [];
  let longestMs = 0;
  let written = 0;
  let slices = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const running = compact(disk, {
      directory: DIRECTORY,
      segments,
      firstDirtyOffset,
      uncleanableFrom: Number.MAX_SAFE_INTEGER,
      deleteRetentionMs: 0,
      segmentBytes: SEGMENT_BYTES,
      indexIntervalBytes: 4096,
      batchBytesMax: 1 << 20,
      nowMs: NOW,
      producerEnds: new Map(),
      mapBytesMax: MAP_BYTES,
    });
    const startMs = performance.now();
    for (slices = 0; ; slices++) {
      const sliceMs = performance.now();
      const step = running.next();
      if (round > 0) longestMs = Math.max(longestMs, performance.now() - sliceMs);
      if (!step.done) continue;
      written = step.value.bytesWritten;
      break;
    }
    times.push(performance.now() - startMs);
  }
  const ms = times.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)];
  const rate = `${(bytes / 1e3 / ms).toFixed(0)} MB/s`;
  const what = `${(bytes / 1e6).toFixed(0)} MB to ${(written / 1e6).toFixed(1)} MB`;
  console.log(
    `${name.padEnd(34)} ${rate.padStart(9)}   ${what}, ${slices} slices, the longest ${longestMs.toFixed(1)} ms`,
  );
}

export function run(): void {
  const directory = mkdtempSync(join(tmpdir(), 'tidemark-compaction-'));
  try {
    for (const [name, disk] of [
      ['in memory', new MemoryDisk()],
      ['files', new FileDisk(directory)],
    ] as const) {
      const segments = writeLog(disk);
      measure(`${name}, all of it dirty`, disk, segments, 0);
      measure(`${name}, the last quarter dirty`, disk, segments, segments[3].baseOffset);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
