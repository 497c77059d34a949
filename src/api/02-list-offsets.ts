import type { Replica } from '../core/replica.ts';
import type { ErrorCode } from '../errors.ts';

/** ListOffsets, whatever door it came through: whether this replica may be asked for a place by its timestamp. */
export function admitListOffsets(replica: Replica | undefined, fromAnyReplica: boolean): ErrorCode {
  if (replica === undefined) return 'UNKNOWN_TOPIC_OR_PARTITION';
  if (!replica.isLeader && !fromAnyReplica) return 'NOT_LEADER_OR_FOLLOWER';
  if (replica.state !== 'online') return 'KAFKA_STORAGE_ERROR';
  return 'NONE';
}
