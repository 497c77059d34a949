/*
 * An LZ4 frame. All numbers are little endian.
 *
 *   +------------+-----+----+--------------+---------------+----------+-- blocks --+----------+------------------+
 *   | 184D2204   | FLG | BD | content size | dictionary id | header   | ...        | end mark | content checksum |
 *   | 4 bytes    |  1  | 1  | 8, if bit 3  | 4, if bit 0   | check 1  |            | 4 zeros  | 4, if bit 2      |
 *   +------------+-----+----+--------------+---------------+----------+------------+----------+------------------+
 *
 *   FLG: version 01 | independent blocks | block checksums | content size | content checksum | 0 | dictionary id
 *   BD:  0 | 3 bits of the largest block: 4 to 7 for 64 KiB, 256 KiB, 1 MiB, 4 MiB | 0000
 *
 *   block: +------------------------------+-------+-------------------------+
 *          | length, 4; top bit if stored | bytes | checksum, 4, if FLG bit |
 *          +------------------------------+-------+-------------------------+
 *
 * The header check is the second byte of the xxHash32 of everything from FLG up to it.
 */

export const FRAME_MAGIC = 0x184d2204;

/** Frames of somebody's own data, to be skipped: sixteen magic numbers from this one on, then a 4-byte length. */
export const SKIPPABLE_MAGIC = 0x184d2a50;
export const SKIPPABLE_MAGIC_MASK = 0xfffffff0;

export const FLAG_VERSION_MASK = 0xc0;
export const FLAG_VERSION = 0x40;
export const FLAG_INDEPENDENT = 0x20;
export const FLAG_BLOCK_CHECKSUMS = 0x10;
export const FLAG_CONTENT_SIZE = 0x08;
export const FLAG_CONTENT_CHECKSUM = 0x04;
export const FLAG_RESERVED = 0x02;
export const FLAG_DICTIONARY = 0x01;

/** Bits of BD that have to be zero. */
export const DESCRIPTOR_RESERVED = 0x8f;

/** The codes of block sizes in BD go from here, 64 KiB, up to 7; each is four times the one before. */
export const SMALLEST_BLOCK_CODE = 4;
export const SMALLEST_BLOCK_BYTES = 65_536;

export const STORED = 0x8000_0000;
