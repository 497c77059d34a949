import { crc32c } from '../../native-free/crc32c/index.ts';
import { type ErrorCode, requireInteger, requireOptions, TidemarkError } from '../errors.ts';
import { READ_MAX_BYTES } from '../limits.ts';
import { batchBytes, CRC_FROM, readCrc } from '../log/record-batch.ts';
import { type DecodedHeader, readRecords } from '../log/record-batch-reader.ts';
import type { PartitionInfo } from '../types.ts';
import type { BrokerLink, FetchAnswer, TimeAnswer } from './broker-link.ts';
import type { Session } from './session.ts';

export interface ReadOptions {
  readonly partition: number;
  /** The first offset wanted; or else `timestamp`. */
  readonly offset?: number;
  /**
   * Reads from the first record on that is not older, in milliseconds since 1970; from the end where all are older.
   */
  readonly timestamp?: number;
  /** Bound of the batches read at once; one batch comes even if it is larger. */
  readonly maxBytes?: number;
  /** How long to wait for a record where there is none yet. */
  readonly waitMs?: number;
  /** A replica other than the leader: it answers up to the HWM it knows of. */
  readonly broker?: number;
}

/** A record as it is read. Keys and values are copies. */
export interface ReadRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly DecodedHeader[];
}

export interface ReadResult {
  readonly records: ReadRecord[];
  /** Where to read on. */
  readonly nextOffset: number;
  readonly hwm: number;
}

const READ_DEFAULT_BYTES = 1 << 20;
const WAIT_MAX_MS = 2 ** 31 - 1;

/**
 * Committed records of a partition, from an offset.
 *
 * @internal
 */
export async function read(session: Session, topicName: string, options: ReadOptions): Promise<ReadResult> {
  if (!session.isOpen) throw new TidemarkError('CLOSED', 'The cluster is closed; start another one.');
  requireOptions('read options', options, [
    'partition',
    'offset',
    'timestamp',
    'maxBytes',
    'waitMs',
    'broker',
  ]);
  const start = startOf(options);
  const partition = requireInteger('partition', options.partition, 0);
  const maxBytes = requireInteger('maxBytes', options.maxBytes ?? READ_DEFAULT_BYTES, 1);
  const waitMs = requireInteger('waitMs', options.waitMs ?? 0, 0, WAIT_MAX_MS);
  const topic = await session.topic(topicName);
  const info = topic.partitions[partition];
  if (info === undefined) {
    throw new TidemarkError(
      'UNKNOWN_TOPIC_OR_PARTITION',
      `Topic '${topicName}' has no partition ${partition}; it has ${topic.partitions.length}, counted from 0.`,
    );
  }
  if (info.unavailable !== undefined && options.broker === undefined)
    throw new TidemarkError('LEADER_NOT_AVAILABLE', info.unavailable);
  const broker = options.broker ?? info.leader;
  if (!info.replicas.includes(broker)) {
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      `Broker ${broker} holds no replica of partition ${partition} of '${topicName}'; brokers ${info.replicas.join(', ')} do.`,
    );
  }
  const link = session.link(broker);
  if (link === undefined) throw new TidemarkError('BROKER_FAILED', `Broker ${broker} is not running.`);
  const fromAnyReplica = options.broker !== undefined;
  const offset = start.offset ?? (await offsetSince(session, link, info, start.timestamp, fromAnyReplica));
  return new Promise((resolve, reject) => {
    const request = {
      partitionId: info.id,
      offset,
      maxBytes: Math.min(maxBytes, READ_MAX_BYTES),
      waitMs,
      fromAnyReplica,
      timeoutMs: session.deliveryTimeoutMs,
    };
    const refuse = (code: ErrorCode): void => {
      void refusal(session, broker, info, code, offset).then(reject);
    };
    const take = (answer: FetchAnswer): void => {
      if (answer.error !== 'NONE' && answer.error !== 'OFFSET_OUT_OF_RANGE') {
        refuse(answer.error);
        return;
      }
      try {
        const result = decode(info, offset, answer);
        if (result === 'corrupt') refuse('CORRUPT_MESSAGE');
        else resolve(result);
      } catch (error) {
        reject(error);
      }
    };
    link.fetch(request, take, reject);
    session.engaged();
  });
}

/** Where to begin: one of the two was given. */
function startOf(options: ReadOptions): { offset: number } | { offset?: undefined; timestamp: number } {
  if (options.timestamp === undefined) return { offset: requireInteger('offset', options.offset, 0) };
  if (options.offset !== undefined) {
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      'A read begins at an offset or at a timestamp; give one of them.',
    );
  }
  return { timestamp: requireInteger('timestamp', options.timestamp, 0) };
}

/** The offset of the first committed record that is not older, or the HWM where there is none. */
function offsetSince(
  session: Session,
  link: BrokerLink,
  info: PartitionInfo,
  timestamp: number,
  fromAnyReplica: boolean,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const take = ({ error, offset, hwm }: TimeAnswer): void => {
      if (error !== 'NONE') void refusal(session, link.broker, info, error).then(reject);
      else resolve(offset === -1 ? hwm : offset);
    };
    link.offsetForTime(
      { partitionId: info.id, timestamp, fromAnyReplica, timeoutMs: session.deliveryTimeoutMs },
      take,
      reject,
    );
    session.engaged();
  });
}

/** What a broker has refused: the reason comes from the main thread, which knows the files. */
async function refusal(
  session: Session,
  broker: number,
  { topic, partition, replicas }: PartitionInfo,
  code: ErrorCode,
  offset?: number,
): Promise<TidemarkError> {
  const what = `Partition ${partition} of '${topic}' could not be read from broker ${broker}`;
  if (code === 'CORRUPT_MESSAGE') {
    const advice = await session.reasonFor({ broker, damaged: { topic, partition, replicas } });
    const at = offset === undefined ? '' : ` at offset ${offset}`;
    return new TidemarkError(code, `${what}, because it is damaged${at} there. ${advice ?? ''}`.trimEnd());
  }
  if (code !== 'KAFKA_STORAGE_ERROR') return new TidemarkError(code, `${what}: ${code}.`);
  const reason = (await session.reasonFor({ broker })) ?? 'Its disk has failed.';
  const others = replicas.filter((id) => id !== broker);
  const other =
    others.length === 0 ? '' : ` Until then other replicas may have it, such as \`broker: ${others[0]}\`.`;
  return new TidemarkError(code, `${what}. ${reason}${other}`);
}

/** What lies before a damaged batch is given; where the read begins with one it is 'corrupt'. */
function decode(info: PartitionInfo, offset: number, answer: FetchAnswer): ReadResult | 'corrupt' {
  const { error, hwm, logStart, bytes, from, to } = answer;
  const { topic, partition } = info;
  if (error === 'OFFSET_OUT_OF_RANGE') {
    throw new TidemarkError(
      error,
      `Partition ${partition} of '${topic}' has offsets from ${logStart} up to ${hwm}; ${offset} is not among them. Read from within that range.`,
    );
  }
  const records: ReadRecord[] = [];
  let nextOffset = offset;
  for (let at = from; at < to; ) {
    if (crc32c(bytes.subarray(at + CRC_FROM, at + batchBytes(bytes, at))) !== readCrc(bytes, at)) {
      if (nextOffset === offset) return 'corrupt';
      break;
    }
    nextOffset = readRecords(
      bytes,
      at,
      to,
      (recordOffset, timestamp, key, value, headers) => {
        records.push({ topic, partition, offset: recordOffset, timestamp, key, value, headers });
      },
      { fromOffset: offset },
    );
    at += batchBytes(bytes, at);
  }
  return { records, nextOffset, hwm };
}
