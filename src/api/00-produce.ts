import { createRequire } from 'node:module';
import { isCompacted } from '../config.ts';
import type { Replica } from '../core/replica.ts';
import type { ErrorCode } from '../errors.ts';
import { decompress } from '../log/codecs.ts';
import { batchBytes, CRC_FROM, checkProducedBatch, readCrc } from '../log/record-batch.ts';

/** Only compacted topics have their records looked at. */
const require = createRequire(import.meta.url);
const records = (): typeof import('../log/compaction-records.ts') => require('../log/compaction-records.js');

/** CRC-32C of a stretch of the memory the batch lies in. */
export type ChecksumOf = (at: number, length: number) => number;

/**
 * Produce, whatever door it came through: whether this replica takes the batch that lies at `at`. Nothing is
 * appended here, and after any code but NONE nothing may be (promise 3: refused before the append).
 */
export function admitBatch(
  replica: Replica | undefined,
  epoch: number,
  acks: number,
  bytes: Uint8Array,
  at: number,
  length: number,
  checksumOf: ChecksumOf,
): ErrorCode {
  if (replica === undefined) return 'UNKNOWN_TOPIC_OR_PARTITION';
  if (!replica.isLeader || epoch !== replica.info.epoch) return 'NOT_LEADER_OR_FOLLOWER';
  if (replica.state !== 'online') return 'KAFKA_STORAGE_ERROR';
  if (length > replica.config['max.message.bytes']) return 'MESSAGE_TOO_LARGE';
  if (checkProducedBatch(bytes, at, length, length) !== 0 || batchBytes(bytes, at) !== length)
    return 'CORRUPT_MESSAGE';
  if (acks === -1 && !replica.hasEnoughInSync) return 'NOT_ENOUGH_REPLICAS';
  // Last, because the checksum may be taken while the batch is copied to where it is published from.
  if (checksumOf(at + CRC_FROM, length - CRC_FROM) !== readCrc(bytes, at)) return 'CORRUPT_MESSAGE';
  return isCompacted(replica.config) ? admitToCompacted(bytes, at) : 'NONE';
}

/** What compaction could not read would keep it from cleaning anything behind it: it is refused here, once for all. */
function admitToCompacted(bytes: Uint8Array, at: number): ErrorCode {
  switch (records().compactionObstacle(bytes, at, decompress)) {
    case undefined:
      return 'NONE';
    case 'unsupported codec':
      return 'UNSUPPORTED_COMPRESSION_TYPE';
    default:
      return 'INVALID_RECORD';
  }
}
