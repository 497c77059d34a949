// Kafka's variable-length integers: zigzag (0, -1, 1, -2 ... become 0, 1, 2, 3 ...), then seven bits to a byte,
// lowest group first, the top bit set on every byte but the last.
//
//   varint   a 32-bit value,  1 to 5 bytes    lengths, counts, offset deltas
//   varlong  a 64-bit value,  1 to 10 bytes   timestamp deltas

/** Bytes that the varint of a 32-bit integer takes. */
export function varintBytes(value: number): number {
  const zigzag = ((value << 1) ^ (value >> 31)) >>> 0;
  return zigzag < 0x80 ? 1 : groupsOf(zigzag);
}

/** Writes a 32-bit integer as varint and returns the position behind it. The caller has made sure of the room. */
export function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  const zigzag = ((value << 1) ^ (value >> 31)) >>> 0;
  // Most deltas take one byte and most lengths two: worth a way without a loop.
  if (zigzag < 0x80) {
    bytes[at] = zigzag;
    return at + 1;
  }
  if (zigzag < 0x4000) {
    bytes[at] = zigzag | 0x80;
    bytes[at + 1] = zigzag >>> 7;
    return at + 2;
  }
  return writeGroups(bytes, at, zigzag);
}

/** Bytes that the varlong of an integer takes. Exact for every integer that a number holds exactly within 64 bits. */
export function varlongBytes(value: number): number {
  if ((value | 0) === value) return varintBytes(value);
  const sign = value < 0 ? -1 : 0;
  const high = zigzagHigh(value, sign);
  if (high === 0) return groupsOf(zigzagLow(value, sign));
  // Four groups lie wholly in the low word; the fifth holds its last four bits and the first three of the high word.
  return high < 0x8 ? 5 : 5 + groupsOf(high >>> 3);
}

/** Writes an integer as varlong and returns the position behind it. The caller has made sure of the room. */
export function writeVarlong(bytes: Uint8Array, at: number, value: number): number {
  if ((value | 0) === value) return writeVarint(bytes, at, value);
  const sign = value < 0 ? -1 : 0;
  const high = zigzagHigh(value, sign);
  const low = zigzagLow(value, sign);
  if (high === 0) return writeGroups(bytes, at, low);
  bytes[at] = low | 0x80;
  bytes[at + 1] = (low >>> 7) | 0x80;
  bytes[at + 2] = (low >>> 14) | 0x80;
  bytes[at + 3] = (low >>> 21) | 0x80;
  const fifth = (low >>> 28) | ((high & 0x7) << 4);
  if (high < 0x8) {
    bytes[at + 4] = fifth;
    return at + 5;
  }
  bytes[at + 4] = fifth | 0x80;
  return writeGroups(bytes, at + 5, high >>> 3);
}

/** Seven-bit groups in an unsigned 32-bit value; zero has one too. */
function groupsOf(unsigned: number): number {
  if (unsigned < 0x4000) return unsigned < 0x80 ? 1 : 2;
  if (unsigned < 0x200000) return 3;
  return unsigned < 0x10000000 ? 4 : 5;
}

function writeGroups(bytes: Uint8Array, at: number, unsigned: number): number {
  let rest = unsigned;
  let next = at;
  while (rest >= 0x80) {
    bytes[next++] = rest | 0x80;
    rest >>>= 7;
  }
  bytes[next++] = rest;
  return next;
}

// A number's own conversion to 32 bits is modulo 2^32 and exact, so the two halves of a 64-bit zigzag come out
// without BigInt.
function zigzagLow(value: number, sign: number): number {
  return (((value | 0) << 1) ^ sign) >>> 0;
}

function zigzagHigh(value: number, sign: number): number {
  const high = Math.floor(value / 4294967296);
  return (((high << 1) | ((value >>> 31) & 1)) ^ sign) >>> 0;
}
