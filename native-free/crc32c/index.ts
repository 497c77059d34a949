/** CRC-32C (Castagnoli) of bytes anywhere, by a WebAssembly kernel over a small private memory per thread. */
import { Kernels, WORKSPACE_BYTES } from '../kernels/index.ts';
import { crc32cByTable } from './table.ts';

export { crc32cByTable } from './table.ts';

/** Below this length copying into the kernel's memory costs more than it saves. */
const KERNEL_FROM_BYTES = 128;

/** Pieces of this size stay in the second-level cache between the copy and the kernel. */
const PIECE_BYTES = 65_536;
const PAGE_BYTES = 65_536;

/**
 * Shared memory is copied a word at a time only when source and destination lie alike within their words, and byte
 * by byte, five times slower, when they do not. So there is a view of the piece for each place within a word.
 */
const WORD_BYTES = 8;

interface Bench {
  readonly kernels: Kernels;
  readonly pieces: readonly Uint8Array[];
}

let bench: Bench | undefined;

function openBench(): Bench {
  const pages = Math.ceil((WORKSPACE_BYTES + PIECE_BYTES + WORD_BYTES) / PAGE_BYTES);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const pieces: Uint8Array[] = [];
  for (let shift = 0; shift < WORD_BYTES; shift++) {
    pieces.push(new Uint8Array(memory.buffer, WORKSPACE_BYTES + shift, PIECE_BYTES));
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
  const piece = pieces[shift] as Uint8Array;
  if (length <= PIECE_BYTES) {
    piece.set(bytes);
    return kernels.crc32c(WORKSPACE_BYTES + shift, length, seed);
  }
  let checksum = seed;
  for (let at = 0; at < length; at += PIECE_BYTES) {
    const part = bytes.subarray(at, at + PIECE_BYTES);
    piece.set(part);
    checksum = kernels.crc32c(WORKSPACE_BYTES + shift, part.length, checksum);
  }
  return checksum;
}
