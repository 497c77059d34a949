import type { Buffer } from 'node:buffer';
import type { Extent } from '../types.ts';

/**
 * Copies bytes where one side is shared memory. TypedArray.set goes word by word there, and byte by byte where the
 * two sides are not aligned alike; Buffer.fill with a source of the same length is one plain memory copy.
 */
export function copyBytes(target: Buffer, position: number, source: Uint8Array): void {
  target.fill(source, position, position + source.length);
}

/** Bytes of an extent in memory of their own. (A Buffer's own slice is a view, which must not be transferred.) */
export function copyOf({ bytes, from, to }: Extent): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(to - from);
  copy.set(bytes.subarray(from, to));
  return copy;
}
