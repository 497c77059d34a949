import type { Replica } from '../core/replica.ts';
import type { ErrorCode } from '../errors.ts';
import { admitReader } from './01-fetch.ts';

/** ListOffsets, whatever door it came through: whether this replica may be asked for a place by its timestamp. */
export function admitListOffsets(
  replica: Replica | undefined,
  epoch: number,
  fromAnyReplica: boolean,
): ErrorCode {
  return admitReader(replica, epoch, fromAnyReplica);
}
