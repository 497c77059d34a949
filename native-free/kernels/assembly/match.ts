/* What the compressors share: finding earlier occurrences, and copies that may write more than they were asked for. */
import { MATCH_TABLE } from './workspace';

/** Results of the decompressors; a length is not negative. */
export const CORRUPT: i32 = -1;
export const TOO_LARGE: i32 = -2;
export const TRUNCATED: i32 = -3;

export const MATCH_TABLE_BYTES: usize = 16384;

/** Forgets the positions of an earlier input. Zero is a position too, and a false one is found out by comparing. */
export function clearMatches(workspace: usize): void {
  memory.fill(workspace + MATCH_TABLE, 0, MATCH_TABLE_BYTES);
}

/** Address of the entry for four bytes: their product with a large odd number, of which the top bits count. */
// @ts-ignore: decorator
@inline
export function slotOf<Entry>(table: usize, word: u32): usize {
  const shift: u32 = sizeof<Entry>() == 2 ? 19 : 20;
  return table + ((<usize>((word * 0x9e3779b1) >> shift)) << (sizeof<Entry>() == 2 ? 1 : 2));
}

/** How many bytes are alike from `a` and from `b` on, where `b` is the later one and `end` bounds it. */
// @ts-ignore: decorator
@inline
export function alike(a: usize, b: usize, end: usize): usize {
  const start = b;
  while (end - b >= 8) {
    const difference = load<u64>(a) ^ load<u64>(b);
    if (difference != 0) return b - start + (<usize>ctz(difference) >> 3);
    a += 8;
    b += 8;
  }
  while (b < end && load<u8>(a) == load<u8>(b)) {
    a++;
    b++;
  }
  return b - start;
}

/** Copies by eights, and so up to seven bytes more than asked on both sides; one turn at least. */
// @ts-ignore: decorator
@inline
export function copyByEights(to: usize, from: usize, length: usize): void {
  const end = to + length;
  do {
    store<u64>(to, load<u64>(from));
    to += 8;
    from += 8;
  } while (to < end);
}

/** Copies by sixteens, and so up to fifteen bytes more than asked on both sides; one turn at least. */
// @ts-ignore: decorator
@inline
export function copyBySixteens(to: usize, from: usize, length: usize): void {
  const end = to + length;
  do {
    v128.store(to, v128.load(from));
    to += 16;
    from += 16;
  } while (to < end);
}

/**
 * Repeats what stands `distance` bytes before `to`, byte by byte as the formats define it, so that a short distance
 * makes a pattern. It goes by vectors for as long as `room` allows up to 15 bytes more than asked.
 */
// @ts-ignore: decorator
@inline
export function repeat(to: usize, distance: usize, length: usize, room: usize): void {
  const wide = room - length >= 16 ? length : length > 16 ? length - 16 : 0;
  if (wide > 0) {
    if (distance >= 16) copyBySixteens(to, to - distance, wide);
    else repeatPattern(to, distance, wide);
  }
  for (let at = to + wide, end = to + length; at < end; at++) store<u8>(at, load<u8>(at - distance));
}

/** A pattern shorter than a vector: it is doubled until a vector of it can be copied from a whole period before. */
function repeatPattern(to: usize, distance: usize, length: usize): void {
  const end = to + length;
  if (distance == 1) {
    const filled = i8x16.splat(load<u8>(to - 1));
    do {
      v128.store(to, filled);
      to += 16;
    } while (to < end);
    return;
  }
  let period = distance;
  while (period < 16 && to < end) {
    // A vector is read before it is written, so that of one store the first `period` bytes are right.
    v128.store(to, v128.load(to - period));
    to += period;
    period <<= 1;
  }
  while (to < end) {
    v128.store(to, v128.load(to - period));
    to += 16;
  }
}
