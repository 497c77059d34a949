import { CodecError } from '../kernels/codec-error.ts';
import { KernelFault, lz4BoundBytes } from '../kernels/index.ts';
import { assertLimit, atWorkbench, wordFrom } from '../kernels/workbench.ts';

/** Compresses bytes to one LZ4 block, which does not say its own length. */
export function lz4CompressBlock(input: Uint8Array): Uint8Array {
  return atWorkbench((bench) => {
    const source = bench.put(input);
    const destination = wordFrom(source + input.length);
    const capacity = lz4BoundBytes(input.length);
    bench.reserve(destination + capacity);
    const length = bench.kernels.lz4CompressBlock(source, input.length, destination, capacity);
    return bench.take(destination, length);
  });
}

/** Decompresses one LZ4 block that gives no more than `limitBytes`. */
export function lz4DecompressBlock(input: Uint8Array, limitBytes: number): Uint8Array {
  assertLimit(limitBytes);
  return atWorkbench((bench) => {
    const source = bench.put(input);
    const destination = wordFrom(source + input.length);
    // A byte of a block gives 255 bytes at most: a high limit alone does not make the memory grow.
    const capacity = Math.min(limitBytes, input.length * 255);
    bench.reserve(destination + capacity);
    const length = bench.kernels.lz4DecompressBlock(source, input.length, destination, capacity);
    if (length >= 0) return bench.take(destination, length);
    if (length === KernelFault.tooLarge) {
      throw new CodecError('TOO_LARGE', `The LZ4 block gives more than the ${limitBytes} bytes allowed.`);
    }
    if (length === KernelFault.truncated) {
      throw new CodecError('TRUNCATED', 'The LZ4 block ends in the middle of a sequence.');
    }
    throw new CodecError('CORRUPT', 'The LZ4 block refers to bytes before its beginning.');
  });
}
