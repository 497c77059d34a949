/** CRC-32C through tables in plain TypeScript: the reference for the kernel, and the faster way for a few bytes. */

const POLYNOMIAL_REVERSED = 0x82f63b78;
const TABLE_WORDS = 256;

/** Four tables in one: entry 256 * t + b is the register after byte b and t more bytes of zeros. */
const tables = makeTables();

function makeTables(): Int32Array {
  const made = new Int32Array(4 * TABLE_WORDS);
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
  for (const whole = length - 3; at < whole; at += 4) {
    register ^=
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    register =
      (tables[768 + (register & 0xff)] as number) ^
      (tables[512 + ((register >>> 8) & 0xff)] as number) ^
      (tables[256 + ((register >>> 16) & 0xff)] as number) ^
      (tables[register >>> 24] as number);
  }
  for (; at < length; at++) {
    register = (tables[(register ^ (bytes[at] as number)) & 0xff] as number) ^ (register >>> 8);
  }
  return ~register >>> 0;
}
