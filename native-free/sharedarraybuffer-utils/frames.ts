// Frames: how messages lie in a channel and in a ring.
//
//   region                                                     one frame
//   +--------+---------+------------------------+------+      +--------+-------+---------------+-----+
//   | state  | 8 bytes | frames, capacity bytes | rest |      | length | kind  | payload       | pad |
//   +--------+---------+------------------------+------+      | int32  | int32 | length bytes  |     |
//   0        multiple of 64                                   +--------+-------+---------------+-----+
//                                                             0        4       8
//
// A frame takes a multiple of 16 bytes, its header included. The frames begin 8 bytes behind a multiple of
// 16, so the payload, 8 bytes into its frame, begins at a multiple of 16 of the whole buffer.
// A frame never wraps: where it does not fit before the end, a header of length PADDING says that the rest
// of the lap is empty, and the frame begins the next lap.

export const FRAME_ALIGNMENT = 16;
export const FRAME_HEADER_BYTES = 8;

/** In place of a length: nothing more before the end of this lap. */
export const PADDING = -1;

/** Added to a payload's length and then rounded down: the bytes its frame takes. */
export const FRAME_ROUNDING = FRAME_HEADER_BYTES + FRAME_ALIGNMENT - 1;
export const FRAME_MASK = ~(FRAME_ALIGNMENT - 1);

/** Where the frames begin in a region whose state takes stateBytes. */
export function framesBegin(stateBytes: number): number {
  return stateBytes + FRAME_HEADER_BYTES;
}

/** Size of the region: state, frames, and the rest up to a multiple of 64. */
export function framedRegionBytes(stateBytes: number, capacity: number): number {
  return stateBytes + capacity + 64;
}

/** A reader found bytes that no writer of this package has written. */
export class CorruptFrameError extends Error {
  readonly code = 'CORRUPT_FRAME';
  override name = 'CorruptFrameError';
}

export function corruptFrame(what: string, at: number, length: number): CorruptFrameError {
  return new CorruptFrameError(`The ${what} is corrupt: a frame at byte ${at} claims a length of ${length}.`);
}

export function messageTooLong(what: string, length: number, maxMessageBytes: number): RangeError {
  return new RangeError(
    `A message for this ${what} has a length from 0 to ${maxMessageBytes} bytes, not ${length}.`,
  );
}

export function frameTooLong(length: number, reserved: number): RangeError {
  return new RangeError(`A frame of ${reserved} reserved bytes cannot be ended at ${length}.`);
}
