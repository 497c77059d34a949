import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { lz4CompressFrame } from '../../../native-free/lz4/compress-frame.ts';
import { lz4DecompressFrame } from '../../../native-free/lz4/decompress-frame.ts';
import { xxhash32 } from '../../../native-free/xxhash32/index.ts';
import {
  assertSameBytes,
  contentOf,
  corrupted,
  lines,
  noise,
  numbersFrom,
  refusalOf,
  rowsOf,
  sha256,
} from '../kernels/fixtures.ts';

interface FrameRow {
  readonly source: string;
  readonly content: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly frame: string;
}

const rows = rowsOf<FrameRow>('lz4-frames.json');
const LIMIT_BYTES = 1_000_000;

function frameOf(part: string): Uint8Array {
  const row = rows.find(({ source }) => source.includes(part));
  if (row === undefined) throw new Error(`No vector of ${part}.`);
  return Buffer.from(row.frame, 'base64');
}

/** A frame with these flags and this descriptor, a right header check, and a rest. */
function frameWith(
  flags: number,
  descriptor: number,
  fields: readonly number[],
  rest: readonly number[],
): Uint8Array {
  const header = [flags, descriptor, ...fields];
  const check = (xxhash32(Uint8Array.from(header)) >>> 8) & 0xff;
  return Uint8Array.from([0x04, 0x22, 0x4d, 0x18, ...header, check, ...rest]);
}

test('frames of other implementations decompress, whatever their options', () => {
  assert.ok(rows.length >= 30);
  for (const row of rows) {
    const what = `${row.source}, ${row.content}`;
    const given = lz4DecompressFrame(Buffer.from(row.frame, 'base64'), row.bytes);
    assert.is(sha256(given), row.sha256, what);
    assertSameBytes(given, contentOf(row.content), what);
  }
});

test('a result of exactly the limit is given, and one byte more is refused', () => {
  for (const row of rows.filter(({ bytes }) => bytes > 0)) {
    const frame = Buffer.from(row.frame, 'base64');
    assert.is(
      refusalOf(() => lz4DecompressFrame(frame, row.bytes - 1)),
      'TOO_LARGE',
      row.source,
    );
  }
});

test('the limit counts all frames of the input together', () => {
  const two = Buffer.concat([lz4CompressFrame(lines(600)), lz4CompressFrame(lines(500))]);
  assert.is(lz4DecompressFrame(two, 1100).length, 1100);
  assert.is(
    refusalOf(() => lz4DecompressFrame(two, 1099)),
    'TOO_LARGE',
  );
});

test('every truncation of a frame is refused, unless it ends between two frames', () => {
  const frame = frameOf('two frames behind');
  let whole = 0;
  for (let length = 0; length < frame.length; length++) {
    const part = frame.subarray(0, length);
    try {
      lz4DecompressFrame(part, LIMIT_BYTES);
      whole++;
    } catch {
      assert.is(
        refusalOf(() => lz4DecompressFrame(part, LIMIT_BYTES)),
        'TRUNCATED',
        `${length} bytes`,
      );
    }
  }
  assert.is(whole, 4);
});

test('a header is refused for an unknown version, reserved bits, a wrong check, and a dictionary', () => {
  const end = [0, 0, 0, 0];
  const refused = (frame: Uint8Array, message: RegExp): void => {
    assert.is(
      refusalOf(() => lz4DecompressFrame(frame, LIMIT_BYTES)),
      'CORRUPT',
    );
    assert.throws(() => lz4DecompressFrame(frame, LIMIT_BYTES), message);
  };
  assert.is(lz4DecompressFrame(frameWith(0x60, 0x40, [], end), LIMIT_BYTES).length, 0);
  refused(frameWith(0x20, 0x40, [], end), /version/);
  refused(frameWith(0x62, 0x40, [], end), /reserved/);
  refused(frameWith(0x60, 0xc0, [], end), /reserved/);
  refused(frameWith(0x60, 0x41, [], end), /reserved/);
  refused(frameWith(0x60, 0x30, [], end), /block size/);
  refused(frameWith(0x61, 0x40, [1, 2, 3, 4], end), /dictionary/);
  const wrongCheck = frameWith(0x60, 0x40, [], end);
  wrongCheck[6] = 0x83;
  refused(wrongCheck, /checksum/);
  refused(Uint8Array.from([0x05, 0x22, 0x4d, 0x18, 0, 0, 0, 0]), /magic/);
});

test('a content size that is not what the frame gives is refused, and one beyond the limit at once', () => {
  const stored = [2, 0, 0, 0x80, 0x61, 0x62, 0, 0, 0, 0];
  assert.is(lz4DecompressFrame(frameWith(0x68, 0x40, [2, 0, 0, 0, 0, 0, 0, 0], stored), 10).length, 2);
  assert.is(
    refusalOf(() => lz4DecompressFrame(frameWith(0x68, 0x40, [3, 0, 0, 0, 0, 0, 0, 0], stored), 10)),
    'CORRUPT',
  );
  assert.is(
    refusalOf(() => lz4DecompressFrame(frameWith(0x68, 0x40, [2, 0, 0, 0, 0, 0, 0, 1], stored), 10)),
    'TOO_LARGE',
  );
});

test('a block larger than the header allows is refused, stored or compressed', () => {
  const stored = [1, 0, 1, 0x80, ...noise(65_537), 0, 0, 0, 0];
  assert.is(
    refusalOf(() => lz4DecompressFrame(frameWith(0x60, 0x40, [], stored), LIMIT_BYTES)),
    'CORRUPT',
  );
  // A block of 300 bytes that gives 70,000: one literal, repeated.
  const bomb = [0x1f, 0x61, 1, 0, ...new Array<number>(275).fill(255), 0, 0x50, 1, 2, 3, 4, 5];
  const block = [bomb.length & 0xff, bomb.length >> 8, 0, 0, ...bomb, 0, 0, 0, 0];
  assert.is(
    refusalOf(() => lz4DecompressFrame(frameWith(0x60, 0x40, [], block), LIMIT_BYTES)),
    'CORRUPT',
  );
  assert.ok(lz4DecompressFrame(frameWith(0x60, 0x50, [], block), LIMIT_BYTES).length > 70_000);
});

test('an independent block may not refer to the one before it, a linked one may, but not to the frame before', () => {
  const first = [4, 0, 0, 0x80, 1, 2, 3, 4];
  // Four bytes from four before, then five literals.
  const second = [9, 0, 0, 0, 0x00, 4, 0, 0x50, 5, 6, 7, 8, 9, 0, 0, 0, 0];
  const linked = frameWith(0x40, 0x40, [], [...first, ...second]);
  assert.equal([...lz4DecompressFrame(linked, 100)], [1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  const independent = frameWith(0x60, 0x40, [], [...first, ...second]);
  assert.is(
    refusalOf(() => lz4DecompressFrame(independent, 100)),
    'CORRUPT',
  );
  const apart = Buffer.concat([linked, frameWith(0x40, 0x40, [], second)]);
  assert.is(
    refusalOf(() => lz4DecompressFrame(apart, 100)),
    'CORRUPT',
  );
});

test('every flipped bit of a frame with checksums is noticed', () => {
  const frame = lz4CompressFrame(noise(40));
  const checked = frameOf('blocks of 64 KiB, linked, block and content checksums');
  const content = lz4DecompressFrame(checked, LIMIT_BYTES);
  for (let bit = 0; bit < checked.length * 8; bit += 7) {
    const flipped = Uint8Array.from(checked);
    flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
    refusalOf(() => lz4DecompressFrame(flipped, LIMIT_BYTES));
  }
  assertSameBytes(lz4DecompressFrame(checked, LIMIT_BYTES), content, 'the whole one');
  assert.is(lz4DecompressFrame(frame, 40).length, 40);
});

test('20,000 corruptions give bytes within the limit or a refusal with a known code', () => {
  const next = numbersFrom(11);
  const samples = [
    lz4CompressFrame(lines(1390)),
    lz4CompressFrame(noise(120)),
    frameOf('two frames behind'),
    Buffer.concat([
      frameWith(0x40, 0x40, [], [4, 0, 0, 0x80, 1, 2, 3, 4, 0, 0, 0, 0]),
      lz4CompressFrame(lines(300)),
    ]),
  ];
  const outcomes = new Map<string, number>();
  for (let turn = 0; turn < 20_000; turn++) {
    const input = corrupted(samples[turn % samples.length] as Uint8Array, next);
    let outcome = 'given';
    try {
      assert.ok(lz4DecompressFrame(input, 1400).length <= 1400);
    } catch {
      outcome = refusalOf(() => lz4DecompressFrame(input, 1400));
    }
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  assert.equal([...outcomes.keys()].sort(), ['CORRUPT', 'TOO_LARGE', 'TRUNCATED', 'given']);
});

test.run();
