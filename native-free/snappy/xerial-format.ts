/*
 * The framing of xerial's snappy-java. All numbers are big endian.
 *
 *   +-------------------------+---------+------------+-- blocks: --+-----------+-----+
 *   | 82 53 4e 41 50 50 59 00 | version | compatible | length      | raw block | ... |
 *   | 8 bytes                 | 4       | 4          | 4           |           |     |
 *   +-------------------------+---------+------------+-------------+-----------+-----+
 */

export const XERIAL_MAGIC = Uint8Array.of(0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00);
export const XERIAL_HEADER_BYTES = 16;
export const XERIAL_VERSION = 1;
