import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { crc32cByTable } from '../../../native-free/crc32c/table.ts';
import {
  compileKernels,
  Kernels,
  lz4BoundBytes,
  snappyBoundBytes,
  WORKSPACE_BYTES,
} from '../../../native-free/kernels/index.ts';
import { xxhash32 } from '../../../native-free/xxhash32/index.ts';
import { assertSameBytes, contentOf, lines, noise } from './fixtures.ts';

const PAGE_BYTES = 65_536;
const kernelsUrl = new URL('../../../native-free/kernels/index.js', import.meta.url);

function openMemory(pages: number): { memory: WebAssembly.Memory; bytes: Uint8Array } {
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  return { memory, bytes: new Uint8Array(memory.buffer) };
}

/** CRC-32C's polynomial over GF(2), the coefficient of x^n in bit n. */
const POLYNOMIAL = 0x1_1edc_6f41n;

function remainder(dividend: bigint): bigint {
  let rest = dividend;
  for (let degree = rest.toString(2).length - 1; degree >= 32; degree--) {
    if ((rest >> BigInt(degree)) & 1n) rest ^= POLYNOMIAL << BigInt(degree - 32);
  }
  return rest;
}

function sumOfPowers(exponents: readonly number[], unit: number): bigint {
  return exponents.reduce((sum, exponent) => sum ^ (1n << BigInt(exponent * unit)), 0n);
}

test('the polynomial divides the sparse one that the kernel folds with, for every word size', () => {
  for (const unit of [1, 8, 32, 128]) {
    assert.is(remainder(sumOfPowers([209, 144, 54, 39, 14, 0], unit)), 0n, `words of ${unit} bits`);
  }
  assert.is.not(remainder(sumOfPowers([209, 144, 54, 39, 15, 0], 1)), 0n);
});

test('the module has no data segments, no start function and no import but the memory', () => {
  const bytes = readFileSync(new URL('./kernels.wasm', kernelsUrl));
  const sections: number[] = [];
  for (let at = 8; at < bytes.length; ) {
    sections.push(bytes[at++] as number);
    let length = 0;
    for (let shift = 0, more = true; more; shift += 7) {
      const byte = bytes[at++] as number;
      length |= (byte & 0x7f) << shift;
      more = byte >= 0x80;
    }
    at += length;
  }
  const [start, data, dataCount] = [8, 11, 12];
  for (const section of [start, data, dataCount])
    assert.not(sections.includes(section), `section ${section}`);
  assert.equal(WebAssembly.Module.imports(compileKernels()), [
    { module: 'env', name: 'memory', kind: 'memory' },
  ]);
});

test('the checksum is right at every length up to where all folds are at work, and wherever it starts', () => {
  const { memory, bytes } = openMemory(4);
  const kernels = new Kernels(memory, 0);
  const content = noise(40_000);
  const base = PAGE_BYTES;
  bytes.set(content, base);
  const check = (shift: number, length: number): void => {
    const expected = crc32cByTable(content.subarray(shift, shift + length));
    assert.is(kernels.crc32c(base + shift, length), expected, `${length} bytes from ${shift}`);
  };
  for (let length = 0; length < 2200; length++) check(length % 17, length);
  for (const threshold of [3344, 12_288, 16_384 + 2 * 3344, 16_384 * 2]) {
    for (let length = threshold - 40; length <= threshold + 40; length++) check(length % 17, length);
  }
});

test('a checksum goes on from the one before, whatever parts the bytes come in', () => {
  const { memory, bytes } = openMemory(4);
  const kernels = new Kernels(memory, 0);
  const content = lines(60_000);
  bytes.set(content, PAGE_BYTES);
  const whole = crc32cByTable(content);
  for (const part of [1, 15, 432, 1680, 12_288, 30_001]) {
    const first = kernels.crc32c(PAGE_BYTES, part);
    assert.is(kernels.crc32c(PAGE_BYTES + part, content.length - part, first), whole, `split at ${part}`);
  }
});

test('a copy that is checked on the way holds the bytes and nothing beside them, at every length', () => {
  const { memory, bytes } = openMemory(6);
  const kernels = new Kernels(memory, 0);
  const content = noise(60_000);
  const source = PAGE_BYTES;
  const copy = 3 * PAGE_BYTES;
  bytes.set(content, source);
  const check = (shift: number, length: number): void => {
    bytes.fill(0xa5, copy - 64, copy + length + 96);
    const expected = kernels.crc32c(source + shift, length);
    const at = copy + (shift % 5);
    assert.is(kernels.crc32cCopy(source + shift, length, at), expected, `${length} bytes from ${shift}`);
    const taken = content.subarray(shift, shift + length);
    assertSameBytes(bytes.slice(at, at + length), taken, `${length} bytes from ${shift}`);
    assert.ok(bytes.subarray(copy - 64, at).every((byte) => byte === 0xa5));
    assert.ok(bytes.subarray(at + length, at + length + 64).every((byte) => byte === 0xa5));
  };
  for (let length = 0; length < 300; length++) check(length % 17, length);
  for (const threshold of [12_288, 16_384 + 2 * 3344, 2 * 16_384 + 2 * 3344]) {
    for (let length = threshold - 70; length <= threshold + 70; length++) check(length % 17, length);
  }
  assert.is(
    kernels.crc32cCopy(source + 20_000, 30_000, copy, kernels.crc32c(source, 20_000)),
    kernels.crc32c(source, 50_000),
  );
});

test('kernels write nothing but their workspace and their outputs', () => {
  const { memory, bytes } = openMemory(16);
  const workspace = 3 * PAGE_BYTES;
  const content = contentOf('mixed-80000');
  bytes.fill(0xa5);
  const kernels = new Kernels(memory, workspace);
  const source = 5 * PAGE_BYTES + 3;
  const packed = 8 * PAGE_BYTES + 5;
  const unpacked = 12 * PAGE_BYTES + 7;
  bytes.set(content, source);
  const written: [number, number][] = [
    [workspace, WORKSPACE_BYTES],
    [source, content.length],
    [packed, lz4BoundBytes(content.length)],
    [unpacked, content.length],
  ];
  assert.is(
    kernels.crc32c(source, content.length),
    crc32cByTable(content),
    'over a workspace that was not clear',
  );
  kernels.xxhash32(source, content.length);
  const lz4Length = kernels.lz4CompressBlock(source, content.length, packed, lz4BoundBytes(content.length));
  assert.is(kernels.lz4DecompressBlock(packed, lz4Length, unpacked, content.length), content.length);
  const snappyLength = kernels.snappyCompress(source, content.length, packed);
  written.push([packed, snappyBoundBytes(content.length)]);
  assert.is(kernels.snappyDecompress(packed, snappyLength, unpacked, content.length), 0);
  assertSameBytes(bytes.subarray(unpacked, unpacked + content.length), content, 'round trip');
  for (const [address, length] of written) bytes.fill(0xa5, address, address + length);
  assert.ok(
    bytes.every((byte) => byte === 0xa5),
    'a byte outside was written',
  );
});

test('kernels work above 2 GiB', () => {
  const { memory, bytes } = openMemory(32_768 + 8);
  const workspace = 2 ** 31 + PAGE_BYTES;
  const kernels = new Kernels(memory, workspace);
  const content = lines(70_000);
  const [source, packed, unpacked] = [
    2 ** 31 + 2 * PAGE_BYTES,
    2 ** 31 + 4 * PAGE_BYTES,
    2 ** 31 + 6 * PAGE_BYTES,
  ];
  bytes.set(content, source);
  assert.is(kernels.crc32c(source, content.length), crc32cByTable(content));
  assert.is(kernels.xxhash32(source, content.length), xxhash32(content));
  const length = kernels.lz4CompressBlock(source, content.length, packed, lz4BoundBytes(content.length));
  assert.is(kernels.lz4DecompressBlock(packed, length, unpacked, content.length), content.length);
  assertSameBytes(bytes.subarray(unpacked, unpacked + content.length), content, 'round trip');
});

test('many threads run one module over one memory, each with its own workspace', async () => {
  const { memory, bytes } = openMemory(8);
  const content = noise(100_000);
  const address = 4 * PAGE_BYTES;
  bytes.set(content, address);
  const program = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(workerData.url).then(({ Kernels }) => {
      const kernels = new Kernels(workerData.memory, workerData.workspace, workerData.module);
      const answers = new Set();
      for (let turn = 0; turn < 200; turn++) answers.add(kernels.crc32c(workerData.address, workerData.length));
      parentPort.postMessage([...answers]);
    });`;
  const answersOf = (workspace: number): Promise<number[]> =>
    new Promise((resolve, reject) => {
      const workerData = {
        ...{ url: kernelsUrl.href, memory, module: compileKernels() },
        ...{ workspace, address, length: content.length },
      };
      const worker = new Worker(program, { eval: true, workerData, execArgv: [] });
      worker.once('message', resolve);
      worker.once('error', reject);
    });
  const answers = await Promise.all([0, 1, 2].map((thread) => answersOf(thread * PAGE_BYTES)));
  const expected = [crc32cByTable(content)];
  assert.equal(answers, [expected, expected, expected]);
});

test('a workspace that is not in the memory, or does not start on a cache line, is refused', () => {
  const { memory } = openMemory(1);
  for (const workspace of [-64, 8, PAGE_BYTES - 64, PAGE_BYTES, 2 ** 32]) {
    assert.throws(() => new Kernels(memory, workspace), /workspace/);
  }
});

test('a stretch that no kernel can work on is refused', () => {
  const { memory } = openMemory(2);
  const kernels = new Kernels(memory, 0);
  const refused = /No stretch of/;
  assert.throws(() => kernels.lz4CompressBlock(-1, 10, PAGE_BYTES, 100), refused);
  assert.throws(() => kernels.lz4CompressBlock(PAGE_BYTES, Number.NaN, PAGE_BYTES, 100), refused);
  assert.throws(() => kernels.lz4DecompressBlock(PAGE_BYTES, 2 ** 31, PAGE_BYTES, 100), refused);
  assert.throws(() => kernels.snappyCompress(2 ** 32 - 10, 11, PAGE_BYTES), refused);
  assert.throws(() => kernels.snappyDecompress(PAGE_BYTES, 10, PAGE_BYTES, -1), refused);
  assert.throws(() => kernels.lz4DecompressBlock(PAGE_BYTES, 10, PAGE_BYTES, 100, PAGE_BYTES + 1), /history/);
});

test.run();
