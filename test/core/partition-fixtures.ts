// One replica of one partition over a log in memory, in whatever role a test wants.
import { type TopicConfigInput, topicConfig } from '../../src/config.ts';
import { Replica } from '../../src/core/replica.ts';
import { nextOffset, writeBaseOffset, writeLeaderEpoch } from '../../src/log/record-batch.ts';
import type { SegmentLog } from '../../src/log/segment-log.ts';
import type { PartitionInfo, PartitionLog } from '../../src/types.ts';
import { newTestLog } from '../log/log-fixtures.ts';
import { encodeBatch } from '../log/record-batch-fixtures.ts';

interface ReplicaOptions extends Partial<Pick<PartitionInfo, 'replicas' | 'isr' | 'leader' | 'epoch'>> {
  readonly brokerId?: number;
  readonly config?: TopicConfigInput;
  /** In its log from the first, of this epoch. */
  readonly records?: number;
}

export function replicaOf(options: ReplicaOptions = {}): { replica: Replica; log: SegmentLog } {
  const { replicas = [1, 2, 3], isr = replicas, leader = 1, epoch = 0 } = options;
  const { brokerId = leader, config = {}, records = 0 } = options;
  const log = newTestLog();
  if (records > 0) append(log, epoch, records);
  const info: PartitionInfo = { id: 4, topic: 't', partition: 0, replicas, isr, leader, epoch };
  return { replica: new Replica(info, topicConfig(config), log, brokerId), log };
}

let written = 0;

/** Batches of one record each that no other log has. */
export function append(log: PartitionLog, epoch: number, records = 1): void {
  for (let n = 0; n < records; n++) {
    const batch = encodeBatch([{ value: new TextEncoder().encode(`${written++}`.padEnd(20)) }]);
    writeBaseOffset(batch, 0, log.leo);
    writeLeaderEpoch(batch, 0, epoch);
    log.append(batch, 0, batch.length);
  }
  log.flush();
}

/** Takes the batches of another log that follow on this one's end, as a follower does. */
export function copyFrom(from: PartitionLog, to: PartitionLog, batches: number): void {
  for (let n = 0; n < batches && to.leo < from.leo; n++) {
    const extent = from.read(to.leo, 1, from.leo);
    if (extent === undefined) return;
    const batch = Uint8Array.prototype.slice.call(extent.bytes, extent.from, extent.to);
    to.append(batch, 0, batch.length);
    to.flush();
  }
}

/** All batches of a log, one after the other. */
export function batchesOf(log: PartitionLog): Buffer[] {
  const batches: Buffer[] = [];
  for (let offset = log.logStart; offset < log.leo; ) {
    const extent = log.read(offset, 1, log.leo);
    if (extent === undefined) break;
    const batch = Buffer.from(Uint8Array.prototype.slice.call(extent.bytes, extent.from, extent.to));
    batches.push(batch);
    offset = nextOffset(batch, 0);
  }
  return batches;
}
