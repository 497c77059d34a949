import { CodecError } from '../kernels/codec-error.ts';
import { KernelFault } from '../kernels/index.ts';
import type { Workbench } from '../kernels/workbench.ts';
import { assertLimit, atWorkbench, wordFrom } from '../kernels/workbench.ts';
import { XERIAL_HEADER_BYTES, XERIAL_MAGIC } from './xerial-format.ts';

/** The densest element is a copy of 64 bytes in three: no byte of a body gives more than this. */
const MOST_BYTES_PER_BYTE = 22;

/** Walks over blocks that lie in the workbench, and writes what they give behind them. */
class SnappyDecoder {
  readonly #bench: Workbench;
  readonly #limitBytes: number;
  readonly #start: number;
  readonly #end: number;
  readonly #output: number;
  /** Bytes given so far, by all blocks together; never more than the limit. */
  #given = 0;

  constructor(bench: Workbench, input: Uint8Array, limitBytes: number) {
    this.#bench = bench;
    this.#limitBytes = limitBytes;
    this.#start = bench.put(input);
    this.#end = this.#start + input.length;
    this.#output = wordFrom(this.#end);
  }

  run(): Uint8Array {
    if (this.#hasMagic(this.#start)) this.#frame();
    else this.#raw(this.#start, this.#end);
    return this.#bench.take(this.#output, this.#given);
  }

  #hasMagic(at: number): boolean {
    return (
      this.#end - at >= XERIAL_MAGIC.length &&
      XERIAL_MAGIC.every((byte, i) => this.#bench.bytes[at + i] === byte)
    );
  }

  #frame(): void {
    let at = this.#start;
    while (at < this.#end) {
      // Streams are put together by appending one to the other, and so a header may stand between blocks too.
      if (this.#hasMagic(at)) {
        if (this.#end - at < XERIAL_HEADER_BYTES) {
          throw new CodecError('TRUNCATED', 'The Snappy stream ends within its header.');
        }
        at += XERIAL_HEADER_BYTES;
        continue;
      }
      const block = at + 4;
      if (block > this.#end) throw new CodecError('TRUNCATED', 'The Snappy stream ends within a length.');
      const length = this.#word(at);
      if (length < 0) throw new CodecError('CORRUPT', 'A block of the Snappy stream has a negative length.');
      if (length > this.#end - block) {
        throw new CodecError('TRUNCATED', 'The Snappy stream ends within a block.');
      }
      this.#raw(block, block + length);
      at = block + length;
    }
  }

  #word(at: number): number {
    const bytes = this.#bench.bytes;
    return (
      ((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)
    );
  }

  #raw(start: number, end: number): void {
    let size = 0;
    let at = start;
    for (let scale = 1; ; scale *= 128) {
      if (at === end) throw new CodecError('TRUNCATED', 'The Snappy block ends within its length.');
      const byte = this.#bench.bytes[at++] as number;
      size += (byte & 0x7f) * scale;
      if (size > 0xffff_ffff)
        throw new CodecError('CORRUPT', 'The length of the Snappy block exceeds 32 bits.');
      if (byte < 0x80) break;
      if (at - start === 5) throw new CodecError('CORRUPT', 'The length of the Snappy block has no end.');
    }
    if (size > this.#limitBytes - this.#given) {
      throw new CodecError(
        'TOO_LARGE',
        `The Snappy block gives more than the ${this.#limitBytes} bytes allowed.`,
      );
    }
    // Checked before memory is taken for it, so that a few bytes cannot ask for all that the limit allows.
    if (size > (end - at) * MOST_BYTES_PER_BYTE) {
      throw new CodecError('TRUNCATED', 'The Snappy block is too short for the length that it claims.');
    }
    const destination = this.#output + this.#given;
    this.#bench.reserve(destination + size);
    const fault = this.#bench.kernels.snappyDecompress(at, end - at, destination, size);
    if (fault === KernelFault.truncated) {
      throw new CodecError('TRUNCATED', 'The Snappy block ends before it has given all its bytes.');
    }
    if (fault !== 0) throw new CodecError('CORRUPT', 'The Snappy block is corrupt.');
    this.#given += size;
  }
}

/** Decompresses a raw Snappy block, or blocks in xerial's framing, that give no more than `limitBytes`. */
export function snappyDecompress(input: Uint8Array, limitBytes: number): Uint8Array {
  assertLimit(limitBytes);
  return atWorkbench((bench) => new SnappyDecoder(bench, input, limitBytes).run());
}
