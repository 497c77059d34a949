import { Buffer } from 'node:buffer';
import { Kernels, WORKSPACE_BYTES } from '../../native-free/kernels/index.ts';
import { TidemarkError } from '../errors.ts';

const PAGE_BYTES = 65536;
/** Two cache lines: the adjacent-line prefetcher pulls lines in pairs. */
const ALIGN_BYTES = 128;

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGN_BYTES) * ALIGN_BYTES;
}

/**
 * One thread's view of the shared memory in which all rings, channels and tables of a cluster lie. It is
 * the memory of a WebAssembly instance, so that the kernels check and compress bytes where they are.
 */
export class ArenaView {
  readonly memory: WebAssembly.Memory;
  #buffer: SharedArrayBuffer;
  #bytes: Buffer;
  #int32: Int32Array;
  #float64: Float64Array;

  constructor(memory: WebAssembly.Memory) {
    this.memory = memory;
    this.#buffer = memory.buffer as unknown as SharedArrayBuffer;
    this.#bytes = Buffer.from(this.#buffer);
    this.#int32 = new Int32Array(this.#buffer);
    this.#float64 = new Float64Array(this.#buffer);
  }

  /** Views that reach at least to `end`: the memory grows, and older views keep their length. */
  reach(end: number): this {
    if (end > this.#buffer.byteLength) {
      this.#buffer = this.memory.buffer as unknown as SharedArrayBuffer;
      this.#bytes = Buffer.from(this.#buffer);
      this.#int32 = new Int32Array(this.#buffer);
      this.#float64 = new Float64Array(this.#buffer);
      if (end > this.#buffer.byteLength) throw new RangeError(`address ${end} lies beyond the shared memory`);
    }
    return this;
  }

  get buffer(): SharedArrayBuffer {
    return this.#buffer;
  }

  get bytes(): Buffer {
    return this.#bytes;
  }

  get int32(): Int32Array {
    return this.#int32;
  }

  get float64(): Float64Array {
    return this.#float64;
  }
}

function newMemory(): WebAssembly.Memory {
  // Only address space is reserved for the maximum; where even that is scarce, a smaller one will do.
  for (let maximum = 65536; ; maximum /= 2) {
    try {
      return new WebAssembly.Memory({ initial: 16, maximum, shared: true });
    } catch (cause) {
      if (maximum <= 2048) throw cause;
    }
  }
}

/** Hands out regions of the shared memory. Only the main thread allocates; every region is zeroed when given. */
export class Arena extends ArenaView {
  /** Address 0 is never given out, so that 0 can mean "none". */
  #end = ALIGN_BYTES;
  readonly #free = new Map<number, number[]>();

  /** `memory` has to hold nothing but zeros. */
  constructor(memory = newMemory()) {
    super(memory);
  }

  allocate(bytes: number): number {
    const size = aligned(bytes);
    const reused = this.#free.get(size)?.pop();
    if (reused !== undefined) {
      this.bytes.fill(0, reused, reused + size);
      return reused;
    }
    const address = this.#end;
    const end = address + size;
    if (end > this.buffer.byteLength) {
      this.#grow(end);
    }
    this.#end = end;
    return address;
  }

  /** Takes a region back once no thread uses it any more; it serves the next request of the same size. */
  release(address: number, bytes: number): void {
    const size = aligned(bytes);
    const same = this.#free.get(size);
    if (same === undefined) this.#free.set(size, [address]);
    else same.push(address);
  }

  #grow(end: number): void {
    try {
      this.memory.grow(Math.ceil((end - this.buffer.byteLength) / PAGE_BYTES));
    } catch (cause) {
      throw new TidemarkError(
        'UNSUPPORTED',
        "The cluster's shared memory of 4 GiB is full: close clients that are not needed, or start fewer brokers.",
        { cause },
      );
    }
    this.reach(end);
  }

  allocateWorkspace(): number {
    return this.allocate(WORKSPACE_BYTES);
  }

  releaseWorkspace(address: number): void {
    this.release(address, WORKSPACE_BYTES);
  }
}

/** The kernels over the arena, for one thread: each has a workspace of its own there. */
export function kernelsOver(view: ArenaView, workspace: number, module: WebAssembly.Module): Kernels {
  view.reach(workspace + WORKSPACE_BYTES);
  return new Kernels(view.memory, workspace, module);
}
