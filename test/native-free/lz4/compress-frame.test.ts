import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { lz4CompressFrame } from '../../../native-free/lz4/compress-frame.ts';
import { lz4DecompressFrame } from '../../../native-free/lz4/decompress-frame.ts';
import { assertSameBytes, contentOf, rowsOf } from '../kernels/fixtures.ts';

function blocksOf(frame: Uint8Array): number {
  const bytes = Buffer.from(frame);
  let blocks = 0;
  for (let at = 7; bytes.readUInt32LE(at) !== 0; blocks++) at += 4 + (bytes.readUInt32LE(at) & 0x7fff_ffff);
  return blocks;
}

test('a frame has the header of the Java client, as many blocks, and about its length', () => {
  const java = rowsOf<{ source: string; content: string; frame: string }>('lz4-frames.json').filter(
    ({ source }) => source.startsWith('kafka-clients'),
  );
  assert.ok(java.length >= 4);
  for (const row of java) {
    const theirs = Buffer.from(row.frame, 'base64');
    const ours = lz4CompressFrame(contentOf(row.content));
    assert.is(Buffer.compare(ours.subarray(0, 7), theirs.subarray(0, 7)), 0, row.content);
    assert.is(blocksOf(ours), blocksOf(theirs), row.content);
    assert.ok(Math.abs(ours.length - theirs.length) < theirs.length / 50, row.content);
  }
});

test('what was compressed decompresses to what it was', () => {
  for (const name of [
    'empty',
    'letter',
    'noise-200000',
    'lines-65536',
    'lines-65537',
    'mixed-80000',
    'zeros-1000000',
  ]) {
    const content = contentOf(name);
    assertSameBytes(lz4DecompressFrame(lz4CompressFrame(content), content.length), content, name);
  }
});

test('input in shared memory, at any place within a word, gives the same frame', () => {
  const content = contentOf('lines-70000');
  const expected = lz4CompressFrame(content);
  const shared = new Uint8Array(new SharedArrayBuffer(80_000));
  for (let shift = 0; shift < 8; shift++) {
    shared.set(content, shift);
    assertSameBytes(
      lz4CompressFrame(shared.subarray(shift, shift + content.length)),
      expected,
      `from ${shift}`,
    );
  }
});

test('noise is stored: the frame is longer by its header, marks and nothing else', () => {
  assert.is(lz4CompressFrame(contentOf('noise-200000')).length, 7 + 200_000 + 4 * 4 + 4);
});

test('the result is memory of its own', () => {
  const frame = lz4CompressFrame(contentOf('lines-1000'));
  const before = frame.slice();
  lz4CompressFrame(contentOf('noise-5000'));
  assertSameBytes(frame, before, 'frame');
  assert.is(frame.buffer.byteLength, frame.length);
});

test.run();
