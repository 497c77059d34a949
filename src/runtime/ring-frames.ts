/**
 * A frame of a tail ring: one batch as the leader has stamped it, behind a header of 16 bytes.
 *
 *   | appended at, ms (float64) | partition id (int32) | unused (int32) | the batch ...
 */
export const RING_HEADER_BYTES = 16;

/** Word of the header, counted in int32. */
export const RING_PARTITION_WORD = 2;

/** Word of the header, counted in float64. */
export const RING_TIME_WORD = 0;
