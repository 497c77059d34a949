/*
 * LZ4 blocks: a row of sequences, the last of which has literals only.
 *
 *   +---------------+-----------------+----------+-----------------+------------------+
 *   | token         | literal length  | literals | distance, 16 bit| match length     |
 *   | 4 bit | 4 bit | 255 255 ... <255|          | little endian   | 255 255 ... <255 |
 *   +---------------+-----------------+----------+-----------------+------------------+
 *     literals, match - 4; 15 means that more of it follows in bytes
 */
import { alike, clearMatches, copyByEights, copyBySixteens, CORRUPT, repeat, slotOf, TOO_LARGE, TRUNCATED } from './match';
import { MATCH_TABLE } from './workspace';

const SHORTEST_MATCH: usize = 4;
/** The format wants the last five bytes as literals, and no match that starts in the last twelve. */
const LAST_LITERALS: usize = 5;
const LAST_MATCH_START: usize = 12;
const FARTHEST: usize = 65535;
/** No length is added up beyond this, so that none wraps round. */
const LONGEST: usize = 0x7fffff00;
/** After so many failures in a row, as a power of two, the search takes one byte more at each step. */
const PATIENCE: u32 = 6;

/** Writes the rest of a length beyond the 15 in its token. */
// @ts-ignore: decorator
@inline
function putLength(to: usize, rest: usize): usize {
  while (rest >= 255) {
    store<u8>(to++, 255);
    rest -= 255;
  }
  store<u8>(to, <u8>rest);
  return to + 1;
}

/** Writes the last sequence; zero if there is no room. */
function putLast(to: usize, end: usize, anchor: usize, literals: usize): usize {
  if (end - to < 1 + literals + (literals >= 15 ? (literals - 15) / 255 + 1 : 0)) return 0;
  store<u8>(to, <u8>(min<usize>(literals, 15) << 4));
  to++;
  if (literals >= 15) to = putLength(to, literals - 15);
  memory.copy(to, anchor, literals);
  return to + literals;
}

/** Compresses one block; Entry is wide enough for the positions in it. Zero if the result has no room. */
function compress<Entry>(workspace: usize, source: usize, length: usize, to: usize, capacity: usize): i32 {
  const destination = to;
  const end = to + capacity;
  const sourceEnd = source + length;
  let anchor = source;
  if (length > LAST_MATCH_START) {
    const table = workspace + MATCH_TABLE;
    const lastStart = sourceEnd - LAST_MATCH_START;
    const matchEnd = sourceEnd - LAST_LITERALS;
    clearMatches(workspace);
    let at = source + 1;
    let failures: u32 = 1 << PATIENCE;
    while (at <= lastStart) {
      const word = load<u32>(at);
      const slot = slotOf<Entry>(table, word);
      let match = source + <usize>load<Entry>(slot);
      store<Entry>(slot, <Entry>(at - source));
      if (load<u32>(match) != word || (sizeof<Entry>() == 4 && at - match > FARTHEST)) {
        at += failures++ >> PATIENCE;
        continue;
      }
      while (at > anchor && match > source && load<u8>(at - 1) == load<u8>(match - 1)) {
        at--;
        match--;
      }
      const literals = at - anchor;
      const extra = alike(match + SHORTEST_MATCH, at + SHORTEST_MATCH, matchEnd);
      // Token, distance, both lengths, and the seven bytes that copying by eights may write beyond.
      if (end - to < literals + literals / 255 + extra / 255 + 12) return 0;
      const token = to++;
      if (literals >= 15) to = putLength(to, literals - 15);
      copyByEights(to, anchor, literals);
      to += literals;
      store<u16>(to, <u16>(at - match));
      to += 2;
      if (extra >= 15) to = putLength(to, extra - 15);
      store<u8>(token, <u8>((min<usize>(literals, 15) << 4) | min<usize>(extra, 15)));
      at += SHORTEST_MATCH + extra;
      anchor = at;
      failures = 1 << PATIENCE;
      if (at <= lastStart) store<Entry>(slotOf<Entry>(table, load<u32>(at - 2)), <Entry>(at - 2 - source));
    }
  }
  to = putLast(to, end, anchor, sourceEnd - anchor);
  return to == 0 ? 0 : <i32>(to - destination);
}

/** Compresses one block into `capacity` bytes. Zero if the result has no room there. */
export function lz4Compress(workspace: usize, source: usize, length: usize, to: usize, capacity: usize): i32 {
  if (length <= 65536) return compress<u16>(workspace, source, length, to, capacity);
  return compress<u32>(workspace, source, length, to, capacity);
}

/**
 * Decompresses one block into at most `capacity` bytes, and writes nowhere else. Matches may reach back into `history`
 * bytes that stand before the destination. The length of the result, or a negative code.
 */
export function lz4Decompress(source: usize, length: usize, destination: usize, capacity: usize, history: usize): i32 {
  const sourceEnd = source + length;
  const end = destination + capacity;
  let to = destination;
  while (source < sourceEnd) {
    const token = <usize>load<u8>(source++);
    let literals = token >> 4;
    if (literals < 15 && sourceEnd - source >= 32 && end - to >= 64) {
      // The usual sequence is short: literals and match are one vector each, and there is room for that.
      v128.store(to, v128.load(source));
      to += literals;
      source += literals;
      const distance = <usize>load<u16>(source);
      const short = token & 15;
      if (short < 13 && distance >= 16 && distance <= to - destination) {
        source += 2;
        v128.store(to, v128.load(to - distance));
        to += short + SHORTEST_MATCH;
        continue;
      }
    } else {
      if (literals == 15) {
        let more: usize;
        do {
          if (source >= sourceEnd || literals > LONGEST) return TRUNCATED;
          more = <usize>load<u8>(source++);
          literals += more;
        } while (more == 255);
      }
      if (literals > sourceEnd - source) return TRUNCATED;
      if (literals > end - to) return TOO_LARGE;
      if (sourceEnd - source - literals >= 16 && end - to - literals >= 16) copyBySixteens(to, source, literals);
      else memory.copy(to, source, literals);
      to += literals;
      source += literals;
      if (source == sourceEnd) return <i32>(to - destination);
    }
    if (sourceEnd - source < 2) return TRUNCATED;
    const distance = <usize>load<u16>(source);
    source += 2;
    let length = token & 15;
    if (length == 15) {
      let more: usize;
      do {
        if (source >= sourceEnd) return TRUNCATED;
        if (length > LONGEST) return TOO_LARGE;
        more = <usize>load<u8>(source++);
        length += more;
      } while (more == 255);
    }
    length += SHORTEST_MATCH;
    if (distance == 0 || distance > to - destination + history) return CORRUPT;
    if (length > end - to) return TOO_LARGE;
    repeat(to, distance, length, end - to);
    to += length;
  }
  return TRUNCATED;
}
