import type { Replica } from '../core/replica.ts';
import type { ErrorCode } from '../errors.ts';

/** Fetch, whatever door it came through: whether this replica may answer a read from `offset`. */
export function admitRead(replica: Replica | undefined, offset: number, fromAnyReplica: boolean): ErrorCode {
  if (replica === undefined) return 'UNKNOWN_TOPIC_OR_PARTITION';
  if (!replica.isLeader && !fromAnyReplica) return 'NOT_LEADER_OR_FOLLOWER';
  if (replica.state !== 'online') return 'KAFKA_STORAGE_ERROR';
  if (offset < replica.log.logStart || offset > replica.hwm) return 'OFFSET_OUT_OF_RANGE';
  return 'NONE';
}
