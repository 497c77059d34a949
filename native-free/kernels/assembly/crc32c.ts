/*
 * CRC-32C by folding with exclusive or alone.
 *
 * The polynomial P of CRC-32C divides Q = x^209 + x^144 + x^54 + x^39 + x^14 + 1, and squaring is linear over GF(2),
 * so P divides Q(X) for X = x^8, x^16, ... x^128 too. With X = x^128 the message is a row of 16-byte words, and a word
 * w at index i may be taken away if it is added to the words X^65, X^155, X^170, X^195 and X^209 further on:
 *
 *      i                 i+65          i+155  i+170  i+195  i+209
 *      w ---- taken ---> ^w            ^w     ^w     ^w     ^w
 *
 * Gathered instead of scattered: completed[i] = m[i] ^ completed[i-65] ^ completed[i-155] ^ ... ^ completed[i-209].
 * What lies 209 words before the end or further is gone when its successors are complete; the last 209 words are
 * left. With smaller words (X = x^32, X = x^8) what is left is shorter: 16-byte, 4-byte and 1-byte words are
 * used one after the other, and the last 224 bytes go through tables. All distances are at least 16 bytes, so that
 * a vector of 16 bytes can be completed at once whatever the word.
 */
import { CRC_TABLES, FOLD, TAIL_OF_1, TAIL_OF_4, TAIL_OF_16 } from './workspace';

const POLYNOMIAL_REVERSED: u32 = 0x82f63b78;
const TABLE_BYTES: usize = 1024;

/**
 * The coarse fold pays from about 12 KiB on. The others pay as soon as they are possible at all, which is when the
 * first words are all taken away before the last 209 begin (measured: bench/kit/codecs).
 */
const FOLD_OF_16_FROM: usize = 12288;
const FOLD_OF_4_FROM: usize = 1680;
const FOLD_OF_1_FROM: usize = 432;

/** The coarse fold works in blocks: 209 vectors of history and a block after it stay in the first cache. */
const HISTORY_BYTES: usize = 209 * 16;
const BLOCK_BYTES: usize = 16384;

/** Writes the tables of one workspace. */
export function prepareCrc(workspace: usize): void {
  const tables = workspace + CRC_TABLES;
  for (let byte: u32 = 0; byte < 256; byte++) {
    let register = byte;
    for (let bit = 0; bit < 8; bit++) register = (register >> 1) ^ (POLYNOMIAL_REVERSED & (0 - (register & 1)));
    store<u32>(tables + ((<usize>byte) << 2), register);
  }
  for (let at: usize = 0; at < TABLE_BYTES; at += 4) {
    let register = load<u32>(tables + at);
    for (let table: usize = 1; table < 16; table++) {
      register = load<u32>(tables + ((<usize>(register & 0xff)) << 2)) ^ (register >> 8);
      store<u32>(tables + table * TABLE_BYTES + at, register);
    }
  }
}

/** Where a byte of a word, shifted down from its place, stands in the first table. */
// @ts-expect-error: decorator
@inline
function entry(tables: usize, word: u32, shift: u32): usize {
  return tables + (((<usize>(word >> shift)) & 0xff) << 2);
}

/** Runs bytes through the register, sixteen at a time. */
function throughTables(tables: usize, register: u32, address: usize, length: usize): u32 {
  while (length >= 16) {
    const a = load<u32>(address) ^ register;
    const b = load<u32>(address, 4);
    const c = load<u32>(address, 8);
    const d = load<u32>(address, 12);
    register =
      load<u32>(entry(tables, d, 0), 3 * TABLE_BYTES) ^ load<u32>(entry(tables, d, 8), 2 * TABLE_BYTES) ^ load<u32>(entry(tables, d, 16), 1 * TABLE_BYTES) ^ load<u32>(entry(tables, d, 24), 0 * TABLE_BYTES) ^
      load<u32>(entry(tables, c, 0), 7 * TABLE_BYTES) ^ load<u32>(entry(tables, c, 8), 6 * TABLE_BYTES) ^ load<u32>(entry(tables, c, 16), 5 * TABLE_BYTES) ^ load<u32>(entry(tables, c, 24), 4 * TABLE_BYTES) ^
      load<u32>(entry(tables, b, 0), 11 * TABLE_BYTES) ^ load<u32>(entry(tables, b, 8), 10 * TABLE_BYTES) ^ load<u32>(entry(tables, b, 16), 9 * TABLE_BYTES) ^ load<u32>(entry(tables, b, 24), 8 * TABLE_BYTES) ^
      (load<u32>(entry(tables, a, 0), 15 * TABLE_BYTES) ^ load<u32>(entry(tables, a, 8), 14 * TABLE_BYTES) ^ load<u32>(entry(tables, a, 16), 13 * TABLE_BYTES) ^ load<u32>(entry(tables, a, 24), 12 * TABLE_BYTES));
    address += 16;
    length -= 16;
  }
  while (length > 0) {
    register = load<u32>(entry(tables, register ^ load<u8>(address), 0)) ^ (register >> 8);
    address++;
    length--;
  }
  return register;
}

/**
 * Completes one vector: the word's own bytes and the completed ones at the five distances from `first` to `last`.
 * `base` points 209 words before the place where the result goes, because offsets in a load cannot be negative.
 */
// @ts-expect-error: decorator
@inline
function complete<Word>(word: v128, base: usize, first: i32, last: i32): v128 {
  if (first <= 1 && last >= 1) word = v128.xor(word, v128.load(base, 144 * sizeof<Word>()));
  if (first <= 2 && last >= 2) word = v128.xor(word, v128.load(base, 54 * sizeof<Word>()));
  if (first <= 3 && last >= 3) word = v128.xor(word, v128.load(base, 39 * sizeof<Word>()));
  if (first <= 4 && last >= 4) word = v128.xor(word, v128.load(base, 14 * sizeof<Word>()));
  if (first <= 5 && last >= 5) word = v128.xor(word, v128.load(base));
  return word;
}

// @ts-expect-error: decorator
@inline
function completeRun<Word>(source: usize, base: usize, vectors: usize, first: i32, last: i32): void {
  for (let end = source + (vectors << 4); source != end; source += 16, base += 16) {
    v128.store(base, complete<Word>(v128.load(source), base, first, last), 209 * sizeof<Word>());
  }
}

/** First vector that a distance reaches from: part of it has a completed byte that far before it. */
// @ts-expect-error: decorator
@inline
function reached<Word>(distance: usize): usize {
  return (distance * sizeof<Word>()) >> 4;
}

/** First vector of the tail that a distance no longer touches. */
// @ts-expect-error: decorator
@inline
function passed<Word>(distance: usize): usize {
  return (distance * sizeof<Word>() + 15) >> 4;
}

/**
 * Completes the first vectors of a message, until all five distances reach back to it; says how many bytes. The
 * register of what came before is added to the first four bytes, before anything is gathered from them.
 */
// @ts-expect-error: decorator
@inline
function foldHead<Word>(source: usize, target: usize, register: u32): usize {
  const base = target - 209 * sizeof<Word>();
  v128.store(target - 16, i32x4.splat(0));
  completeRun<Word>(source, base, reached<Word>(65), 1, 0);
  store<u32>(target, load<u32>(target) ^ register);
  let at = reached<Word>(65) << 4;
  completeRun<Word>(source + at, base + at, reached<Word>(155) - reached<Word>(65), 1, 1);
  at = reached<Word>(155) << 4;
  completeRun<Word>(source + at, base + at, reached<Word>(170) - reached<Word>(155), 1, 2);
  at = reached<Word>(170) << 4;
  completeRun<Word>(source + at, base + at, reached<Word>(195) - reached<Word>(170), 1, 3);
  at = reached<Word>(195) << 4;
  completeRun<Word>(source + at, base + at, reached<Word>(209) - reached<Word>(195), 1, 4);
  return reached<Word>(209) << 4;
}

/** Completes whole vectors in the middle of a message, four at a time. */
// @ts-expect-error: decorator
@inline
function foldMiddle<Word>(source: usize, target: usize, bytes: usize): void {
  let base = target - 209 * sizeof<Word>();
  for (let end = source + (bytes & ~63); source != end; source += 64, base += 64) {
    const a = complete<Word>(v128.load(source), base, 1, 5);
    const b = complete<Word>(v128.load(source, 16), base + 16, 1, 5);
    const c = complete<Word>(v128.load(source, 32), base + 32, 1, 5);
    const d = complete<Word>(v128.load(source, 48), base + 48, 1, 5);
    v128.store(base, a, 209 * sizeof<Word>());
    v128.store(base, b, 209 * sizeof<Word>() + 16);
    v128.store(base, c, 209 * sizeof<Word>() + 32);
    v128.store(base, d, 209 * sizeof<Word>() + 48);
  }
  completeRun<Word>(source, base, (bytes & 63) >> 4, 1, 5);
}

/** The same, and copies the words on the way: they are in registers anyway. */
function copyMiddle(source: usize, target: usize, bytes: usize, copy: usize): void {
  let base = target - HISTORY_BYTES;
  for (let end = source + (bytes & ~63); source != end; source += 64, base += 64, copy += 64) {
    const a = v128.load(source);
    const b = v128.load(source, 16);
    const c = v128.load(source, 32);
    const d = v128.load(source, 48);
    v128.store(copy, a);
    v128.store(copy, b, 16);
    v128.store(copy, c, 32);
    v128.store(copy, d, 48);
    v128.store(base, complete<v128>(a, base, 1, 5), HISTORY_BYTES);
    v128.store(base, complete<v128>(b, base + 16, 1, 5), HISTORY_BYTES + 16);
    v128.store(base, complete<v128>(c, base + 32, 1, 5), HISTORY_BYTES + 32);
    v128.store(base, complete<v128>(d, base + 48, 1, 5), HISTORY_BYTES + 48);
  }
  memory.copy(copy, source, bytes & 63);
  completeRun<v128>(source, base, (bytes & 63) >> 4, 1, 5);
}

// @ts-expect-error: decorator
@inline
function gatherRun<Word>(source: usize, base: usize, tail: usize, from: usize, to: usize, first: i32): void {
  for (let at = from << 4; at < to << 4; at += 16) {
    v128.store(tail + at, complete<Word>(v128.load(source + at), base + at, first, 5));
  }
}

/** Adds to the last bytes of a message what the bytes before them were taken away for; says how many those are. */
// @ts-expect-error: decorator
@inline
function foldTail<Word>(source: usize, target: usize, tail: usize): usize {
  const base = target - 209 * sizeof<Word>();
  v128.store(target, i32x4.splat(0));
  gatherRun<Word>(source, base, tail, 0, passed<Word>(65), 1);
  gatherRun<Word>(source, base, tail, passed<Word>(65), passed<Word>(155), 2);
  gatherRun<Word>(source, base, tail, passed<Word>(155), passed<Word>(170), 3);
  gatherRun<Word>(source, base, tail, passed<Word>(170), passed<Word>(195), 4);
  gatherRun<Word>(source, base, tail, passed<Word>(195), passed<Word>(209), 5);
  return passed<Word>(209) << 4;
}

/** Folds whole vectors, no more than a block of them, down to the last 209 words (in whole vectors) at `tail`. */
function foldOnce<Word>(workspace: usize, register: u32, source: usize, bytes: usize, tail: usize): usize {
  const target = workspace + FOLD;
  const taken = bytes - (passed<Word>(209) << 4);
  const head = foldHead<Word>(source, target, register);
  foldMiddle<Word>(source + head, target + head, taken - head);
  return foldTail<Word>(source + taken, target + taken, tail);
}

/** Folds any number of whole vectors, block after block behind a rolling history; copies them, unless `copy` is 0. */
function foldBlocks(workspace: usize, register: u32, source: usize, bytes: usize, tail: usize, copy: usize): usize {
  const history = workspace + FOLD;
  const block = history + HISTORY_BYTES;
  let left = bytes - HISTORY_BYTES;
  left -= foldHead<v128>(source, history, register);
  if (copy != 0) {
    memory.copy(copy, source, HISTORY_BYTES);
    memory.copy(copy + bytes - HISTORY_BYTES, source + bytes - HISTORY_BYTES, HISTORY_BYTES);
    copy += HISTORY_BYTES;
  }
  source += HISTORY_BYTES;
  while (left > BLOCK_BYTES) {
    if (copy != 0) {
      copyMiddle(source, block, BLOCK_BYTES, copy);
      copy += BLOCK_BYTES;
    } else foldMiddle<v128>(source, block, BLOCK_BYTES);
    memory.copy(history, history + BLOCK_BYTES, HISTORY_BYTES);
    source += BLOCK_BYTES;
    left -= BLOCK_BYTES;
  }
  if (copy != 0) copyMiddle(source, block, left, copy);
  else foldMiddle<v128>(source, block, left);
  return foldTail<v128>(source + left, block + left, tail);
}

/** The register after whole vectors, from the register before them; neither is complemented here. */
function throughFolds(workspace: usize, register: u32, address: usize, length: usize, copy: usize): u32 {
  let source = address;
  let bytes = length;
  if (bytes >= FOLD_OF_16_FROM) {
    const tail = workspace + TAIL_OF_16;
    bytes = foldBlocks(workspace, register, source, bytes, tail, copy);
    source = tail;
    register = 0;
  }
  if (bytes >= FOLD_OF_4_FROM) {
    const tail = workspace + TAIL_OF_4;
    bytes = foldOnce<u32>(workspace, register, source, bytes, tail);
    source = tail;
    register = 0;
  }
  if (bytes >= FOLD_OF_1_FROM) {
    const tail = workspace + TAIL_OF_1;
    bytes = foldOnce<u8>(workspace, register, source, bytes, tail);
    source = tail;
    register = 0;
  }
  return throughTables(workspace + CRC_TABLES, register, source, bytes);
}

/** The register after `length` bytes, from the register before them; neither is complemented here. */
export function crc32c(workspace: usize, register: u32, address: usize, length: usize): u32 {
  const whole = length & ~15;
  register = throughFolds(workspace, register, address, whole, 0);
  return throughTables(workspace + CRC_TABLES, register, address + whole, length & 15);
}

/** The same, and copies the bytes to `copy`, which must not overlap them: in one pass where that pays. */
export function crc32cCopy(workspace: usize, register: u32, address: usize, length: usize, copy: usize): u32 {
  const whole = length & ~15;
  if (whole < FOLD_OF_16_FROM) {
    memory.copy(copy, address, length);
    return crc32c(workspace, register, copy, length);
  }
  memory.copy(copy + whole, address + whole, length & 15);
  register = throughFolds(workspace, register, address, whole, copy);
  return throughTables(workspace + CRC_TABLES, register, address + whole, length & 15);
}
