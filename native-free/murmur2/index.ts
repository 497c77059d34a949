/** Murmur2 as Kafka's default partitioner uses it: a key goes to partition toPositive(murmur2(key)) % partitions. */

const SEED = 0x9747b28c;
const MULTIPLIER = 0x5bd1e995;
const SHIFT = 24;

/** Kafka's murmur2 of bytes, as a signed 32-bit number. */
export function murmur2(bytes: Uint8Array): number {
  const length = bytes.length;
  const wordsEnd = length & ~3;
  let hash = SEED ^ length;
  for (let at = 0; at < wordsEnd; at += 4) {
    const word =
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    const mixed = Math.imul(word, MULTIPLIER);
    hash = Math.imul(hash, MULTIPLIER) ^ Math.imul(mixed ^ (mixed >>> SHIFT), MULTIPLIER);
  }
  const rest = length - wordsEnd;
  if (rest > 0) {
    if (rest > 2) hash ^= (bytes[wordsEnd + 2] as number) << 16;
    if (rest > 1) hash ^= (bytes[wordsEnd + 1] as number) << 8;
    hash = Math.imul(hash ^ (bytes[wordsEnd] as number), MULTIPLIER);
  }
  hash = Math.imul(hash ^ (hash >>> 13), MULTIPLIER);
  return hash ^ (hash >>> 15);
}

/** Kafka's way to make a hash positive: its sign bit is cleared, which is not the absolute value. */
export function toPositive(hash: number): number {
  return hash & 0x7fff_ffff;
}
