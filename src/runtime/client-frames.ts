import { channelBytes } from '../../native-free/sharedarraybuffer-utils/index.ts';

/**
 * The frames between a client thread and a broker thread. The kind of a frame is the channel's; addresses are
 * absolute in the arena, fields are int32 words, and offsets take two of them (high, low).
 *
 *   request PRODUCE   | correlation | partition id | leader epoch | acks (0, 1, -1)  | timeout ms | unused (3) | the batch ...
 *   request FETCH     | correlation | partition id | max bytes    | wait ms          | offset (2) | role | leader epoch |
 *   request OFFSET_FOR_TIME  | correlation | partition id | timestamp (2) | role | leader epoch |
 *   response PRODUCED | correlation | error        | base offset (2)                 |
 *   response FETCHED  | correlation | error        | HWM (2)      | log start (2)    | unused (2) | batches ...
 *   response OFFSET_FOR_TIME | correlation | error | offset (2) | timestamp (2) | HWM (2) |      (-1: none)
 *
 * A produce request is answered within its timeout, from the append on, whatever has become of it. A leader epoch of -1
 * is not looked at. Batches begin on a 16-byte boundary, where the kernels like them.
 */
export const REQUEST_PRODUCE = 1;
export const REQUEST_FETCH = 2;
export const RESPONSE_PRODUCED = 3;
export const RESPONSE_FETCHED = 4;
export const REQUEST_OFFSET_FOR_TIME = 5;
export const RESPONSE_OFFSET_FOR_TIME = 6;

export const PRODUCE_HEADER_BYTES = 32;
export const FETCH_BYTES = 32;
export const PRODUCED_BYTES = 16;
export const FETCHED_HEADER_BYTES = 32;
export const OFFSET_FOR_TIME_BYTES = 24;
export const OFFSET_FOR_TIME_ANSWER_BYTES = 32;

/** What a fetch asks of the replica it reaches. */
export const FETCH_FROM_LEADER = 0;
export const FETCH_FROM_ANY_REPLICA = 1;

const TWO_32 = 2 ** 32;

/** Offsets from -1 upwards, and timestamps. */
export function putOffset(words: Int32Array, index: number, offset: number): void {
  words[index] = Math.floor(offset / TWO_32);
  words[index + 1] = (offset % TWO_32) | 0;
}

export function getOffset(words: Int32Array, index: number): number {
  return words[index] * TWO_32 + (words[index + 1] >>> 0);
}

/**
 * The shared region of one client at one broker:
 *
 *   | request blocked | ... 128 B | response blocked | ... 128 B | request channel | response channel |
 *
 * A side that finds its channel full raises its own flag before it tries once more and sleeps; the other side
 * looks at the flag after it has handed space back, and rings.
 */
export const REQUEST_BLOCKED_AT = 0;
export const RESPONSE_BLOCKED_AT = 128;
const CHANNELS_AT = 256;

/** Everything both sides need to find each other; posted from the main thread to each. */
export interface LinkAddresses {
  readonly link: number;
  readonly requestCapacity: number;
  readonly responseCapacity: number;
  readonly clientBell: number;
  readonly brokerBell: number;
}

/** Where the channels of a link lie, and where its region ends. */
export function channelsOf(addresses: LinkAddresses): { request: number; response: number; end: number } {
  const request = addresses.link + CHANNELS_AT;
  const response = request + channelBytes(addresses.requestCapacity);
  return { request, response, end: response + channelBytes(addresses.responseCapacity) };
}
