import { isCompacted } from '../config.ts';
import type { Replica } from '../core/replica.ts';
import { COMPACTION_MAP_BYTES } from '../limits.ts';
import {
  type CompactionFault,
  type CompactionJob,
  type CompactionResult,
  compact,
} from '../log/compaction.ts';
import { HeldSegments } from '../log/compaction-held.ts';
import { type CompactionPlan, planCompaction } from '../log/compaction-plan.ts';
import { swapIn } from '../log/compaction-swap.ts';
import { DiskError } from '../log/disk.ts';
import { DamagedSegmentError } from '../log/segment.ts';
import type { SegmentLog } from '../log/segment-log.ts';
import { AbortError } from './background-client.ts';
import type { CareSettings, SegmentFault } from './directory.ts';
import type { CareHost, CareTools } from './log-care.ts';
import { segmentLogOf } from './replica-opening.ts';
import type { SegmentDamages } from './segment-damages.ts';
import { inSlices } from './slices.ts';

interface CompactorTools extends CareTools {
  readonly settings: CareSettings;
  readonly damages: SegmentDamages;
}

interface Candidate {
  readonly replica: Replica;
  readonly log: SegmentLog;
  readonly plan: CompactionPlan;
}

/**
 * Compacts a broker's logs, one at a time, the dirtiest first: what is read and written goes to the pool, or, where
 * nobody else sees the files, is done here in slices. The log goes on meanwhile, and its own thread swaps in the result.
 */
export class LogCompactor {
  readonly #host: CareHost;
  readonly #tools: CompactorTools;
  readonly #closing = new AbortController();
  /** What the segments of a log were when its compaction came to nothing: it is tried again once they are others. */
  readonly #givenUp = new WeakMap<SegmentLog, string>();
  /** The reason that was told last for it. */
  readonly #told = new WeakMap<SegmentLog, string>();
  #running: Promise<void> | undefined;
  #current: SegmentLog | undefined;
  /** What is done to it, and what ends that. */
  #compacting: Promise<void> = Promise.resolve();
  #leaving = new AbortController();

  constructor(host: CareHost, tools: CompactorTools) {
    this.#host = host;
    this.#tools = tools;
  }

  /** The log under way. */
  get current(): SegmentLog | undefined {
    return this.#current;
  }

  /** Compacts what wants it, unless that is under way. `taking` is told of each log before it begins. */
  start(taking: (log: SegmentLog) => void): void {
    this.#running ??= this.#run(taking)
      .catch((error) => this.#host.diskFailed(error))
      .finally(() => {
        this.#running = undefined;
      });
  }

  /** Somebody takes this log away. */
  async leave(log: SegmentLog): Promise<void> {
    if (this.#current !== log) return;
    this.#leaving.abort();
    await this.#compacting.catch(() => undefined);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #run(taking: (log: SegmentLog) => void): Promise<void> {
    while (!this.#closing.signal.aborted) {
      const dirtiest = this.#next();
      if (dirtiest === undefined) return;
      this.#current = dirtiest.log;
      taking(dirtiest.log);
      try {
        this.#leaving = new AbortController();
        this.#compacting = this.#compact(dirtiest);
        await this.#compacting;
      } finally {
        this.#current = undefined;
      }
    }
  }

  #next(): Candidate | undefined {
    let dirtiest: Candidate | undefined;
    for (const replica of this.#host.replicas) {
      if (replica === undefined || !isSettled(replica)) continue;
      const log = segmentLogOf(replica);
      if (log === undefined || !isCompacted(log.config)) continue;
      if (this.#givenUp.get(log) === shapeOf(log)) continue;
      const plan = this.#plan(replica, log);
      if (plan !== undefined && plan.dirtyRatio > (dirtiest?.plan.dirtyRatio ?? -1))
        dirtiest = { replica, log, plan };
    }
    return dirtiest;
  }

  #plan(replica: Replica, log: SegmentLog): CompactionPlan | undefined {
    this.#host.refreshHwm(replica);
    const state = {
      cleanedTo: log.cleanedTo,
      committed: replica.hwm,
      nowMs: this.#host.clock.wallClockMs(),
    };
    return this.#readable(replica, log, () => planCompaction(log.sealed, state, log.config));
  }

  /** What reads the log's segments; undefined where one of them is damaged. */
  #readable<T>(replica: Replica, log: SegmentLog, read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof DamagedSegmentError)) throw error;
      this.#tools.damages.met(replica, error);
      this.#giveUp(log);
      return undefined;
    }
  }

  async #compact(candidate: Candidate): Promise<void> {
    const { log, plan, replica } = candidate;
    const { files } = this.#tools;
    const { restarts } = replica;
    const held = new HeldSegments(files, log, plan.segments);
    try {
      const result = await this.#perform(candidate, held);
      if (result === undefined) return;
      const isInPlace = await swapIn(files.disk, log.directory, result.groups, held);
      // A log that has gone back meanwhile may have lost what was compacted, and what comes in its place is dirty.
      if (isInPlace && replica.restarts === restarts && result.cleanedTo > log.cleanedTo) {
        log.cleanedTo = result.cleanedTo;
        await this.#tools.saveCleaned();
      }
      if (result.fault !== undefined) this.#found(candidate, result.fault);
      if (result.fault !== undefined || result.cleanedTo <= plan.firstDirtyOffset) this.#giveUp(log);
    } finally {
      held.release();
    }
  }

  /** Undefined where it came to nothing. Its own files are all that it changes: the log is whole whatever happens. */
  async #perform(candidate: Candidate, held: HeldSegments): Promise<CompactionResult | undefined> {
    const { log, replica } = candidate;
    const { files, root, background, settings } = this.#tools;
    const signal = AbortSignal.any([this.#closing.signal, this.#leaving.signal]);
    const bytesPerSecond = settings.compactionBytesPerSecond;
    const producerEnds = this.#readable(replica, log, () => log.producers.ends());
    if (producerEnds === undefined) return undefined;
    const job = jobOf(candidate, producerEnds, this.#host.clock.wallClockMs());
    try {
      if (root === undefined || background === undefined)
        return await inSlices(this.#host.clock, compact(files.disk, job), bytesPerSecond, signal);
      return await background.run({ kind: 'compact', root, job, bytesPerSecond }, { signal });
    } catch (error) {
      if (error instanceof AbortError || signal.aborted) return undefined;
      // Retention has removed a segment before it was read.
      if (error instanceof DiskError && error.code === 'ENOENT' && !held.isWhole) return undefined;
      this.#giveUp(log);
      const { message: sentence } = error as Error;
      const place = { file: log.directory, position: 0, fromOffset: candidate.plan.firstDirtyOffset };
      this.#tell(candidate, error instanceof DiskError ? error.code : sentence, { ...place, sentence });
      return undefined;
    }
  }

  #found(candidate: Candidate, { path, position, offset, sentence, isDamage }: CompactionFault): void {
    const { log, replica } = candidate;
    const segment = log.segmentAt(path);
    const fault = { position, fromOffset: offset, sentence };
    // Where the batch lies changes with every compaction of what lies before it.
    if (!isDamage) this.#tell(candidate, `${offset}`, { ...fault, file: path });
    else if (segment !== undefined) this.#tools.damages.found(replica, segment, fault);
  }

  /** Once, as long as it is the same `reason`. */
  #tell({ log, replica }: Candidate, reason: string, fault: Omit<SegmentFault, 'topic' | 'partition'>): void {
    if (this.#told.get(log) === reason) return;
    this.#told.set(log, reason);
    const { topic, partition } = replica.info;
    this.#tools.notify({ notice: 'uncompacted', topic, partition, ...fault });
  }

  #giveUp(log: SegmentLog): void {
    this.#givenUp.set(log, shapeOf(log));
  }
}

/** Whether what it has below its HWM is what its leader has: of a follower nobody knows before it reads the ring. */
function isSettled(replica: Replica): boolean {
  const { info, state, isLeader, source } = replica;
  return state === 'online' && info.leader !== -1 && (isLeader || source === 'ring');
}

function shapeOf({ sealed, bytes }: SegmentLog): string {
  const last = sealed.at(-1);
  return [
    sealed.length,
    sealed[0]?.baseOffset,
    last?.baseOffset,
    last?.bytes,
    sealed.length === 0 ? bytes : 0,
  ].join();
}

function jobOf(
  { log, plan }: Candidate,
  producerEnds: ReadonlyMap<number, number>,
  nowMs: number,
): CompactionJob {
  const { config, directory } = log;
  return {
    directory,
    segments: plan.segments,
    firstDirtyOffset: plan.firstDirtyOffset,
    uncleanableFrom: plan.uncleanableFrom,
    deleteRetentionMs: config['delete.retention.ms'],
    segmentBytes: config['segment.bytes'],
    indexIntervalBytes: config['index.interval.bytes'],
    batchBytesMax: config['max.message.bytes'],
    nowMs,
    producerEnds,
    mapBytesMax: COMPACTION_MAP_BYTES,
  };
}
