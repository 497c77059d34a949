import type { Buffer } from 'node:buffer';
import type { Extent } from '../types.ts';

/**
 * Copies bytes where one side is shared memory. TypedArray.set goes word by word there, and byte by byte where the
 * two sides are not aligned alike; Buffer.fill with a source of the same length is one plain memory copy.
 */
export function copyBytes(target: Buffer, position: number, source: Uint8Array): void {
  target.fill(source, position, position + source.length);
}

/** Bytes of extents, one after the other, in memory of their own. (A Buffer's slice is a view: never transfer one.) */
export function copyOf(extents: readonly Extent[]): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(extents.reduce((sum, { from, to }) => sum + to - from, 0));
  let at = 0;
  for (const { bytes, from, to } of extents) {
    copy.set(bytes.subarray(from, to), at);
    at += to - from;
  }
  return copy;
}
