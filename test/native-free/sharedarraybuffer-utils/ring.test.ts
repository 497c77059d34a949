import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  clearRing,
  RING_LAYOUT,
  RingReader,
  RingWriter,
  ringBytes,
  storePosition,
} from '../../../native-free/sharedarraybuffer-utils/index.ts';
import { dyingAtomics } from './dying-atomics.ts';
import { isCorruptFrameError, isRangeError, isTypeError } from './errors.ts';
import { fillMessage, isWhole, messageLength, Random } from './messages.ts';

const CAPACITY = 4096;
const AT = 128;
/** Where the words and the first frame's header lie; see ring.ts and frames.ts. */
const PUBLISHED = AT / 4 + RING_LAYOUT.index.published;
const CLAIMED = AT / 4 + RING_LAYOUT.index.claimed;
const FIRST_HEADER = (AT + RING_LAYOUT.bytes + 8) / 4;
const STRIDE_BYTES = CAPACITY / 16;

function ring(capacity = CAPACITY) {
  const buffer = new SharedArrayBuffer(AT + ringBytes(capacity));
  return {
    buffer,
    int32: new Int32Array(buffer),
    writer: new RingWriter(buffer, AT, capacity),
    reader: new RingReader(buffer, AT, capacity),
  };
}

function send(writer: RingWriter, int32: Int32Array, length: number, sequence: number): void {
  const offset = writer.reserve(length, sequence);
  fillMessage(int32, offset, length, sequence);
  writer.commit();
}

test('a frame is seen after it was published and not before, by every reader', () => {
  const { buffer, int32, writer, reader } = ring();
  const other = new RingReader(buffer, AT, CAPACITY);
  send(writer, int32, 20, 7);
  for (const each of [reader, other]) {
    assert.is(each.hasWork(), false);
    assert.is(each.next(), false);
  }
  writer.publish();
  for (const each of [reader, other]) {
    assert.is(each.hasWork(), true);
    assert.is(each.next(), true);
    assert.equal([each.length, each.kind, each.framePosition, each.position], [20, 7, 0, 32]);
    assert.ok(isWhole(int32, each.offset, 20, 7));
    assert.is(each.intact(), true);
    assert.is(each.next(), false);
    assert.is(each.lapped, false);
    assert.is(each.position, writer.position);
  }
});

test('payloads begin at multiples of 16 of the buffer, within the region', () => {
  const { buffer, writer, reader } = ring();
  for (let length = 0; length <= writer.maxMessageBytes; length += 1) {
    const offset = writer.reserve(length);
    assert.is(offset % 16, 0);
    assert.ok(offset >= AT && offset + length <= buffer.byteLength);
    writer.commit();
    writer.publish();
    assert.ok(reader.next());
    assert.is(reader.offset, offset);
    assert.is(reader.length, length);
    assert.ok(reader.intact());
  }
});

test('a frame may be ended shorter than it was reserved, and a reservation be given up', () => {
  const { int32, writer, reader } = ring();
  writer.reserve(800);
  assert.throws(() => writer.commit(801), isRangeError);
  writer.commit(8);
  assert.throws(() => writer.commit(), isRangeError);
  writer.reserve(500, 3);
  send(writer, int32, 24, 2);
  writer.publish();
  assert.ok(reader.next());
  assert.is(reader.length, 8);
  assert.ok(reader.next());
  assert.equal([reader.length, reader.kind], [24, 2]);
  assert.ok(isWhole(int32, reader.offset, 24, 2));
  assert.is(reader.next(), false);
});

test('readers that keep up get everything, over many laps, whatever the lengths', () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const random = new Random(seed);
    const { int32, writer, reader } = ring();
    const lengths: number[] = [];
    let sent = 0;
    let received = 0;
    for (let step = 0; step < 10_000; step += 1) {
      const length = messageLength(random) % (writer.maxMessageBytes / 2);
      send(writer, int32, length, sent);
      lengths[sent++] = length;
      if (random.below(3) !== 0) continue;
      writer.publish();
      while (reader.next()) {
        assert.equal([reader.kind, reader.length], [received, lengths[received]]);
        assert.ok(isWhole(int32, reader.offset, reader.length, received));
        assert.ok(reader.intact());
        received += 1;
      }
      assert.is(reader.lapped, false);
      assert.is(received, sent);
      assert.is(reader.position, writer.position);
    }
    assert.ok(writer.position > 100 * CAPACITY);
  }
});

test('a frame stays intact until the writer announces that it may overwrite it', () => {
  const { int32, writer, reader } = ring();
  const oldest = reader.position;
  send(writer, int32, 56, 0);
  writer.publish();
  assert.ok(reader.next());
  let kept = 0;
  for (let sequence = 1; reader.intact(); sequence += 1) {
    kept = writer.position;
    assert.ok(isWhole(int32, reader.offset, 56, 0));
    send(writer, int32, 56, sequence);
  }
  assert.is(reader.lapped, true);
  assert.is(reader.intactSince(oldest), false);
  // Nothing was given up before it had to be: a whole lap was behind the frame when the next claim came.
  assert.is(kept, CAPACITY);
});

test('one look covers all frames of a turn from the first on', () => {
  const { int32, writer, reader } = ring();
  for (let sequence = 0; sequence < 10; sequence += 1) send(writer, int32, 56, sequence);
  writer.publish();
  const positions: number[] = [];
  while (reader.next()) positions.push(reader.framePosition);
  assert.equal(
    positions,
    Array.from({ length: 10 }, (_, place) => place * 64),
  );
  assert.is(reader.intactSince(positions[0]), true);
  for (let sequence = 10; sequence < 60; sequence += 1) send(writer, int32, 56, sequence);
  assert.is(reader.intactSince(positions[0]), true);
  for (let sequence = 60; sequence < 65; sequence += 1) send(writer, int32, 56, sequence);
  assert.is(reader.intactSince(positions[9]), true);
  assert.is(reader.lapped, false);
  assert.is(reader.intactSince(positions[0]), false);
  assert.is(reader.lapped, true);
});

test('a lapped reader stops, says so, and recovers at the end or where it is told', () => {
  const { int32, writer, reader } = ring();
  for (let sequence = 0; sequence < 1000; sequence += 1) send(writer, int32, 40, sequence);
  writer.publish();
  assert.is(reader.next(), false);
  assert.is(reader.lapped, true);
  assert.is(reader.hasWork(), true);
  assert.is(reader.next(), false);
  reader.seekToEnd();
  assert.is(reader.lapped, false);
  assert.is(reader.next(), false);
  const resumed = reader.position;
  send(writer, int32, 40, 1000);
  send(writer, int32, 40, 1001);
  writer.publish();
  assert.ok(reader.next());
  assert.is(reader.kind, 1000);
  reader.seek(resumed);
  assert.ok(reader.next());
  assert.is(reader.kind, 1000);
  reader.seek(0);
  assert.is(reader.next(), false);
  assert.is(reader.lapped, true);
});

test('a reader lapped in the middle of what it had seen published gets no frame of the next lap', () => {
  const { int32, writer, reader } = ring();
  for (let sequence = 0; sequence < 10; sequence += 1) send(writer, int32, 40, sequence);
  writer.publish();
  assert.ok(reader.next());
  for (let sequence = 10; sequence < 95; sequence += 1) send(writer, int32, 40, sequence);
  assert.is(reader.next(), false);
  assert.is(reader.lapped, true);
});

test('a reader begins at the end, or at the position it is given', () => {
  const { buffer, int32, writer } = ring();
  send(writer, int32, 10, 1);
  const second = writer.position;
  send(writer, int32, 10, 2);
  writer.publish();
  assert.is(new RingReader(buffer, AT, CAPACITY).next(), false);
  const reader = new RingReader(buffer, AT, CAPACITY, second);
  assert.ok(reader.next());
  assert.is(reader.kind, 2);
  for (const position of [-16, 8, 0.5, Number.NaN, writer.position + 16]) {
    assert.throws(() => reader.seek(position), isRangeError);
    assert.throws(() => new RingReader(buffer, AT, CAPACITY, position), isRangeError);
  }
});

test('positions go on beyond 2^32 and 2^48, where strides no longer fit their word', () => {
  for (const begin of [2 ** 32, 2 ** 40, 2 ** 48]) {
    const { buffer, int32 } = ring();
    const position = begin - 3 * CAPACITY;
    storePosition(int32, PUBLISHED, position);
    int32[CLAIMED] = (position / STRIDE_BYTES) | 0;
    const writer = new RingWriter(buffer, AT, CAPACITY);
    const reader = new RingReader(buffer, AT, CAPACITY);
    for (let sequence = 0; sequence < 1000; sequence += 1) {
      send(writer, int32, 60, sequence);
      writer.publish();
      assert.ok(reader.next());
      assert.is(reader.kind, sequence);
      assert.ok(reader.intact() && reader.intactSince(reader.framePosition));
    }
    assert.ok(reader.position > begin + 10 * CAPACITY);
  }
});

test('a message that is too long, negative or fractional is refused with a sentence', () => {
  const { writer } = ring();
  assert.is(writer.maxMessageBytes, CAPACITY / 4 - 8);
  for (const length of [writer.maxMessageBytes + 1, -1, 1.5, Number.NaN, 2 ** 32]) {
    assert.throws(
      () => writer.reserve(length),
      (error: unknown) => error instanceof RangeError && /1016 bytes/.test(error.message),
    );
  }
});

test('a region that cannot hold the ring is refused with a sentence', () => {
  const buffer = new SharedArrayBuffer(8192);
  for (const capacity of [-64, 0, 32, 100, 1.5, Number.NaN, 2 ** 31]) {
    assert.throws(() => ringBytes(capacity), isRangeError);
    assert.throws(() => new RingWriter(buffer, 0, capacity), isRangeError);
  }
  for (const byteOffset of [-64, 8, 0.5, Number.NaN, 8192, 8192 - CAPACITY]) {
    assert.throws(() => new RingWriter(buffer, byteOffset, CAPACITY), isRangeError);
    assert.throws(() => new RingReader(buffer, byteOffset, CAPACITY), isRangeError);
  }
  const unshared = new ArrayBuffer(8192) as unknown as SharedArrayBuffer;
  assert.throws(() => new RingWriter(unshared, 0, CAPACITY), isTypeError);
});

test('memory that holds no ring is not taken for one, until it is cleared', () => {
  const { buffer, int32 } = ring();
  int32[CLAIMED] = 17;
  assert.throws(() => new RingWriter(buffer, AT, CAPACITY), /no ring/);
  storePosition(int32, PUBLISHED, 8);
  assert.throws(() => new RingReader(buffer, AT, CAPACITY), /no ring/);
  clearRing(buffer, AT, CAPACITY);
  assert.is(new RingWriter(buffer, AT, CAPACITY).position, 0);
});

test('a length that cannot be is an error every time, and nothing outside is read', () => {
  for (const length of [-2, -(2 ** 31), 41, 1017, 2 ** 31 - 1, 2 ** 30, -1]) {
    const { int32, writer, reader } = ring();
    send(writer, int32, 40, 1);
    writer.publish();
    int32[FIRST_HEADER] = length;
    assert.throws(() => reader.next(), isCorruptFrameError);
    assert.throws(() => reader.next(), isCorruptFrameError);
    assert.is(reader.offset, 0);
    assert.is(reader.lapped, false);
  }
});

test('padding where no frame follows is an error, not an endless search', () => {
  const { int32, writer, reader } = ring();
  send(writer, int32, 40, 1);
  send(writer, int32, 40, 2);
  writer.publish();
  assert.ok(reader.next());
  int32[FIRST_HEADER + 12] = -1;
  assert.throws(() => reader.next(), isCorruptFrameError);
});

test('a reader that slept until the count of strides came round is lapped all the same', () => {
  const { int32, writer, reader } = ring();
  send(writer, int32, 40, 1);
  writer.publish();
  const away = 2 ** 32 * STRIDE_BYTES;
  storePosition(int32, PUBLISHED, away + writer.position);
  assert.is(reader.next(), false);
  assert.is(reader.lapped, true);
});

test('a length that was overwritten by the next lap is no error but a lap', () => {
  const { int32, writer, reader } = ring();
  for (let sequence = 0; sequence < 10; sequence += 1) send(writer, int32, 40, sequence);
  writer.publish();
  assert.ok(reader.next());
  for (let sequence = 10; sequence < 90; sequence += 1) send(writer, int32, 40, sequence);
  int32[FIRST_HEADER + 12] = 2 ** 31 - 1;
  assert.is(reader.next(), false);
  assert.is(reader.lapped, true);
});

test('a writer that dies at any of its stores leaves a prefix, and its successor takes no claim back', () => {
  const { buffer, int32, reader } = ring();
  let expected = 0;
  for (let life = 0; life < 2000; life += 1) {
    const writer = new RingWriter(buffer, AT, CAPACITY);
    const claimed = int32[CLAIMED];
    const sent = expected + 1 + (life % 5);
    const died = dyingAtomics(life % 3, () => {
      for (let sequence = expected; sequence < sent; sequence += 1) send(writer, int32, 60, sequence);
      writer.publish();
      writer.reserve(800);
    });
    assert.ok(int32[CLAIMED] >= claimed);
    let seen = 0;
    while (reader.next()) {
      assert.is(reader.kind, expected);
      assert.ok(isWhole(int32, reader.offset, 60, expected));
      assert.ok(reader.intact());
      expected += 1;
      seen += 1;
    }
    assert.is(reader.lapped, false);
    assert.ok(seen === 0 || expected === sent);
    if (!died) assert.is(expected, sent);
  }
  assert.ok(expected > 1000);
});

test.run();
