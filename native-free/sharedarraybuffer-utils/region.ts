// What is checked once, when somebody attaches to a region of shared memory.

/** Regions begin on a 64-byte boundary, so that their lines are the processor's lines. */
export const REGION_ALIGNMENT = 64;

const CAPACITY_MIN_BYTES = 64;
const CAPACITY_MAX_BYTES = 2 ** 30;

export function checkCapacity(what: string, capacity: number): void {
  if (!Number.isInteger(capacity) || !Number.isInteger(Math.log2(capacity))) {
    throw new RangeError(`The capacity of a ${what} must be a power of two, not ${capacity}.`);
  }
  if (capacity < CAPACITY_MIN_BYTES || capacity > CAPACITY_MAX_BYTES) {
    throw new RangeError(
      `The capacity of a ${what} must lie between ${CAPACITY_MIN_BYTES} and ${CAPACITY_MAX_BYTES} bytes, ` +
        `not be ${capacity}.`,
    );
  }
}

/** The words of a region, after checking that it lies where a region may lie. */
export function regionWords(
  what: string,
  buffer: SharedArrayBuffer,
  byteOffset: number,
  bytes: number,
): Int32Array<SharedArrayBuffer> {
  if (!(buffer instanceof SharedArrayBuffer)) {
    throw new TypeError(`A ${what} lives in a SharedArrayBuffer.`);
  }
  if (!Number.isSafeInteger(byteOffset) || byteOffset < 0 || byteOffset % REGION_ALIGNMENT !== 0) {
    throw new RangeError(
      `A ${what} must begin at a multiple of ${REGION_ALIGNMENT} bytes, not at byte ${byteOffset}.`,
    );
  }
  if (byteOffset + bytes > buffer.byteLength) {
    throw new RangeError(
      `A ${what} of ${bytes} bytes at byte ${byteOffset} does not fit into a buffer of ${buffer.byteLength}.`,
    );
  }
  return new Int32Array(buffer, byteOffset, bytes / 4);
}
