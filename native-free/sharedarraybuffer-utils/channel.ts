// A channel: messages of varying length from one thread to one other, in order, each exactly once.
//
//   byte 0      published   end of the frames the reader may see      writer: the channel's writer
//   byte 128    released    end of the frames the reader is done with  writer: the channel's reader
//   byte 264    frames      see frames.ts                              writer: the channel's writer
//
// Who calls what: reserve, commit and publish only on the writing thread, next and release only on the
// reading one. Both ends are counters of bytes modulo 2^32; their difference is what is in flight and never
// exceeds the capacity. A writer that dies has published whole frames or none; its successor attaches to the
// same region and goes on after them. A reader that dies has its unreleased frames read again by its
// successor.

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
import { checkCapacity, regionWords } from './region.ts';

export const CHANNEL_LAYOUT = defineLayout('channel', [
  { field: 'published', type: 'int32', writer: "the channel's writer" },
  { field: 'released', type: 'int32', writer: "the channel's reader" },
]);

const PUBLISHED = CHANNEL_LAYOUT.index.published;
const RELEASED = CHANNEL_LAYOUT.index.released;
const FRAMES = framesBegin(CHANNEL_LAYOUT.bytes);

/** Space a channel takes; place it at a multiple of 64 bytes, in memory that is zero. */
export function channelBytes(capacity: number): number {
  checkCapacity('channel', capacity);
  return framedRegionBytes(CHANNEL_LAYOUT.bytes, capacity);
}

/** Empties a channel, or makes one of memory that was something else. Only while neither side is attached. */
export function clearChannel(buffer: SharedArrayBuffer, byteOffset: number, capacity: number): void {
  const words = regionWords('channel', buffer, byteOffset, channelBytes(capacity));
  Atomics.store(words, PUBLISHED, 0);
  Atomics.store(words, RELEASED, 0);
}

/** Half the capacity: what always fits once the reader has taken everything, wherever the lap stands. */
function maxMessageBytesOf(capacity: number): number {
  return capacity / 2 - FRAME_HEADER_BYTES;
}

function attach(
  buffer: SharedArrayBuffer,
  byteOffset: number,
  capacity: number,
): Int32Array<SharedArrayBuffer> {
  const words = regionWords('channel', buffer, byteOffset, channelBytes(capacity));
  const published = Atomics.load(words, PUBLISHED);
  const inFlight = (published - Atomics.load(words, RELEASED)) | 0;
  if (inFlight < 0 || inFlight > capacity || published % FRAME_ALIGNMENT !== 0) {
    throw new RangeError(
      `There is no channel of ${capacity} bytes at byte ${byteOffset}, or it was overwritten.`,
    );
  }
  return words;
}

/** The sending side. One per channel at a time. */
export class ChannelWriter {
  /** The longest message the channel takes. */
  readonly maxMessageBytes: number;
  readonly #words: Int32Array<SharedArrayBuffer>;
  /** Absolute byte offset of the first frame of a lap. */
  readonly #framesOffset: number;
  readonly #capacity: number;
  /** End of the frames that commit() ended. */
  #committed: number;
  /** End of the frames that readers may see: what this writer stored last. */
  #published: number;
  /** What the reader had released when last looked at: it can only have released more since. */
  #released: number;
  /** Where the reserved frame begins, as a counter; only meaningful while #reserved is not -1. */
  #start = 0;
  /** Payload bytes of the reserved frame, or -1 when none is reserved. */
  #reserved = -1;
  #kind = 0;

  constructor(buffer: SharedArrayBuffer, byteOffset: number, capacity: number) {
    this.#words = attach(buffer, byteOffset, capacity);
    this.maxMessageBytes = maxMessageBytesOf(capacity);
    this.#framesOffset = byteOffset + FRAMES;
    this.#capacity = capacity;
    this.#published = Atomics.load(this.#words, PUBLISHED);
    this.#committed = this.#published;
    this.#released = Atomics.load(this.#words, RELEASED);
  }

  /**
   * Space for a message of up to length bytes: the absolute byte offset of its payload, a multiple of 16 in
   * the buffer, or -1 if there is no room now. A reservation that is not committed is forgotten with the next.
   */
  reserve(length: number, kind = 0): number {
    if (length >>> 0 !== length || length > this.maxMessageBytes) {
      throw messageTooLong('channel', length, this.maxMessageBytes);
    }
    const capacity = this.#capacity;
    const committed = this.#committed;
    const bytes = (length + FRAME_ROUNDING) & FRAME_MASK;
    const at = committed & (capacity - 1);
    const rest = capacity - at;
    const skipped = bytes > rest ? rest : 0;
    const most = capacity - bytes - skipped;
    if (((committed - this.#released) | 0) > most) {
      // Orders the reader's reads of those frames before the writes that now follow into their place.
      this.#released = Atomics.load(this.#words, RELEASED);
      if (((committed - this.#released) | 0) > most) {
        this.#reserved = -1;
        return -1;
      }
    }
    if (skipped !== 0) this.#words[(FRAMES + at) >> 2] = PADDING;
    this.#start = (committed + skipped) | 0;
    this.#reserved = length;
    this.#kind = kind;
    return this.#framesOffset + FRAME_HEADER_BYTES + (skipped === 0 ? at : 0);
  }

  /** Ends the reserved frame, at fewer bytes than reserved if so told. Nobody sees it before publish(). */
  commit(length = this.#reserved): void {
    if (length >>> 0 !== length || length > this.#reserved) throw frameTooLong(length, this.#reserved);
    const start = this.#start;
    const header = (FRAMES + (start & (this.#capacity - 1))) >> 2;
    this.#words[header] = length;
    this.#words[header + 1] = this.#kind;
    this.#committed = (start + ((length + FRAME_ROUNDING) & FRAME_MASK)) | 0;
    this.#reserved = -1;
  }

  /** Makes all committed frames visible. Ring the reader's bell after it. */
  publish(): void {
    if (this.#published === this.#committed) return;
    this.#published = this.#committed;
    // Publishes: orders headers and payloads before the end that lets the reader see them.
    Atomics.store(this.#words, PUBLISHED, this.#committed);
  }

  /** Whether reserve(length) would find room now. For a writer that sleeps until there is. */
  hasRoom(length: number): boolean {
    const bytes = (length + FRAME_ROUNDING) & FRAME_MASK;
    const rest = this.#capacity - (this.#committed & (this.#capacity - 1));
    return bytes + (bytes > rest ? rest : 0) <= this.freeBytes;
  }

  /** Bytes not taken by frames, headers included; where the lap stands may keep a message from fitting. */
  get freeBytes(): number {
    return this.#capacity - ((this.#committed - Atomics.load(this.#words, RELEASED)) | 0);
  }

  /** Whether the reader has released everything that was committed. */
  isEmpty(): boolean {
    return Atomics.load(this.#words, RELEASED) === this.#committed;
  }
}

/** The receiving side. One per channel at a time. */
export class ChannelReader {
  /** Of the current frame: the absolute byte offset of its payload. */
  offset = 0;
  /** Of the current frame: the length of its payload. */
  length = 0;
  /** Of the current frame: the number the writer gave it. */
  kind = 0;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #framesOffset: number;
  readonly #capacity: number;
  readonly #maxMessageBytes: number;
  /** End of the current frame. */
  #read: number;
  /** What the writer had published when last looked at: it can only have published more since. */
  #published: number;
  /** What this reader stored last. */
  #released: number;

  constructor(buffer: SharedArrayBuffer, byteOffset: number, capacity: number) {
    this.#words = attach(buffer, byteOffset, capacity);
    this.#framesOffset = byteOffset + FRAMES;
    this.#capacity = capacity;
    this.#maxMessageBytes = maxMessageBytesOf(capacity);
    this.#released = Atomics.load(this.#words, RELEASED);
    this.#read = this.#released;
    this.#published = this.#released;
  }

  /**
   * Moves to the next frame and returns true, or returns false if none is published. The bytes of a frame
   * stay as they are until release(). Throws a CorruptFrameError, and stays where it is, if what lies there
   * cannot be a frame.
   */
  next(): boolean {
    const capacity = this.#capacity;
    for (;;) {
      const read = this.#read;
      if (read === this.#published) {
        // Orders the writer's bytes before our reads of them.
        this.#published = Atomics.load(this.#words, PUBLISHED);
        if (read === this.#published) return false;
      }
      const at = read & (capacity - 1);
      const header = (FRAMES + at) >> 2;
      const length = this.#words[header];
      const available = Math.min((this.#published - read) | 0, capacity - at);
      if (length >= 0 && length <= this.#maxMessageBytes) {
        const bytes = (length + FRAME_ROUNDING) & FRAME_MASK;
        if (bytes > available) throw corruptFrame('channel', at, length);
        this.#read = (read + bytes) | 0;
        this.offset = this.#framesOffset + FRAME_HEADER_BYTES + at;
        this.length = length;
        this.kind = this.#words[header + 1];
        return true;
      }
      // A frame follows every padding, so the padding never ends what is published.
      if (length !== PADDING || at === 0 || available !== capacity - at) {
        throw corruptFrame('channel', at, length);
      }
      this.#read = (read + available) | 0;
    }
  }

  /** Hands the space of all frames read so far back to the writer. Ring the writer's bell after it. */
  release(): void {
    if (this.#released === this.#read) return;
    this.#released = this.#read;
    // Orders our reads of the frames before the end that lets the writer overwrite them.
    Atomics.store(this.#words, RELEASED, this.#read);
  }

  /** Whether next() would find a frame. */
  hasWork(): boolean {
    return Atomics.load(this.#words, PUBLISHED) !== this.#read;
  }
}
