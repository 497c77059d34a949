import { isCompacted } from '../config.ts';
import type { Replica } from '../core/replica.ts';
import {
  CHECKPOINT_EVERY_MS,
  STORED_FROM_BYTES,
  STORED_FROM_FULL,
  STORED_FROM_SEGMENTS,
  SYNCS_MAX,
} from '../limits.ts';
import {
  CLEAN_SHUTDOWN_FILE,
  CLEANER_OFFSETS_FILE,
  encodeCleanShutdown,
  encodeOffsets,
  HIGH_WATERMARKS_FILE,
  LOG_STARTS_FILE,
  RECOVERY_POINTS_FILE,
  replaceFile,
} from '../log/checkpoint-files.ts';
import type { ClosedLog } from '../log/closed-logs.ts';
import { partitionDirectory, partitionOf } from '../log/file-names.ts';
import type { SegmentLog } from '../log/segment-log.ts';
import type { BackgroundClient } from './background-client.ts';
import type { BrokerHome, BrokerNotice, BrokerThreadData, DeletedRecords } from './directory.ts';
import { type CareHost, LogCare } from './log-care.ts';
import type { PartitionTable } from './partition-table.ts';
import { type OffsetTable, type ReplicaOpening, segmentLogOf } from './replica-opening.ts';

/** Kafka's controller numbers the lives of its brokers, and they write it down; ours have no such number. */
const BROKER_EPOCH = 0;

/** Logs that are looked after, and segments that are stored, before the broker has its turn: some dozens of calls to the disk. */
const TENDED_A_TURN = 4;

/** What the housekeeping asks of its broker. */
export interface KeeperHost extends CareHost {
  readonly table: PartitionTable;
  tableOf(brokerId: number): PartitionTable;
  isLinked(brokerId: number): boolean;
}

/**
 * A broker's housekeeping: what time does to its logs, and the files that say how far each of them is. Every few seconds
 * and at the end; nothing of it makes the broker wait for a device.
 */
export class LogKeeper {
  readonly care: LogCare;
  readonly #host: KeeperHost;
  readonly #opening: ReplicaOpening;
  readonly #home: BrokerHome | undefined;
  readonly #stopTending: () => void;
  /** By file: what it says at present. */
  readonly #written = new Map<string, string>();
  #tending: Promise<void> | undefined;
  /** What was looked after since the broker's last turn. */
  #steps = 0;
  #state: 'open' | 'failed' | 'closed' = 'open';

  constructor(
    host: KeeperHost,
    opening: ReplicaOpening,
    { home, care }: Pick<BrokerThreadData, 'home' | 'care'>,
    notify: (notice: BrokerNotice) => void,
    background: BackgroundClient | undefined,
  ) {
    this.#host = host;
    this.#opening = opening;
    this.#home = home;
    this.care = new LogCare(host, {
      files: opening.files,
      root: home?.path,
      background,
      notify,
      settings: care,
      saveCleaned: () => this.#saveCleaned(),
    });
    this.#stopTending = host.clock.every(CHECKPOINT_EVERY_MS, () => void this.tend());
  }

  /** One round of housekeeping, unless one is under way. */
  tend(): Promise<void> {
    this.#tending ??= this.#tend()
      .catch((error) => this.failed(error))
      .finally(() => {
        this.#tending = undefined;
      });
    return this.#tending;
  }

  /** Resolves when the round that is under way has ended. */
  async rested(): Promise<void> {
    await this.#tending;
  }

  /** The log of a partition led here begins at `offset` from now on, also after the next start. */
  async deleteBefore(replica: Replica, offset: number): Promise<void> {
    replica.log.deleteBefore(offset);
    this.#host.table.storeLogStart(replica.id, replica.log.logStart);
    this.#note();
    await this.#write(LOG_STARTS_FILE, this.#opening.logStarts);
  }

  /**
   * The files say nothing any more of logs that are gone. They name them as their topics: a log of the same name that is
   * created later would be missed as far as the one before it went.
   */
  async saveForgotten(): Promise<void> {
    if (this.#opening.takeForgotten()) await this.#writeAll().catch((error) => this.failed(error));
  }

  /** No append comes any more: everything written is brought to the device, and the last word is that all of it was. */
  async close(): Promise<void> {
    this.#stopTending();
    await this.care.close();
    await this.#tending;
    if (this.#state === 'open' && this.#home?.isTemporary === false) {
      await this.#store().catch((error) => this.failed(error));
    }
    this.#state = 'closed';
    this.#opening.files.closeAll();
  }

  async #store(): Promise<void> {
    const kept = this.#kept();
    const closed = new Map<string, ClosedLog>();
    let next = 0;
    let areSound = true;
    const work = async (): Promise<void> => {
      while (next < kept.length) {
        const { replica, log } = kept[next++];
        const close = async (): Promise<void> => {
          closed.set(log.directory, await log.close());
        };
        if (!(await this.care.damages.guard(replica, close))) areSound = false;
        if (this.#recoveryPointOf(replica, log) < log.recoveryPoint) areSound = false;
      }
    };
    await Promise.all(Array.from({ length: Math.min(SYNCS_MAX, kept.length) }, work));
    for (const { replica } of kept) this.#host.refreshHwm(replica);
    await this.#checkpoint();
    // A log that could not be opened, or was found damaged, has to be looked at again.
    const { isSettled, hasFaults } = this.#opening;
    if (!areSound || !isSettled || hasFaults || kept.length < this.#host.replicas.filter(Boolean).length)
      return;
    await this.#opening.leaveClosed(closed);
    await replaceFile(this.#opening.disk, CLEAN_SHUTDOWN_FILE, encodeCleanShutdown(BROKER_EPOCH));
  }

  async #tend(): Promise<void> {
    if (this.#state !== 'open') return;
    const { clock } = this.#host;
    const nowMs = clock.wallClockMs();
    for (const replica of this.#host.replicas) {
      await this.#pace(1);
      if (replica?.state !== 'online') continue;
      this.#adopt(replica);
      const before = replica.log.logStart;
      await this.care.damages.guard(replica, () => segmentLogOf(replica)?.retain(nowMs));
      if (replica.log.logStart !== before) this.#host.table.storeLogStart(replica.id, replica.log.logStart);
    }
    for (const { log, replica } of this.#kept())
      await this.care.damages.guard(replica, () => this.#storeSealed(replica, log));
    await this.#checkpoint();
  }

  /** What has come since an unclean end, or while nobody could be looked after, may be very many segments. */
  async #storeSealed(replica: Replica, log: SegmentLog): Promise<void> {
    let left = isWorthStoring(log) ? log.unstored.length : 0;
    do {
      const part = Math.min(left, TENDED_A_TURN);
      await this.#pace(Math.max(part, 1));
      if (replica.state !== 'online') return;
      await log.store(log.unstored.slice(0, part));
      left -= part;
    } while (left > 0);
  }

  /** So much more is about to be done: the broker has its turn before that, where enough was done. */
  async #pace(steps: number): Promise<void> {
    this.#steps += steps;
    if (this.#steps <= TENDED_A_TURN) return;
    this.#steps = steps;
    await this.#host.clock.turn();
  }

  /** A follower's log begins no earlier than its leader's, and may drop what the leader says is committed. */
  #adopt(replica: Replica): void {
    const { info, log, id } = replica;
    if (replica.isLeader || info.leader === -1 || !this.#host.isLinked(info.leader)) return;
    this.#host.refreshHwm(replica);
    log.committed = Math.max(log.committed, replica.hwm);
    const logStart = Math.min(this.#host.tableOf(info.leader).loadLogStart(id), replica.hwm);
    if (logStart <= log.logStart) return;
    log.deleteBefore(logStart);
    this.#host.table.storeLogStart(id, log.logStart);
  }

  /** Those with files that are worth being brought to the device. */
  #kept(): { replica: Replica; log: SegmentLog }[] {
    if (this.#opening.disk.isVolatile) return [];
    return this.#host.replicas.flatMap((replica) => {
      const log = replica?.state === 'online' ? segmentLogOf(replica) : undefined;
      return replica === undefined || log === undefined ? [] : [{ replica, log }];
    });
  }

  async #checkpoint(): Promise<void> {
    this.#note();
    await this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    // The HWM first: it may lag behind the logs, but not be ahead of what a start finds of them.
    await this.#write(HIGH_WATERMARKS_FILE, this.#opening.highWatermarks);
    await this.#write(LOG_STARTS_FILE, this.#opening.logStarts);
    await this.#write(RECOVERY_POINTS_FILE, this.#opening.recoveryPoints);
    await this.#write(CLEANER_OFFSETS_FILE, this.#opening.cleanedOffsets);
  }

  /** A compaction has come to its end. */
  async #saveCleaned(): Promise<void> {
    this.#note();
    await this.#write(CLEANER_OFFSETS_FILE, this.#opening.cleanedOffsets);
  }

  /** Below what is damaged the next start need not look. */
  #recoveryPointOf(replica: Replica, log: SegmentLog): number {
    return Math.min(log.recoveryPoint, this.care.damages.suspectFrom(replica));
  }

  /** Entries of partitions that could not be opened stay as they were. */
  #note(): void {
    const { recoveryPoints, logStarts, highWatermarks, cleanedOffsets } = this.#opening;
    for (const { replica, log } of this.#kept()) {
      const { topic, partition } = replica.info;
      const directory = partitionDirectory(topic, partition);
      recoveryPoints.set(directory, this.#recoveryPointOf(replica, log));
      highWatermarks.set(directory, replica.hwm);
      if (log.logStart > 0) logStarts.set(directory, log.logStart);
      if (isCompacted(log.config)) cleanedOffsets.set(directory, log.cleanedTo);
    }
  }

  async #write(file: string, table: OffsetTable): Promise<void> {
    const { disk } = this.#opening;
    if (this.#home?.isTemporary !== false || !this.#opening.isPrepared) return;
    const entries = [...table].map(([directory, offset]) => ({ ...partitionOf(directory), offset }));
    const bytes = encodeOffsets(entries);
    const text = bytes.toString('latin1');
    if (this.#written.get(file) === text) return;
    await replaceFile(disk, file, bytes);
    this.#written.set(file, text);
  }

  failed(error: unknown): void {
    if (this.#state === 'open') this.#state = 'failed';
    this.#host.diskFailed(error);
  }
}

/** Kafka's DeleteRecords, at a leader: what lies below the HWM may go. -1 is the HWM. */
export async function deleteRecords(
  keeper: LogKeeper,
  replica: Replica | undefined,
  offset: number,
): Promise<DeletedRecords> {
  if (replica === undefined || !replica.isLeader)
    return { error: 'NOT_LEADER_OR_FOLLOWER', logStart: -1, hwm: -1 };
  const { hwm, log } = replica;
  const answer = (error: DeletedRecords['error']): DeletedRecords => ({ error, logStart: log.logStart, hwm });
  if (replica.state !== 'online') return answer('KAFKA_STORAGE_ERROR');
  if (offset > hwm) return answer('OFFSET_OUT_OF_RANGE');
  try {
    await keeper.deleteBefore(replica, offset === -1 ? hwm : offset);
  } catch (error) {
    keeper.failed(error);
    return answer('KAFKA_STORAGE_ERROR');
  }
  return answer('NONE');
}

/** Whether storing would save the next start more than a few small segments, which may be dropped before that. */
function isWorthStoring({ unstored: waiting, config }: SegmentLog): boolean {
  const bytes = waiting.reduce((sum, segment) => sum + segment.bytes, 0);
  const enoughBytes = Math.min(STORED_FROM_BYTES, STORED_FROM_FULL * config['segment.bytes']);
  return bytes >= enoughBytes || waiting.length >= STORED_FROM_SEGMENTS;
}
