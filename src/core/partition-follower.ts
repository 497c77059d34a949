import type { EpochEnd, PartitionInfo } from '../types.ts';
import type { LogWish, WishAnswer } from './partition-leader.ts';
import type { Replica } from './replica.ts';

// What a follower decides: which role it has, what it asks its leader, what an answer means for its log, and which frame of
// its leader's ring comes next. Ports, rings and timers are the host's.

/** Outdated: what was announced of a reign that is over. Leaves: the partition goes on without this broker. */
export type RoleChange = 'outdated' | 'same reign' | 'leads' | 'follows' | 'leaves';

/** What an announcement means for a broker. Every change of the epoch or of the leader begins another reign. */
export function roleChange(before: PartitionInfo, after: PartitionInfo, broker: number): RoleChange {
  if (after.epoch < before.epoch) return 'outdated';
  if (!after.replicas.includes(broker)) return 'leaves';
  // One that comes back before it had gone has missed what came meanwhile.
  if (!before.replicas.includes(broker)) return 'follows';
  if (after.epoch === before.epoch && after.leader === before.leader) return 'same reign';
  return after.leader === broker ? 'leads' : 'follows';
}

/** What this follower asks for next. */
export function wishOf(replica: Replica): LogWish {
  const { id, info, log, source } = replica;
  return {
    id,
    epoch: info.epoch,
    leo: log.leo,
    lastEpoch: source === 'unproven' ? log.lastEpoch : undefined,
  };
}

/** What a leader has answered to which wish. */
export interface LogAnswer extends WishAnswer {
  /** As the wish named it: what was meant for another reign is not taken. */
  readonly epoch: number;
  /** The same: a log that has gone back since takes nothing of it. */
  readonly leo: number;
}

/**
 * What the host has to do about an answer. 'ignore': nothing, it is about another log than this one is now. 'wait': the same
 * question at once would have the same answer. 'ask': the log was cut or not, and is asked for once more. 'restarted': the
 * log begins anew. 'append': the leader's batches follow on what is here.
 */
export type AnswerStep = 'ignore' | 'wait' | 'ask' | 'restarted' | 'append';

/**
 * Takes an answer of `leader`. The log goes back as far as it has to, by epoch and never by HWM (KIP-101, KIP-279); where
 * `source` is 'unproven' no longer afterwards, all that the log holds the leader has too, and it may count.
 */
export function takeAnswer(replica: Replica, leader: number, answer: LogAnswer): AnswerStep {
  const { info, log, source } = replica;
  if (info.leader !== leader || info.epoch !== answer.epoch) return 'ignore';
  if (source === 'ring' || replica.state !== 'online' || log.leo !== answer.leo) return 'ignore';
  switch (answer.error) {
    case 'NONE':
      replica.source = 'log';
      return 'append';
    case 'DIVERGED':
      cut(replica, answer.epochEnd as EpochEnd);
      return 'ask';
    case 'OFFSET_OUT_OF_RANGE':
      // Its leader has less than it: what they have in common is found by epoch, unless it is empty.
      if (log.leo > answer.logEnd && log.lastEpoch !== -1) {
        const isNews = source === 'log';
        replica.source = 'unproven';
        return isNews ? 'ask' : 'wait';
      }
      // The leader has dropped what this replica would need next, or this log is empty: it begins where the leader begins.
      log.restartAt(answer.logStart, answer.producers);
      replica.hwm = Math.min(replica.hwm, answer.logStart);
      replica.source = 'log';
      return 'restarted';
    default:
      return 'wait';
  }
}

/** The logs agree up to the smaller of the two ends of the epoch at most; it is asked again from there. */
function cut(replica: Replica, theirs: EpochEnd): void {
  const { log } = replica;
  const { leo, lastEpoch } = log;
  const ours = log.endOfEpoch(theirs.epoch);
  log.truncateTo(Math.max(log.logStart, Math.min(theirs.endOffset, ours.endOffset)));
  replica.restart();
  replica.hwm = Math.min(replica.hwm, log.leo);
  // An epoch of which nothing was ever written: what is there besides belongs to epochs that both know.
  if (log.leo === leo && log.lastEpoch === lastEpoch) replica.source = 'log';
}

/** What a batch in the leader's ring is to a follower, by its place and epoch. */
export function judgeFrame(replica: Replica, baseOffset: number, epoch: number): 'known' | 'next' | 'unfit' {
  const { leo } = replica.log;
  if (baseOffset < leo) return 'known';
  return baseOffset === leo && epoch === replica.info.epoch ? 'next' : 'unfit';
}

const RETRY_FIRST_MS = 25;
const RETRY_LAST_MS = 1_000;

/** How long a follower waits before it asks again, after so many answers in a row that were of no use. */
export function retryAfterMs(failures: number): number {
  return Math.min(RETRY_LAST_MS, RETRY_FIRST_MS * 2 ** Math.min(failures, 10));
}
