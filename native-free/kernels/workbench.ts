/**
 * A private memory per thread for bytes that lie elsewhere: they are copied in, worked on in place, and the result is
 * copied out. It also keeps a decoder from input that another thread changes while it is being read.
 */
import { Kernels, WORKSPACE_BYTES } from './index.ts';

const PAGE_BYTES = 65_536;
const MOST_PAGES = 65_536;
const FIRST_PAGES = 8;

/** A memory cannot shrink: one that grew beyond this is given up after its use. */
const KEPT_BYTES = 8 * 1024 * 1024;

/**
 * Shared memory is copied a word at a time only when source and destination lie alike within their words, and byte
 * by byte, five times slower, when they do not.
 */
const WORD_BYTES = 8;

/** A memory with kernels over it, free from address WORKSPACE_BYTES on. */
export class Workbench {
  readonly kernels: Kernels;
  readonly #memory: WebAssembly.Memory;
  #bytes: Uint8Array;

  constructor() {
    this.#memory = new WebAssembly.Memory({ initial: FIRST_PAGES, maximum: MOST_PAGES, shared: true });
    this.#bytes = new Uint8Array(this.#memory.buffer);
    this.kernels = new Kernels(this.#memory, 0);
  }

  /** All of the memory; taken again after each reserve, because a view keeps its length when the memory grows. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Makes the memory reach to `end` at least, and further than asked so that it seldom grows. */
  reserve(end: number): void {
    const present = this.#bytes.length;
    if (end <= present) return;
    const wanted = Math.max(Math.ceil(end / PAGE_BYTES), Math.ceil((present * 1.5) / PAGE_BYTES));
    this.#memory.grow(
      Math.max(Math.min(wanted, MOST_PAGES), Math.ceil(end / PAGE_BYTES)) - present / PAGE_BYTES,
    );
    this.#bytes = new Uint8Array(this.#memory.buffer);
  }

  /** Copies the input to the first free place where it lies within its words as before, and says where. */
  put(input: Uint8Array): number {
    const address = WORKSPACE_BYTES + (input.byteOffset % WORD_BYTES);
    this.reserve(address + input.length);
    this.#bytes.set(input, address);
    return address;
  }

  /** A copy of a stretch, in memory of its own. */
  take(address: number, length: number): Uint8Array {
    // Every byte of it is written here, so that it need not be cleared before.
    const taken = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
    taken.set(this.#bytes.subarray(address, address + length));
    return taken;
  }
}

/** Limits beyond this are refused, so that input and output have room in one memory. */
const MOST_LIMIT_BYTES = 2 ** 30;

/** A limit on what a decoder may give is a number of bytes up to 1 GiB; anything else is the caller's mistake. */
export function assertLimit(limitBytes: number): void {
  if (!(Number.isInteger(limitBytes) && limitBytes >= 0 && limitBytes <= MOST_LIMIT_BYTES)) {
    throw new RangeError(
      `A limit is a whole number of bytes from 0 to ${MOST_LIMIT_BYTES}, not ${limitBytes}.`,
    );
  }
}

/** The next address that a result of any kind may start at: on a word, and behind what stands before it. */
export function wordFrom(address: number): number {
  return Math.ceil(address / WORD_BYTES) * WORD_BYTES;
}

let kept: Workbench | undefined;

/** Runs work that is not asynchronous on this thread's workbench. */
export function atWorkbench<Result>(work: (bench: Workbench) => Result): Result {
  kept ??= new Workbench();
  const bench = kept;
  try {
    return work(bench);
  } finally {
    if (bench.bytes.length > KEPT_BYTES) kept = undefined;
  }
}
