import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Disk } from '../../src/log/disk.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { batchBytes, writeLeaderEpoch } from '../../src/log/record-batch.ts';
import { type ScrubbedSegment, type ScrubFault, scrub } from '../../src/log/scrub.ts';
import { batchOf } from './compaction-fixtures.ts';

const PATH = 'topic-0/00000000000000000100.log';

/** Batches of 256 KiB, so that a segment takes several steps. */
function sealedSegment(batches = 20): { disk: Disk; segment: ScrubbedSegment; positions: number[] } {
  const disk = new MemoryDisk();
  disk.makeDirectory('topic-0');
  const file = disk.open(PATH, 'create');
  const positions: number[] = [];
  for (let index = 0; index < batches; index++) {
    const value = 'v'.repeat(256 << 10);
    positions.push(file.size);
    file.write(file.size, [batchOf(100 + index, [{ key: 'k', value }])]);
  }
  const segment = {
    path: PATH,
    baseOffset: 100,
    nextOffset: 100 + batches,
    bytes: file.size,
    gapsAllowed: false,
  };
  return { disk, segment, positions };
}

function drain(disk: Disk, segment: ScrubbedSegment): { fault: ScrubFault | undefined; steps: number[] } {
  const steps: number[] = [];
  const running = scrub(disk, segment);
  for (;;) {
    const step = running.next();
    if (step.done) return { fault: step.value, steps };
    steps.push(step.value);
  }
}

test('a segment that is what it was has no fault, and every byte was looked at, a step at a time', () => {
  const { disk, segment } = sealedSegment();
  const { fault, steps } = drain(disk, segment);
  assert.is(fault, undefined);
  assert.ok(steps.length >= 4);
  assert.is(
    steps.reduce((sum, bytes) => sum + bytes, 0),
    segment.bytes,
  );
});

test('a single bit that has changed is found, with its batch', () => {
  const { disk, segment, positions } = sealedSegment();
  const file = disk.open(PATH);
  const [byte] = file.read(positions[13] + 1000, 1);
  file.write(positions[13] + 1000, [Buffer.from([byte ^ 4])]);
  const { fault } = drain(disk, segment);
  assert.equal([fault?.path, fault?.position, fault?.offset], [PATH, positions[13], 113]);
  assert.match(fault?.sentence ?? '', /The batch of offsets 113 to 113 does not match its CRC\.$/);
});

test('a segment that has become shorter is found, where a batch is cut and where none is', () => {
  for (const cut of [0, 7]) {
    const { disk, segment, positions } = sealedSegment();
    disk.open(PATH).truncate(positions[19] + cut);
    const { fault } = drain(disk, segment);
    assert.equal([fault?.position, fault?.offset], [positions[19], 119]);
  }
});

test('batches that are sound but not those that were there are found', () => {
  const { disk, segment, positions } = sealedSegment();
  assert.match(drain(disk, { ...segment, nextOffset: 200 }).fault?.sentence ?? '', /ended at 200 and/);
  const file = disk.open(PATH);
  const batch = Buffer.from(file.read(positions[4], positions[5] - positions[4]));
  assert.is(batchBytes(batch, 0), batch.length);
  // The epoch is not under the CRC, and this batch begins a new step.
  writeLeaderEpoch(batch, 0, 1);
  file.write(positions[4], [batch]);
  assert.match(drain(disk, segment).fault?.sentence ?? '', /epoch/);
});

test.run();
