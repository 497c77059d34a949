import { crc32c } from '../../native-free/crc32c/index.ts';
import { type ErrorCode, TidemarkError } from '../errors.ts';
import { batchBytes, CRC_FROM, readCrc } from '../log/record-batch.ts';
import { readRecords } from '../log/record-batch-reader.ts';
import type { PartitionInfo } from '../types.ts';
import type { FetchAnswer } from './broker-link.ts';
import type { ReadRecord, ReadResult } from './read.ts';
import type { Session } from './session.ts';

/** What a broker has refused: the reason comes from the main thread, which knows the files. */
export async function refusal(
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
export function decode(info: PartitionInfo, offset: number, answer: FetchAnswer): ReadResult | 'corrupt' {
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
