import type { Workbench } from '../kernels/workbench.ts';
import { atWorkbench, wordFrom } from '../kernels/workbench.ts';
import { xxhash32 } from '../xxhash32/index.ts';
import {
  FLAG_INDEPENDENT,
  FLAG_VERSION,
  FRAME_MAGIC,
  SMALLEST_BLOCK_BYTES,
  SMALLEST_BLOCK_CODE,
  STORED,
} from './frame-format.ts';

const HEADER_BYTES = 7;
const MARK_BYTES = 4;

/** The header that Kafka's Java client writes: independent blocks of 64 KiB, no checksums, no content size. */
const header = makeHeader();

function makeHeader(): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  new DataView(bytes.buffer).setUint32(0, FRAME_MAGIC, true);
  bytes[4] = FLAG_VERSION | FLAG_INDEPENDENT;
  bytes[5] = SMALLEST_BLOCK_CODE << 4;
  bytes[6] = xxhash32(bytes.subarray(4, 6)) >>> 8;
  return bytes;
}

function putWord(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word;
  bytes[at + 1] = word >>> 8;
  bytes[at + 2] = word >>> 16;
  bytes[at + 3] = word >>> 24;
}

/** Writes one block with its length; stored as it is unless it gets smaller. Says where the next one goes. */
function putBlock(bench: Workbench, source: number, length: number, at: number): number {
  const body = at + MARK_BYTES;
  const compressed = bench.kernels.lz4CompressBlock(source, length, body, length - 1);
  if (compressed > 0) {
    putWord(bench.bytes, at, compressed);
    return body + compressed;
  }
  putWord(bench.bytes, at, length + STORED);
  bench.bytes.copyWithin(body, source, source + length);
  return body + length;
}

/** Compresses bytes to one LZ4 frame, as Kafka's Java client does. */
export function lz4CompressFrame(input: Uint8Array): Uint8Array {
  return atWorkbench((bench) => {
    const source = bench.put(input);
    const blocks = Math.ceil(input.length / SMALLEST_BLOCK_BYTES);
    const frame = wordFrom(source + input.length);
    bench.reserve(frame + HEADER_BYTES + input.length + (blocks + 1) * MARK_BYTES);
    bench.bytes.set(header, frame);
    let at = frame + HEADER_BYTES;
    for (let done = 0; done < input.length; done += SMALLEST_BLOCK_BYTES) {
      at = putBlock(bench, source + done, Math.min(SMALLEST_BLOCK_BYTES, input.length - done), at);
    }
    putWord(bench.bytes, at, 0);
    return bench.take(frame, at + MARK_BYTES - frame);
  });
}
