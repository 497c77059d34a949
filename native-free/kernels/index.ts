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
}

let compiled: WebAssembly.Module | undefined;

/** Compiles the kernels once for this thread. The module can be posted to workers, which then need not compile. */
export function compileKernels(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(readFileSync(new URL('./kernels.wasm', import.meta.url)));
  return compiled;
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
}
