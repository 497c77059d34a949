/** CRC-32C through tables in plain TypeScript: the reference for the kernel, and the faster way for a few bytes. */

const POLYNOMIAL_REVERSED = 0x82f63b78;
const TABLE_WORDS = 256;

/** Eight tables in one: entry 256 * t + b is the register after byte b and t more bytes of zeros. */
const tables = makeTables();

function makeTables(): Int32Array {
  const made = new Int32Array(8 * TABLE_WORDS);
  for (let byte = 0; byte < TABLE_WORDS; byte++) {
    let register = byte;
    for (let bit = 0; bit < 8; bit++) {
      register = (register >>> 1) ^ (POLYNOMIAL_REVERSED & -(register & 1));
    }
    made[byte] = register;
  }
  for (let at = TABLE_WORDS; at < made.length; at++) {
    const register = made[at - TABLE_WORDS] as number;
    made[at] = (made[register & 0xff] as number) ^ (register >>> 8);
  }
  return made;
}

/** CRC-32C of bytes through tables, continued from the checksum of what came before them. */
export function crc32cByTable(bytes: Uint8Array, seed = 0): number {
  const length = bytes.length;
  let register = ~seed;
  let at = 0;
  for (const whole = length - 7; at < whole; at += 8) {
    register =
      (tables[1792 + ((bytes[at] as number) ^ (register & 0xff))] as number) ^
      (tables[1536 + ((bytes[at + 1] as number) ^ ((register >>> 8) & 0xff))] as number) ^
      (tables[1280 + ((bytes[at + 2] as number) ^ ((register >>> 16) & 0xff))] as number) ^
      (tables[1024 + ((bytes[at + 3] as number) ^ (register >>> 24))] as number) ^
      (tables[768 + (bytes[at + 4] as number)] as number) ^
      (tables[512 + (bytes[at + 5] as number)] as number) ^
      (tables[256 + (bytes[at + 6] as number)] as number) ^
      (tables[bytes[at + 7] as number] as number);
  }
  for (; at < length; at++) {
    register = (tables[(register ^ (bytes[at] as number)) & 0xff] as number) ^ (register >>> 8);
  }
  return ~register >>> 0;
}
