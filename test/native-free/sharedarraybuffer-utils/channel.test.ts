import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  CHANNEL_LAYOUT,
  ChannelReader,
  ChannelWriter,
  channelBytes,
  clearChannel,
} from '../../../native-free/sharedarraybuffer-utils/index.ts';
import { dyingAtomics } from './dying-atomics.ts';
import { isCorruptFrameError, isRangeError, isTypeError } from './errors.ts';
import { fillMessage, isWhole, messageLength, Random } from './messages.ts';

const CAPACITY = 1024;
const AT = 128;
/** Where the first frame's header lies; see frames.ts. */
const FIRST_HEADER = (AT + CHANNEL_LAYOUT.bytes + 8) / 4;
const PUBLISHED = AT / 4 + CHANNEL_LAYOUT.index.published;
const RELEASED = AT / 4 + CHANNEL_LAYOUT.index.released;

function channel(capacity = CAPACITY) {
  const buffer = new SharedArrayBuffer(AT + channelBytes(capacity));
  return {
    buffer,
    int32: new Int32Array(buffer),
    writer: new ChannelWriter(buffer, AT, capacity),
    reader: new ChannelReader(buffer, AT, capacity),
  };
}

function send(writer: ChannelWriter, int32: Int32Array, length: number, sequence: number): boolean {
  const offset = writer.reserve(length, sequence);
  if (offset === -1) return false;
  fillMessage(int32, offset, length, sequence);
  writer.commit();
  return true;
}

test('a message is seen after it was published and not before', () => {
  const { int32, writer, reader } = channel();
  assert.is(reader.next(), false);
  assert.ok(send(writer, int32, 20, 7));
  assert.is(reader.hasWork(), false);
  assert.is(reader.next(), false);
  writer.publish();
  assert.is(reader.hasWork(), true);
  assert.is(reader.next(), true);
  assert.is(reader.length, 20);
  assert.is(reader.kind, 7);
  assert.ok(isWhole(int32, reader.offset, 20, 7));
  assert.is(reader.next(), false);
  assert.is(reader.hasWork(), false);
});

test('payloads begin at multiples of 16 of the buffer, within the region', () => {
  const { buffer, writer, reader } = channel();
  for (let length = 0; length < 200; length += 1) {
    const offset = writer.reserve(length);
    assert.is(offset % 16, 0);
    assert.ok(offset >= AT && offset + length <= buffer.byteLength);
    writer.commit();
    writer.publish();
    assert.ok(reader.next());
    assert.is(reader.offset, offset);
    assert.is(reader.length, length);
    reader.release();
  }
});

test('a frame may be ended shorter than it was reserved, and not longer', () => {
  const { int32, writer, reader } = channel();
  writer.reserve(400);
  assert.throws(() => writer.commit(401), isRangeError);
  assert.throws(() => writer.commit(-1), isRangeError);
  writer.commit(8);
  assert.throws(() => writer.commit(), isRangeError);
  assert.ok(send(writer, int32, 24, 2));
  writer.publish();
  assert.ok(reader.next());
  assert.is(reader.length, 8);
  assert.ok(reader.next());
  assert.is(reader.length, 24);
  assert.ok(isWhole(int32, reader.offset, 24, 2));
});

test('a reservation that is not committed leaves no trace', () => {
  const { int32, writer, reader } = channel();
  writer.reserve(300, 1);
  assert.ok(send(writer, int32, 16, 2));
  writer.reserve(300, 3);
  writer.publish();
  assert.ok(reader.next());
  assert.is(reader.kind, 2);
  assert.is(reader.next(), false);
});

test('a full channel refuses until the reader has released, and says when there is room', () => {
  const { int32, writer, reader } = channel();
  let sent = 0;
  while (send(writer, int32, 56, sent)) sent += 1;
  assert.is(sent, CAPACITY / 64);
  assert.is(writer.freeBytes, 0);
  assert.is(writer.hasRoom(0), false);
  writer.publish();
  assert.ok(reader.next());
  assert.is(writer.reserve(0), -1);
  assert.throws(() => writer.commit(), isRangeError);
  reader.release();
  assert.is(writer.hasRoom(56), true);
  assert.is(writer.hasRoom(57), false);
  assert.is(writer.isEmpty(), false);
  assert.ok(send(writer, int32, 56, sent));
  writer.publish();
  while (reader.next()) assert.ok(isWhole(int32, reader.offset, 56, reader.kind));
  assert.is(reader.kind, sent);
  reader.release();
  assert.is(writer.isEmpty(), true);
  assert.is(writer.freeBytes, CAPACITY);
});

test('the longest message fits an empty channel wherever the lap stands', () => {
  for (let before = 0; before < CAPACITY; before += 16) {
    const { int32, writer, reader } = channel();
    for (let done = 0; done < before; done += 16) {
      assert.ok(send(writer, int32, 8, 0));
      writer.publish();
      assert.ok(reader.next());
      reader.release();
    }
    assert.is(writer.hasRoom(writer.maxMessageBytes), true);
    assert.ok(send(writer, int32, writer.maxMessageBytes, 9));
    writer.publish();
    assert.ok(reader.next());
    assert.ok(isWhole(int32, reader.offset, writer.maxMessageBytes, 9));
  }
});

test('any mixture of sends, publishes, reads and releases keeps order and content', () => {
  for (let seed = 1; seed <= 30; seed += 1) {
    const random = new Random(seed);
    const { int32, writer, reader } = channel();
    const lengths: number[] = [];
    let sent = 0;
    let published = 0;
    let received = 0;
    for (let step = 0; step < 20_000; step += 1) {
      const choice = random.below(8);
      if (choice < 4) {
        const length = messageLength(random) % (writer.maxMessageBytes + 1);
        const room = writer.hasRoom(length);
        assert.is(send(writer, int32, length, sent), room);
        if (room) lengths[sent++] = length;
      } else if (choice === 4) {
        writer.publish();
        published = sent;
      } else if (choice < 7) {
        assert.is(reader.hasWork(), received < published);
        assert.is(reader.next(), received < published);
        if (received < published) {
          assert.is(reader.kind, received);
          assert.is(reader.length, lengths[received]);
          assert.ok(isWhole(int32, reader.offset, reader.length, received));
          received += 1;
        }
      } else {
        reader.release();
        assert.is(writer.isEmpty(), received === sent);
      }
    }
    assert.ok(received > 1000);
  }
});

test('counters pass 2^31 and 2^32 without anybody noticing', () => {
  const { buffer, int32 } = channel();
  for (const begin of [2 ** 31 - 4096, -4096]) {
    int32[PUBLISHED] = begin;
    int32[RELEASED] = begin;
    const writer = new ChannelWriter(buffer, AT, CAPACITY);
    const reader = new ChannelReader(buffer, AT, CAPACITY);
    for (let sequence = 0; sequence < 1000; sequence += 1) {
      assert.ok(send(writer, int32, 100, sequence));
      writer.publish();
      assert.ok(reader.next());
      assert.ok(isWhole(int32, reader.offset, 100, sequence));
      reader.release();
    }
    assert.is(writer.freeBytes, CAPACITY);
  }
});

test('a message that is too long, negative or fractional is refused with a sentence', () => {
  const { writer } = channel();
  assert.is(writer.maxMessageBytes, CAPACITY / 2 - 8);
  for (const length of [writer.maxMessageBytes + 1, -1, 1.5, Number.NaN, 2 ** 32]) {
    assert.throws(
      () => writer.reserve(length),
      (error: unknown) => error instanceof RangeError && /504 bytes/.test(error.message),
    );
  }
});

test('a region that cannot hold the channel is refused with a sentence', () => {
  const buffer = new SharedArrayBuffer(4096);
  for (const capacity of [-64, 0, 32, 100, 1.5, Number.NaN, 2 ** 31]) {
    assert.throws(() => channelBytes(capacity), isRangeError);
    assert.throws(() => new ChannelWriter(buffer, 0, capacity), isRangeError);
  }
  for (const byteOffset of [-64, 8, 0.5, Number.NaN, 4096, 4096 - 1024]) {
    assert.throws(() => new ChannelWriter(buffer, byteOffset, CAPACITY), isRangeError);
    assert.throws(() => new ChannelReader(buffer, byteOffset, CAPACITY), isRangeError);
  }
  const unshared = new ArrayBuffer(4096) as unknown as SharedArrayBuffer;
  assert.throws(() => new ChannelReader(unshared, 0, CAPACITY), isTypeError);
  assert.not.throws(() => new ChannelReader(buffer, 4096 - channelBytes(CAPACITY), CAPACITY));
});

test('memory that holds no channel is not taken for one, until it is cleared', () => {
  const { buffer, int32 } = channel();
  int32[PUBLISHED] = 5000;
  assert.throws(() => new ChannelReader(buffer, AT, CAPACITY), /no channel/);
  int32[PUBLISHED] = -16;
  assert.throws(() => new ChannelWriter(buffer, AT, CAPACITY), /no channel/);
  clearChannel(buffer, AT, CAPACITY);
  assert.is(new ChannelReader(buffer, AT, CAPACITY).hasWork(), false);
});

test('a length that cannot be is an error every time, and nothing outside is read', () => {
  for (const length of [-2, -(2 ** 31), 41, 505, 2 ** 31 - 1, 2 ** 30, -1]) {
    const { int32, writer, reader } = channel();
    assert.ok(send(writer, int32, 40, 1));
    writer.publish();
    int32[FIRST_HEADER] = length;
    assert.throws(() => reader.next(), isCorruptFrameError);
    assert.throws(() => reader.next(), isCorruptFrameError);
    assert.is(reader.offset, 0);
  }
});

test('padding where no frame follows is an error, not an endless search', () => {
  const { int32, writer, reader } = channel();
  assert.ok(send(writer, int32, 40, 1));
  assert.ok(send(writer, int32, 40, 1));
  writer.publish();
  assert.ok(reader.next());
  int32[FIRST_HEADER + 12] = -1;
  assert.throws(() => reader.next(), isCorruptFrameError);
});

test('a writer that dies anywhere in its work leaves a prefix, and its successor goes on', () => {
  const { buffer, int32, reader } = channel();
  let expected = 0;
  for (let life = 0; life < 200; life += 1) {
    const writer = new ChannelWriter(buffer, AT, CAPACITY);
    const sent = expected + 1 + (life % 4);
    for (let sequence = expected; sequence < sent; sequence += 1)
      assert.ok(send(writer, int32, 60, sequence));
    // Dies at the publishing store in every other life; and while writing one more frame in all of them.
    const died = dyingAtomics(life % 2, () => writer.publish());
    int32.fill(-0x1234, (writer.reserve(100) - 8) / 4, (writer.reserve(100) + 100) / 4);
    const published = died ? expected : sent;
    while (reader.next()) {
      assert.is(reader.kind, expected);
      assert.ok(isWhole(int32, reader.offset, 60, expected));
      expected += 1;
    }
    assert.is(expected, published);
    reader.release();
  }
  assert.ok(expected > 200);
});

test('a reader’s successor gets again what was not released, and nothing else', () => {
  const { buffer, int32, writer, reader } = channel();
  for (let sequence = 0; sequence < 6; sequence += 1) assert.ok(send(writer, int32, 10, sequence));
  writer.publish();
  reader.next();
  reader.next();
  reader.release();
  reader.next();
  const successor = new ChannelReader(buffer, AT, CAPACITY);
  for (let sequence = 2; sequence < 6; sequence += 1) {
    assert.ok(successor.next());
    assert.is(successor.kind, sequence);
  }
  assert.is(successor.next(), false);
});

test('offsets beyond 2^31 reach the bytes they name', () => {
  const buffer = new SharedArrayBuffer(2 ** 31 + 8192);
  const byteOffset = buffer.byteLength - 4096;
  assert.ok(byteOffset > 2 ** 31);
  const int32 = new Int32Array(buffer);
  const writer = new ChannelWriter(buffer, byteOffset, CAPACITY);
  const reader = new ChannelReader(buffer, byteOffset, CAPACITY);
  for (let sequence = 0; sequence < 100; sequence += 1) {
    assert.ok(send(writer, int32, 60, sequence));
    writer.publish();
    assert.ok(reader.next());
    assert.ok(reader.offset > byteOffset);
    assert.ok(isWhole(int32, reader.offset, 60, sequence));
    reader.release();
  }
});

test.run();
