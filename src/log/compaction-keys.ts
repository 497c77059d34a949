import { Buffer } from 'node:buffer';

/** Slots of a new table. */
const SLOTS_MIN = 1024;
/** A hash, a place among the keys, and an offset. */
const SLOT_BYTES = 16;
/** A slot in three may stay empty, so that chains are short. */
const LOAD_MAX = 2 / 3;
/** Up to here a loop over the bytes beats the call that copies or compares them. */
const SHORT_KEY_BYTES = 64;
const LENGTH_BYTES = 4;

/**
 * The last offset of each key of a log's dirty part.
 *
 * The keys themselves are kept, one behind the other, rather than a hash of 128 bits in their stead: two different keys
 * that were taken for one would lose a record for good, nothing in native-free is a hash that nobody can make collide,
 * MD5 costs a microsecond a key, and most keys are hardly longer than such a hash. A slot of the table:
 *
 *   hashes[slot]   32 bits of hash, so that a chain is walked without looking at keys
 *   places[slot]   where the key lies in `keys`, plus one; 0 is an empty slot
 *   offsets[slot]  the last offset
 */
export class KeyOffsets {
  readonly #bytesMax: number;
  #hashes = new Int32Array(SLOTS_MIN);
  #places = new Uint32Array(SLOTS_MIN);
  #offsets = new Float64Array(SLOTS_MIN);
  /** The keys, each behind its length in four bytes. */
  #keys = Buffer.allocUnsafeSlow(SLOTS_MIN * SLOT_BYTES);
  #keysEnd = 0;
  #count = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Different keys. */
  get count(): number {
    return this.#count;
  }

  /** Whether so many more keys, of so many bytes altogether, are within the bound. The first ones always are. */
  hasRoomFor(count: number, keyBytes: number): boolean {
    if (this.#count === 0) return true;
    const tableBytes = slotsFor(this.#count + count) * SLOT_BYTES;
    return tableBytes + this.#keysEnd + count * LENGTH_BYTES + keyBytes <= this.#bytesMax;
  }

  /** Offsets of a key come in ascending order. */
  put(bytes: Uint8Array, from: number, length: number, offset: number): void {
    if (this.#count >= this.#hashes.length * LOAD_MAX) this.#growTable();
    const hash = hashOf(bytes, from, length);
    const slot = this.#find(hash, bytes, from, length);
    this.#offsets[slot] = offset;
    if (this.#places[slot] !== 0) return;
    this.#hashes[slot] = hash;
    this.#places[slot] = this.#addKey(bytes, from, length) + 1;
    this.#count += 1;
  }

  /** The key's last offset, or -1 if it has none. */
  get(bytes: Uint8Array, from: number, length: number): number {
    const slot = this.#find(hashOf(bytes, from, length), bytes, from, length);
    return this.#places[slot] === 0 ? -1 : this.#offsets[slot];
  }

  /** The key's slot, or the empty one where it would go. */
  #find(hash: number, bytes: Uint8Array, from: number, length: number): number {
    const mask = this.#hashes.length - 1;
    let slot = hash & mask;
    while (this.#places[slot] !== 0) {
      if (this.#hashes[slot] === hash && this.#isKey(this.#places[slot] - 1, bytes, from, length)) break;
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  #isKey(place: number, bytes: Uint8Array, from: number, length: number): boolean {
    const keys = this.#keys;
    if (keys.readUInt32LE(place) !== length) return false;
    const start = place + LENGTH_BYTES;
    if (length > SHORT_KEY_BYTES) {
      return keys.compare(bytes, from, from + length, start, start + length) === 0;
    }
    for (let index = 0; index < length; index++) {
      if (keys[start + index] !== bytes[from + index]) return false;
    }
    return true;
  }

  #addKey(bytes: Uint8Array, from: number, length: number): number {
    const place = this.#keysEnd;
    const end = place + LENGTH_BYTES + length;
    if (end > this.#keys.length) this.#growKeys(end);
    const keys = this.#keys;
    keys.writeUInt32LE(length, place);
    const start = place + LENGTH_BYTES;
    if (length > SHORT_KEY_BYTES) keys.fill(bytes.subarray(from, from + length), start, end);
    else for (let index = 0; index < length; index++) keys[start + index] = bytes[from + index];
    this.#keysEnd = end;
    return place;
  }

  #growKeys(needed: number): void {
    const room = this.#bytesMax - this.#hashes.length * SLOT_BYTES;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(room, this.#keys.length * 2)));
    this.#keys.copy(larger, 0, 0, this.#keysEnd);
    this.#keys = larger;
  }

  #growTable(): void {
    const hashes = this.#hashes;
    const places = this.#places;
    const offsets = this.#offsets;
    const slots = hashes.length * 2;
    this.#hashes = new Int32Array(slots);
    this.#places = new Uint32Array(slots);
    this.#offsets = new Float64Array(slots);
    for (let old = 0; old < hashes.length; old++) {
      if (places[old] === 0) continue;
      let slot = hashes[old] & (slots - 1);
      while (this.#places[slot] !== 0) slot = (slot + 1) & (slots - 1);
      this.#hashes[slot] = hashes[old];
      this.#places[slot] = places[old];
      this.#offsets[slot] = offsets[old];
    }
  }
}

/** The table that holds so many keys: put() doubles it just before it would be too full. */
function slotsFor(count: number): number {
  let slots = SLOTS_MIN;
  while (count > slots * LOAD_MAX) slots *= 2;
  return slots;
}

/**
 * FNV-1a with the end of murmur3, which spreads it to the low bits. It runs where the key lies: for a key of eight
 * bytes, to make the view that native-free's hashes take would cost more than this.
 */
function hashOf(bytes: Uint8Array, from: number, length: number): number {
  let hash = 0x811c9dc5;
  for (let at = from; at < from + length; at++) hash = Math.imul(hash ^ bytes[at], 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
