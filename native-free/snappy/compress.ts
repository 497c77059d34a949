import { snappyBoundBytes } from '../kernels/index.ts';
import type { Workbench } from '../kernels/workbench.ts';
import { atWorkbench, wordFrom } from '../kernels/workbench.ts';
import { XERIAL_HEADER_BYTES, XERIAL_MAGIC, XERIAL_VERSION } from './xerial-format.ts';

/** The blocks of Kafka's Java client. */
const XERIAL_BLOCK_BYTES = 32_768;
const LENGTH_BYTES = 4;
const MOST_VARINT_BYTES = 5;

/** Writes a raw block: its uncompressed length in groups of seven bits, then the body. Says where it ends. */
function putRaw(bench: Workbench, source: number, length: number, at: number): number {
  let rest = length;
  let body = at;
  for (; rest > 0x7f; rest >>>= 7) bench.bytes[body++] = (rest & 0x7f) | 0x80;
  bench.bytes[body++] = rest;
  return body + bench.kernels.snappyCompress(source, length, body);
}

function putWord(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word >>> 24;
  bytes[at + 1] = word >>> 16;
  bytes[at + 2] = word >>> 8;
  bytes[at + 3] = word;
}

/** Compresses bytes to one raw Snappy block. */
export function snappyCompress(input: Uint8Array): Uint8Array {
  return atWorkbench((bench) => {
    const source = bench.put(input);
    const block = wordFrom(source + input.length);
    bench.reserve(block + MOST_VARINT_BYTES + snappyBoundBytes(input.length));
    return bench.take(block, putRaw(bench, source, input.length, block) - block);
  });
}

/** Compresses bytes to Snappy blocks in xerial's framing, as Kafka's Java client does. */
export function snappyCompressXerial(input: Uint8Array): Uint8Array {
  return atWorkbench((bench) => {
    const source = bench.put(input);
    const frame = wordFrom(source + input.length);
    const blocks = Math.ceil(input.length / XERIAL_BLOCK_BYTES);
    const mostBytes = LENGTH_BYTES + MOST_VARINT_BYTES + snappyBoundBytes(XERIAL_BLOCK_BYTES);
    bench.reserve(frame + XERIAL_HEADER_BYTES + blocks * mostBytes);
    bench.bytes.set(XERIAL_MAGIC, frame);
    putWord(bench.bytes, frame + XERIAL_MAGIC.length, XERIAL_VERSION);
    putWord(bench.bytes, frame + XERIAL_MAGIC.length + LENGTH_BYTES, XERIAL_VERSION);
    let at = frame + XERIAL_HEADER_BYTES;
    for (let done = 0; done < input.length; done += XERIAL_BLOCK_BYTES) {
      const length = Math.min(XERIAL_BLOCK_BYTES, input.length - done);
      const end = putRaw(bench, source + done, length, at + LENGTH_BYTES);
      putWord(bench.bytes, at, end - at - LENGTH_BYTES);
      at = end;
    }
    return bench.take(frame, at - frame);
  });
}
