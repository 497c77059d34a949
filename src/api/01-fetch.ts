import { leadershipError } from '../core/partition-leader.ts';
import type { Replica } from '../core/replica.ts';
import type { ErrorCode } from '../errors.ts';

/** What somebody speaks of who asks whatever replica he reaches, or does not know in which reign it is. */
export const ANY_EPOCH = -1;

/** Whether a replica may be read, by whoever speaks of this reign (KIP-320). A follower answers who asks for any replica. */
export function admitReader(replica: Replica | undefined, epoch: number, fromAnyReplica: boolean): ErrorCode {
  if (replica === undefined) return 'UNKNOWN_TOPIC_OR_PARTITION';
  const error = leadershipError(replica, epoch === ANY_EPOCH ? replica.info.epoch : epoch);
  if (error !== 'NONE' && !(fromAnyReplica && error === 'NOT_LEADER_OR_FOLLOWER')) return error;
  return replica.state === 'online' ? 'NONE' : 'KAFKA_STORAGE_ERROR';
}

/** Fetch, whatever door it came through: whether this replica may answer a read from `offset`. */
export function admitRead(
  replica: Replica | undefined,
  epoch: number,
  offset: number,
  fromAnyReplica: boolean,
): ErrorCode {
  const error = admitReader(replica, epoch, fromAnyReplica);
  if (error !== 'NONE') return error;
  const { log, hwm } = replica as Replica;
  // Between the HWM and the LEO nothing can be read yet. A reader may be there: another replica knew of a higher HWM.
  return offset < log.logStart || offset > Math.max(hwm, log.leo) ? 'OFFSET_OUT_OF_RANGE' : 'NONE';
}
