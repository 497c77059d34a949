import { CorruptBatchError } from './record-batch-fault.ts';

/**
 * A position in bytes that nobody has vouched for. Every read is checked against `end`, and a variable-length
 * integer that is longer than its type, or has bits beyond it, is refused instead of being cut to size.
 */
export class VarintReader {
  bytes: Uint8Array;
  at: number;
  /** Exclusive, and never beyond the bytes. */
  end: number;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  readByte(): number {
    if (this.at >= this.end) throw new CorruptBatchError('A record ends in the middle of a field.');
    return this.bytes[this.at++];
  }

  /** A 32-bit integer in one to five bytes. */
  readVarint(): number {
    const byte = this.readByte();
    return byte < 0x80 ? (byte >>> 1) ^ -(byte & 1) : this.#readLongVarint(byte);
  }

  /** A 64-bit integer in one to ten bytes, exact to 2^53. */
  readVarlong(): number {
    const byte = this.readByte();
    return byte < 0x80 ? (byte >>> 1) ^ -(byte & 1) : this.#readLongVarlong(byte);
  }

  #readLongVarint(first: number): number {
    let zigzag = first & 0x7f;
    for (let shift = 7; shift < 28; shift += 7) {
      const byte = this.readByte();
      zigzag |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (zigzag >>> 1) ^ -(zigzag & 1);
    }
    const last = this.readByte();
    if (last > 0x0f) throw new CorruptBatchError('A variable-length integer does not fit 32 bits.');
    zigzag |= last << 28;
    return (zigzag >>> 1) ^ -(zigzag & 1);
  }

  #readLongVarlong(first: number): number {
    let low = first & 0x7f;
    let high = 0;
    for (let group = 1; group < 10; group++) {
      const byte = this.readByte();
      const bits = byte & 0x7f;
      if (group < 4) {
        low |= bits << (7 * group);
      } else if (group === 4) {
        low |= bits << 28;
        high = bits >>> 4;
      } else {
        high |= bits << (7 * group - 32);
      }
      // Only one bit of the tenth group is left to a 64-bit integer.
      if (group === 9 && byte > 1) break;
      if (byte < 0x80) return unzigzag(low, high);
    }
    throw new CorruptBatchError('A variable-length integer does not fit 64 bits.');
  }
}

function unzigzag(low: number, high: number): number {
  const sign = -(low & 1);
  const lowWord = ((low >>> 1) | (high << 31)) ^ sign;
  return ((high >>> 1) ^ sign) * 4294967296 + (lowWord >>> 0);
}
