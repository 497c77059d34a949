import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  ChannelReader,
  ChannelWriter,
  channelBytes,
  clearChannel,
} from '../../native-free/sharedarraybuffer-utils/index.ts';
import {
  channelsOf,
  getOffset,
  putOffset,
  REQUEST_BLOCKED_AT,
  RESPONSE_BLOCKED_AT,
} from '../../src/runtime/client-frames.ts';

test('an offset travels exactly, from -1 to 2^53 - 1', () => {
  const words = new Int32Array(new SharedArrayBuffer(16));
  const travels = (offset: number): void => {
    words.fill(-7);
    putOffset(words, 1, offset);
    assert.is(getOffset(words, 1), offset);
    assert.equal([words[0], words[3]], [-7, -7]);
  };
  const edges = [31, 32, 33, 52].flatMap((bits) => [2 ** bits - 1, 2 ** bits, 2 ** bits + 1]);
  for (const offset of [-1, 0, 1, ...edges, Number.MAX_SAFE_INTEGER]) travels(offset);
  fc.assert(fc.property(fc.integer({ min: -1, max: Number.MAX_SAFE_INTEGER }), travels));
});

test("a link's flags and channels do not overlap, and end where the link says", () => {
  const addresses = {
    link: 256,
    requestCapacity: 4096,
    responseCapacity: 8192,
    clientBell: 0,
    brokerBell: 128,
  };
  const { request, response, end } = channelsOf(addresses);
  const stretches = [
    [256 + REQUEST_BLOCKED_AT, 256 + REQUEST_BLOCKED_AT + 4],
    [256 + RESPONSE_BLOCKED_AT, 256 + RESPONSE_BLOCKED_AT + 4],
    [request, request + channelBytes(4096)],
    [response, response + channelBytes(8192)],
  ];
  for (let n = 1; n < stretches.length; n++) assert.ok(stretches[n - 1][1] <= stretches[n][0]);
  assert.is(stretches[3][1], end);
  const buffer = new SharedArrayBuffer(end);
  for (const [at, capacity] of [
    [request, 4096],
    [response, 8192],
  ]) {
    clearChannel(buffer, at, capacity);
    new ChannelWriter(buffer, at, capacity);
    new ChannelReader(buffer, at, capacity);
  }
});

test.run();
