import { didYouMean } from './did-you-mean.ts';

/** What each code means for a caller: Kafka's number where Kafka has the name, and whether trying again can help. */
const codes = {
  NONE: { kafka: 0, retriable: false },
  OFFSET_OUT_OF_RANGE: { kafka: 1, retriable: false },
  CORRUPT_MESSAGE: { kafka: 2, retriable: true },
  UNKNOWN_TOPIC_OR_PARTITION: { kafka: 3, retriable: true },
  LEADER_NOT_AVAILABLE: { kafka: 5, retriable: true },
  NOT_LEADER_OR_FOLLOWER: { kafka: 6, retriable: true },
  REQUEST_TIMED_OUT: { kafka: 7, retriable: true },
  MESSAGE_TOO_LARGE: { kafka: 10, retriable: false },
  INVALID_TOPIC_EXCEPTION: { kafka: 17, retriable: false },
  NOT_ENOUGH_REPLICAS: { kafka: 19, retriable: true },
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: { kafka: 20, retriable: true },
  INVALID_REQUIRED_ACKS: { kafka: 21, retriable: false },
  TOPIC_ALREADY_EXISTS: { kafka: 36, retriable: false },
  INVALID_PARTITIONS: { kafka: 37, retriable: false },
  INVALID_REPLICATION_FACTOR: { kafka: 38, retriable: false },
  INVALID_REPLICA_ASSIGNMENT: { kafka: 39, retriable: false },
  INVALID_CONFIG: { kafka: 40, retriable: false },
  NOT_CONTROLLER: { kafka: 41, retriable: true },
  OUT_OF_ORDER_SEQUENCE_NUMBER: { kafka: 45, retriable: false },
  DUPLICATE_SEQUENCE_NUMBER: { kafka: 46, retriable: false },
  INVALID_PRODUCER_EPOCH: { kafka: 47, retriable: false },
  KAFKA_STORAGE_ERROR: { kafka: 56, retriable: true },
  UNKNOWN_PRODUCER_ID: { kafka: 59, retriable: false },
  FENCED_LEADER_EPOCH: { kafka: 74, retriable: true },
  UNKNOWN_LEADER_EPOCH: { kafka: 75, retriable: true },
  UNSUPPORTED_COMPRESSION_TYPE: { kafka: 76, retriable: false },
  STALE_BROKER_EPOCH: { kafka: 77, retriable: false },
  PREFERRED_LEADER_NOT_AVAILABLE: { kafka: 80, retriable: true },
  ELIGIBLE_LEADERS_NOT_AVAILABLE: { kafka: 83, retriable: true },
  ELECTION_NOT_NEEDED: { kafka: 84, retriable: true },
  NO_REASSIGNMENT_IN_PROGRESS: { kafka: 85, retriable: false },
  INVALID_RECORD: { kafka: 87, retriable: false },
  INVALID_UPDATE_VERSION: { kafka: 95, retriable: false },
  DUPLICATE_BROKER_REGISTRATION: { kafka: 101, retriable: false },
  BROKER_ID_NOT_REGISTERED: { kafka: 102, retriable: false },
  INELIGIBLE_REPLICA: { kafka: 107, retriable: false },
  // Ours: Kafka has no name for these, and they never travel on the wire.
  INVALID_ARGUMENT: { kafka: 42, retriable: false },
  UNSUPPORTED: { kafka: 35, retriable: false },
  CLOSED: { kafka: -1, retriable: false },
  BROKER_FAILED: { kafka: -1, retriable: true },
  DATA_DIRECTORY_INVALID: { kafka: -1, retriable: false },
  DATA_DIRECTORY_LOCKED: { kafka: -1, retriable: true },
  BUFFER_EXHAUSTED: { kafka: -1, retriable: true },
} as const;

export type ErrorCode = keyof typeof codes;

const codeByNumber = new Map<number, ErrorCode>();
for (const code of Object.keys(codes) as ErrorCode[]) {
  if (codes[code].kafka >= 0) codeByNumber.set(codes[code].kafka, code);
}

/** The number by which a code travels between a broker and a client. */
export function errorNumber(code: ErrorCode): number {
  return codes[code].kafka;
}

export function errorCode(number: number): ErrorCode {
  const code = codeByNumber.get(number);
  if (code === undefined) throw new Error(`no error has the number ${number}`);
  return code;
}

/** Every operating error that reaches a user: a stable code, and a sentence that says what to do. */
export class TidemarkError extends Error {
  readonly code: ErrorCode;
  /** Whether the same call can succeed later without the caller changing anything. */
  readonly retriable: boolean;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'TidemarkError';
    this.code = code;
    this.retriable = codes[code].retriable;
  }
}

/** Of a command that was submitted: whether nobody could say what has come of it, or decide on it, for want of a quorum. */
export function isUndecided(error: unknown): boolean {
  return (
    error instanceof TidemarkError && (error.code === 'NOT_CONTROLLER' || error.code === 'REQUEST_TIMED_OUT')
  );
}

/** What arguments of public calls are held to; `what` names the argument for the sentence. */
export function requireInteger(
  what: string,
  value: unknown,
  min: number,
  max = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  throw new TidemarkError('INVALID_ARGUMENT', `${what} must be a whole number ${range}; got ${show(value)}.`);
}

export function requireOneOf<T>(what: string, value: unknown, allowed: readonly T[]): T {
  if (allowed.includes(value as T)) return value as T;
  throw new TidemarkError(
    'INVALID_ARGUMENT',
    `${what} must be one of ${allowed.map(show).join(', ')}; got ${show(value)}.`,
  );
}

/** That options are an object with known names only: a misspelt option would otherwise be ignored in silence. */
export function requireOptions(what: string, options: unknown, known: readonly string[]): void {
  if (options === null || typeof options !== 'object' || Array.isArray(options)) {
    throw new TidemarkError('INVALID_ARGUMENT', `${what} must be an object; got ${show(options)}.`);
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      `${what}: there is no option '${name}'.${didYouMean(name, known)} Known: ${known.join(', ')}.`,
    );
  }
}

/** An object of names and values, of this realm or another: a Map or a Date would be taken for one without entries. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** A value as a sentence can show it: short, and never somebody's megabytes. */
export function show(value: unknown): string {
  if (typeof value === 'string') return value.length > 60 ? `'${value.slice(0, 57)}...'` : `'${value}'`;
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return 'a function';
  if (value === null || typeof value !== 'object') return String(value);
  if (Array.isArray(value)) return value.length === 0 ? 'an empty array' : `an array of ${value.length}`;
  return value.constructor?.name ?? 'an object';
}
