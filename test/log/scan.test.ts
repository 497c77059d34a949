import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { crc32cByTable } from '../../native-free/crc32c/index.ts';
import {
  batchBytes,
  CRC_FROM,
  readBaseOffset,
  writeCrc,
  writeLeaderEpoch,
} from '../../src/log/record-batch.ts';
import { findSoundBatch, type ScanResult, scan } from '../../src/log/scan.ts';
import { fileOf, fromStart, segmentOf } from './scan-fixtures.ts';

const MIB = 1024 * 1024;

function scanned(bytes: Uint8Array): ScanResult {
  return scan(fileOf(bytes), fromStart);
}

test('a sound file is scanned to its end, and every batch is shown in order', () => {
  const { bytes, positions, offsets } = segmentOf({ batches: 7, epoch: (batch) => batch >> 1 });
  const seen: [number, number][] = [];
  const result = scan(fileOf(bytes), {
    ...fromStart,
    batch: (window, at, position) => {
      seen.push([readBaseOffset(window, at), position]);
      assert.equal(
        Buffer.from(window.subarray(at, at + batchBytes(window, at))),
        bytes.subarray(position, position + batchBytes(bytes, position)),
      );
    },
  });
  assert.equal(
    seen,
    offsets.slice(0, 7).map((offset, batch) => [offset, positions[batch]]),
  );
  assert.equal(result, {
    position: bytes.length,
    nextOffset: 21,
    batches: 7,
    records: 21,
    maxTimestamp: 1_700_000_000_020,
    lastEpoch: 3,
    fault: undefined,
  });
});

test('an empty file has nothing to find fault with', () => {
  const result = scan(fileOf(Buffer.alloc(0)), { ...fromStart, offset: 17 });
  assert.is(result.fault, undefined);
  assert.is(result.nextOffset, 17);
  assert.is(result.maxTimestamp, -1);
});

test('batches across window borders, and batches larger than a window, are found whole', () => {
  for (const valueBytes of [10_007, 300_001, 1.5 * MIB, 3 * MIB + 1]) {
    const recordsPerBatch = 1;
    const { bytes } = segmentOf({ batches: Math.ceil((5 * MIB) / valueBytes), recordsPerBatch, valueBytes });
    let reached = 0;
    const result = scan(fileOf(bytes), {
      ...fromStart,
      batch: (window, at, position) => {
        assert.is(position, reached);
        reached += batchBytes(window, at);
        const inFile = bytes.subarray(position, reached);
        assert.is(Buffer.compare(window.subarray(at, at + batchBytes(window, at)), inFile), 0);
      },
    });
    assert.is(result.fault, undefined);
    assert.is(result.position, bytes.length);
    assert.is(reached, bytes.length);
    // One flipped bit in the last batch is found too, whether anybody looks at the batches or not.
    const damaged = Buffer.from(bytes);
    damaged[damaged.length - 5] ^= 1;
    const last = result.batches - 1;
    for (const batch of [undefined, () => undefined]) {
      const partial = scan(fileOf(damaged), { ...fromStart, ...(batch && { batch }) });
      assert.is(partial.fault?.kind, 'crc');
      assert.is(partial.batches, last);
    }
  }
});

test('wherever a file is cut, the whole batches before the cut are sound and the rest is torn', () => {
  const { bytes, positions, offsets } = segmentOf({ batches: 3 });
  for (let size = 0; size < bytes.length; size++) {
    const whole = positions.findLastIndex((position) => position <= size);
    const result = scanned(bytes.subarray(0, size));
    assert.is(result.position, positions[whole]);
    assert.is(result.nextOffset, offsets[whole]);
    const rest = bytes.subarray(positions[whole], size);
    // The first bytes of an offset are zeros: as much as if nothing had been written.
    const kind = rest.some((byte) => byte !== 0) ? 'torn' : 'end-mark';
    assert.is(result.fault?.kind, rest.length === 0 ? undefined : kind, `cut at ${size}`);
  }
});

test('zeros behind the last batch are the end of what was written, however many there are', () => {
  const { bytes, offsets } = segmentOf({ batches: 2 });
  for (const zeros of [1, 60, 61, 500, 2 * MIB]) {
    const result = scanned(Buffer.concat([bytes, Buffer.alloc(zeros)]));
    assert.is(result.fault?.kind, 'end-mark');
    assert.is(result.fault?.position, bytes.length);
    assert.is(result.nextOffset, offsets.at(-1));
  }
  // Stale bytes of a recycled file lie behind a header of zeros.
  const stale = segmentOf({ batches: 3, baseOffset: offsets.at(-1) }).bytes;
  assert.is(scanned(Buffer.concat([bytes, Buffer.alloc(61), stale])).fault?.kind, 'end-mark');
});

test('no flipped bit of a batch goes unseen, but one in the epoch of the last', () => {
  const { bytes, positions } = segmentOf({ batches: 2, recordsPerBatch: 2 });
  for (let at = 0; at < bytes.length; at++) {
    const batch = at < positions[1] ? 0 : 1;
    const inEpoch = at >= positions[batch] + 12 && at < positions[batch] + 16;
    for (let bit = 0; bit < 8; bit++) {
      const damaged = Buffer.from(bytes);
      damaged[at] ^= 1 << bit;
      const { fault, position } = scanned(damaged);
      if (inEpoch && batch === 1 && fault === undefined) continue;
      assert.ok(fault !== undefined, `bit ${bit} of byte ${at}`);
      // An epoch that is too high shows at the next batch, one that is negative at its own.
      if (!inEpoch) assert.is(position, positions[batch], `bit ${bit} of byte ${at}`);
      assert.ok(fault.sentence.startsWith(`t-0/00000000000000000000.log, byte ${fault.position}: `));
    }
  }
});

test('offsets must continue, and may leave gaps only where these are allowed', () => {
  const { bytes, positions } = segmentOf({ batches: 4, gap: (batch) => (batch === 2 ? 10 : 0) });
  const strict = scanned(bytes);
  assert.is(strict.fault?.kind, 'offset');
  assert.is(strict.position, positions[2]);
  assert.match(strict.fault?.sentence ?? '', /begins at offset 16, where 6 was expected/);
  assert.is(scan(fileOf(bytes), { ...fromStart, gapsAllowed: true }).fault, undefined);
  const back = Buffer.concat([bytes.subarray(positions[1]), bytes]);
  const result = scan(fileOf(back), { position: 0, offset: 3, gapsAllowed: true });
  assert.is(result.fault?.kind, 'offset');
  assert.match(result.fault?.sentence ?? '', /begins at offset 0, where at least 22 was expected/);
});

test('the first batch must begin at the offset that is asked for, or not before it where gaps are allowed', () => {
  const { bytes } = segmentOf({ batches: 2, baseOffset: 40 });
  for (const [offset, gapsAllowed, kind] of [
    [40, false, undefined],
    [39, false, 'offset'],
    [41, true, 'offset'],
    [39, true, undefined],
  ] as const) {
    assert.is(scan(fileOf(bytes), { position: 0, offset, gapsAllowed }).fault?.kind, kind);
  }
});

test('an epoch that goes back is a fault', () => {
  const { bytes, positions } = segmentOf({ batches: 3, epoch: () => 4 });
  writeLeaderEpoch(bytes, positions[1], 3);
  const { fault, batches } = scanned(bytes);
  assert.is(fault?.kind, 'epoch');
  assert.is(batches, 1);
  assert.match(fault?.sentence ?? '', /offset 3 has leader epoch 3, after one of 4/);
});

test('a header that makes no sense is told from one that is cut off', () => {
  const { bytes, positions } = segmentOf({ batches: 2 });
  bytes[positions[1] + 16] = 1;
  const { fault } = scanned(bytes);
  assert.is(fault?.kind, 'header');
  assert.match(fault?.sentence ?? '', /The magic byte is not 2/);
});

test('a scan stops after about as much as it may read, and goes on where it stopped', () => {
  const { bytes, positions, offsets } = segmentOf({ batches: 6 });
  const first = scan(fileOf(bytes), { ...fromStart, bytesMax: positions[2] + 1 });
  assert.is(first.position, positions[3]);
  assert.is(first.fault, undefined);
  const rest = scan(fileOf(bytes), {
    position: first.position,
    offset: first.nextOffset,
    gapsAllowed: false,
  });
  assert.is(rest.batches, 3);
  assert.is(rest.nextOffset, offsets.at(-1));
});

test('a scan inside the callback of another does not disturb it', () => {
  const { bytes } = segmentOf({ batches: 4 });
  const other = segmentOf({ batches: 50, baseOffset: 900 }).bytes;
  const inner: number[] = [];
  const result = scan(fileOf(bytes), {
    ...fromStart,
    batch: () => inner.push(scan(fileOf(other), { ...fromStart, offset: 900 }).batches),
  });
  assert.is(result.batches, 4);
  assert.equal(inner, [50, 50, 50, 50]);
});

test('a sound batch behind the damage is found, wherever it lies', () => {
  const { bytes, positions, offsets } = segmentOf({ batches: 6, valueBytes: 100 });
  for (let from = 1; from <= positions[5]; from += 13) {
    const expected = positions.find((position) => position >= from);
    const offset = offsets[positions.indexOf(expected as number)];
    assert.is(findSoundBatch(fileOf(bytes), from, offset), expected);
  }
  assert.is(findSoundBatch(fileOf(bytes), positions[5] + 1, 0), undefined);
  // Across the borders of what is read at once.
  for (const shift of [-70, -61, -60, -17, -16, -1, 0, 1]) {
    const far = Buffer.concat([Buffer.alloc(MIB + shift, 2), bytes]);
    assert.is(findSoundBatch(fileOf(far), 0, 0), MIB + shift, `shifted by ${shift}`);
  }
});

test('older batches, damaged ones and noise are no sound batches', () => {
  const { bytes, positions, offsets } = segmentOf({ batches: 3 });
  assert.is(findSoundBatch(fileOf(bytes), 0, offsets[2] + 1), undefined);
  assert.is(findSoundBatch(fileOf(bytes), 0, offsets[2]), positions[2]);
  for (const position of positions.slice(0, 3)) bytes[position + 70] ^= 4;
  assert.is(findSoundBatch(fileOf(bytes), 0, 0), undefined);
  assert.is(findSoundBatch(fileOf(Buffer.alloc(3 * MIB, 2)), 0, 0), undefined);
  assert.is(findSoundBatch(fileOf(Buffer.alloc(30)), 0, 0), undefined);
});

test('a search through what only looks like batches comes to an end, and does not call it safe to cut', () => {
  // Each header claims everything up to the end of the file: checked one by one that would be 30 GiB.
  const header = segmentOf({ batches: 1, recordsPerBatch: 1 }).bytes.subarray(0, 61);
  const bytes = Buffer.alloc(2 * MIB);
  for (let at = 0; at + 61 <= bytes.length; at += 61) {
    header.copy(bytes, at);
    bytes.writeInt32BE(bytes.length - at - 12, at + 8);
  }
  const startedMs = Date.now();
  const found = findSoundBatch(fileOf(bytes), 0, 0);
  assert.ok(found !== undefined && found > 0);
  assert.ok(Date.now() - startedMs < 2_000);
});

test('a batch whose CRC was made to match is taken for sound: the CRC is what is believed', () => {
  const { bytes, positions } = segmentOf({ batches: 2 });
  bytes[positions[1] - 1] ^= 1;
  assert.is(scanned(bytes).fault?.kind, 'crc');
  writeCrc(bytes, 0, crc32cByTable(bytes.subarray(CRC_FROM, positions[1])));
  assert.is(scanned(bytes).fault, undefined);
});

test.run();
