// A broadcast ring: one thread writes, any number read, each at a pace of its own. The writer never waits:
// a reader that falls behind by nearly the capacity is lapped, notices, and starts again elsewhere.
//
//   byte 0      published   position up to which frames may be read        writer: the ring's writer
//   byte 128    claimed     strides up to which the writer may be writing  writer: the ring's writer
//   byte 264    frames      see frames.ts                                  writer: the ring's writer
//
// A position counts all bytes ever written, so position modulo capacity is where it lies.
//
//        position - capacity                          published       claimed
//   ---------|-------------------------------------------|---------------|------>
//      gone  |  may be gone | whole frames               | being written |
//            ^              ^
//            |              claimed - capacity: where intact frames begin
//
// The writer announces what it is going to overwrite, writes, then publishes. A reader uses the bytes in
// place and asks afterwards whether they were still intact: it reads claimed after the bytes, so if claimed
// has not reached them, nothing was written over them while it looked. fence.ts says why that order holds.
// claimed moves in strides, up to 64 KiB, so announcing costs one store and a fence in a thousand frames;
// counted in strides it fits one word, and is ambiguous only for a reader that was suspended in the middle
// of a frame while the writer wrote 2^32 strides (a quarter of a pebibyte for rings from 1 MiB on).
//
// A writer that dies leaves whole frames up to published, and claimed covers whatever it was overwriting.
// Its successor attaches to the same region and goes on at published, without taking anything claimed back.

import { fenceReadsBeforeLoad, fenceStoreBeforeWrites } from './fence.ts';
import {
  corruptFrame,
  FRAME_ALIGNMENT,
  FRAME_HEADER_BYTES,
  FRAME_MASK,
  FRAME_ROUNDING,
  framedRegionBytes,
  framesBegin,
  frameTooLong,
  messageTooLong,
  PADDING,
} from './frames.ts';
import { defineLayout } from './layout.ts';
import { loadPosition, storePosition } from './position.ts';
import { checkCapacity, regionWords } from './region.ts';

export const RING_LAYOUT = defineLayout('ring', [
  { field: 'published', type: 'position', writer: "the ring's writer" },
  // Readers look at it with every frame, but it moves rarely: away from what every publish moves.
  { field: 'claimed', type: 'int32', writer: "the ring's writer", alone: true },
]);

const PUBLISHED = RING_LAYOUT.index.published;
const CLAIMED = RING_LAYOUT.index.claimed;
const FRAMES = framesBegin(RING_LAYOUT.bytes);

const STRIDE_MAX_BYTES = 64 * 1024;

/** Space a ring takes; place it at a multiple of 64 bytes, in memory that is zero. */
export function ringBytes(capacity: number): number {
  checkCapacity('ring', capacity);
  return framedRegionBytes(RING_LAYOUT.bytes, capacity);
}

/** Empties a ring, or makes one of memory that was something else. Only while nobody is attached. */
export function clearRing(buffer: SharedArrayBuffer, byteOffset: number, capacity: number): void {
  const words = regionWords('ring', buffer, byteOffset, ringBytes(capacity));
  storePosition(words, PUBLISHED, 0);
  Atomics.store(words, CLAIMED, 0);
}

/** A quarter of the capacity: a message longer than that would lap readers that are not slow at all. */
function maxMessageBytesOf(capacity: number): number {
  return capacity / 4 - FRAME_HEADER_BYTES;
}

function strideBytesOf(capacity: number): number {
  return Math.max(FRAME_ALIGNMENT, Math.min(STRIDE_MAX_BYTES, capacity / 16));
}

function attach(
  buffer: SharedArrayBuffer,
  byteOffset: number,
  capacity: number,
): Int32Array<SharedArrayBuffer> {
  const words = regionWords('ring', buffer, byteOffset, ringBytes(capacity));
  if (loadPosition(words, PUBLISHED) % FRAME_ALIGNMENT !== 0) {
    throw new RangeError(
      `There is no ring of ${capacity} bytes at byte ${byteOffset}, or it was overwritten.`,
    );
  }
  return words;
}

/** The writing side. One per ring at a time. */
export class RingWriter {
  /** The longest message the ring takes. */
  readonly maxMessageBytes: number;
  readonly #words: Int32Array<SharedArrayBuffer>;
  /** Absolute byte offset of the first frame of a lap. */
  readonly #framesOffset: number;
  readonly #capacity: number;
  readonly #strideBytes: number;
  /** Position at which this lap began. */
  #lap: number;
  /** End of the committed frames, in bytes from the beginning of the lap. */
  #at: number;
  /** End of what is claimed, in bytes from the beginning of the lap; may lie in the next lap. */
  #claimedAt: number;
  /** What this writer stored last. */
  #published: number;
  /** Where the reserved frame begins, from the beginning of the lap: the capacity if in the next lap. */
  #start = 0;
  /** Payload bytes of the reserved frame, or -1 when none is reserved. */
  #reserved = -1;
  #kind = 0;

  constructor(buffer: SharedArrayBuffer, byteOffset: number, capacity: number) {
    this.#words = attach(buffer, byteOffset, capacity);
    this.maxMessageBytes = maxMessageBytesOf(capacity);
    this.#framesOffset = byteOffset + FRAMES;
    this.#capacity = capacity;
    this.#strideBytes = strideBytesOf(capacity);
    this.#published = loadPosition(this.#words, PUBLISHED);
    this.#at = this.#published % capacity;
    this.#lap = this.#published - this.#at;
    const strides = (Atomics.load(this.#words, CLAIMED) - this.#lap / this.#strideBytes) | 0;
    this.#claimedAt = strides * this.#strideBytes;
    if (this.#claimedAt < this.#at || this.#claimedAt > this.#at + capacity) {
      throw new RangeError(
        `There is no ring of ${capacity} bytes at byte ${byteOffset}, or it was overwritten.`,
      );
    }
  }

  /** End of the committed frames: the position a reader has when it has read them all. */
  get position(): number {
    return this.#lap + this.#at;
  }

  /**
   * Space for a message of up to length bytes: the absolute byte offset of its payload, a multiple of 16 in
   * the buffer. A reservation that is not committed is forgotten with the next.
   */
  reserve(length: number, kind = 0): number {
    if (length >>> 0 !== length || length > this.maxMessageBytes) {
      throw messageTooLong('ring', length, this.maxMessageBytes);
    }
    const at = this.#at;
    const bytes = (length + FRAME_ROUNDING) & FRAME_MASK;
    const wraps = at + bytes > this.#capacity;
    const start = wraps ? this.#capacity : at;
    if (start + bytes > this.#claimedAt) this.#claim(start + bytes);
    if (wraps && at < this.#capacity) this.#words[(FRAMES + at) >> 2] = PADDING;
    this.#start = start;
    this.#reserved = length;
    this.#kind = kind;
    return this.#framesOffset + FRAME_HEADER_BYTES + (wraps ? 0 : at);
  }

  /** Ends the reserved frame, at fewer bytes than reserved if so told. Nobody sees it before publish(). */
  commit(length = this.#reserved): void {
    if (length >>> 0 !== length || length > this.#reserved) throw frameTooLong(length, this.#reserved);
    let start = this.#start;
    if (start === this.#capacity) {
      this.#lap += start;
      this.#claimedAt -= start;
      start = 0;
    }
    const header = (FRAMES + start) >> 2;
    this.#words[header] = length;
    this.#words[header + 1] = this.#kind;
    this.#at = start + ((length + FRAME_ROUNDING) & FRAME_MASK);
    this.#reserved = -1;
  }

  /** Makes all committed frames visible. Ring the readers' bells after it. */
  publish(): void {
    const position = this.#lap + this.#at;
    if (position === this.#published) return;
    this.#published = position;
    // Publishes: orders headers and payloads before the position that lets readers see them.
    storePosition(this.#words, PUBLISHED, position);
  }

  /** Announces that everything up to here, rounded up to a stride, may be written from now on. */
  #claim(end: number): void {
    const strides = Math.ceil(end / this.#strideBytes);
    this.#claimedAt = strides * this.#strideBytes;
    // Announces: a reader that sees any of the bytes written from now on sees this when it asks afterwards.
    Atomics.store(this.#words, CLAIMED, (this.#lap / this.#strideBytes + strides) | 0);
    fenceStoreBeforeWrites();
  }
}

/** A reading side. Any number per ring, in any threads. */
export class RingReader {
  /** Of the current frame: the absolute byte offset of its payload. */
  offset = 0;
  /** Of the current frame: the length of its payload. */
  length = 0;
  /** Of the current frame: the number the writer gave it. */
  kind = 0;
  /** Of the current frame: the position at which it begins, for intactSince(). */
  framePosition = 0;
  /** The writer has overtaken this reader: next() stays false until seek() or seekToEnd(). */
  lapped = false;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #framesOffset: number;
  readonly #capacity: number;
  readonly #maxMessageBytes: number;
  readonly #strideBytes: number;
  readonly #strideShift: number;
  readonly #stridesPerLap: number;
  /** Position at which the lap of the next frame began, and the same in strides modulo 2^32. */
  #lap = 0;
  #lapStrides = 0;
  /** Where the next frame begins, in bytes from the beginning of that lap. */
  #at = 0;
  /** Up to where frames were published when last looked at, in bytes from the beginning of that lap. */
  #publishedAt = 0;
  /** Of the current frame: the stride in which it begins, modulo 2^32. */
  #frameStride = 0;

  /** Begins at position, which is where a frame begins, or at the end of what is published. */
  constructor(buffer: SharedArrayBuffer, byteOffset: number, capacity: number, position?: number) {
    this.#words = attach(buffer, byteOffset, capacity);
    this.#framesOffset = byteOffset + FRAMES;
    this.#capacity = capacity;
    this.#maxMessageBytes = maxMessageBytesOf(capacity);
    this.#strideBytes = strideBytesOf(capacity);
    this.#strideShift = Math.log2(this.#strideBytes);
    this.#stridesPerLap = capacity / this.#strideBytes;
    if (position === undefined) this.seekToEnd();
    else this.seek(position);
  }

  /** Where the next frame begins: after the current one. A reader that begins here later misses nothing. */
  get position(): number {
    return this.#lap + this.#at;
  }

  /**
   * Moves to the next frame and returns true, or returns false: if none is published, or if lapped. The
   * length, offset and kind are sound then; whether the payload is, intact() says after it was used.
   * Throws a CorruptFrameError, and stays where it is, if what lies there cannot be a frame.
   */
  next(): boolean {
    const capacity = this.#capacity;
    if (this.lapped) return false;
    for (;;) {
      if (this.#at === this.#publishedAt && !this.#lookForMore()) return false;
      if (this.#at === capacity) this.#beginLap();
      const at = this.#at;
      const header = (FRAMES + at) >> 2;
      const length = this.#words[header];
      const kind = this.#words[header + 1];
      const stride = (this.#lapStrides + (at >> this.#strideShift)) | 0;
      if (!this.#unclaimed(stride)) return false;
      const available = Math.min(this.#publishedAt, capacity) - at;
      if (length >= 0 && length <= this.#maxMessageBytes) {
        const bytes = (length + FRAME_ROUNDING) & FRAME_MASK;
        if (bytes > available) throw corruptFrame('ring', at, length);
        this.#at = at + bytes;
        this.#frameStride = stride;
        this.framePosition = this.#lap + at;
        this.offset = this.#framesOffset + FRAME_HEADER_BYTES + at;
        this.length = length;
        this.kind = kind;
        return true;
      }
      // A frame follows every padding, so the padding never ends what is published.
      if (length !== PADDING || at === 0 || this.#publishedAt <= capacity)
        throw corruptFrame('ring', at, length);
      this.#at = capacity;
    }
  }

  /**
   * Asked after the bytes of the current frame were used: whether they were the frame's throughout. If not,
   * whatever was made of them must be undone, and the reader is lapped.
   */
  intact(): boolean {
    return this.#unclaimed(this.#frameStride);
  }

  /** The same for all frames from the one that began at this position: one look for a whole turn. */
  intactSince(framePosition: number): boolean {
    return this.#unclaimed(Math.floor(framePosition / this.#strideBytes) | 0);
  }

  /** Goes to a position where a frame begins; one that is too old shows as lapped with next(). */
  seek(position: number): void {
    const published = loadPosition(this.#words, PUBLISHED);
    if (!Number.isSafeInteger(position) || position < 0 || position % FRAME_ALIGNMENT !== 0) {
      throw new RangeError(`A position in a ring is a multiple of ${FRAME_ALIGNMENT}, not ${position}.`);
    }
    if (position > published) {
      throw new RangeError(`The position ${position} lies beyond the end of the ring, ${published}.`);
    }
    this.#become(position);
  }

  /** Goes to the end of what is published: the next frame will be the next to be published. */
  seekToEnd(): void {
    this.#become(loadPosition(this.#words, PUBLISHED));
  }

  /** Whether there is something to do: a frame to read, or the loss of some to deal with. */
  hasWork(): boolean {
    return this.lapped || loadPosition(this.#words, PUBLISHED) !== this.#lap + this.#at;
  }

  #become(position: number): void {
    this.#at = position % this.#capacity;
    this.#lap = position - this.#at;
    this.#lapStrides = (this.#lap / this.#strideBytes) | 0;
    this.#publishedAt = this.#at;
    this.#frameStride = (this.#lapStrides + (this.#at >> this.#strideShift)) | 0;
    this.framePosition = position;
    this.length = 0;
    this.lapped = false;
  }

  #beginLap(): void {
    this.#lap += this.#capacity;
    this.#lapStrides = (this.#lapStrides + this.#stridesPerLap) | 0;
    this.#publishedAt -= this.#capacity;
    this.#at = 0;
  }

  /** Takes over what was published since; false if nothing was, or if so much that this reader is lapped. */
  #lookForMore(): boolean {
    // Orders the writer's bytes before our reads of them.
    const behind = loadPosition(this.#words, PUBLISHED) - this.#lap - this.#at;
    if (behind === 0) return false;
    if (behind < 0 || behind > this.#capacity) {
      this.lapped = true;
      return false;
    }
    this.#publishedAt = this.#at + behind;
    return true;
  }

  /** Whether nothing from this stride on had been claimed when everything read before this was read. */
  #unclaimed(stride: number): boolean {
    fenceReadsBeforeLoad();
    // Orders itself after the reads in question, with the fence's help.
    const ahead = (Atomics.load(this.#words, CLAIMED) - stride) >>> 0;
    if (ahead <= this.#stridesPerLap) return true;
    this.lapped = true;
    return false;
  }
}
