// A 64-bit position in shared memory, read and written as a JavaScript number (0 .. 2^53 - 1).
//
//   int32 word   0            1           2           3
//              +------------+-----------+-----------+---------+
//              | tag        | low bits  | low bits  | (unused)|
//              |            | slot 0    | slot 1    |         |
//              +------------+-----------+-----------+---------+
//   tag:  bit 31 ........ 21   20 ................... 0
//         version (11 bits)    bits 32-52 of the value
//         its top bit picks the slot that holds the value's low 32 bits
//
// One thread writes, any number read. While the high bits stay what they are, which is 4 GiB of progress at
// a time, a store is one atomic store into the slot in use. When they change, the low bits go into the other
// slot and then the tag selects that slot, brings the new high bits and a new version, all in one word. So
// there is no instant at which a dead writer leaves readers with half a value, or with nothing to wait for:
// whatever the tag selects is whole. Positions may jump anywhere, also backwards.
//
// The version wraps after 2048 changes of the high bits: a reader would have to be suspended between two
// neighbouring loads for exactly a multiple of 2048 such changes, to the same high bits, to be fooled.

/** Space one position takes; it never straddles a cache line when it is aligned to its size. */
export const POSITION_BYTES = 16;

/** The first value that a position cannot hold. */
export const POSITION_END = 2 ** 53;

const HIGH_STEP = 2 ** 32;
const HIGH_MASK = 0x1f_ffff;
const VERSION_STEP = HIGH_MASK + 1;
/** Adding this to the version flips its top bit, which is the slot, and it counts up by carrying over. */
const SLOT_FLIP = 1 << 31;

/**
 * Stores a position for all readers to see, together with everything this thread wrote before.
 * Only the position's one writer may call it.
 */
export function storePosition(int32: Int32Array, index: number, value: number): void {
  if (!(value >= 0 && value < POSITION_END)) throw positionError(value);
  const high = (value / HIGH_STEP) >>> 0;
  // Plain load: only this thread writes the tag.
  const tag = int32[index];
  if ((tag & HIGH_MASK) === high) {
    // Publishes: orders every earlier write of this thread before the new low bits.
    Atomics.store(int32, index + 1 + (tag >>> 31), value | 0);
  } else {
    storeFarPosition(int32, index, value | 0, nextTag(tag, high));
  }
}

/** The value last stored, whole; also orders this thread's later reads after it. */
export function loadPosition(int32: Int32Array, index: number): number {
  for (;;) {
    const tag = Atomics.load(int32, index);
    const low = Atomics.load(int32, index + 1 + (tag >>> 31));
    // The slot belonged to this tag all along if the tag has not moved. A writer that moved it has finished
    // doing so, and one that died has left it alone: this repeats only as often as the high bits change.
    if (Atomics.load(int32, index) === tag) return (tag & HIGH_MASK) * HIGH_STEP + (low >>> 0);
  }
}

/** Flips the slot, and counts the version's other ten bits up each time slot 0 comes round again. */
function nextTag(tag: number, high: number): number {
  const version = tag & ~HIGH_MASK;
  const flipped = version ^ SLOT_FLIP;
  const counted = flipped < 0 ? flipped : (flipped + VERSION_STEP) & ~SLOT_FLIP;
  return counted | high;
}

function storeFarPosition(int32: Int32Array, index: number, low: number, tag: number): void {
  // Goes to the slot that no reader of the current tag looks at. Atomic, so that it cannot be seen before
  // the previous tag was: the slot was in use until then.
  Atomics.store(int32, index + 1 + (tag >>> 31), low);
  // Publishes: orders the low bits, and every earlier write of this thread, before the tag that selects them.
  Atomics.store(int32, index, tag);
}

function positionError(value: number): RangeError {
  return new RangeError(`A position is a number from 0 to 2^53 - 1, not ${value}.`);
}
