import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { crc32cByTable } from '../../native-free/crc32c/index.ts';
import { admitBatch } from '../../src/api/00-produce.ts';
import { type TopicConfigInput, topicConfig } from '../../src/config.ts';
import { Replica } from '../../src/core/replica.ts';
import type { ErrorCode } from '../../src/errors.ts';
import { compress } from '../../src/log/codecs.ts';
import {
  BATCH_HEADER_BYTES,
  BatchAttribute,
  CRC_FROM,
  writeAttributes,
  writeCrc,
} from '../../src/log/record-batch.ts';
import type { KnownProducers, PartitionLog, SequenceVerdict } from '../../src/types.ts';
import { encodeBatch } from '../log/record-batch-fixtures.ts';

const AT = 16;

interface Case {
  readonly replica?: Replica | undefined;
  readonly epoch?: number;
  readonly acks?: number;
  readonly batch?: Uint8Array;
  readonly length?: number;
}

interface ReplicaOptions {
  readonly brokerId?: number;
  readonly isr?: readonly number[];
  readonly config?: TopicConfigInput;
}

function replicaOf({ brokerId = 1, isr = [1, 2, 3], config = {} }: ReplicaOptions = {}): Replica {
  const info = { id: 0, topic: 't', partition: 0, replicas: [1, 2, 3], isr, leader: 1, epoch: 5 };
  // Admission must not touch the log: there is hardly one.
  return new Replica(info, topicConfig(config), { written: 0 } as PartitionLog, brokerId);
}

const sound = encodeBatch([{ value: Buffer.from('one') }, { value: Buffer.from('two') }]);

/** A batch lies somewhere in shared memory. */
function admit(options: Case): ErrorCode {
  const { epoch = 5, acks = -1, batch = sound, length = batch.length } = options;
  const replica = 'replica' in options ? options.replica : replicaOf();
  const bytes = new Uint8Array(new SharedArrayBuffer(AT + batch.length + 64));
  bytes.set(batch, AT);
  return admitBatch(replica, epoch, acks, bytes, AT, length, (at, size) =>
    crc32cByTable(bytes.subarray(at, at + size)),
  );
}

function withByte(index: number, change: (byte: number) => number): Uint8Array {
  const bytes = sound.slice();
  bytes[index] = change(bytes[index]);
  return bytes;
}

/** As a client would send it that wrote a bad header and then a good checksum over it. */
function withSoundCrc(bytes: Uint8Array): Uint8Array {
  writeCrc(bytes, 0, crc32cByTable(bytes.subarray(CRC_FROM)));
  return bytes;
}

test('a sound batch is admitted, whatever the acks', () => {
  for (const acks of [0, 1, -1]) assert.is(admit({ acks }), 'NONE');
});

test('acks are all, one or none', () => {
  for (const acks of [-2, 2, 100]) assert.is(admit({ acks }), 'INVALID_REQUIRED_ACKS');
});

test('a partition that the broker does not hold is unknown', () => {
  assert.is(admit({ replica: undefined }), 'UNKNOWN_TOPIC_OR_PARTITION');
});

test('a follower admits nothing, and neither does a leader in another epoch than its client means', () => {
  const follower = replicaOf({ brokerId: 2 });
  assert.is(admit({ replica: follower }), 'NOT_LEADER_OR_FOLLOWER');
  assert.is(admit({ epoch: 4 }), 'FENCED_LEADER_EPOCH');
  assert.is(admit({ epoch: 6 }), 'UNKNOWN_LEADER_EPOCH');
  // Who knows less than the broker has to learn, and who knows more has to wait until the broker has learned.
  assert.is(admit({ epoch: 4, replica: follower }), 'FENCED_LEADER_EPOCH');
  assert.is(admit({ epoch: 6, replica: follower }), 'UNKNOWN_LEADER_EPOCH');
});

test('max.message.bytes is the largest batch, and one byte more is too large', () => {
  const batch = encodeBatch([{ value: new Uint8Array(400) }]);
  const exact = { 'max.message.bytes': batch.length };
  assert.is(admit({ batch, replica: replicaOf({ config: exact }) }), 'NONE');
  const less = { 'max.message.bytes': batch.length - 1 };
  assert.is(admit({ batch, replica: replicaOf({ config: less }) }), 'MESSAGE_TOO_LARGE');
});

test('a changed byte anywhere under the checksum, or the checksum itself, is found', () => {
  for (let index = CRC_FROM - 4; index < sound.length; index++) {
    assert.is(admit({ batch: withByte(index, (byte) => byte ^ 0x40) }), 'CORRUPT_MESSAGE', `byte ${index}`);
  }
});

test('a length that is not the length of what was sent is found', () => {
  assert.is(admit({ length: sound.length - 1 }), 'CORRUPT_MESSAGE');
  assert.is(admit({ length: sound.length + 1 }), 'CORRUPT_MESSAGE');
  assert.is(admit({ length: 0 }), 'CORRUPT_MESSAGE');
  assert.is(admit({ batch: withByte(11, (byte) => byte + 1) }), 'CORRUPT_MESSAGE');
  assert.is(admit({ batch: withByte(8, () => 0xff) }), 'CORRUPT_MESSAGE');
  // The checksum does not cover the length field: this one is sound over what was sent.
  assert.is(admit({ batch: withByte(11, (byte) => byte - 1) }), 'CORRUPT_MESSAGE');
});

const wrong: Record<string, Uint8Array> = {
  'one record too many': withByte(60, (byte) => byte + 1),
  'last offset delta beyond the count': withByte(26, (byte) => byte + 1),
  'control batch': encodeBatch([{ value: null }], { attributes: BatchAttribute.CONTROL }),
  'transaction without producer': encodeBatch([{ value: null }], {
    attributes: BatchAttribute.TRANSACTIONAL,
  }),
  'producer without sequence': encodeBatch([{ value: null }], { producer: [7, 0, -1] }),
};

test('a sound checksum over a bad header does not help', () => {
  for (const [name, bytes] of Object.entries(wrong))
    assert.is(admit({ batch: withSoundCrc(bytes) }), 'INVALID_RECORD', name);
  assert.is(admit({ batch: withSoundCrc(withByte(16, () => 1)) }), 'CORRUPT_MESSAGE');
  const codec = withByte(22, (byte) => byte | 7);
  assert.is(admit({ batch: withSoundCrc(codec) }), 'UNSUPPORTED_COMPRESSION_TYPE');
});

test('a bad header that was not sent so is damage, and may be sent again', () => {
  for (const [name, sent] of Object.entries(wrong)) {
    const damaged = withSoundCrc(sent.slice());
    damaged[damaged.length - 1] ^= 1;
    assert.is(admit({ batch: damaged }), 'CORRUPT_MESSAGE', name);
  }
});

test('LESSONS 5: too few in-sync replicas refuse acks=all before anything is appended, and nothing else', () => {
  const replica = replicaOf({ isr: [1], config: { 'min.insync.replicas': 2 } });
  assert.is(admit({ replica, acks: -1 }), 'NOT_ENOUGH_REPLICAS');
  assert.is(admit({ replica, acks: 1 }), 'NONE');
  assert.is(admit({ replica, acks: 0 }), 'NONE');
  const enough = replicaOf({ isr: [1, 3], config: { 'min.insync.replicas': 2 } });
  assert.is(admit({ replica: enough, acks: -1 }), 'NONE');
});

test('a replica whose disk has failed admits nothing, and says so before it looks at the batch', () => {
  const replica = replicaOf();
  replica.becomeOffline();
  assert.is(admit({ replica }), 'KAFKA_STORAGE_ERROR');
  assert.is(admit({ replica, batch: withByte(20, (byte) => byte ^ 1) }), 'KAFKA_STORAGE_ERROR');
});

const key = Buffer.from('k');

for (const policy of ['compact', 'compact,delete'] as const) {
  test(`a topic with cleanup.policy ${policy} takes no batch that compaction could not work on`, () => {
    const replica = replicaOf({ config: { 'cleanup.policy': policy } });
    const admitted = (batch: Uint8Array): ErrorCode => admit({ replica, batch });
    const keyed = encodeBatch([
      { key, value: Buffer.from('one') },
      { key: Buffer.alloc(0), value: null },
    ]);
    assert.is(admitted(keyed), 'NONE');
    assert.is(admitted(encodeBatch([{ key, value: key }, { value: key }])), 'INVALID_RECORD');
    assert.is(admitted(sound), 'INVALID_RECORD');
    for (const codec of [1, 2, 3]) {
      assert.is(admitted(compressed(keyed, codec)), 'NONE');
      assert.is(admitted(compressed(sound, codec)), 'INVALID_RECORD');
    }
    const zstd = compressed(keyed, 3);
    writeAttributes(zstd, 0, 4);
    assert.is(admitted(withSoundCrc(zstd)), 'UNSUPPORTED_COMPRESSION_TYPE');
    // A codec that the records are not compressed with, and a record that is longer than its batch.
    const lie = keyed.slice();
    writeAttributes(lie, 0, 1);
    assert.is(admitted(withSoundCrc(lie)), 'INVALID_RECORD');
    const long = keyed.slice();
    long[BATCH_HEADER_BYTES] = 0x7e;
    assert.is(admitted(withSoundCrc(long)), 'INVALID_RECORD');
    assert.is(admitted(long.map((byte, at) => (at === 70 ? byte ^ 1 : byte))), 'CORRUPT_MESSAGE');
  });
}

test('a topic that is not compacted takes records without keys, and asks nobody what they are', () => {
  const lie = sound.slice();
  writeAttributes(lie, 0, 4);
  assert.is(admit({ batch: withSoundCrc(lie) }), 'NONE');
});

/** A partition whose log says this of every batch with a producer. */
function replicaThatSays(verdict: SequenceVerdict): Replica {
  const producers = { judge: () => verdict } as unknown as KnownProducers;
  const info = { id: 0, topic: 't', partition: 0, replicas: [1, 2, 3], isr: [1, 2, 3], leader: 1, epoch: 5 };
  return new Replica(info, topicConfig({}), { written: 0, producers } as PartitionLog, 1);
}

test('of an idempotent producer only the next batch is admitted; the others are told apart', () => {
  const batch = encodeBatch([{ value: key }], { producer: [7, 0, 4] });
  const codes: Record<SequenceVerdict, ErrorCode> = {
    next: 'NONE',
    duplicate: 'DUPLICATE_SEQUENCE_NUMBER',
    gap: 'OUT_OF_ORDER_SEQUENCE_NUMBER',
    'stale epoch': 'INVALID_PRODUCER_EPOCH',
    'unknown producer': 'UNKNOWN_PRODUCER_ID',
  };
  for (const [verdict, code] of Object.entries(codes)) {
    const replica = replicaThatSays(verdict as SequenceVerdict);
    for (const acks of [0, 1, -1]) assert.is(admit({ replica, batch, acks }), code);
    assert.is(admit({ replica }), 'NONE', 'one without a producer id has no sequence');
  }
});

test('what is refused for another reason is not looked at by its sequence', () => {
  const batch = encodeBatch([{ value: key }], { producer: [7, 0, 4] });
  batch[batch.length - 1] ^= 1;
  const replica = replicaThatSays('duplicate');
  assert.is(admit({ replica, batch }), 'CORRUPT_MESSAGE');
  assert.is(admit({ replica, batch: sound, epoch: 4 }), 'FENCED_LEADER_EPOCH');
});

function compressed(batch: Uint8Array, codec: number): Uint8Array {
  const packed = compress(codec, batch.subarray(BATCH_HEADER_BYTES));
  const bytes = Buffer.concat([batch.subarray(0, BATCH_HEADER_BYTES), packed]);
  bytes.writeInt32BE(bytes.length - 12, 8);
  writeAttributes(bytes, 0, codec);
  return withSoundCrc(bytes);
}

test.run();
