import type { Buffer } from 'node:buffer';

/**
 * Copies bytes where one side is shared memory. TypedArray.set goes word by word there, and byte by byte where the
 * two sides are not aligned alike; Buffer.fill with a source of the same length is one plain memory copy.
 */
export function copyBytes(target: Buffer, position: number, source: Uint8Array): void {
  target.fill(source, position, position + source.length);
}
