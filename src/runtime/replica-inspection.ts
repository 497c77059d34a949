import type { Replica } from '../core/replica.ts';
import { copyOf } from '../log/copy.ts';
import { batchBytes, nextOffset } from '../log/record-batch.ts';
import type { ReplicaBytes } from '../types.ts';
import type { BrokerHost } from './broker-host.ts';

/** Raw batches of a replica, for comparison with its leader's. */
export function inspectReplica(
  host: BrokerHost,
  replica: Replica,
  offset: number,
  maxBytes: number,
): ReplicaBytes {
  const { logStart, leo, written } = replica.log;
  host.refreshHwm(replica);
  const from = Math.max(offset, logStart);
  let bytes: Uint8Array;
  try {
    const extent = replica.log.read(from, maxBytes, written);
    bytes = copyOf(extent === undefined ? [] : [extent]);
  } catch (error) {
    host.readFailed(replica, error);
    throw error;
  }
  let next = from;
  for (let at = 0; at < bytes.length; at += batchBytes(bytes, at)) next = nextOffset(bytes, at);
  return { logStart, leo, hwm: replica.hwm, bytes, nextOffset: next };
}
