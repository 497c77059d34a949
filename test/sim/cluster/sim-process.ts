import type { Coordinator } from '../../../src/runtime/coordinator.ts';
import type { Strand } from './strand.ts';

/** One life of the process with the main thread and all brokers. */
export class SimProcess {
  readonly main: Strand;
  readonly memory: WebAssembly.Memory;
  /** Undefined while it starts. */
  coordinator: Coordinator | undefined;

  constructor(main: Strand, memory: WebAssembly.Memory) {
    this.main = main;
    this.memory = memory;
  }
}

/** As the product's look: 16 bytes in 22 characters. */
export function uuidOf(number: number): string {
  const bytes = Buffer.alloc(16, 1);
  bytes.writeInt32BE(number, 8);
  return bytes.toString('base64url');
}
