import { isCompacted } from '../config.ts';
import { leadershipError } from '../core/partition-leader.ts';
import type { Replica } from '../core/replica.ts';
import type { ErrorCode } from '../errors.ts';
import { decompress } from '../log/codecs.ts';
import { compactionObstacle } from '../log/compaction-records.ts';
import { batchBytes, CRC_FROM, checkProducedBatch, readCrc, readProducerId } from '../log/record-batch.ts';
import { BatchFault } from '../log/record-batch-fault.ts';
import type { KnownProducers } from '../types.ts';

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
  if (acks < -1 || acks > 1) return 'INVALID_REQUIRED_ACKS';
  if (replica === undefined) return 'UNKNOWN_TOPIC_OR_PARTITION';
  const leadership = leadershipError(replica, epoch);
  if (leadership !== 'NONE') return leadership;
  if (replica.state !== 'online') return 'KAFKA_STORAGE_ERROR';
  if (length > replica.config['max.message.bytes']) return 'MESSAGE_TOO_LARGE';
  const fault = checkProducedBatch(bytes, at, length, length);
  if (fault !== 0) return codeOfFault(fault, bytes, at, length, checksumOf);
  if (batchBytes(bytes, at) !== length) return 'CORRUPT_MESSAGE';
  if (acks === -1 && !replica.hasEnoughInSync) return 'NOT_ENOUGH_REPLICAS';
  // Last, because the checksum may be taken while the batch is copied to where it is published from.
  if (checksumOf(at + CRC_FROM, length - CRC_FROM) !== readCrc(bytes, at)) return 'CORRUPT_MESSAGE';
  const error = isCompacted(replica.config) ? admitToCompacted(bytes, at) : 'NONE';
  if (error !== 'NONE' || readProducerId(bytes, at) < 0) return error;
  return admitToSequence(replica.log.producers, bytes, at);
}

/**
 * Whether it is its producer's next one. Last of all: what is admitted is appended in the same turn, and the one behind it
 * is judged by that. A batch that is in the log already is told apart, since its producer is to hear where.
 */
function admitToSequence(producers: KnownProducers, bytes: Uint8Array, at: number): ErrorCode {
  switch (producers.judge(bytes, at)) {
    case 'next':
      return 'NONE';
    case 'duplicate':
      return 'DUPLICATE_SEQUENCE_NUMBER';
    case 'gap':
      return 'OUT_OF_ORDER_SEQUENCE_NUMBER';
    case 'stale epoch':
      return 'INVALID_PRODUCER_EPOCH';
    case 'unknown producer':
      return 'UNKNOWN_PRODUCER_ID';
  }
}

/** Whether a batch was refused for its place among those of its producer. */
export function isOutOfSequence(error: ErrorCode): boolean {
  return (
    error === 'OUT_OF_ORDER_SEQUENCE_NUMBER' ||
    error === 'INVALID_PRODUCER_EPOCH' ||
    error === 'UNKNOWN_PRODUCER_ID'
  );
}

/** What arrived as it was sent is the producer's fault, and sending it again is of no use. */
function codeOfFault(
  fault: BatchFault,
  bytes: Uint8Array,
  at: number,
  length: number,
  checksumOf: ChecksumOf,
): ErrorCode {
  switch (fault) {
    case BatchFault.HEADER_CUT:
    case BatchFault.BODY_CUT:
    case BatchFault.OLD_FORMAT:
    case BatchFault.LENGTH_TOO_SMALL:
    case BatchFault.TOO_LARGE:
      return 'CORRUPT_MESSAGE';
  }
  const isAsSent =
    batchBytes(bytes, at) === length && checksumOf(at + CRC_FROM, length - CRC_FROM) === readCrc(bytes, at);
  if (!isAsSent) return 'CORRUPT_MESSAGE';
  return fault === BatchFault.UNKNOWN_CODEC ? 'UNSUPPORTED_COMPRESSION_TYPE' : 'INVALID_RECORD';
}

/** What compaction could not read would keep it from cleaning anything behind it: it is refused here, once for all. */
function admitToCompacted(bytes: Uint8Array, at: number): ErrorCode {
  switch (compactionObstacle(bytes, at, decompress)) {
    case undefined:
      return 'NONE';
    case 'unsupported codec':
      return 'UNSUPPORTED_COMPRESSION_TYPE';
    default:
      return 'INVALID_RECORD';
  }
}
