// What do our checksums and codecs cost, next to what other projects take from native addons?
import { createRequire } from 'node:module';
import CRC32C from 'crc-32/crc32c.js';
import { Bench } from 'tinybench';
import { crc32c } from '../../native-free/crc32c/index.ts';
import { crc32cByTable } from '../../native-free/crc32c/table.ts';
import {
  Kernels,
  lz4BoundBytes,
  snappyBoundBytes,
  WORKSPACE_BYTES,
} from '../../native-free/kernels/index.ts';
import { lz4CompressFrame, lz4DecompressFrame } from '../../native-free/lz4/index.ts';
import { murmur2 } from '../../native-free/murmur2/index.ts';
import { snappyCompress, snappyDecompress } from '../../native-free/snappy/index.ts';
import { xxhash32 } from '../../native-free/xxhash32/index.ts';

const BLOCK_BYTES = 65_536;
const MEMORY_PAGES = 64;
const TASK_MS = 60;

/** The part of the native addon `lz4` that is compared with; it is used if somebody installed it. */
interface NativeLz4 {
  encodeBound(length: number): number;
  encodeBlock(input: Uint8Array, output: Uint8Array): number;
  decodeBlock(input: Uint8Array, output: Uint8Array): number;
}

function findNativeLz4(): NativeLz4 | undefined {
  try {
    return createRequire(import.meta.url)('lz4') as NativeLz4;
  } catch {
    return undefined;
  }
}

/** Text as services log it: the same fields again and again, with numbers and words that change. */
function jsonText(length: number): Uint8Array {
  const words =
    'order customer amount currency pending shipped cancelled warehouse region product created'.split(' ');
  let state = 12_345;
  const next = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const word = (): string => words[next(words.length)] as string;
  let text = '';
  for (let id = 1_000_000; text.length < length; id++) {
    const note = `${word()} ${word()} ${word()}`;
    const order = {
      id,
      type: `order.${word()}`,
      customer: next(1e9).toString(16),
      amount: next(1e5) / 100,
      note,
    };
    text += `${JSON.stringify({ ...order, time: 1_700_000_000_000 + next(1e9) })}\n`;
  }
  return Buffer.from(text.slice(0, length));
}

/** Kernels over a shared memory with the text in it, as a broker has them over its arena. */
function openArena(text: Uint8Array) {
  const memory = new WebAssembly.Memory({ initial: MEMORY_PAGES, maximum: MEMORY_PAGES, shared: true });
  const bytes = new Uint8Array(memory.buffer);
  const source = BLOCK_BYTES;
  bytes.set(text, source);
  const packed = source + text.length;
  const unpacked = packed + Math.max(lz4BoundBytes(BLOCK_BYTES), snappyBoundBytes(BLOCK_BYTES));
  if (WORKSPACE_BYTES > source || unpacked + BLOCK_BYTES > bytes.length)
    throw new Error('The arena is too small.');
  return { kernels: new Kernels(memory, 0), bytes, source, packed, unpacked };
}

/** Runs tasks that handle so many bytes each, and prints what one takes. */
async function compare(
  title: string,
  bytes: number,
  tasks: Readonly<Record<string, () => unknown>>,
): Promise<void> {
  const bench = new Bench({ time: TASK_MS, warmupTime: TASK_MS });
  // A task is repeated until it lasts some microseconds, so that the clock does not count.
  const turns = Math.max(1, Math.ceil(BLOCK_BYTES / (bytes + 64)));
  for (const [name, task] of Object.entries(tasks)) {
    bench.add(name, () => {
      for (let turn = 0; turn < turns; turn++) task();
    });
  }
  await bench.run();
  console.log(title);
  for (const { name, result } of bench.tasks) {
    if (result.state !== 'completed') throw new Error(`${title}: ${name} did not complete.`);
    const nanoseconds = (result.latency.p50 * 1e6) / turns;
    const speed = (bytes / nanoseconds).toFixed(2).padStart(7);
    console.log(`  ${name.padEnd(36)}${nanoseconds.toFixed(0).padStart(10)} ns ${speed} GB/s`);
  }
}

async function checksums(): Promise<void> {
  const { kernels, bytes, source } = openArena(jsonText(1024 * 1024));
  for (const length of [64, 256, 1024, 4096, 16_384, 65_536, 1_048_576]) {
    const view = bytes.subarray(source, source + length);
    await compare(`CRC-32C of ${length} bytes in shared memory`, length, {
      'kernel, in place': () => kernels.crc32c(source, length),
      'crc32c(bytes)': () => crc32c(view),
      'crc32cByTable(bytes)': () => crc32cByTable(view),
      'crc-32/crc32c.js': () => CRC32C.buf(view),
    });
  }
}

async function hashes(): Promise<void> {
  const { kernels, bytes, source } = openArena(jsonText(BLOCK_BYTES));
  for (const length of [8, 36]) {
    const key = Uint8Array.from(bytes.subarray(source, source + length));
    await compare(`murmur2 of a key of ${length} bytes`, length, { 'murmur2(bytes)': () => murmur2(key) });
  }
  for (const length of [10, BLOCK_BYTES]) {
    const view = bytes.subarray(source, source + length);
    await compare(`xxHash32 of ${length} bytes`, length, {
      'xxhash32(bytes)': () => xxhash32(view),
      'kernel, in place': () => kernels.xxhash32(source, length),
    });
  }
}

function nativeTasks(text: Uint8Array): [Record<string, () => unknown>, Record<string, () => unknown>] {
  const lz4 = findNativeLz4();
  if (lz4 === undefined) {
    console.log('The native addon lz4 is not installed: its comparison is skipped.');
    return [{}, {}];
  }
  const block = new Uint8Array(lz4.encodeBound(text.length));
  const packed = block.subarray(0, lz4.encodeBlock(text, block));
  const output = new Uint8Array(text.length);
  return [
    { 'native addon lz4, block': () => lz4.encodeBlock(text, block) },
    { 'native addon lz4, block': () => lz4.decodeBlock(packed, output) },
  ];
}

async function compression(): Promise<void> {
  const text = jsonText(BLOCK_BYTES);
  const { kernels, source, packed, unpacked } = openArena(text);
  const [nativeCompress, nativeDecompress] = nativeTasks(text);
  const frame = lz4CompressFrame(text);
  const raw = snappyCompress(text);
  const bound = lz4BoundBytes(text.length);
  const megabyte = jsonText(1024 * 1024);
  await compare('Compress 64 KiB of JSON text', text.length, {
    'LZ4 kernel, in place': () => kernels.lz4CompressBlock(source, text.length, packed, bound),
    ...nativeCompress,
    'Snappy kernel, in place': () => kernels.snappyCompress(source, text.length, packed),
    'lz4CompressFrame(bytes)': () => lz4CompressFrame(text),
    'snappyCompress(bytes)': () => snappyCompress(text),
  });
  const snappyLength = kernels.snappyCompress(source, text.length, packed);
  await compare('Decompress it, Snappy in place', text.length, {
    'Snappy kernel, in place': () => kernels.snappyDecompress(packed, snappyLength, unpacked, text.length),
    'snappyDecompress(bytes)': () => snappyDecompress(raw, text.length),
  });
  const lz4Length = kernels.lz4CompressBlock(source, text.length, packed, bound);
  await compare('Decompress it, LZ4', text.length, {
    'LZ4 kernel, in place': () => kernels.lz4DecompressBlock(packed, lz4Length, unpacked, text.length),
    ...nativeDecompress,
    'lz4DecompressFrame(bytes)': () => lz4DecompressFrame(frame, text.length),
  });
  const bigFrame = lz4CompressFrame(megabyte);
  await compare('1 MiB of JSON text', megabyte.length, {
    'lz4CompressFrame(bytes)': () => lz4CompressFrame(megabyte),
    'lz4DecompressFrame(bytes)': () => lz4DecompressFrame(bigFrame, megabyte.length),
  });
  console.log(`64 KiB of JSON text become ${lz4Length} bytes of LZ4, ${snappyLength} of Snappy.`);
}

export async function run(): Promise<void> {
  await checksums();
  await hashes();
  await compression();
}
