import * as assert from 'uvu/assert';
import { Kernels, WORKSPACE_BYTES } from '../../../native-free/kernels/index.ts';

const CANARY = 0xc5;
const CANARY_BYTES = 64;
const SOURCE = 65_536;
const ROOM = 2 * 65_536;

/** A memory in which a decompressor gets a source and a destination with canaries on both sides. */
export class Cage {
  readonly kernels: Kernels;
  readonly bytes: Uint8Array;
  readonly destination = ROOM + CANARY_BYTES + 3;

  constructor() {
    const memory = new WebAssembly.Memory({ initial: 4, maximum: 4, shared: true });
    assert.ok(WORKSPACE_BYTES < SOURCE);
    this.kernels = new Kernels(memory, 0);
    this.bytes = new Uint8Array(memory.buffer);
  }

  /** Puts the source in its place, the canaries around the destination, and says where the source is. */
  enclose(source: Uint8Array, capacity: number): number {
    this.bytes.set(source, SOURCE);
    this.bytes.fill(CANARY, this.destination - CANARY_BYTES, this.destination + capacity + CANARY_BYTES);
    return SOURCE;
  }

  assertUnharmed(capacity: number, what: string): void {
    const { bytes, destination } = this;
    for (let distance = 0; distance < CANARY_BYTES; distance++) {
      const before = bytes[destination - 1 - distance];
      const behind = bytes[destination + capacity + distance];
      if (before !== CANARY || behind !== CANARY) assert.unreachable(`${what}: written outside the output`);
    }
  }

  given(length: number): Uint8Array {
    return this.bytes.slice(this.destination, this.destination + length);
  }
}
