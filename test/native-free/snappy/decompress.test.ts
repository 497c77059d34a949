import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KernelFault } from '../../../native-free/kernels/index.ts';
import { snappyCompress, snappyCompressXerial } from '../../../native-free/snappy/compress.ts';
import { snappyDecompress } from '../../../native-free/snappy/decompress.ts';
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
import { Cage } from '../kernels/hostile-fixtures.ts';
import { naiveSnappy } from '../kernels/naive-decoders.ts';

interface StreamRow {
  readonly source: string;
  readonly content: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly stream: string;
}

const rows = rowsOf<StreamRow>('snappy.json');

/** The body of the raw block, without the length in its front. */
function bodyOf(block: Uint8Array): Uint8Array {
  return block.subarray(block.findIndex((byte) => byte < 0x80) + 1);
}

test('blocks and streams of other implementations decompress', () => {
  assert.ok(rows.length >= 24);
  for (const row of rows) {
    const what = `${row.source}, ${row.content}`;
    const given = snappyDecompress(Buffer.from(row.stream, 'base64'), row.bytes);
    assert.is(sha256(given), row.sha256, what);
    assertSameBytes(given, contentOf(row.content), what);
  }
});

test('a result one byte over the limit is refused', () => {
  for (const row of rows.filter(({ bytes }) => bytes > 0)) {
    const stream = Buffer.from(row.stream, 'base64');
    assert.is(
      refusalOf(() => snappyDecompress(stream, row.bytes - 1)),
      'TOO_LARGE',
      row.source,
    );
  }
});

test('every truncation of a raw block is refused', () => {
  const block = snappyCompress(lines(900));
  for (let length = 0; length < block.length; length++) {
    assert.is(
      refusalOf(() => snappyDecompress(block.subarray(0, length), 1000)),
      'TRUNCATED',
      `${length} bytes`,
    );
  }
});

test('every truncation of a stream is refused, unless it ends between two blocks', () => {
  const stream = snappyCompressXerial(lines(70_000));
  const whole: number[] = [];
  for (let length = 8; length < stream.length; length++) {
    try {
      whole.push(snappyDecompress(stream.subarray(0, length), 100_000).length);
    } catch {
      assert.is(
        refusalOf(() => snappyDecompress(stream.subarray(0, length), 100_000)),
        'TRUNCATED',
        `${length} bytes`,
      );
    }
  }
  assert.equal(whole, [0, 32_768, 65_536]);
});

test('streams put one behind the other decompress as one', () => {
  const two = Buffer.concat([snappyCompressXerial(lines(40_000)), snappyCompressXerial(noise(50))]);
  assertSameBytes(snappyDecompress(two, 50_000), Buffer.concat([lines(40_000), noise(50)]), 'both');
});

test('copies with four bytes of distance decompress', () => {
  const body = [4, 0, 0x61, (3 << 2) | 3, 1, 0, 0, 0];
  assert.is(Buffer.from(snappyDecompress(Uint8Array.from([5, ...body.slice(1)]), 10)).toString(), 'aaaaa');
});

test('an element that ends behind the body is refused, whatever stands there', () => {
  const cage = new Cage();
  // Five bytes each: one literal and a copy of four from one before, or literals with their length in 1 to 4 bytes.
  const copies = [
    [0x01, 1],
    [(3 << 2) | 2, 1, 0],
    [(3 << 2) | 3, 1, 0, 0, 0],
  ];
  const lengths = [
    [60 << 2, 4],
    [61 << 2, 4, 0],
    [62 << 2, 4, 0, 0],
    [63 << 2, 4, 0, 0, 0],
  ];
  const bodies = [
    ...copies.map((copy) => [0, 0x61, ...copy]),
    ...lengths.map((length) => [...length, 1, 2, 3, 4, 5]),
  ];
  for (const whole of bodies) {
    const body = Uint8Array.from(whole);
    for (let length = 0; length <= body.length; length++) {
      const source = cage.enclose(body, 5);
      const fault = cage.kernels.snappyDecompress(source, length, cage.destination, 5);
      assert.is(
        fault,
        length === body.length ? 0 : KernelFault.truncated,
        `${length} of ${body.length} bytes`,
      );
    }
  }
});

test('a body that gives more than its size is refused, and nothing is written beyond it', () => {
  const cage = new Cage();
  for (const content of [lines(600), noise(90), contentOf('zeros-300')]) {
    const body = Buffer.concat([bodyOf(snappyCompress(content)), new Uint8Array(40)]);
    for (let size = 0; size < content.length; size++) {
      const source = cage.enclose(body, size);
      const fault = cage.kernels.snappyDecompress(source, body.length, cage.destination, size);
      assert.is(fault, KernelFault.corrupt, `size ${size}`);
      cage.assertUnharmed(size, `size ${size}`);
    }
  }
  const many = Uint8Array.from({ length: 60 }, (_, at) => (at % 2 === 0 ? 0 : 0x61));
  for (let size = 0; size < 30; size++) {
    const source = cage.enclose(many, size);
    assert.is(
      cage.kernels.snappyDecompress(source, many.length, cage.destination, size),
      KernelFault.corrupt,
    );
    cage.assertUnharmed(size, `size ${size}`);
  }
});

test('every short distance repeats right at every length, with room behind it and without', () => {
  const cage = new Cage();
  const literals = noise(40);
  for (let distance = 1; distance <= 40; distance++) {
    for (let length = 1; length <= 64; length++) {
      const copy = [((length - 1) << 2) | 2, distance, 0];
      for (const behind of [[], [39 << 2, ...literals]]) {
        const body = Uint8Array.from([39 << 2, ...literals, ...copy, ...behind]);
        const size = 40 + length + (behind.length > 0 ? 40 : 0);
        const source = cage.enclose(body, size);
        assert.is(cage.kernels.snappyDecompress(source, body.length, cage.destination, size), 0);
        cage.assertUnharmed(size, `distance ${distance}`);
        const expected = naiveSnappy(body, size) as Uint8Array;
        assertSameBytes(cage.given(size), expected, `distance ${distance}, length ${length}`);
      }
    }
  }
});

test('a length that ends nowhere, or is more than 32 bits, is refused', () => {
  const codeOf = (bytes: number[]): string => refusalOf(() => snappyDecompress(Uint8Array.from(bytes), 100));
  assert.is(codeOf([0x80, 0x80, 0x80, 0x80, 0x80, 0x80]), 'CORRUPT');
  assert.is(codeOf([0xff, 0xff, 0xff, 0xff, 0x7f]), 'CORRUPT');
  assert.is(codeOf([0xff, 0xff, 0xff, 0xff, 0x0f]), 'TOO_LARGE');
  assert.is(
    codeOf([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1, 255, 255, 255, 255]),
    'CORRUPT',
  );
});

test('a few bytes that claim much are refused before memory is taken for it', () => {
  const claim = Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x02, 0, 0x61, 0xfe, 1, 0);
  assert.is(
    refusalOf(() => snappyDecompress(claim, 2 ** 30)),
    'TRUNCATED',
  );
});

test('20,000 corruptions of a body decompress as in the naive decoder or are refused, and never write outside', () => {
  const cage = new Cage();
  const next = numbersFrom(77);
  const samples = [
    lines(800),
    noise(200),
    new Uint8Array(600),
    contentOf('mixed-80000').subarray(1400, 2000),
  ];
  const bodies = samples.map((sample) => bodyOf(snappyCompress(sample)));
  let decoded = 0;
  for (let turn = 0; turn < 20_000; turn++) {
    const sample = turn % samples.length;
    const body = corrupted(bodies[sample] as Uint8Array, next);
    const { length: size } = samples[sample] as Uint8Array;
    const source = cage.enclose(body, size);
    const fault = cage.kernels.snappyDecompress(source, body.length, cage.destination, size);
    cage.assertUnharmed(size, `turn ${turn}`);
    const naive = naiveSnappy(body, size);
    assert.is(fault === 0, naive !== undefined, `turn ${turn}`);
    if (naive !== undefined) assertSameBytes(cage.given(size), naive, `turn ${turn}`);
    if (fault === 0) decoded++;
  }
  assert.ok(decoded > 500 && decoded < 19_500, `${decoded} decoded`);
});

test('20,000 corruptions of streams give bytes within the limit or a refusal with a known code', () => {
  const next = numbersFrom(78);
  const samples = [
    snappyCompressXerial(lines(800)),
    snappyCompress(lines(500)),
    snappyCompressXerial(noise(60)),
  ];
  const outcomes = new Map<string, number>();
  for (let turn = 0; turn < 20_000; turn++) {
    const input = corrupted(samples[turn % samples.length] as Uint8Array, next);
    let outcome = 'given';
    try {
      assert.ok(snappyDecompress(input, 1000).length <= 1000);
    } catch {
      outcome = refusalOf(() => snappyDecompress(input, 1000));
    }
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  assert.equal([...outcomes.keys()].sort(), ['CORRUPT', 'TOO_LARGE', 'TRUNCATED', 'given']);
});

test.run();
