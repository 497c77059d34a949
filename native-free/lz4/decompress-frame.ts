import { CodecError } from '../kernels/codec-error.ts';
import { KernelFault } from '../kernels/index.ts';
import type { Workbench } from '../kernels/workbench.ts';
import { assertLimit, atWorkbench, wordFrom } from '../kernels/workbench.ts';
import {
  DESCRIPTOR_RESERVED,
  FLAG_BLOCK_CHECKSUMS,
  FLAG_CONTENT_CHECKSUM,
  FLAG_CONTENT_SIZE,
  FLAG_DICTIONARY,
  FLAG_INDEPENDENT,
  FLAG_RESERVED,
  FLAG_VERSION,
  FLAG_VERSION_MASK,
  FRAME_MAGIC,
  SKIPPABLE_MAGIC,
  SKIPPABLE_MAGIC_MASK,
  SMALLEST_BLOCK_BYTES,
  SMALLEST_BLOCK_CODE,
  STORED,
} from './frame-format.ts';

interface FrameHeader {
  readonly flags: number;
  readonly blockBytes: number;
  readonly contentBytes: number | undefined;
}

/** Walks over frames that lie in the workbench, and writes what they give behind them. */
class FrameDecoder {
  readonly #bench: Workbench;
  readonly #limitBytes: number;
  readonly #end: number;
  readonly #output: number;
  #at: number;
  /** Bytes given so far, by all frames together; never more than the limit. */
  #given = 0;

  constructor(bench: Workbench, input: Uint8Array, limitBytes: number) {
    this.#bench = bench;
    this.#limitBytes = limitBytes;
    this.#at = bench.put(input);
    this.#end = this.#at + input.length;
    this.#output = wordFrom(this.#end);
  }

  run(): Uint8Array {
    do {
      const magic = this.#word('magic number');
      if (magic === FRAME_MAGIC) this.#frame();
      else if ((magic & SKIPPABLE_MAGIC_MASK) >>> 0 === SKIPPABLE_MAGIC) this.#skip();
      else throw new CodecError('CORRUPT', 'The input is no LZ4 frame: it has another magic number.');
    } while (this.#at < this.#end);
    return this.#bench.take(this.#output, this.#given);
  }

  /** Steps over the next bytes, all of which must be there, and says where they stand. */
  #step(length: number, what: string): number {
    const at = this.#at;
    if (length > this.#end - at) throw new CodecError('TRUNCATED', `The LZ4 frame ends within its ${what}.`);
    this.#at = at + length;
    return at;
  }

  #word(what: string): number {
    const at = this.#step(4, what);
    const bytes = this.#bench.bytes;
    return (
      ((bytes[at] as number) |
        ((bytes[at + 1] as number) << 8) |
        ((bytes[at + 2] as number) << 16) |
        ((bytes[at + 3] as number) << 24)) >>>
      0
    );
  }

  #skip(): void {
    this.#step(this.#word('skippable frame'), 'skippable frame');
  }

  #frame(): void {
    const header = this.#header();
    const start = this.#given;
    for (let mark = this.#word('block length'); mark !== 0; mark = this.#word('block length')) {
      this.#block(mark, header, start);
    }
    const contentBytes = this.#given - start;
    if (header.contentBytes !== undefined && header.contentBytes !== contentBytes) {
      throw new CodecError('CORRUPT', 'The LZ4 frame does not give as many bytes as its header says.');
    }
    if ((header.flags & FLAG_CONTENT_CHECKSUM) !== 0) {
      this.#checkHash(this.#output + start, contentBytes, 'content');
    }
  }

  #header(): FrameHeader {
    const start = this.#step(2, 'header');
    const flags = this.#bench.bytes[start] as number;
    const descriptor = this.#bench.bytes[start + 1] as number;
    if ((flags & FLAG_VERSION_MASK) !== FLAG_VERSION) {
      throw new CodecError('CORRUPT', 'The LZ4 frame is of an unknown version.');
    }
    const blockCode = descriptor >> 4;
    if ((flags & FLAG_RESERVED) !== 0 || (descriptor & DESCRIPTOR_RESERVED) !== 0) {
      throw new CodecError('CORRUPT', 'The LZ4 frame has reserved bits set.');
    }
    if (blockCode < SMALLEST_BLOCK_CODE) {
      throw new CodecError('CORRUPT', 'The LZ4 frame has an unknown block size.');
    }
    let contentBytes: number | undefined;
    if ((flags & FLAG_CONTENT_SIZE) !== 0) {
      const low = this.#word('header');
      contentBytes = this.#word('header') * 2 ** 32 + low;
    }
    if ((flags & FLAG_DICTIONARY) !== 0) this.#step(4, 'header');
    const checkAt = this.#step(1, 'header');
    const check = (this.#bench.kernels.xxhash32(start, checkAt - start) >>> 8) & 0xff;
    if (this.#bench.bytes[checkAt] !== check) {
      throw new CodecError('CORRUPT', 'The header of the LZ4 frame does not match its checksum.');
    }
    if ((flags & FLAG_DICTIONARY) !== 0) {
      throw new CodecError('CORRUPT', 'The LZ4 frame needs a dictionary, and there is none.');
    }
    if (contentBytes !== undefined && contentBytes > this.#limitBytes - this.#given) throw this.#tooLarge();
    return {
      flags,
      blockBytes: SMALLEST_BLOCK_BYTES << (2 * (blockCode - SMALLEST_BLOCK_CODE)),
      contentBytes,
    };
  }

  #block(mark: number, header: FrameHeader, frameStart: number): void {
    const stored = mark >= STORED;
    const length = stored ? mark - STORED : mark;
    if (length > header.blockBytes) {
      throw new CodecError('CORRUPT', 'A block of the LZ4 frame is larger than its header allows.');
    }
    const source = this.#step(length, 'block');
    if ((header.flags & FLAG_BLOCK_CHECKSUMS) !== 0) this.#checkHash(source, length, 'block');
    const room = this.#limitBytes - this.#given;
    const capacity = Math.min(header.blockBytes, room);
    const destination = this.#output + this.#given;
    this.#bench.reserve(destination + capacity);
    if (stored) {
      if (length > room) throw this.#tooLarge();
      this.#bench.bytes.copyWithin(destination, source, source + length);
      this.#given += length;
      return;
    }
    const history = (header.flags & FLAG_INDEPENDENT) !== 0 ? 0 : this.#given - frameStart;
    const given = this.#bench.kernels.lz4DecompressBlock(source, length, destination, capacity, history);
    if (given >= 0) {
      this.#given += given;
      return;
    }
    if (given === KernelFault.tooLarge && capacity === room) throw this.#tooLarge();
    throw new CodecError('CORRUPT', 'A block of the LZ4 frame is corrupt.');
  }

  #checkHash(address: number, length: number, what: string): void {
    if (this.#word(`${what} checksum`) !== this.#bench.kernels.xxhash32(address, length)) {
      throw new CodecError('CORRUPT', `The ${what} of the LZ4 frame does not match its checksum.`);
    }
  }

  #tooLarge(): CodecError {
    return new CodecError(
      'TOO_LARGE',
      `The LZ4 frame gives more than the ${this.#limitBytes} bytes allowed.`,
    );
  }
}

/** Decompresses one LZ4 frame or several in a row, of any legal form, that give no more than `limitBytes`. */
export function lz4DecompressFrame(input: Uint8Array, limitBytes: number): Uint8Array {
  assertLimit(limitBytes);
  return atWorkbench((bench) => new FrameDecoder(bench, input, limitBytes).run());
}
