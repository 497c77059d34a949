import { type ErrorCode, TidemarkError } from '../errors.ts';

/** What passes: another leader, a replica that comes back, room, time. */
const RETRIED: ReadonlySet<ErrorCode> = new Set([
  'BROKER_FAILED',
  'FENCED_LEADER_EPOCH',
  'INVALID_PRODUCER_EPOCH',
  'KAFKA_STORAGE_ERROR',
  'LEADER_NOT_AVAILABLE',
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'NOT_LEADER_OR_FOLLOWER',
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'REQUEST_TIMED_OUT',
  'UNKNOWN_LEADER_EPOCH',
  'UNKNOWN_PRODUCER_ID',
  'UNKNOWN_TOPIC_OR_PARTITION',
]);

/** The batch does not follow what the partition has of its producer. */
const OUT_OF_SEQUENCE: ReadonlySet<ErrorCode> = new Set([
  'INVALID_PRODUCER_EPOCH',
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'UNKNOWN_PRODUCER_ID',
]);

/** Refused before the append: of what this try was nothing is written, whatever became of those before. */
const REFUSED: ReadonlySet<ErrorCode> = new Set([
  ...OUT_OF_SEQUENCE,
  'CORRUPT_MESSAGE',
  'FENCED_LEADER_EPOCH',
  'INVALID_RECORD',
  'MESSAGE_TOO_LARGE',
  'NOT_ENOUGH_REPLICAS',
  'UNKNOWN_LEADER_EPOCH',
  'UNSUPPORTED_COMPRESSION_TYPE',
]);

export function isRetried(code: ErrorCode): boolean {
  return RETRIED.has(code);
}

export function isSequenceError(code: ErrorCode): boolean {
  return OUT_OF_SEQUENCE.has(code);
}

export function isRefusal(code: ErrorCode): boolean {
  return REFUSED.has(code);
}

/** What the caller hears in the end: what has gone wrong last, and what is known of the records. */
export function undelivered(
  last: TidemarkError | undefined,
  mayBeWritten: boolean,
  afterMs: number | undefined,
): TidemarkError {
  const late = afterMs === undefined ? '' : `The records were not acknowledged in ${afterMs} ms. `;
  const fate = mayBeWritten
    ? 'Whether they were written is not known; sending them again may write them twice.'
    : 'Nothing was written.';
  const code = last?.code ?? 'REQUEST_TIMED_OUT';
  return new TidemarkError(code, `${late}${last?.message ?? 'No broker has answered.'} ${fate}`, {
    cause: last?.cause ?? last,
  });
}
