import { isCompacted, type TopicConfig } from '../config.ts';
import { WRITE_AT_ONCE_BYTES } from '../limits.ts';
import type { EpochEnd, Extent, Guard, PartitionLog, TimestampedOffset } from '../types.ts';
import type { ClosedLog } from './closed-logs.ts';
import type { EpochList } from './epoch-list.ts';
import { DAMAGED_SUFFIX, INDEX_SUFFIX, LOG_SUFFIX, TIME_INDEX_SUFFIX } from './file-names.ts';
import { LogDirectory, SpareFiles } from './log-directory.ts';
import type { LogState } from './log-state.ts';
import type { OpenFiles } from './open-files.ts';
import { type ProducedLog, ProducerLog } from './producer-log.ts';
import {
  batchBytes,
  nextOffset,
  producedBatch,
  readBaseOffset,
  readLeaderEpoch,
  readMaxTimestamp,
} from './record-batch.ts';
import { indexOfSegment, limitIndexes, Segment } from './segment.ts';
import { StagedBatches } from './staged-batches.ts';
import { firstRecordSince } from './timestamp-search.ts';

/** Indexes hold offsets as distances from a segment's base in 32 bits. */
const OFFSETS_A_SEGMENT_MAX = 2 ** 31 - 1;

/** A partition's batches in segment files, on whatever disk. One thread owns it. */
export class SegmentLog implements PartitionLog, ProducedLog {
  readonly directory: string;
  readonly producers: ProducerLog;
  /** What the topic asks for at present; segments that have begun keep what they began with. */
  config: TopicConfig;
  readonly #files: OpenFiles;
  readonly #segments: Segment[];
  readonly #epochs: EpochList;
  /** An epoch has begun, and no batch of it was written: before one is, it is written down. */
  #areEpochsUnwritten = false;
  readonly #gapsAllowed: boolean;
  #logStart: number;
  #leo: number;
  #written: number;
  /** In all segments. */
  #bytes = 0;
  #recoveryPoint: number;
  committed = 0;
  /** The cleaner's checkpoint: below it no key stands twice. Whoever compacts raises it; it falls with the log's end. */
  cleanedTo = 0;

  readonly #staged = new StagedBatches();
  readonly #spares: SpareFiles;
  /** Segments with bytes that may not be on the device. */
  readonly #unsynced = new Set<Segment>();
  readonly #directory: LogDirectory;
  /** Which segment was the active one when time was looked at last, and since when. */
  #activeSince = { baseOffset: -1, wallClockMs: 0 };
  /** Syncs under way: each promises no more than what was never truncated since it began. */
  readonly #syncs = new Set<{ end: number }>();

  constructor(files: OpenFiles, directory: string, config: TopicConfig, state: LogState) {
    this.#files = files;
    this.directory = directory;
    this.config = config;
    this.#gapsAllowed = isCompacted(config);
    this.#segments = state.segments;
    this.#epochs = state.epochs;
    this.#logStart = state.logStart;
    this.#leo = state.leo;
    this.#written = state.leo;
    this.#recoveryPoint = state.recoveryPoint;
    this.#directory = new LogDirectory(files.disk, directory, state.isNew);
    this.#spares = new SpareFiles(files, directory, state.spares);
    this.producers = new ProducerLog(files.disk, this, state.names, state.scanned);
    // What a crash has left of a log that went further.
    if (state.names !== undefined) this.producers.truncatedTo(state.leo);
    if (state.areEpochsStale) this.#writeEpochs();
    for (const segment of state.segments) {
      this.#bytes += segment.bytes;
      if (segment.syncedBytes < segment.bytes) this.#unsynced.add(segment);
    }
  }

  get logStart(): number {
    return this.#logStart;
  }

  get leo(): number {
    return this.#leo;
  }

  get written(): number {
    return this.#written;
  }

  get lastEpoch(): number {
    return this.#epochs.last;
  }

  epochAt(offset: number): number {
    return this.#epochs.at(offset);
  }

  /** In the order of their offsets; all but the last are sealed. */
  get segments(): readonly Segment[] {
    return this.#segments;
  }

  /** Everything below is on the device, with its indexes, and needs no scan at the next start. */
  get recoveryPoint(): number {
    return this.#recoveryPoint;
  }

  /** Bytes of all batches. */
  get bytes(): number {
    return this.#bytes;
  }

  append(source: Uint8Array, at: number, length: number, guard?: Guard): boolean {
    const baseOffset = readBaseOffset(source, at);
    const next = nextOffset(source, at);
    const epoch = readLeaderEpoch(source, at);
    const maxTimestamp = readMaxTimestamp(source, at);
    const produced = producedBatch(source, at);
    // Only now is it known that these were the batch's own: before, the bytes may be anything.
    if (guard !== undefined && !guard.intact()) {
      this.#unstage();
      return false;
    }
    if (baseOffset !== this.#leo && !(this.#gapsAllowed && baseOffset > this.#leo))
      throw new Error(`append at ${baseOffset}, but the log ends at ${this.#leo}`);
    if (!this.#fits(length, next) || epoch > this.lastEpoch) {
      if (!this.flush()) return false;
      if (!this.#fits(length, next)) this.#roll(baseOffset);
      if (epoch > this.lastEpoch) this.#beginEpoch(epoch, baseOffset);
    }
    // The next one is judged by what this one leaves, written or not. Of what may be overwritten nobody knows that yet.
    if (produced !== undefined && guard === undefined) this.producers.note(produced);
    else if (produced !== undefined) this.#staged.produced.push(produced);
    this.#staged.add(source.subarray(at, at + length), next, maxTimestamp, guard);
    this.#leo = next;
    return this.#staged.bytes < WRITE_AT_ONCE_BYTES || this.flush();
  }

  flush(): boolean {
    const staged = this.#staged;
    const { bytes } = staged;
    if (bytes === 0) return true;
    this.#spares.check();
    const segment = this.#segments.at(-1) as Segment;
    let isWhole = false;
    try {
      if (this.#areEpochsUnwritten) this.#writeEpochs();
      isWhole = segment.write(staged.pieces, bytes, staged.guard, staged.guardFrom);
    } finally {
      if (!isWhole) this.#unstage();
    }
    if (!isWhole) return false;
    staged.each((size, next, timestamp) => segment.extend(size, next, timestamp));
    this.#bytes += bytes;
    this.#written = this.#leo;
    for (const batch of staged.produced) this.producers.note(batch);
    if (!this.#files.disk.isVolatile) this.#unsynced.add(segment);
    this.#unstage();
    return true;
  }

  async sync(): Promise<number> {
    const promise = { end: this.#written };
    this.#syncs.add(promise);
    await this.#syncAll([...this.#unsynced]).finally(() => this.#syncs.delete(promise));
    return promise.end;
  }

  read(offset: number, maxBytes: number, endOffset: number): Extent | undefined {
    const end = Math.min(endOffset, this.#written);
    if (offset >= end) return undefined;
    for (let index = indexOfSegment(this.#segments, offset); index < this.#segments.length; index++) {
      const segment = this.#segments[index];
      if (segment.baseOffset >= end) return undefined;
      if (!segment.isIndexLoaded) limitIndexes(this.#segments, segment);
      // After compaction a segment may end before the offset, and the next one begin after it.
      const found = segment.nextOffset <= offset ? undefined : segment.read(offset, maxBytes, end);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  offsetForTimestamp(timestamp: number, endOffset: number): TimestampedOffset | undefined {
    const end = Math.min(endOffset, this.#written);
    for (const segment of this.#segments) {
      if (!segment.isIndexLoaded) limitIndexes(this.#segments, segment);
      for (let found = segment.findTime(timestamp); found !== undefined; ) {
        const { bytes, at, position } = found;
        const after = at + batchBytes(bytes, at);
        const record = firstRecordSince(bytes, at, timestamp);
        if (record !== undefined && record.offset >= end) return undefined;
        // What was deleted is not found; the oldest that is left is not older.
        if (record !== undefined && record.offset >= this.#logStart) return record;
        // A batch keeps the timestamp of a record that compaction has taken out of it.
        found = segment.findTime(timestamp, position + after - at);
      }
    }
    return undefined;
  }

  truncateTo(offset: number): void {
    this.#unstage();
    // Also one that nothing was written of: what comes in its place may be of another.
    if (this.#leo <= offset) {
      this.#forgetEpochs(offset);
      return;
    }
    while (this.#segments.length > 0) {
      const segment = this.#segments.at(-1) as Segment;
      const { bytes } = segment;
      if (segment.baseOffset < offset) {
        segment.truncateTo(offset);
        this.#bytes += segment.bytes - bytes;
        this.#unsynced.add(segment);
        break;
      }
      this.#bytes -= bytes;
      this.#segments.pop();
      this.#remove(segment);
      // Whatever the next one is found to be, this one is gone.
      this.#end(segment.baseOffset);
    }
    const last = this.#segments.at(-1);
    this.#end(last === undefined ? offset : last.nextOffset);
    this.#logStart = Math.min(this.#logStart, this.#leo);
    this.#forgetEpochs(this.#leo);
  }

  restartAt(offset: number, producers?: Uint8Array): void {
    this.#unstage();
    for (const segment of this.#segments) this.#remove(segment);
    this.#segments.length = 0;
    this.#bytes = 0;
    this.#end(offset);
    this.#logStart = offset;
    this.#recoveryPoint = offset;
    this.producers.restartedAt(offset, producers);
    // What the log held is gone, and with it what was known of whose reign it was.
    this.#epochs.truncateTo(0);
    this.#writeEpochs();
  }

  beginEpoch(epoch: number): void {
    if (epoch <= this.lastEpoch) return;
    this.flush();
    this.#beginEpoch(epoch, this.#leo);
  }

  endOfEpoch(epoch: number): EpochEnd {
    return this.#epochs.endOf(epoch, this.#logStart, this.#leo);
  }

  /** The log begins at `offset` from now on; what lies below is dropped with its segments. */
  deleteBefore(offset: number): void {
    if (offset <= this.#logStart) return;
    this.flush();
    this.#logStart = Math.min(offset, this.#leo);
    if (this.#logStart === this.#leo && (this.#segments.at(-1)?.bytes ?? 0) > 0) this.#roll(this.#leo);
    while (this.#segments.length > 1 && this.#segments[1].baseOffset <= this.#logStart) this.#dropOldest();
    if (this.#epochs.startAt(this.#logStart)) this.#writeEpochs();
  }

  /** What time brings: segments that are old enough are closed or dropped. */
  retain(wallClockMs: number): void {
    const { config } = this;
    const active = this.#segments.at(-1);
    const keptMs = this.#isDeleting ? config['retention.ms'] : -1;
    // Without timestamps nobody knows how old a record is, and it stays.
    const isExpired = ({ maxTimestamp }: Segment): boolean =>
      keptMs >= 0 && maxTimestamp >= 0 && wallClockMs - maxTimestamp > keptMs;
    if (active !== undefined && active.bytes > 0 && (this.#isOld(active, wallClockMs) || isExpired(active))) {
      this.flush();
      this.#roll(this.#leo);
    }
    while (this.#mayDropOldest() && isExpired(this.#segments[0])) this.#dropOldest();
    while (this.#isTooLarge() && this.#mayDropOldest()) this.#dropOldest();
    this.#spares.trim();
    this.producers.expire(wallClockMs, config['producer.id.expiration.ms']);
  }

  /** By the timestamps of its records, as Kafka does, or by the time since it was first seen here. */
  #isOld(active: Segment, wallClockMs: number): boolean {
    if (this.#activeSince.baseOffset !== active.baseOffset)
      this.#activeSince = { baseOffset: active.baseOffset, wallClockMs };
    const { firstTimestamp, maxTimestamp } = active;
    const recordsMs = firstTimestamp < 0 ? 0 : maxTimestamp - firstTimestamp;
    // What is to be compacted after some time at the latest has to be sealed by then.
    const lagMs = this.#gapsAllowed ? this.config['max.compaction.lag.ms'] : Number.POSITIVE_INFINITY;
    const rollMs = Math.min(this.config['segment.ms'], lagMs);
    return Math.max(recordsMs, wallClockMs - this.#activeSince.wallClockMs) >= rollMs;
  }

  /**
   * In the background: brings what is sealed to the device, with its indexes, so that the next start need not look at
   * it: all of it, or the oldest of what is not stored yet. Nothing waits for it. Where there is no start after a power
   * cut, the system has it, and that is enough. What is known of producers goes along where the log has dropped the
   * batches that told it.
   */
  async store(sealed = this.unstored): Promise<void> {
    const base = this.#segments.at(-1)?.baseOffset ?? this.#leo;
    if (sealed.length === 0 && !this.producers.isOwed) return;
    if (this.#areEpochsUnwritten) this.#writeEpochs();
    for (const segment of sealed) segment.storeIndex();
    const last = sealed.at(-1);
    const end = last === undefined ? -1 : this.#segments[this.#segments.indexOf(last) + 1].baseOffset;
    const known = this.producers.store(base, end);
    this.#directory.changed();
    await Promise.all([known, this.#settle(sealed)]);
    const first = this.#segments.findIndex(({ isStored }) => !isStored);
    this.#recoveryPoint = Math.max(this.#recoveryPoint, this.#segments[first]?.baseOffset ?? 0);
    for (const segment of this.sealed) segment.forgetIndex();
  }

  /** Everything written, on the device, cut to its end, with its indexes: nothing is left to do at the next start. */
  async close(): Promise<ClosedLog> {
    this.flush();
    if (this.#areEpochsUnwritten) this.#writeEpochs();
    for (const segment of this.#segments) {
      segment.cut();
      if (segment.isStored) continue;
      segment.storeIndex();
      this.#unsynced.add(segment);
      this.#directory.changed();
    }
    if (await this.producers.close()) this.#directory.changed();
    await this.#syncAll([...this.#unsynced]);
    this.#recoveryPoint = this.#leo;
    for (const segment of this.#segments) segment.release();
    const segments = this.#segments.map(({ closed }) => closed);
    return { leo: this.#leo, segments, epochs: this.#epochs.entries, spares: this.#spares.paths };
  }

  /** Those that no append changes any more, oldest first. */
  get sealed(): readonly Segment[] {
    return this.#segments.slice(0, -1);
  }

  /** Of them, those that the next start would have to look at. */
  get unstored(): readonly Segment[] {
    return this.sealed.filter(({ isStored }) => !isStored);
  }

  /** The segment whose log file has this path. */
  segmentAt(path: string): Segment | undefined {
    return this.#segments.find((segment) => segment.path === path);
  }

  /**
   * Lets the log end where a damaged segment begins. Its file is kept for people under another name, which is returned;
   * what lies behind it goes first, so that whatever happens no log is left with a hole in its midst.
   */
  setAside(damaged: Segment): string {
    this.#unstage();
    const index = this.#segments.indexOf(damaged);
    for (const segment of this.#segments.splice(index + 1).reverse()) {
      this.#bytes -= segment.bytes;
      this.#remove(segment);
    }
    const kept = `${damaged.path}${DAMAGED_SUFFIX}`;
    damaged.release();
    this.#files.disk.rename(damaged.path, kept);
    this.#segments.pop();
    this.#bytes -= damaged.bytes;
    this.#remove(damaged);
    this.#end(Math.max(damaged.baseOffset, this.#logStart));
    this.#forgetEpochs(this.#leo);
    return kept;
  }

  /** Compaction has put `cleaned` in the place of these sealed segments, which lay side by side. */
  replace(replaced: readonly Segment[], cleaned: Segment): void {
    this.#segments.splice(this.#segments.indexOf(replaced[0]), replaced.length, cleaned);
    for (const segment of replaced) {
      this.#bytes -= segment.bytes;
      this.#unsynced.delete(segment);
    }
    this.#bytes += cleaned.bytes;
    this.#directory.changed();
  }

  get #isDeleting(): boolean {
    return this.config['cleanup.policy'] !== 'compact';
  }

  #unstage(): void {
    this.#staged.clear();
    this.producers.undone(this.#written);
    this.#leo = this.#written;
  }

  #end(offset: number): void {
    // Segments of before may come again under the same names.
    this.#spares.clear();
    this.#leo = offset;
    this.#written = offset;
    this.#recoveryPoint = Math.min(this.#recoveryPoint, offset);
    this.cleanedTo = Math.min(this.cleanedTo, offset);
    this.producers.truncatedTo(offset);
    for (const promise of this.#syncs) promise.end = Math.min(promise.end, offset);
  }

  #beginEpoch(epoch: number, startOffset: number): void {
    this.#epochs.begin(epoch, startOffset);
    this.#areEpochsUnwritten = true;
  }

  #writeEpochs(): void {
    this.#areEpochsUnwritten = false;
    this.#directory.writeEpochs(this.#epochs.entries);
  }

  /** Those that have no batch below `end`. */
  #forgetEpochs(end: number): void {
    if (this.#epochs.truncateTo(end)) this.#writeEpochs();
  }

  #fits(length: number, next: number): boolean {
    const active = this.#segments.at(-1);
    if (active === undefined) return false;
    const end = active.bytes + this.#staged.bytes + length;
    const isInReach = next - active.baseOffset <= OFFSETS_A_SEGMENT_MAX;
    return (end <= this.config['segment.bytes'] && isInReach) || active.bytes + this.#staged.bytes === 0;
  }

  /** Begins a new segment, in a file that has served before, if there is one. Nothing may be staged. */
  #roll(baseOffset: number): void {
    const last = this.#segments.at(-1);
    if (last?.bytes === 0 && last.baseOffset === baseOffset) return;
    last?.cut();
    const segment = new Segment(this.#files, this.directory, baseOffset, this.config);
    this.producers.rolled(baseOffset);
    while (this.#isTooLarge() && this.#mayDropOldest(0)) this.#giveOldest();
    // Those of a log are mostly alike.
    segment.begin(this.#spares.take(), last?.bytes ?? 0);
    this.#spares.name();
    this.#directory.changed();
    this.#segments.push(segment);
  }

  #isTooLarge(): boolean {
    const kept = this.config['retention.bytes'];
    const first = this.#segments[0];
    return this.#isDeleting && kept >= 0 && first !== undefined && this.#bytes - first.bytes >= kept;
  }

  /** Whether the oldest segment has nothing that is needed: it is sealed, and committed whole. */
  #mayDropOldest(behind = 1): boolean {
    const first = this.#segments[0];
    if (first === undefined || this.#segments.length <= behind) return false;
    return (this.#segments[1]?.baseOffset ?? first.nextOffset) <= this.committed;
  }

  #dropOldest(): void {
    this.#giveOldest();
    this.#spares.name();
  }

  /** Its file may be the next segment's. */
  #giveOldest(): void {
    this.producers.leaves(this.#segments[1]?.baseOffset ?? this.#segments[0].nextOffset);
    const segment = this.#segments.shift() as Segment;
    this.#bytes -= segment.bytes;
    this.#unsynced.delete(segment);
    if (segment.holders > 0 || this.#spares.isFull) this.#remove(segment);
    else this.#spares.give(segment.retire());
    this.#directory.changed();
    this.#logStart = Math.max(this.#logStart, this.#segments[0]?.baseOffset ?? segment.nextOffset);
    this.producers.dropBelow(this.#segments[0]?.baseOffset ?? segment.nextOffset);
    this.#recoveryPoint = Math.max(this.#recoveryPoint, Math.min(this.#logStart, this.#written));
  }

  #remove(segment: Segment): void {
    this.#unsynced.delete(segment);
    segment.release();
    for (const suffix of [LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX]) {
      if (suffix === LOG_SUFFIX || segment.isIndexStored) this.#files.disk.remove(segment.pathOf(suffix));
    }
    this.#directory.changed();
  }

  async #settle(sealed: readonly Segment[]): Promise<void> {
    if (this.#files.disk.isKept) return this.#syncAll(sealed);
    for (const segment of sealed) segment.syncedBytes = segment.bytes;
  }

  /** Segments, and then what the directory says of them. */
  async #syncAll(segments: readonly Segment[]): Promise<void> {
    await Promise.all(segments.map((segment) => segment.sync()));
    await this.#directory.sync();
    for (const segment of segments) if (segment.syncedBytes >= segment.bytes) this.#unsynced.delete(segment);
  }
}
