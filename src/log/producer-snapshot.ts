// What a partition knew of its idempotent producers at one offset: Kafka's `.snapshot` files, named after that offset.
//
//   | version i16 = 1 | CRC-32C u32 of all that follows | count i32 | a producer with its last batch ...
//   | id i64 | epoch i16 | last sequence i32 | last offset i64 | offset delta i32 | timestamp i64 |
//   |   coordinator epoch i32 = -1 | first offset of the transaction under way i64 = -1
//
// Kafka keeps the last batch of each, and so cannot tell a repeated one from a gap when it has restarted. Ours has the
// others behind that, where Kafka's readers do not look, and says of which log it speaks:
//
//   | mark i32 | offset i64 | leader epoch of the batch before it i32 | count i32 | an older batch ...
//   | id i64 | last sequence i32 | last offset i64 | offset delta i32 | timestamp i64     the oldest first
import { Buffer } from 'node:buffer';
import { crc32cByTable } from '../../native-free/crc32c/index.ts';
import { ProducerStates, sequenceAfter } from '../core/producer-states.ts';
import type { ProducedBatch } from '../types.ts';

const VERSION = 1;
const CRC_AT = 2;
const ENTRIES_AT = 6;
const ENTRY_BYTES = 46;
const MARK = 0x54_4d_50_53;
const TRAILER_BYTES = 20;
const OLDER_BYTES = 32;
const NONE = -1;
const SEQUENCES = 2 ** 31;

/** Of which log a snapshot speaks: another one of the same offsets had another leader there. */
export interface SnapshotPlace {
  readonly offset: number;
  /** The leader epoch of the batch before it; -1 where nobody knows. */
  readonly leaderEpoch: number;
}

export interface ProducerSnapshot {
  readonly states: ProducerStates;
  /** undefined in a file of Kafka's. */
  readonly place: SnapshotPlace | undefined;
}

export function encodeProducers(states: ProducerStates, { offset, leaderEpoch }: SnapshotPlace): Buffer {
  const producers = [...states.entries()];
  const older = producers.flatMap(([, { batches }]) => batches.slice(0, -1));
  const trailerAt = ENTRIES_AT + 4 + producers.length * ENTRY_BYTES;
  const bytes = Buffer.alloc(trailerAt + TRAILER_BYTES + older.length * OLDER_BYTES);
  bytes.writeInt16BE(VERSION, 0);
  let at = bytes.writeInt32BE(producers.length, ENTRIES_AT);
  for (const [producerId, { epoch, batches }] of producers) {
    at = writeInt64(bytes, producerId, at);
    at = bytes.writeInt16BE(epoch, at);
    at = writeBatch(bytes, at, batches.at(-1));
    at = bytes.writeInt32BE(NONE, at);
    at = writeInt64(bytes, NONE, at);
  }
  at = bytes.writeInt32BE(MARK, at);
  at = writeInt64(bytes, offset, at);
  at = bytes.writeInt32BE(leaderEpoch, at);
  at = bytes.writeInt32BE(older.length, at);
  for (const batch of older) at = writeBatch(bytes, writeInt64(bytes, batch.producerId, at), batch);
  bytes.writeUInt32BE(crc32cByTable(bytes.subarray(ENTRIES_AT), 0), CRC_AT);
  return bytes;
}

/** Undefined where the file is damaged, or of another version. */
export function decodeProducers(bytes: Buffer): ProducerSnapshot | undefined {
  if (bytes.length < ENTRIES_AT + 4 || bytes.readInt16BE(0) !== VERSION) return undefined;
  if (bytes.readUInt32BE(CRC_AT) !== crc32cByTable(bytes.subarray(ENTRIES_AT), 0)) return undefined;
  const count = bytes.readInt32BE(ENTRIES_AT);
  const trailerAt = ENTRIES_AT + 4 + count * ENTRY_BYTES;
  if (count < 0 || trailerAt > bytes.length) return undefined;
  const isOurs = bytes.length >= trailerAt + TRAILER_BYTES && bytes.readInt32BE(trailerAt) === MARK;
  const older = isOurs ? readOlder(bytes, trailerAt + TRAILER_BYTES - 4) : new Map<number, OlderBatch[]>();
  if (older === undefined) return undefined;
  const states = new ProducerStates();
  for (let at = ENTRIES_AT + 4; at < trailerAt; at += ENTRY_BYTES) {
    const producerId = readInt64(bytes, at);
    const epoch = bytes.readInt16BE(at + 8);
    const of = { producerId, producerEpoch: epoch };
    const last = readBatch(bytes, at + 10);
    const batches = (older.get(producerId) ?? []).map((batch) => ({ ...of, ...batch }));
    states.restore(producerId, {
      epoch,
      batches: last === undefined ? [] : [...batches, { ...of, ...last }],
    });
  }
  if (!isOurs) return { states, place: undefined };
  return {
    states,
    place: { offset: readInt64(bytes, trailerAt + 4), leaderEpoch: bytes.readInt32BE(trailerAt + 12) },
  };
}

type OlderBatch = Omit<ProducedBatch, 'producerId' | 'producerEpoch'>;

/** By producer, from where their number stands. */
function readOlder(bytes: Buffer, at: number): Map<number, OlderBatch[]> | undefined {
  const count = bytes.readInt32BE(at);
  if (count < 0 || at + 4 + count * OLDER_BYTES !== bytes.length) return undefined;
  const found = new Map<number, OlderBatch[]>();
  for (let n = 0, from = at + 4; n < count; n++, from += OLDER_BYTES) {
    const producerId = readInt64(bytes, from);
    const batch = readBatch(bytes, from + 8);
    if (batch === undefined) return undefined;
    const known = found.get(producerId);
    if (known === undefined) found.set(producerId, [batch]);
    else known.push(batch);
  }
  return found;
}

function writeBatch(bytes: Buffer, from: number, batch: ProducedBatch | undefined): number {
  const records = batch === undefined ? 0 : batch.nextOffset - batch.baseOffset;
  const lastSequence = batch === undefined ? NONE : sequenceAfter(batch.firstSequence, records - 1);
  let at = bytes.writeInt32BE(lastSequence, from);
  at = writeInt64(bytes, batch === undefined ? NONE : batch.nextOffset - 1, at);
  at = bytes.writeInt32BE(Math.max(records - 1, 0), at);
  return writeInt64(bytes, batch?.timestamp ?? NONE, at);
}

/** Undefined where a producer has none: its epoch is all that is known. */
function readBatch(bytes: Buffer, at: number): OlderBatch | undefined {
  const lastSequence = bytes.readInt32BE(at);
  const lastOffset = readInt64(bytes, at + 4);
  const delta = bytes.readInt32BE(at + 12);
  if (lastOffset < 0 || lastSequence < 0 || delta < 0 || delta > lastOffset) return undefined;
  return {
    firstSequence: (lastSequence - delta + SEQUENCES) % SEQUENCES,
    baseOffset: lastOffset - delta,
    nextOffset: lastOffset + 1,
    timestamp: readInt64(bytes, at + 16),
  };
}

/** What a producer has put beyond 2^53 is rounded, and may have become larger than any int64. */
function writeInt64(bytes: Buffer, value: number, at: number): number {
  return bytes.writeBigInt64BE(BigInt.asIntN(64, BigInt(value)), at);
}

function readInt64(bytes: Buffer, at: number): number {
  return Number(bytes.readBigInt64BE(at));
}
