import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeOffsets, encodeOffsets } from '../../src/log/checkpoint-files.ts';
import { inspectPartition } from '../../src/log/inspection.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { batchBytes, readBaseOffset, readRecordCount } from '../../src/log/record-batch.ts';
import { planRepair, repairPartition } from '../../src/log/repair.ts';
import { walkSegment } from '../../src/log/segment-walk.ts';
import { flip, get, put, type WrittenSegment, writePartition } from './partition-fixtures.ts';

const strict = { gapsAllowed: false };

async function repair(disk: MemoryDisk, gapsAllowed = false, keepDropped = true): Promise<string[]> {
  return repairPartition(disk, inspectPartition(disk, 't-0', { gapsAllowed }), { keepDropped });
}

/** Every batch of the partition with records, by its base offset. */
function batchesOf(disk: MemoryDisk, gapsAllowed = false): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (const { file: path, baseOffset } of inspectPartition(disk, 't-0', { gapsAllowed }).segments) {
    const file = disk.open(path);
    const batch = (bytes: Uint8Array, at: number): void => {
      if (readRecordCount(bytes, at) === 0) return;
      found.set(readBaseOffset(bytes, at), Buffer.from(bytes.slice(at, at + batchBytes(bytes, at))));
    };
    walkSegment(file, { baseOffset, endOffset: undefined, gapsAllowed, batch });
    file.close();
  }
  return found;
}

function batchesWritten(segments: readonly WrittenSegment[]): Map<number, Buffer> {
  const written = new Map<number, Buffer>();
  for (const { bytes, positions, offsets } of segments) {
    for (let n = 0; n + 1 < positions.length; n++) {
      written.set(offsets[n], bytes.subarray(positions[n], positions[n + 1]));
    }
  }
  return written;
}

test('a sound partition has nothing to repair, and is left byte for byte as it is', async () => {
  const disk = new MemoryDisk();
  const written = writePartition(disk);
  assert.equal(planRepair(inspectPartition(disk, 't-0', strict)), []);
  assert.equal(await repair(disk), []);
  for (const { path, bytes } of written) assert.equal(get(disk, path), bytes);
});

test('a torn end is cut off, and kept beside the file', async () => {
  const disk = new MemoryDisk();
  const [, , last] = writePartition(disk);
  put(disk, last.path, last.bytes.subarray(0, -10));
  const [step, ...more] = planRepair(inspectPartition(disk, 't-0', strict));
  assert.equal(more, []);
  assert.equal(
    [step.action, step.file, step.position, step.bytes, step.fromOffset, step.toOffset],
    ['cut', last.path, last.positions[5], last.bytes.length - 10 - last.positions[5], 51, 54],
  );
  const kept = await repair(disk);
  assert.equal(kept, [`${last.path}.dropped-1`]);
  assert.equal(get(disk, kept[0]), last.bytes.subarray(last.positions[5], -10));
  assert.equal(get(disk, last.path), last.bytes.subarray(0, last.positions[5]));
  assert.equal(inspectPartition(disk, 't-0', strict).problems, []);
  // What is kept is never written over, and is no part of the log.
  flip(disk, last.path, -1);
  assert.equal(await repair(disk), [`${last.path}.dropped-2`]);
  put(disk, last.path, last.bytes.subarray(0, -10));
  assert.equal(await repair(disk, false, false), []);
});

test('one flipped bit in the midst costs one batch: all others stay, at their offsets', async () => {
  const disk = new MemoryDisk();
  const written = writePartition(disk);
  const [, second] = written;
  flip(disk, second.path, second.positions[2] + 200);
  const [step] = planRepair(inspectPartition(disk, 't-0', strict));
  assert.equal([step.action, step.fromOffset, step.toOffset], ['bridge', 24, 27]);
  await repair(disk);
  const found = inspectPartition(disk, 't-0', strict);
  assert.equal(found.problems, []);
  assert.is(found.segments.at(-1)?.nextOffset, 54);
  const left = batchesWritten(written);
  left.delete(24);
  assert.equal(batchesOf(disk), left);
});

test('a wrong number in a header is put right, and nothing is lost', async () => {
  for (const [field, bits] of [
    [3, 64],
    [7, 16],
    [15, 8],
  ] as const) {
    const disk = new MemoryDisk();
    const written = writePartition(disk);
    const [first] = written;
    flip(disk, first.path, first.positions[3] + field, bits);
    const steps = planRepair(inspectPartition(disk, 't-0', strict));
    assert.equal(
      steps.map(({ action, bytes }) => [action, bytes]),
      [['renumber', 0]],
      `byte ${field}`,
    );
    assert.equal(await repair(disk), []);
    assert.equal(get(disk, first.path), first.bytes);
  }
});

test('damage that reaches into the number of the batch behind it does not move that batch', async () => {
  const disk = new MemoryDisk();
  const written = writePartition(disk);
  const [first] = written;
  const bytes = Buffer.from(first.bytes);
  put(disk, first.path, bytes.fill(0, 0, first.positions[1] + 8));
  await repair(disk);
  assert.equal(inspectPartition(disk, 't-0', strict).problems, []);
  const left = batchesWritten(written);
  left.delete(0);
  assert.equal(batchesOf(disk), left);
});

test('a segment of which nothing is left still stands for its offsets', async () => {
  const disk = new MemoryDisk();
  const written = writePartition(disk);
  const [, second] = written;
  put(disk, second.path, Buffer.alloc(second.bytes.length, 7));
  await repair(disk);
  const found = inspectPartition(disk, 't-0', strict);
  assert.equal(found.problems, []);
  assert.equal(
    found.segments.map(({ nextOffset, lastEpoch }) => [nextOffset, lastEpoch]),
    [
      [18, 0],
      [36, 0],
      [54, 2],
    ],
  );
  assert.is(get(disk, second.path).length, 61);
});

test('a segment that is missing leaves its offsets to the one before it', async () => {
  const disk = new MemoryDisk();
  const [, second] = writePartition(disk);
  disk.remove(second.path);
  await repair(disk);
  const found = inspectPartition(disk, 't-0', strict);
  assert.equal(found.problems, []);
  assert.is(found.segments[0].nextOffset, 36);
});

for (const wasStarted of [false, true])
  test(`a log whose first segment is missing begins where it begins, ${wasStarted ? 'also once a start has missed it' : 'after a clean end'}`, async () => {
    const disk = new MemoryDisk();
    const [first, second] = writePartition(disk);
    const starts = 'log-start-offset-checkpoint';
    const other = { topic: 'u', partition: 0, offset: 7 };
    put(disk, 'recovery-point-offset-checkpoint', encodeOffsets([{ topic: 't', partition: 0, offset: 54 }]));
    put(disk, starts, encodeOffsets([other, { topic: 't', partition: 0, offset: 4 }]));
    for (const name of ['.kafka_cleanshutdown', 'closed-logs-checkpoint'])
      if (!wasStarted) put(disk, name, Buffer.from('x'));
    disk.remove(first.path);
    if (wasStarted) disk.open('t-0/00000000000000000004.log', 'create').close();
    const steps = planRepair(inspectPartition(disk, 't-0', strict));
    assert.equal(
      steps
        .filter(({ action }) => action !== 'remove')
        .map(({ action, fromOffset, toOffset }) => [action, fromOffset, toOffset]),
      [['begin', 4, 18]],
    );
    await repair(disk);
    assert.equal(inspectPartition(disk, 't-0', strict).problems, []);
    assert.equal(decodeOffsets(starts, get(disk, starts)), [other, { topic: 't', partition: 0, offset: 18 }]);
    assert.equal(
      disk.list('t-0').filter((name) => name < second.path.slice(4, 24)),
      [],
    );
  });

test('a log whose directory is missing begins empty, where it began', async () => {
  const disk = new MemoryDisk();
  const table = (offset: number): Buffer => encodeOffsets([{ topic: 't', partition: 0, offset }]);
  const ends = ['recovery-point-offset-checkpoint', 'replication-offset-checkpoint'];
  for (const name of ends) put(disk, name, table(54));
  put(disk, 'log-start-offset-checkpoint', table(18));
  const steps = planRepair(inspectPartition(disk, 't-0', strict));
  assert.equal(
    steps.map(({ action, fromOffset, toOffset }) => [action, fromOffset, toOffset]),
    [['found', 18, 54]],
  );
  await repair(disk);
  assert.equal(disk.list('t-0'), []);
  for (const name of ends) assert.equal(get(disk, name), table(18));
  assert.equal(planRepair(inspectPartition(disk, 't-0', strict)), []);
});

test('in a compacted log a batch whose number went up is found by the one behind it', async () => {
  const disk = new MemoryDisk();
  const written = writePartition(disk, { gap: (batch) => (batch % 3 === 2 ? 4 : 0) });
  const [first] = written;
  flip(disk, first.path, first.positions[1] + 6, 1);
  await repair(disk, true);
  assert.equal(inspectPartition(disk, 't-0', { gapsAllowed: true }).problems, []);
  const left = batchesWritten(written);
  left.delete(first.offsets[1]);
  assert.equal(batchesOf(disk, true), left);
});

test('indexes and epochs that are damaged are made anew as they were', async () => {
  const disk = new MemoryDisk();
  const [first] = writePartition(disk);
  const paths = ['.index', '.timeindex'].map((suffix) => first.path.replace('.log', suffix));
  paths.push('t-0/leader-epoch-checkpoint');
  const sound = paths.map((path) => get(disk, path));
  for (const path of paths.slice(0, 2)) flip(disk, path, 4, 0x40);
  put(disk, paths[2], Buffer.from('zeros'));
  assert.equal(
    planRepair(inspectPartition(disk, 't-0', strict))
      .map(({ action, file }) => `${action} ${file}`)
      .sort(),
    paths.map((file) => `rebuild ${file}`).sort(),
  );
  await repair(disk);
  assert.equal(
    paths.map((path) => get(disk, path)),
    sound,
  );
});

test('segments that overlap are left alone', async () => {
  const disk = new MemoryDisk();
  writePartition(disk, { segments: 2 });
  writePartition(disk, { segments: 1, baseOffset: 9 });
  const before = disk.list('t-0').map((name) => get(disk, `t-0/${name}`));
  const steps = planRepair(inspectPartition(disk, 't-0', strict));
  assert.ok(steps.some(({ action }) => action === 'impossible'));
  await repair(disk);
  assert.equal(
    disk.list('t-0').map((name) => get(disk, `t-0/${name}`)),
    before,
  );
});

type Blow = { kind: 'flip' | 'zero' | 'cut' | 'noise'; segment: number; at: number; size: number };

function strike(
  disk: MemoryDisk,
  { path }: WrittenSegment,
  { kind, at, size }: Blow,
): [from: number, to: number] {
  const bytes = get(disk, path);
  const from = Math.floor(at * bytes.length);
  const to = kind === 'flip' ? from + 1 : kind === 'cut' ? bytes.length : Math.min(bytes.length, from + size);
  if (kind === 'flip') bytes[from] ^= 1 << (size & 7);
  else if (kind === 'zero') bytes.fill(0, from, to);
  else if (kind === 'noise') for (let n = from; n < to; n++) bytes[n] = (n * 2_654_435_761) >>> (n & 15);
  put(disk, path, kind === 'cut' ? bytes.subarray(0, from) : bytes);
  return [from, to];
}

test('whatever happens to a log, what was not hit is there after the repair, and nothing else', async () => {
  const blow = fc.record({
    kind: fc.constantFrom<Blow['kind']>('flip', 'zero', 'cut', 'noise'),
    segment: fc.nat(2),
    at: fc.double({ min: 0, max: 0.999, noNaN: true }),
    size: fc.integer({ min: 1, max: 9000 }),
  });
  const property = fc.asyncProperty(fc.array(blow, { minLength: 1, maxLength: 3 }), async (blows) => {
    const disk = new MemoryDisk();
    const written = writePartition(disk);
    const hit = new Set<number>();
    for (const one of blows) {
      const segment = written[one.segment];
      const { length } = get(disk, segment.path);
      const [from, to] = strike(disk, segment, one);
      for (let n = 0; n < 6; n++) {
        const end = one.kind === 'cut' ? length : to;
        if (segment.positions[n] < end && from < segment.positions[n + 1]) hit.add(segment.offsets[n]);
      }
    }
    for (let tries = 0; tries < 3; tries++) await repair(disk);
    const found = inspectPartition(disk, 't-0', strict);
    // An epoch that only the checkpoint contradicts is for people to judge.
    assert.equal(
      found.problems.filter(({ sentence }) => !sentence.includes('leader-epoch-checkpoint')),
      [],
    );
    const whole = batchesWritten(written);
    const left = batchesOf(disk);
    const end = found.segments.at(-1)?.nextOffset ?? 0;
    for (const [offset, bytes] of whole) {
      // Of what was hit a flipped number is put right: then it is there as it was written.
      if (hit.has(offset) || (offset >= end && hit.size > 0 && offset > Math.min(...hit))) continue;
      assert.equal(left.get(offset), bytes, `offset ${offset}`);
    }
    for (const [offset, bytes] of left) {
      const expected = whole.get(offset);
      assert.ok(expected !== undefined, `offset ${offset} was never written`);
      // Behind the epoch everything lies under the CRC.
      assert.equal(bytes.subarray(16), expected.subarray(16));
    }
  });
  await fc.assert(property, { numRuns: 400 });
});

test.run();
