/** What is wrong with a batch's header: small integers, so that the hot path neither throws nor allocates. */
export const BatchFault = {
  /** Fewer bytes than a header: at the end of a read this is the ordinary cut, to be read again with more. */
  HEADER_CUT: 1,
  /** The header is whole and its body is not: the ordinary cut as well. */
  BODY_CUT: 2,
  OLD_FORMAT: 3,
  LENGTH_TOO_SMALL: 4,
  TOO_LARGE: 5,
  OFFSET_OUT_OF_RANGE: 6,
  COUNT_OUT_OF_RANGE: 7,
  UNKNOWN_CODEC: 8,
  COUNT_MISMATCH: 9,
  CONTROL_FROM_CLIENT: 10,
  SEQUENCE_MISSING: 11,
  PRODUCER_MISSING: 12,
} as const;
export type BatchFault = (typeof BatchFault)[keyof typeof BatchFault];

const sentences: Record<BatchFault, string> = {
  [BatchFault.HEADER_CUT]: 'The batch ends before its 61-byte header does.',
  [BatchFault.BODY_CUT]: 'The batch is longer than the bytes at hand.',
  [BatchFault.OLD_FORMAT]: 'The magic byte is not 2: message sets of format 0 and 1 are not supported.',
  [BatchFault.LENGTH_TOO_SMALL]: 'The batch length does not cover the header.',
  [BatchFault.TOO_LARGE]: 'The batch is larger than the limit.',
  [BatchFault.OFFSET_OUT_OF_RANGE]: 'The offsets of the batch are negative or beyond 2^53.',
  [BatchFault.COUNT_OUT_OF_RANGE]: 'The record count does not fit the offsets or the length of the batch.',
  [BatchFault.UNKNOWN_CODEC]: 'The compression codec is none of those that Kafka has numbered.',
  [BatchFault.COUNT_MISMATCH]:
    'A producer numbers its records without gaps: the last offset delta must be the count less one.',
  [BatchFault.CONTROL_FROM_CLIENT]: 'Clients may not write control records.',
  [BatchFault.SEQUENCE_MISSING]:
    'A batch with a producer id must carry a sequence number and a producer epoch.',
  [BatchFault.PRODUCER_MISSING]: 'A transactional batch must carry a producer id.',
};

/** The fault in words, for error messages and logs. */
export function batchFaultSentence(fault: BatchFault): string {
  return sentences[fault];
}

/** Bytes that call themselves a batch and are none. Whoever reads them can only stop, or fetch them again. */
export class CorruptBatchError extends Error {
  override readonly name = 'CorruptBatchError';
  readonly code = 'CORRUPT_MESSAGE';
}

/** The records are compressed with a codec that nobody handed in a decoder for. */
export class UnsupportedCompressionError extends Error {
  override readonly name = 'UnsupportedCompressionError';
  readonly code = 'UNSUPPORTED_COMPRESSION_TYPE';
}
