import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  ChannelWriter,
  channelBytes,
  RingWriter,
  ringBytes,
} from '../native-free/sharedarraybuffer-utils/index.ts';
import {
  MESSAGE_MAX_BYTES,
  READ_MAX_BYTES,
  REQUEST_CHANNEL_BYTES,
  RESPONSE_CHANNEL_BYTES,
  TAIL_RING_BYTES,
} from '../src/limits.ts';
import { FETCHED_HEADER_BYTES, PRODUCE_HEADER_BYTES } from '../src/runtime/client-frames.ts';
import { RING_HEADER_BYTES } from '../src/runtime/tail-ring.ts';

test('the largest batch fits a frame of every channel and ring on its way, headers included', () => {
  const request = new ChannelWriter(
    new SharedArrayBuffer(channelBytes(REQUEST_CHANNEL_BYTES)),
    0,
    REQUEST_CHANNEL_BYTES,
  );
  assert.is.not(request.reserve(PRODUCE_HEADER_BYTES + MESSAGE_MAX_BYTES, 1), -1);
  const response = new ChannelWriter(
    new SharedArrayBuffer(channelBytes(RESPONSE_CHANNEL_BYTES)),
    0,
    RESPONSE_CHANNEL_BYTES,
  );
  assert.is.not(response.reserve(FETCHED_HEADER_BYTES + READ_MAX_BYTES, 1), -1);
  const ring = new RingWriter(new SharedArrayBuffer(ringBytes(TAIL_RING_BYTES)), 0, TAIL_RING_BYTES);
  assert.ok(RING_HEADER_BYTES + MESSAGE_MAX_BYTES <= ring.maxMessageBytes);
});

test('an answer to a read can hold the largest batch', () => {
  assert.ok(READ_MAX_BYTES >= MESSAGE_MAX_BYTES);
});

test.run();
