/*
 * The body of a Snappy block, after the length in its front: a row of elements, each behind a tag byte.
 *
 *   bits 7..2        1..0
 *   +----------------+----+
 *   | length - 1     | 00 |  literals; 60 to 63 mean that the length - 1 is in the next 1 to 4 bytes
 *   | dist | len - 4 | 01 |  copy of 4 to 11 bytes; distance of 11 bits, the low 8 of them in the next byte
 *   | length - 1     | 10 |  copy of 1 to 64 bytes; distance in the next 2 bytes
 *   | length - 1     | 11 |  copy of 1 to 64 bytes; distance in the next 4 bytes
 *   +----------------+----+
 */
import { alike, clearMatches, copyByEights, copyBySixteens, CORRUPT, repeat, slotOf, TRUNCATED } from './match';
import { MATCH_TABLE } from './workspace';

const SHORTEST_MATCH: usize = 4;
/** Matches do not cross these, so that distances and positions fit 16 bits. */
const FRAGMENT_BYTES: usize = 65536;
/** No match starts in the last bytes of a fragment, so that wide loads stay within it. */
const MARGIN: usize = 15;
const PATIENCE: u32 = 5;

/** Writes the tag and the length of literals. */
// @ts-ignore: decorator
@inline
function putLiteralTag(to: usize, length: usize): usize {
  const rest = length - 1;
  if (rest < 60) {
    store<u8>(to, <u8>(rest << 2));
    return to + 1;
  }
  if (rest < 256) {
    store<u8>(to, 60 << 2);
    store<u8>(to, <u8>rest, 1);
    return to + 2;
  }
  store<u8>(to, 61 << 2);
  store<u16>(to, <u16>rest, 1);
  return to + 3;
}

/** Writes one match as copies of 64 bytes and what is left, none of them shorter than four. */
// @ts-ignore: decorator
@inline
function putCopies(to: usize, distance: usize, length: usize): usize {
  while (length >= 68) {
    store<u8>(to, (63 << 2) | 2);
    store<u16>(to, <u16>distance, 1);
    to += 3;
    length -= 64;
  }
  if (length > 64) {
    store<u8>(to, (59 << 2) | 2);
    store<u16>(to, <u16>distance, 1);
    to += 3;
    length -= 60;
  }
  if (length < 12 && distance < 2048) {
    store<u8>(to, <u8>(((distance >> 8) << 5) | ((length - 4) << 2) | 1));
    store<u8>(to, <u8>distance, 1);
    return to + 2;
  }
  store<u8>(to, <u8>(((length - 1) << 2) | 2));
  store<u16>(to, <u16>distance, 1);
  return to + 3;
}

/** Compresses up to 64 KiB on their own; says where the output goes on. */
function compressFragment(workspace: usize, source: usize, length: usize, to: usize): usize {
  const end = source + length;
  let anchor = source;
  if (length > MARGIN) {
    const table = workspace + MATCH_TABLE;
    const lastStart = end - MARGIN;
    clearMatches(workspace);
    let at = source + 1;
    let failures: u32 = 1 << PATIENCE;
    while (at <= lastStart) {
      const word = load<u32>(at);
      const slot = slotOf<u16>(table, word);
      const match = source + <usize>load<u16>(slot);
      store<u16>(slot, <u16>(at - source));
      if (load<u32>(match) != word) {
        at += failures++ >> PATIENCE;
        continue;
      }
      const literals = at - anchor;
      if (literals > 0) {
        to = putLiteralTag(to, literals);
        copyByEights(to, anchor, literals);
        to += literals;
      }
      const length = SHORTEST_MATCH + alike(match + SHORTEST_MATCH, at + SHORTEST_MATCH, end);
      to = putCopies(to, at - match, length);
      at += length;
      anchor = at;
      failures = 1 << PATIENCE;
      if (at <= lastStart) store<u16>(slotOf<u16>(table, load<u32>(at - 1)), <u16>(at - 1 - source));
    }
  }
  if (anchor == end) return to;
  to = putLiteralTag(to, end - anchor);
  memory.copy(to, anchor, end - anchor);
  return to + (end - anchor);
}

/** Compresses into a place with room for length + length / 6 + 32 bytes; the length of the body. */
export function snappyCompress(workspace: usize, source: usize, length: usize, destination: usize): usize {
  let to = destination;
  while (length > 0) {
    const fragment = min<usize>(length, FRAGMENT_BYTES);
    to = compressFragment(workspace, source, fragment, to);
    source += fragment;
    length -= fragment;
  }
  return to - destination;
}

/** Decompresses a body that has to give `size` bytes exactly, and writes nowhere else. Zero, or a negative code. */
export function snappyDecompress(source: usize, length: usize, destination: usize, size: usize): i32 {
  const sourceEnd = source + length;
  const end = destination + size;
  let to = destination;
  while (source < sourceEnd) {
    const tag = <usize>load<u8>(source++);
    let length = tag >> 2;
    let distance: usize;
    if ((tag & 3) == 0) {
      if (length < 16 && sourceEnd - source >= 17 && end - to >= 16) {
        v128.store(to, v128.load(source));
        to += length + 1;
        source += length + 1;
        continue;
      }
      if (length >= 60) {
        const lengthBytes = length - 59;
        if (sourceEnd - source < lengthBytes) return TRUNCATED;
        length = 0;
        for (let byte: usize = 0; byte < lengthBytes; byte++) {
          length |= (<usize>load<u8>(source + byte)) << (byte << 3);
        }
        source += lengthBytes;
      }
      // Compared before one is added, because the length less one may be all of 32 bits.
      if (length >= sourceEnd - source) return TRUNCATED;
      if (length >= end - to) return CORRUPT;
      length++;
      if (sourceEnd - source - length >= 16 && end - to - length >= 16) copyBySixteens(to, source, length);
      else memory.copy(to, source, length);
      to += length;
      source += length;
      continue;
    }
    if ((tag & 3) == 1) {
      if (source >= sourceEnd) return TRUNCATED;
      distance = ((tag >> 5) << 8) | <usize>load<u8>(source);
      source++;
      length = ((tag >> 2) & 7) + 4;
    } else if ((tag & 3) == 2) {
      if (sourceEnd - source < 2) return TRUNCATED;
      distance = <usize>load<u16>(source);
      source += 2;
      length++;
    } else {
      if (sourceEnd - source < 4) return TRUNCATED;
      distance = <usize>load<u32>(source);
      source += 4;
      length++;
    }
    if (distance == 0 || distance > to - destination) return CORRUPT;
    if (length > end - to) return CORRUPT;
    repeat(to, distance, length, end - to);
    to += length;
  }
  return to == end ? 0 : TRUNCATED;
}
