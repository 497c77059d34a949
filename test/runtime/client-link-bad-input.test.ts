// What a client may send that is wrong, and what may stand in a leader's ring that should not: Kafka's error, a counter,
// and nothing appended.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { crc32cByTable } from '../../native-free/crc32c/index.ts';
import { ChannelReader, ChannelWriter } from '../../native-free/sharedarraybuffer-utils/index.ts';
import { type ErrorCode, errorCode } from '../../src/errors.ts';
import { CRC_FROM, writeBaseOffset, writeCrc, writeLeaderEpoch } from '../../src/log/record-batch.ts';
import {
  channelsOf,
  FETCH_BYTES,
  FETCH_FROM_ANY_REPLICA,
  FETCH_FROM_LEADER,
  OFFSET_FOR_TIME_BYTES,
  PRODUCE_HEADER_BYTES,
  putOffset,
  REQUEST_FETCH,
  REQUEST_OFFSET_FOR_TIME,
  REQUEST_PRODUCE,
  RESPONSE_FETCHED,
} from '../../src/runtime/client-frames.ts';
import { ClientLink } from '../../src/runtime/client-link.ts';
import {
  checkOfFrame,
  RING_CHECK_WORD,
  RING_HEADER_BYTES,
  RING_PARTITION_WORD,
} from '../../src/runtime/tail-ring.ts';
import { encodeBatch } from '../log/record-batch-fixtures.ts';
import { type Brokers, withBrokers } from './broker-fixtures.ts';

const EPOCH = 3;
const CAPACITY = 1 << 17;
const BELL_BYTES = 128;

interface Sent {
  readonly epoch?: number;
  readonly acks?: number;
  readonly partition?: number;
}

/** A client that writes whatever it likes into its channel to the first broker. */
class RawClient {
  readonly #brokers: Brokers;
  readonly #requests: ChannelWriter;
  readonly #responses: ChannelReader;

  constructor(brokers: Brokers, broker = 1, client = 7) {
    this.#brokers = brokers;
    const { arena } = brokers;
    const shape = { requestCapacity: CAPACITY, responseCapacity: CAPACITY, link: 0 };
    const bells = { clientBell: arena.allocate(BELL_BYTES), brokerBell: arena.allocate(BELL_BYTES) };
    const { end } = channelsOf({ ...shape, ...bells });
    const addresses = { ...shape, ...bells, link: arena.allocate(end) };
    const { request, response } = channelsOf(addresses);
    const { buffer } = arena.int32;
    this.#requests = new ChannelWriter(buffer as SharedArrayBuffer, request, CAPACITY);
    this.#responses = new ChannelReader(buffer as SharedArrayBuffer, response, CAPACITY);
    const host = brokers.get(broker);
    host.attach(client, new ClientLink(host, client, addresses));
  }

  /** The answers come with the broker's next pass. */
  produce(batch: Uint8Array, { epoch = EPOCH, acks = 1, partition = 0 }: Sent = {}): ErrorCode {
    const { int32, bytes } = this.#brokers.arena;
    const at = this.#requests.reserve(PRODUCE_HEADER_BYTES + batch.length, REQUEST_PRODUCE);
    int32.set([1, partition, epoch, acks, 60_000], at / 4);
    bytes.set(batch, at + PRODUCE_HEADER_BYTES);
    return this.#ask();
  }

  fetch(offset: number, { epoch = EPOCH, role = FETCH_FROM_LEADER, partition = 0 } = {}): ErrorCode {
    const { int32 } = this.#brokers.arena;
    const at = this.#requests.reserve(FETCH_BYTES, REQUEST_FETCH);
    int32.set([1, partition, 1_000, 0], at / 4);
    putOffset(int32, at / 4 + 4, offset);
    int32.set([role, epoch], at / 4 + 6);
    return this.#ask();
  }

  /** A request of any kind, of so many bytes; `lengthSaid` is what its frame says of them. */
  sendRaw(kind: number, length: number, lengthSaid = length): void {
    const at = this.#requests.reserve(length, kind);
    this.#requests.commit();
    this.#brokers.arena.int32[at / 4 - 2] = lengthSaid;
    this.#requests.publish();
  }

  get hasAnswer(): boolean {
    return this.#responses.hasWork();
  }

  #ask(): ErrorCode {
    this.#requests.commit();
    this.#requests.publish();
    for (const id of [1, 2]) this.#brokers.get(id).pass();
    if (!this.#responses.next()) throw new Error('nobody has answered');
    const code = errorCode(this.#brokers.arena.int32[this.#responses.offset / 4 + 1]);
    this.#responses.release();
    return code;
  }
}

const sound = encodeBatch([{ value: Buffer.from('one') }, { value: Buffer.from('two') }]);

function changed(change: (batch: Uint8Array) => void, isSealed = true): Uint8Array {
  const batch = sound.slice();
  change(batch);
  if (isSealed) writeCrc(batch, 0, crc32cByTable(batch.subarray(CRC_FROM)));
  return batch;
}

const badBatches: Record<string, readonly [Uint8Array, ErrorCode]> = {
  'a wrong checksum': [changed((batch) => batch.fill(0xff, batch.length - 4), false), 'CORRUPT_MESSAGE'],
  'a length that is not its own': [changed((batch) => batch.fill(0x7f, 10, 12)), 'CORRUPT_MESSAGE'],
  'a header alone': [sound.slice(0, 40), 'CORRUPT_MESSAGE'],
  'nothing at all': [sound.slice(0, 0), 'CORRUPT_MESSAGE'],
  'one record too many': [changed((batch) => batch.fill(3, 60, 61)), 'INVALID_RECORD'],
  'records without end': [changed((batch) => batch.fill(0x7f, 57, 61)), 'INVALID_RECORD'],
  'more offsets than records': [changed((batch) => batch.fill(9, 26, 27)), 'INVALID_RECORD'],
  'an old format': [changed((batch) => batch.fill(1, 16, 17)), 'CORRUPT_MESSAGE'],
  'too many bytes': [encodeBatch([{ value: new Uint8Array(3_000) }]), 'MESSAGE_TOO_LARGE'],
};

test('whatever is wrong with a batch that a client sends, it is refused, counted, and neither appended nor published', () =>
  withBrokers({}, (brokers) => {
    const partition = brokers.addPartition({ 'max.message.bytes': 2_000 });
    const client = new RawClient(brokers);
    assert.is(client.produce(sound), 'NONE');
    const { ringPosition } = brokers.get(1);
    for (const [name, [batch, code]] of Object.entries(badBatches))
      assert.is(client.produce(batch), code, name);
    assert.is(client.produce(sound, { epoch: EPOCH - 1 }), 'FENCED_LEADER_EPOCH');
    assert.is(client.produce(sound, { epoch: EPOCH + 1 }), 'UNKNOWN_LEADER_EPOCH');
    assert.is(client.produce(sound, { acks: 2 }), 'INVALID_REQUIRED_ACKS');
    for (const unknown of [1, -1, 2 ** 30])
      assert.is(client.produce(sound, { partition: unknown }), 'UNKNOWN_TOPIC_OR_PARTITION');
    assert.is(brokers.counters(1).batchesRefused, Object.keys(badBatches).length + 6);
    assert.is(brokers.counters(1).requestsFenced, 2);
    assert.is(brokers.counters(1).batchesAppended, 1);
    assert.is(brokers.get(1).ringPosition, ringPosition);
    for (const id of [1, 2]) assert.is(brokers.replica(id, partition).log.leo, 2);
    // And it takes what is sound as before.
    assert.is(client.produce(sound), 'NONE');
    brokers.get(2).pass();
    assert.ok(brokers.isEqual(partition));
    assert.is(brokers.replica(2, partition).log.leo, 4);
  }));

test('a follower takes no batch and reads for nobody who wants the leader', () =>
  withBrokers({}, (brokers) => {
    brokers.addPartition();
    const client = new RawClient(brokers, 2);
    assert.is(client.produce(sound), 'NOT_LEADER_OR_FOLLOWER');
    assert.is(client.fetch(0), 'NOT_LEADER_OR_FOLLOWER');
    assert.is(client.fetch(0, { role: FETCH_FROM_ANY_REPLICA }), 'NONE');
    assert.is(client.fetch(0, { role: FETCH_FROM_ANY_REPLICA, epoch: EPOCH + 1 }), 'UNKNOWN_LEADER_EPOCH');
    assert.is(brokers.counters(2).batchesRefused, 1);
    assert.is(brokers.counters(2).readsRefused, 2);
    assert.is(brokers.counters(2).requestsFenced, 3);
    assert.is(brokers.replica(2, 0).log.leo, 0);
  }));

test('batches out of their producer’s sequence are refused, and counted by themselves', () =>
  withBrokers({}, (brokers) => {
    const partition = brokers.addPartition();
    const client = new RawClient(brokers);
    const batch = (...producer: [number, number, number]): Uint8Array =>
      encodeBatch([{ value: Buffer.from('one') }], { producer });
    assert.is(client.produce(batch(9, 1, 0)), 'NONE');
    assert.is(client.produce(batch(9, 1, 5)), 'OUT_OF_ORDER_SEQUENCE_NUMBER');
    assert.is(client.produce(batch(9, 0, 1)), 'INVALID_PRODUCER_EPOCH');
    assert.is(client.produce(batch(10, 0, 5)), 'UNKNOWN_PRODUCER_ID');
    assert.is(client.produce(batch(9, 1, 0)), 'NONE');
    assert.is(client.produce(badBatches['a wrong checksum'][0]), 'CORRUPT_MESSAGE');
    assert.is(brokers.counters(1).sequencesRefused, 3);
    assert.is(brokers.counters(1).batchesRefused, 4);
    assert.is(brokers.counters(1).duplicateBatches, 1);
    assert.is(brokers.replica(1, partition).log.leo, 1);
  }));

const wishes: Record<string, { readonly epoch: number; readonly leo: number; readonly isFenced: boolean }> = {
  'of a reign that is over': { epoch: EPOCH - 1, leo: 0, isFenced: true },
  'of a reign to come': { epoch: EPOCH + 1, leo: 0, isFenced: true },
  "from beyond the leader's log": { epoch: EPOCH, leo: 50, isFenced: false },
};

for (const [name, { epoch, leo, isFenced }] of Object.entries(wishes)) {
  test(`a follower that asks ${name} is refused, and counted`, () =>
    withBrokers({}, async (brokers) => {
      const partition = brokers.addPartition({}, { 2: { epoch } });
      const replica = brokers.replica(2, partition);
      brokers.append(partition, 2);
      replica.log.restartAt(leo);
      replica.restart();
      replica.source = 'log';
      brokers.get(2).readLog(replica);
      await brokers.settle();
      const { wishesRefused, wishesFenced } = brokers.counters(1);
      assert.ok(wishesRefused >= 1);
      assert.is(wishesFenced, isFenced ? wishesRefused : 0);
      assert.is(replica.log.leo, isFenced ? 0 : 2);
    }));
}

test('reads from outside of the log, or in another reign, are refused and counted', () =>
  withBrokers({}, async (brokers) => {
    const partition = brokers.addPartition();
    brokers.append(partition, 5);
    await brokers.settle();
    const client = new RawClient(brokers);
    assert.is(client.fetch(5), 'NONE');
    for (const offset of [-1, 6, 2 ** 52]) assert.is(client.fetch(offset), 'OFFSET_OUT_OF_RANGE');
    assert.is(client.fetch(0, { epoch: EPOCH - 1 }), 'FENCED_LEADER_EPOCH');
    assert.is(client.fetch(0, { epoch: EPOCH + 1 }), 'UNKNOWN_LEADER_EPOCH');
    assert.is(client.fetch(0, { epoch: -1 }), 'NONE');
    assert.is(client.fetch(0, { partition: 9 }), 'UNKNOWN_TOPIC_OR_PARTITION');
    assert.is(brokers.counters(1).readsRefused, 6);
    assert.is(brokers.counters(1).requestsFenced, 2);
  }));

/** Kind, bytes, and what the frame says of its bytes. */
const garbage: Record<string, readonly [number, number, number?]> = {
  'an unknown kind': [99, 32],
  'the kind of an answer': [RESPONSE_FETCHED, FETCH_BYTES],
  'a batch without a whole header': [REQUEST_PRODUCE, PRODUCE_HEADER_BYTES - 1],
  'a fetch that is too short': [REQUEST_FETCH, FETCH_BYTES - 4],
  'a fetch of no bytes': [REQUEST_FETCH, 0],
  'a search for a time that is too short': [REQUEST_OFFSET_FOR_TIME, OFFSET_FOR_TIME_BYTES - 4],
  'a length beyond the channel': [REQUEST_FETCH, FETCH_BYTES, 0x7fff_ffff],
  'a negative length': [REQUEST_FETCH, FETCH_BYTES, -77],
};

for (const [name, request] of Object.entries(garbage)) {
  test(`a client that sends ${name} is listened to no more, and the broker serves all the others`, () =>
    withBrokers({}, (brokers) => {
      const partition = brokers.addPartition();
      const [bad, good] = [new RawClient(brokers), new RawClient(brokers, 1, 8)];
      assert.is(bad.produce(sound), 'NONE');
      bad.sendRaw(...request);
      const broker = brokers.get(1);
      broker.pass();
      assert.is(brokers.counters(1).corruptRequests, 1);
      const told = brokers.notices.filter(({ notice }) => notice === 'link-cut');
      assert.equal(
        told.map((notice) => (notice as { readonly client: number }).client),
        [7],
      );
      assert.is(broker.hasWork(), false);
      bad.sendRaw(REQUEST_FETCH, FETCH_BYTES);
      broker.pass();
      assert.is(bad.hasAnswer, false);
      assert.is(good.produce(sound), 'NONE');
      assert.is(brokers.replica(1, partition).log.leo, 4);
    }));
}

/** What the leader's memory might turn into behind its back, and whether the checksum is sound over it. */
const damages: Record<string, (batch: Uint8Array) => void> = {
  'a flipped bit': (batch) => batch.fill(batch[70] ^ 4, 70, 71),
  'a wrong count': sealed((batch) => batch.fill(0x7f, 57, 61)),
  'a length that is not its own': (batch) => batch.fill(0xff, 11, 12),
  'a length beyond the ring': (batch) => batch.fill(0x7f, 8, 12),
  'an old format': sealed((batch) => batch.fill(0, 16, 17)),
  'an epoch that nobody has stamped': (batch) => writeLeaderEpoch(batch, 0, EPOCH - 1),
  'an offset that nobody has stamped': (batch) => writeBaseOffset(batch, 0, 1_000),
  'an offset that it has already': (batch) => writeBaseOffset(batch, 0, 0),
};

/** What the leader has stamped, and yet does not continue the follower's log. */
const misfits: Record<string, (batch: Uint8Array) => void> = {
  'the epoch of a stale leader': (batch) => writeLeaderEpoch(batch, 0, EPOCH - 1),
  'an epoch to come': (batch) => writeLeaderEpoch(batch, 0, EPOCH + 1),
  'an offset that leaves a gap': (batch) => writeBaseOffset(batch, 0, 1_000),
};

function sealed(damage: (batch: Uint8Array) => void): (batch: Uint8Array) => void {
  return (batch) => {
    damage(batch);
    writeCrc(batch, 0, crc32cByTable(batch.subarray(CRC_FROM)));
  };
}

for (const [name, damage] of [...Object.entries(damages), ...Object.entries(misfits)]) {
  test(`of a leader's ring with ${name} a follower takes nothing, and what it lacks it gets from the leader's log`, () =>
    withBrokers({}, async (brokers) => {
      const partition = brokers.addPartition();
      const { batch, check } = published(brokers);
      damage(batch);
      if (name in misfits) check();
      brokers.get(2).pass();
      assert.is(brokers.replica(2, partition).log.leo, 2);
      assert.is(brokers.get(2).table.loadLeo(partition), 2);
      assert.is(brokers.counters(2).corruptFrames, name in misfits ? 0 : 1);
      assert.is(brokers.counters(2).unfitFrames, name in misfits ? 1 : 0);
      assert.is(brokers.replica(2, partition).source, 'log');
      brokers.get(1).pass();
      const leader = brokers.get(1);
      assert.ok(leader.table.loadHwm(partition) <= 2);
      await brokers.settle();
      assert.is(brokers.replica(2, partition).log.leo, 4);
      assert.ok(brokers.isEqual(partition));
      brokers.append(partition);
      await brokers.settle();
      assert.is(leader.table.loadHwm(partition), 5);
    }));
}

/** Words before the batch: the header of the leader's frame. */
const headers: Record<string, (words: Int32Array, other: number, length: Int32Array) => void> = {
  'the partition of another that stands where it does': (words, other) => {
    words[RING_PARTITION_WORD] = other;
  },
  'a partition that is not there': (words) => {
    words[RING_PARTITION_WORD] = 77;
  },
  'a time that nobody has stamped': (words) => {
    words[1] ^= 1 << 31;
  },
  'another check': (words) => {
    words[RING_CHECK_WORD] ^= 1;
  },
  'a length of which there is no frame': (_words, _other, length) => {
    length[0] = 0x7fff_ffff;
  },
  'a length that is not its own': (_words, _other, length) => {
    length[0] -= 16;
  },
  'no length at all': (_words, _other, length) => {
    length[0] = 0;
  },
  'a padding in its place': (_words, _other, length) => {
    length[0] = -1;
  },
};

for (const [name, damage] of Object.entries(headers)) {
  test(`of a frame with ${name} a follower believes nothing, and gets what any partition may lack from the leader's log`, () =>
    withBrokers({}, async (brokers) => {
      const partition = brokers.addPartition();
      const other = brokers.addPartition();
      brokers.append(other, 2);
      const { words, length } = published(brokers);
      damage(words, other, length);
      brokers.get(2).pass();
      for (const id of [partition, other]) {
        assert.is(brokers.replica(2, id).log.leo, 2);
        assert.is(brokers.replica(2, id).source, 'log');
      }
      assert.is(brokers.counters(2).corruptFrames, 1);
      assert.is(brokers.counters(2).laps, 0);
      brokers.append(other, 2, 300);
      await brokers.settle();
      for (const id of [partition, other]) {
        assert.is(brokers.get(1).table.loadHwm(id), 4);
        assert.is(brokers.replica(2, id).source, 'ring');
        assert.ok(brokers.isEqual(id));
      }
      assert.is(brokers.counters(2).corruptFrames, 1);
    }));
}

interface Published {
  readonly batch: Uint8Array;
  /** The header before it. */
  readonly words: Int32Array;
  /** What the ring itself has before that. */
  readonly length: Int32Array;
  /** Makes the header fit what stands there. */
  check(): void;
}

/**
 * Two records that the follower has, and two more that the leader has published, in place: after it has written its own
 * log, and before the follower has read the ring.
 */
function published(brokers: Brokers): Published {
  brokers.append(0, 2);
  brokers.get(2).pass();
  const from = brokers.get(1).ringPosition;
  brokers.append(0, 2);
  const { bytes, int32 } = brokers.arena;
  const { log } = brokers.replica(1, 0);
  const {
    bytes: stored,
    from: begin,
    to,
  } = log.read(2, 1, log.leo) as NonNullable<ReturnType<typeof log.read>>;
  const needle = Buffer.from(Uint8Array.prototype.slice.call(stored, begin, to));
  const ring = Buffer.from(bytes.buffer, 0, bytes.length);
  for (let at = ring.indexOf(needle); at !== -1; at = ring.indexOf(needle, at + 1)) {
    if (at % RING_HEADER_BYTES !== 0 || at <= from) continue;
    const frame = at - RING_HEADER_BYTES;
    const words = int32.subarray(frame / 4, at / 4);
    const check = (): void => {
      words[RING_CHECK_WORD] = checkOfFrame(int32, frame, RING_HEADER_BYTES + needle.length);
    };
    const length = int32.subarray(frame / 4 - 2, frame / 4 - 1);
    return { batch: bytes.subarray(at, at + needle.length), words, length, check };
  }
  throw new Error('the batch is not in the ring');
}

test.run();
