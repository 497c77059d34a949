import type { ErrorCode } from '../errors.ts';
import type { EpochEnd, PartitionLog } from '../types.ts';
import type { LogEnd } from './reopening.ts';
import type { Replica } from './replica.ts';

// What a leader decides: whom it answers, what its reign begins with, and whom its HWM waits for. Ports, rings and timers
// are the host's.

/** A follower asks a leader for what its log lacks: Kafka's Fetch between replicas. */
export interface LogWish {
  readonly id: number;
  /** The reign that the follower knows. */
  readonly epoch: number;
  readonly leo: number;
  /** The newest epoch of a log that was not held against this leader's yet; otherwise undefined. */
  readonly lastEpoch: number | undefined;
  /** What came from there last was not what its checksum says. */
  readonly isDoubtful?: boolean;
  /** Where the follower has been told to take its time. */
  readonly maxBytes?: number;
}

/** 'DIVERGED': see `epochEnd`. 'NOT_READABLE': the leader's log is damaged there. */
export type WishError =
  | 'NONE'
  | 'FENCED_LEADER_EPOCH'
  | 'UNKNOWN_LEADER_EPOCH'
  | 'NOT_LEADER_OR_FOLLOWER'
  | 'KAFKA_STORAGE_ERROR'
  | 'OFFSET_OUT_OF_RANGE'
  | 'DIVERGED'
  | 'NOT_READABLE';

export interface WishAnswer {
  readonly error: WishError;
  /** The leader's log, where it answers as the leader. */
  readonly logStart: number;
  readonly logEnd: number;
  /** Where the logs part at the latest: how far the leader has what the follower has of this epoch. */
  readonly epochEnd?: EpochEnd;
  /** Of a log that begins behind what the follower has: its idempotent producers, as they were there. */
  readonly producers?: Uint8Array;
}

type LeadershipError = 'NONE' | 'FENCED_LEADER_EPOCH' | 'UNKNOWN_LEADER_EPOCH' | 'NOT_LEADER_OR_FOLLOWER';

/**
 * Whether this replica leads in the reign that somebody speaks of, in Kafka's order: who knows less than this broker has to
 * learn first, and who knows more has to wait until this broker has learned.
 */
export function leadershipError(replica: Replica, epoch: number): LeadershipError {
  const { info } = replica;
  if (epoch < info.epoch) return 'FENCED_LEADER_EPOCH';
  if (epoch > info.epoch) return 'UNKNOWN_LEADER_EPOCH';
  return replica.isLeader ? 'NONE' : 'NOT_LEADER_OR_FOLLOWER';
}

/** Whether somebody was refused who speaks of another reign, or of another leader. */
export function isOfAnotherReign(error: ErrorCode | WishError): boolean {
  return (
    error === 'FENCED_LEADER_EPOCH' || error === 'UNKNOWN_LEADER_EPOCH' || error === 'NOT_LEADER_OR_FOLLOWER'
  );
}

/** Whether a follower gets batches from its LEO on, or what it has to do before. */
export function answerWish(replica: Replica | undefined, wish: LogWish): WishAnswer {
  if (replica === undefined) return refusal('NOT_LEADER_OR_FOLLOWER');
  const error = leadershipError(replica, wish.epoch);
  if (error !== 'NONE') return refusal(error);
  if (replica.state !== 'online') return refusal('KAFKA_STORAGE_ERROR');
  const { log } = replica;
  const { logStart, leo: logEnd } = log;
  const { leo, lastEpoch } = wish;
  // A log without an epoch is empty and cannot differ. But it may have begun elsewhere, under a leader whose records are gone:
  // from there on it would lack what this log has before.
  if (lastEpoch === -1 && leo !== logStart) return { error: 'OFFSET_OUT_OF_RANGE', logStart, logEnd };
  if (lastEpoch !== undefined && lastEpoch !== -1) {
    const epochEnd = log.endOfEpoch(lastEpoch);
    if (epochEnd.epoch !== lastEpoch || leo > epochEnd.endOffset)
      return { error: 'DIVERGED', logStart, logEnd, epochEnd };
  }
  const isWithin = leo >= logStart && leo <= logEnd;
  return { error: isWithin ? 'NONE' : 'OFFSET_OUT_OF_RANGE', logStart, logEnd };
}

function refusal(error: WishError): WishAnswer {
  return { error, logStart: 0, logEnd: 0 };
}

/**
 * A reign begins: its epoch stands in the log before any batch of it does, and also where none ever follows. What the log
 * throws is the disk's.
 */
export function beginReign(replica: Replica, hwm: number): void {
  const { log, info } = replica;
  log.beginEpoch(info.epoch);
  replica.hwm = hwm;
  replica.reignStart = log.leo;
  replica.pace = undefined;
  log.committed = hwm;
}

/** After a start: what the whole ISR has is committed, also where nobody had the time to write it down. */
export function hwmAtStart(replica: Replica, followers: readonly LogEnd[]): number {
  if (!replica.hasEnoughInSync) return replica.hwm;
  const common = followers.map((end) => commonEnd(replica.log, end));
  return Math.max(replica.hwm, Math.min(replica.log.leo, ...common));
}

/**
 * Lets the HWM wait for a follower that has reached it, and what the leader had when its reign began, before that is in the
 * ISR (promise 2): from now on it counts, though it is not yet written down. `leo` is the follower's, in this reign; -1
 * is none. Under a bound on messages it has to be well within that: a follower that has just left comes back later than it
 * left.
 */
export function admitFollower(replica: Replica, epoch: number, follower: number, leo: number): boolean {
  if (leadershipError(replica, epoch) !== 'NONE' || replica.state !== 'online') return false;
  // Whoever looks after those who do not keep up looks at replicas alone.
  if (!replica.info.replicas.includes(follower)) return false;
  if (leo === -1 || leo < replica.hwm) return false;
  // An HWM that a follower has brought along may lie below what its last leader had committed, and acknowledged.
  if (leo < replica.reignStart) return false;
  const messagesMax = replica.config['replica.lag.max.messages'];
  if (messagesMax !== -1 && replica.log.leo - leo > messagesMax / 2) return false;
  replica.propose(follower);
  return true;
}

/** How far a leader's log and another one certainly agree: as far as both went in an epoch that both know. */
export function commonEnd(log: Pick<PartitionLog, 'endOfEpoch'>, other: LogEnd): number {
  const { epoch, endOffset } = log.endOfEpoch(other.lastEpoch);
  return epoch === other.lastEpoch ? Math.min(other.leo, endOffset) : 0;
}
