import { requireInteger, requireOptions, TidemarkError } from '../errors.ts';
import { READ_MAX_BYTES } from '../limits.ts';
import type { DecodedHeader } from '../log/record-batch-reader.ts';
import { checkRack } from './rack-check.ts';
import { Reading } from './reading.ts';
import { checkBroker } from './replica-check.ts';
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
  /** Asks a replica on this rack, if one of them is in sync, and otherwise the leader. Default: the rack given to connect. */
  readonly rack?: string;
  /** For how long a read that finds no leader is tried again, beyond `waitMs`. Default: the cluster's deliveryTimeoutMs. */
  readonly timeoutMs?: number;
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

const OPTIONS = ['partition', 'offset', 'timestamp', 'maxBytes', 'waitMs', 'broker', 'rack', 'timeoutMs'];

/**
 * Committed records of a partition, from an offset.
 *
 * @internal
 */
export async function read(session: Session, topic: string, options: ReadOptions): Promise<ReadResult> {
  session.requireOpen();
  requireOptions('read options', options, OPTIONS);
  const { maxBytes = READ_DEFAULT_BYTES, waitMs = 0, timeoutMs = session.deliveryTimeoutMs } = options;
  const request = {
    topic,
    ...startOf(options),
    partition: requireInteger('partition', options.partition, 0),
    maxBytes: Math.min(requireInteger('maxBytes', maxBytes, 1), READ_MAX_BYTES),
    waitMs: requireInteger('waitMs', waitMs, 0, WAIT_MAX_MS),
    timeoutMs: requireInteger('timeoutMs', timeoutMs, 1),
    broker: options.broker === undefined ? undefined : checkBroker(options.broker, 'broker'),
    rack: rackOf(options, session),
  };
  if (request.broker !== undefined && request.rack !== undefined)
    throw new TidemarkError('INVALID_ARGUMENT', 'A read goes to a broker or to a rack; give one of them.');
  await session.topic(topic);
  return new Reading(session, request).answer;
}

/** A read that goes to one broker has none, unless it was given both. */
function rackOf({ rack, broker }: ReadOptions, session: Session): string | undefined {
  if (rack !== undefined) return checkRack('rack', rack);
  return broker === undefined ? session.rack : undefined;
}

/** Where to begin: one of the two was given. */
function startOf(options: ReadOptions): { offset: number } | { timestamp: number } {
  if (options.timestamp === undefined) return { offset: requireInteger('offset', options.offset, 0) };
  if (options.offset !== undefined) {
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      'A read begins at an offset or at a timestamp; give one of them.',
    );
  }
  return { timestamp: requireInteger('timestamp', options.timestamp, 0) };
}
