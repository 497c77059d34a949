import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Kernels, snappyBoundBytes } from '../../../native-free/kernels/index.ts';
import { snappyCompress, snappyCompressXerial } from '../../../native-free/snappy/compress.ts';
import { snappyDecompress } from '../../../native-free/snappy/decompress.ts';
import { assertSameBytes, contentOf, numbersFrom } from '../kernels/fixtures.ts';
import { Cage } from '../kernels/hostile-fixtures.ts';
import { naiveSnappy } from '../kernels/naive-decoders.ts';

const CONTENTS = [
  'empty',
  'letter',
  'noise-300',
  'noise-70000',
  'lines-15',
  'lines-16',
  'lines-65536',
  'lines-65537',
];

test('what was compressed decompresses to what it was, raw and in xerial framing', () => {
  for (const name of [...CONTENTS, 'mixed-80000', 'zeros-200000']) {
    const content = contentOf(name);
    assertSameBytes(snappyDecompress(snappyCompress(content), content.length), content, name);
    assertSameBytes(snappyDecompress(snappyCompressXerial(content), content.length), content, name);
  }
});

test('what was compressed is what the format wants, read by the naive decoder', () => {
  const cage = new Cage();
  const next = numbersFrom(3);
  const contents = ['letter', 'noise-300', 'lines-5000', 'zeros-5000'].map(contentOf);
  for (let turn = 0; turn < 300; turn++) {
    const period = 1 + ((next() >>> 8) % 3000);
    const pattern = contentOf(turn % 2 === 0 ? 'noise-3000' : 'lines-3000');
    const length = (next() >>> 8) % 6000;
    contents.push(Uint8Array.from({ length }, (_, at) => pattern[at % period] as number));
  }
  for (const content of contents) {
    const capacity = snappyBoundBytes(content.length);
    const source = cage.enclose(content, capacity);
    const length = cage.kernels.snappyCompress(source, content.length, cage.destination);
    cage.assertUnharmed(capacity, `${content.length} bytes`);
    const given = naiveSnappy(cage.given(length), content.length);
    assertSameBytes(given ?? new Uint8Array(1), content, `${content.length} bytes`);
  }
});

test('the framing is that of the Java client: its magic, version 1, blocks of 32 KiB', () => {
  const stream = Buffer.from(snappyCompressXerial(contentOf('lines-70000')));
  assert.is(stream.toString('latin1', 0, 8), '\x82SNAPPY\0');
  assert.is(stream.readInt32BE(8), 1);
  assert.is(stream.readInt32BE(12), 1);
  const sizes: number[] = [];
  for (let at = 16; at < stream.length; at += 4 + stream.readInt32BE(at)) {
    sizes.push(snappyDecompress(stream.subarray(at + 4, at + 4 + stream.readInt32BE(at)), 40_000).length);
  }
  assert.equal(sizes, [32_768, 32_768, 70_000 - 65_536]);
});

test('text takes less room, and noise hardly more', () => {
  assert.ok(snappyCompress(contentOf('lines-65536')).length < 8000);
  assert.ok(snappyCompress(contentOf('noise-70000')).length <= 70_000 + 16);
});

test('no room but the bound is needed for what compresses worst', () => {
  const memory = new WebAssembly.Memory({ initial: 4, maximum: 4, shared: true });
  const bytes = new Uint8Array(memory.buffer);
  const kernels = new Kernels(memory, 0);
  const next = numbersFrom(5);
  for (let turn = 0; turn < 200; turn++) {
    // Matches of four bytes between literals, which gain nothing.
    const content = new Uint8Array(2000).map(() => (next() >>> 24) % (turn + 2));
    bytes.set(content, 65_536);
    const length = kernels.snappyCompress(65_536, content.length, 131_072);
    assert.ok(length <= snappyBoundBytes(content.length) - 8, `${length}`);
  }
});

test.run();
