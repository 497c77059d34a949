import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KernelFault, Kernels, lz4BoundBytes } from '../../../native-free/kernels/index.ts';
import { lz4CompressBlock, lz4DecompressBlock } from '../../../native-free/lz4/block.ts';
import {
  assertSameBytes,
  contentOf,
  corrupted,
  numbersFrom,
  refusalOf,
  rowsOf,
  sha256,
} from '../kernels/fixtures.ts';
import { Cage } from '../kernels/hostile-fixtures.ts';
import { naiveLz4 } from '../kernels/naive-decoders.ts';

const CONTENTS = [
  'empty',
  'letter',
  'noise-300',
  'lines-12',
  'lines-13',
  'lines-1000',
  'lines-65536',
  'zeros-70000',
];

/** Bytes in which every short distance and many lengths of repetitions come. */
function patterns(): Uint8Array {
  const next = numbersFrom(7);
  const parts: number[] = [];
  for (let distance = 1; distance < 40; distance++) {
    const pattern = Array.from({ length: distance }, () => next() >>> 24);
    const length = distance + 4 + ((next() >>> 8) % 70);
    for (let at = 0; at < length; at++) parts.push(pattern[at % distance] as number);
  }
  return Uint8Array.from(parts);
}

test('blocks of another implementation decompress', () => {
  const rows = rowsOf<{ source: string; content: string; sha256: string; bytes: number; block: string }>(
    'lz4-blocks.json',
  );
  assert.ok(rows.length >= 12);
  for (const row of rows) {
    const what = `${row.source}, ${row.content}`;
    const given = lz4DecompressBlock(Buffer.from(row.block, 'base64'), row.bytes);
    assert.is(sha256(given), row.sha256, what);
    assertSameBytes(given, contentOf(row.content), what);
  }
});

test('what was compressed decompresses to what it was', () => {
  for (const name of [...CONTENTS, 'lines-65537', 'mixed-80000', 'lines-300000']) {
    const content = contentOf(name);
    const block = lz4CompressBlock(content);
    assert.ok(block.length <= lz4BoundBytes(content.length));
    assertSameBytes(lz4DecompressBlock(block, content.length), content, name);
  }
});

test('what was compressed is what the format wants, read by the naive decoder', () => {
  for (const content of [patterns(), ...CONTENTS.map(contentOf)]) {
    const given = naiveLz4(lz4CompressBlock(content), content.length);
    assertSameBytes(given ?? new Uint8Array(1), content, `${content.length} bytes`);
  }
});

test('text takes less room, and noise hardly more', () => {
  assert.ok(lz4CompressBlock(contentOf('lines-65536')).length < 5000);
  assert.ok(lz4CompressBlock(contentOf('noise-300')).length <= 303);
});

test('compression stays within its capacity, whatever that is, and says when it does not fit', () => {
  const cage = new Cage();
  for (const content of [contentOf('noise-300'), contentOf('lines-1000'), patterns(), contentOf('letter')]) {
    const needed = lz4CompressBlock(content).length;
    for (let capacity = 0; capacity < needed + 20; capacity++) {
      const source = cage.enclose(content, capacity);
      const length = cage.kernels.lz4CompressBlock(source, content.length, cage.destination, capacity);
      cage.assertUnharmed(capacity, `capacity ${capacity}`);
      if (capacity < needed) assert.is(length, 0, `capacity ${capacity}`);
      if (capacity >= needed + 12) assert.is(length, needed, `capacity ${capacity}`);
      if (length > 0) {
        assertSameBytes(naiveLz4(cage.given(length), content.length) ?? new Uint8Array(1), content, 'block');
      }
    }
  }
});

test('every capacity that is too small is refused as too large a result, and nothing is written beyond it', () => {
  const cage = new Cage();
  for (const content of [patterns(), contentOf('lines-1000'), contentOf('zeros-1000')]) {
    const block = lz4CompressBlock(content);
    for (let capacity = 0; capacity <= content.length + 40; capacity++) {
      const source = cage.enclose(block, capacity);
      const length = cage.kernels.lz4DecompressBlock(source, block.length, cage.destination, capacity);
      cage.assertUnharmed(capacity, `capacity ${capacity}`);
      assert.is(length, capacity < content.length ? KernelFault.tooLarge : content.length);
    }
    assert.is(
      refusalOf(() => lz4DecompressBlock(block, content.length - 1)),
      'TOO_LARGE',
    );
  }
});

test('every truncation is refused or gives what came before it', () => {
  const content = patterns();
  const block = lz4CompressBlock(content);
  for (let length = 0; length < block.length; length++) {
    const part = block.subarray(0, length);
    const naive = naiveLz4(part, content.length);
    if (naive === undefined)
      assert.is(
        refusalOf(() => lz4DecompressBlock(part, content.length)),
        'TRUNCATED',
      );
    else assertSameBytes(lz4DecompressBlock(part, content.length), naive, `${length} bytes`);
  }
});

test('every short distance repeats right at every length, with room behind it and without', () => {
  const cage = new Cage();
  const literals = contentOf('noise-40');
  for (let distance = 1; distance <= 40; distance++) {
    for (let length = 4; length <= 60; length++) {
      const extra = length - 4;
      const match = [distance, 0, ...(extra < 15 ? [] : [extra - 15])];
      // Once behind literals of its own, and once directly behind another match, which takes the short way.
      const low = Math.min(15, extra);
      const first = [0xf0, 25, ...literals, 40, 0, low, ...match];
      const block = Uint8Array.from([...first, 0xf0 | low, 25, ...literals, ...match, 0xf0, 25, ...literals]);
      for (const more of [0, 100]) {
        const capacity = 124 + 2 * length + more;
        const source = cage.enclose(block, capacity);
        const given = cage.kernels.lz4DecompressBlock(source, block.length, cage.destination, capacity);
        cage.assertUnharmed(capacity, `distance ${distance}`);
        const expected = naiveLz4(block, capacity) as Uint8Array;
        assertSameBytes(cage.given(given), expected, `distance ${distance}, length ${length}`);
      }
    }
  }
});

test('matches reach into the history as far as it goes, and no further', () => {
  const memory = new WebAssembly.Memory({ initial: 4, maximum: 4, shared: true });
  const bytes = new Uint8Array(memory.buffer);
  const kernels = new Kernels(memory, 0);
  const source = 65_536;
  const destination = 2 * 65_536;
  bytes.fill(0x2a, destination - 100, destination);
  // One literal, then 4 bytes from `distance` bytes before, then five literals as the format's last sequence.
  const decompress = (distance: number, history: number): number => {
    bytes.set([0x10, 0x61, distance, 0, 0x50, 1, 2, 3, 4, 5], source);
    return kernels.lz4DecompressBlock(source, 10, destination, 100, history);
  };
  assert.is(decompress(11, 10), 10);
  assert.equal([...bytes.subarray(destination, destination + 6)], [0x61, 0x2a, 0x2a, 0x2a, 0x2a, 1]);
  assert.is(decompress(12, 10), KernelFault.corrupt);
  assert.is(decompress(2, 0), KernelFault.corrupt);
  assert.is(decompress(0, 10), KernelFault.corrupt);
});

test('20,000 corruptions decompress as in the naive decoder or are refused, and never write outside', () => {
  const cage = new Cage();
  const next = numbersFrom(2024);
  const samples = [patterns(), contentOf('lines-700'), contentOf('noise-300'), contentOf('zeros-500')];
  const blocks = samples.map(lz4CompressBlock);
  let decoded = 0;
  for (let turn = 0; turn < 20_000; turn++) {
    const sample = turn % samples.length;
    const block = corrupted(blocks[sample] as Uint8Array, next);
    const capacity = (samples[sample] as Uint8Array).length + ((next() >>> 8) % 50);
    const history = turn % 3 === 0 ? 32 : 0;
    const source = cage.enclose(block, capacity);
    const behind = cage.bytes.slice(cage.destination - history, cage.destination);
    const length = cage.kernels.lz4DecompressBlock(source, block.length, cage.destination, capacity, history);
    cage.assertUnharmed(capacity, `turn ${turn}`);
    const naive = naiveLz4(block, capacity, behind);
    if (naive === undefined) assert.ok(length < 0, `turn ${turn} is to be refused`);
    else assertSameBytes(cage.given(Math.max(0, length)), naive, `turn ${turn}`);
    if (length >= 0) decoded++;
  }
  assert.ok(decoded > 1000 && decoded < 19_000, `${decoded} decoded`);
});

/** The bytes that make a length of 2^32 + `rest` out of the 15 of a token. */
function lengthBeyond32Bits(rest: number): number[] {
  const more = 2 ** 32 + rest - 15;
  const bytes = new Array<number>(Math.floor(more / 255)).fill(255);
  bytes.push(more % 255);
  return bytes;
}

test('a length of more than 32 bits is refused, and does not wrap round to a small one', () => {
  const fiveLiterals = [1, 2, 3, 4, 5];
  const literals = Buffer.concat([
    Uint8Array.of(0xf0),
    Uint8Array.from(lengthBeyond32Bits(5)),
    Uint8Array.from(fiveLiterals),
  ]);
  assert.is(
    refusalOf(() => lz4DecompressBlock(literals, 1000)),
    'TRUNCATED',
  );
  const match = Buffer.concat([
    Uint8Array.of(0x1f, 0x61, 1, 0),
    Uint8Array.from(lengthBeyond32Bits(0)),
    Uint8Array.of(0x50, ...fiveLiterals),
  ]);
  assert.is(
    refusalOf(() => lz4DecompressBlock(match, 1000)),
    'TOO_LARGE',
  );
});

test('a limit that is no number of bytes is the mistake of the caller', () => {
  for (const limit of [-1, 1.5, Number.NaN, 2 ** 31, Number.POSITIVE_INFINITY]) {
    assert.throws(
      () => lz4DecompressBlock(Uint8Array.of(0), limit),
      (error: unknown) => error instanceof RangeError,
    );
  }
});

test.run();
