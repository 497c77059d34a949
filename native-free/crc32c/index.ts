/** CRC-32C (Castagnoli) of bytes anywhere, by a WebAssembly kernel over a small private memory per thread. */
import { Buffer } from 'node:buffer';
import { Kernels, WORKSPACE_BYTES } from '../kernels/index.ts';
import { crc32cByTable } from './table.ts';

export { crc32cByTable } from './table.ts';

/** Below this length copying into the kernel's memory costs more than it saves. */
const KERNEL_FROM_BYTES = 128;

/** Pieces of this size stay in the second-level cache between the copy and the kernel. */
const PIECE_BYTES = 65_536;
const PAGE_BYTES = 65_536;

/**
 * TypedArray.set copies to shared memory a word at a time, and only where source and destination lie alike within their
 * words: byte by byte, five times slower, where they do not. So there is a view of the piece for each place within a word.
 */
const WORD_BYTES = 8;

/** From here on Buffer.fill with a source of the same length, one plain memory copy, is faster in spite of its dearer call. */
const FILL_FROM_BYTES = 4096;

interface Bench {
  readonly kernels: Kernels;
  readonly pieces: readonly Buffer[];
}

let bench: Bench | undefined;

function openBench(): Bench {
  const pages = Math.ceil((WORKSPACE_BYTES + PIECE_BYTES + WORD_BYTES) / PAGE_BYTES);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const pieces: Buffer[] = [];
  for (let shift = 0; shift < WORD_BYTES; shift++) {
    pieces.push(Buffer.from(memory.buffer, WORKSPACE_BYTES + shift, PIECE_BYTES));
  }
  return { kernels: new Kernels(memory, 0), pieces };
}

/** CRC-32C of bytes, in shared memory or not, continued from the checksum of what came before them. */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  const length = bytes.length;
  if (length < KERNEL_FROM_BYTES) return crc32cByTable(bytes, seed);
  bench ??= openBench();
  const { kernels, pieces } = bench;
  const shift = bytes.byteOffset % WORD_BYTES;
  const piece = pieces[shift] as Buffer;
  if (length <= PIECE_BYTES) {
    copyTo(piece, bytes);
    return kernels.crc32c(WORKSPACE_BYTES + shift, length, seed);
  }
  let checksum = seed;
  for (let at = 0; at < length; at += PIECE_BYTES) {
    const part = bytes.subarray(at, at + PIECE_BYTES);
    copyTo(piece, part);
    checksum = kernels.crc32c(WORKSPACE_BYTES + shift, part.length, checksum);
  }
  return checksum;
}

function copyTo(piece: Buffer, bytes: Uint8Array): void {
  if (bytes.length < FILL_FROM_BYTES) piece.set(bytes);
  else piece.fill(bytes, 0, bytes.length);
}
