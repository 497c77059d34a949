/**
 * The WebAssembly kernels, run in place over a shared memory. The module is stateless: besides the outputs it is
 * given it writes nothing but the workspace of its instance, so that every thread can have one over the same memory.
 */
import { readFileSync } from 'node:fs';

/** What one instance needs of the shared memory for itself. */
export const WORKSPACE_BYTES = 40_960;

const WORKSPACE_ALIGNMENT_BYTES = 64;

interface KernelExports {
  prepare(workspace: number): void;
  crc32c(workspace: number, register: number, address: number, length: number): number;
  crc32cCopy(workspace: number, register: number, address: number, length: number, copy: number): number;
  xxhash32(address: number, length: number, seed: number): number;
  lz4Compress(
    workspace: number,
    source: number,
    length: number,
    destination: number,
    capacity: number,
  ): number;
  lz4Decompress(
    source: number,
    length: number,
    destination: number,
    capacity: number,
    history: number,
  ): number;
  snappyCompress(workspace: number, source: number, length: number, destination: number): number;
  snappyDecompress(source: number, length: number, destination: number, size: number): number;
}

/** What the decompressing kernels answer instead of a length. */
export const KernelFault = {
  corrupt: -1,
  tooLarge: -2,
  truncated: -3,
} as const;

/** Enough for whatever lz4CompressBlock makes of so many bytes. */
export function lz4BoundBytes(length: number): number {
  return length + Math.ceil(length / 255) + 16;
}

/** The room that snappyCompress needs for so many bytes. */
export function snappyBoundBytes(length: number): number {
  return length + Math.ceil(length / 6) + 32;
}

let compiled: WebAssembly.Module | undefined;

/** Compiles the kernels once for this thread. The module can be posted to workers, which then need not compile. */
export function compileKernels(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(readFileSync(new URL('./kernels.wasm', import.meta.url)));
  return compiled;
}

/** The codecs compare addresses, and their results are signed: no stretch wraps round, and none has 2 GiB. */
function assertStretch(address: number, length: number): void {
  if (!(address >= 0 && length >= 0 && length <= 0x7fff_ffff && address + length <= 0xffff_ffff)) {
    throw new RangeError(`No stretch of ${length} bytes at ${address} for a kernel to work on.`);
  }
}

/**
 * One thread's instance over a shared memory. Addresses and lengths are byte numbers below 2^32. The workspace must
 * stay this instance's own for as long as it lives.
 */
export class Kernels {
  readonly #workspace: number;
  readonly #kernels: KernelExports;

  constructor(memory: WebAssembly.Memory, workspace: number, module: WebAssembly.Module = compileKernels()) {
    if (workspace % WORKSPACE_ALIGNMENT_BYTES !== 0) {
      throw new RangeError(`A kernel workspace starts at a multiple of ${WORKSPACE_ALIGNMENT_BYTES} bytes.`);
    }
    if (workspace < 0 || workspace + WORKSPACE_BYTES > memory.buffer.byteLength) {
      throw new RangeError('A kernel workspace lies within the memory.');
    }
    const instance = new WebAssembly.Instance(module, { env: { memory } });
    this.#kernels = instance.exports as unknown as KernelExports;
    this.#workspace = workspace;
    this.#kernels.prepare(workspace);
  }

  /** CRC-32C of a stretch of the memory, continued from the checksum of what came before it. */
  crc32c(address: number, length: number, seed = 0): number {
    return ~this.#kernels.crc32c(this.#workspace, ~seed, address, length) >>> 0;
  }

  /** The same, and the bytes copied to where they do not overlap themselves: one pass where that pays. */
  crc32cCopy(address: number, length: number, copy: number, seed = 0): number {
    return ~this.#kernels.crc32cCopy(this.#workspace, ~seed, address, length, copy) >>> 0;
  }

  /** xxHash32 of a stretch of the memory. */
  xxhash32(address: number, length: number, seed = 0): number {
    return this.#kernels.xxhash32(address, length, seed) >>> 0;
  }

  /** Compresses one LZ4 block into at most `capacity` bytes. Its length, or zero if it has no room there. */
  lz4CompressBlock(source: number, length: number, destination: number, capacity: number): number {
    assertStretch(source, length);
    assertStretch(destination, capacity);
    return this.#kernels.lz4Compress(this.#workspace, source, length, destination, capacity);
  }

  /**
   * Decompresses one LZ4 block into at most `capacity` bytes and writes nowhere else. Matches may reach back into
   * `history` bytes that stand before the destination. The length, or one of KernelFault.
   */
  lz4DecompressBlock(
    source: number,
    length: number,
    destination: number,
    capacity: number,
    history = 0,
  ): number {
    assertStretch(source, length);
    assertStretch(destination, capacity);
    if (history > destination)
      throw new RangeError('The history lies before the destination, in the memory.');
    return this.#kernels.lz4Decompress(source, length, destination, capacity, history);
  }

  /** Compresses the body of a Snappy block, for which there must be room for snappyBoundBytes; its length. */
  snappyCompress(source: number, length: number, destination: number): number {
    assertStretch(source, length);
    assertStretch(destination, snappyBoundBytes(length));
    return this.#kernels.snappyCompress(this.#workspace, source, length, destination);
  }

  /** Decompresses the body of a Snappy block that has to give `size` bytes exactly. Zero, or one of KernelFault. */
  snappyDecompress(source: number, length: number, destination: number, size: number): number {
    assertStretch(source, length);
    assertStretch(destination, size);
    return this.#kernels.snappyDecompress(source, length, destination, size);
  }
}
