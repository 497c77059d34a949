import { isCompacted, type TopicConfig } from '../config.ts';
import { CLEANED_SUFFIX, finishSwaps, SWAP_SUFFIX } from './compaction-swap.ts';
import { type Disk, DiskError } from './disk.ts';
import { EpochList, type EpochStart, readEpochs } from './epoch-list.ts';
import {
  baseOffsetOf,
  DAMAGED_SUFFIX,
  DELETED_SUFFIX,
  INDEX_SUFFIX,
  LOG_SUFFIX,
  segmentFile,
  TIME_INDEX_SUFFIX,
} from './file-names.ts';
import type { OpenFiles } from './open-files.ts';
import { readBaseOffset, readLeaderEpoch } from './record-batch.ts';
import { DamagedSegmentError, Segment } from './segment.ts';
import { SegmentLog } from './segment-log.ts';
import { indexOfScan, type SegmentScan, type SegmentScanOptions, scanSegment } from './segment-scan.ts';

export interface LogSettings {
  /** The partition's, on the disk. */
  readonly directory: string;
  readonly config: TopicConfig;
  /** Whether it was closed as it should be: then nothing is scanned. */
  readonly isClean: boolean;
  /**
   * Whether the machine may have lost power: then writes may be missing while later ones are there, and the log ends at
   * the first fault above the recovery point. Otherwise such a hole is damage.
   */
  readonly wasPowerLost: boolean;
  /** Everything below was on the device. */
  readonly recoveryPoint: number;
  readonly logStart: number;
  /** As far as the log is known to have gone: one that ends before it has lost something, however clean it looks. */
  readonly knownEnd?: number;
  /** After a clean end, where the log certainly began: one that begins behind it has lost something. */
  readonly knownStart?: number | undefined;
}

/** Bytes that opening a log took out of it. */
export interface RecoveryCut {
  readonly file: string;
  readonly position: number;
  readonly bytes: number;
  /** The first offset that is no longer there; how far it went nobody may know. */
  readonly fromOffset: number;
  readonly action: 'cut' | 'removed' | 'set aside';
  readonly reason: string;
}

/** Bytes in the midst of a log that are not what was written. Nothing was changed. */
export interface LogDamage {
  readonly file: string;
  /** Of the segment. */
  readonly baseOffset: number;
  readonly position: number;
  readonly fromOffset: number;
  readonly sentence: string;
}

export interface OpenedLog {
  /** Undefined where the log is damaged. */
  readonly log: SegmentLog | undefined;
  readonly damage: LogDamage | undefined;
  readonly cuts: readonly RecoveryCut[];
}

/** Scans a segment file, here or in another thread. */
export type ScanFile = (path: string, options: SegmentScanOptions) => SegmentScan | Promise<SegmentScan>;

/** The scans of this thread. */
export function scanHere(files: OpenFiles): ScanFile {
  return (path, options) => scanSegment(files.get(path), options);
}

/** Opens a partition's log, and brings it into order after whatever end the last run had. */
export async function openLog(
  files: OpenFiles,
  settings: LogSettings,
  scanFile: ScanFile = scanHere(files),
): Promise<OpenedLog> {
  try {
    return await new Opening(files, settings, scanFile).run();
  } catch (error) {
    if (!(error instanceof DamagedSegmentError)) throw error;
    const { path: file, position, message: sentence } = error;
    const name = file.slice(file.lastIndexOf('/') + 1).replace(SWAP_SUFFIX, '');
    const baseOffset = baseOffsetOf(name, LOG_SUFFIX) ?? 0;
    const damage = { file, baseOffset, position, fromOffset: baseOffset, sentence };
    return { log: undefined, damage, cuts: [] };
  }
}

/**
 * Sets a damaged segment aside, under a name of its own, and removes what lies behind it: for a replica whose peers
 * have it all. The log can be opened then, and ends where the segment began.
 */
export function setAside(files: OpenFiles, directory: string, damage: LogDamage): RecoveryCut[] {
  const { disk } = files;
  const cuts: RecoveryCut[] = [];
  if (damage.file.endsWith(SWAP_SUFFIX)) {
    // Of a swap, what it was to replace may be there still: opening the log finds out.
    const { file, baseOffset: fromOffset, sentence: reason } = damage;
    const { size: bytes } = sized(disk, file);
    files.forget(file);
    disk.rename(file, `${file}${DAMAGED_SUFFIX}`);
    return [{ file, position: 0, bytes, fromOffset, action: 'set aside', reason }];
  }
  for (const base of baseOffsets(disk.list(directory)).filter((offset) => offset >= damage.baseOffset)) {
    const file = `${directory}/${segmentFile(base, LOG_SUFFIX)}`;
    const { size: bytes } = sized(disk, file);
    const isDamaged = base === damage.baseOffset;
    // What is open goes on under no name: whoever wrote there would write to nothing.
    for (const suffix of [LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX])
      files.forget(`${directory}/${segmentFile(base, suffix)}`);
    if (isDamaged) disk.rename(file, `${file}${DAMAGED_SUFFIX}`);
    for (const suffix of [LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX])
      disk.remove(`${directory}/${segmentFile(base, suffix)}`);
    const reason = isDamaged ? damage.sentence : 'It lies behind a segment that is damaged.';
    cuts.push({
      file,
      position: 0,
      bytes,
      fromOffset: base,
      action: isDamaged ? 'set aside' : 'removed',
      reason,
    });
  }
  return cuts;
}

function baseOffsets(names: Iterable<string>): number[] {
  const found = [...names].map((name) => baseOffsetOf(name, LOG_SUFFIX));
  return found.filter((base) => base !== undefined).sort((one, other) => one - other);
}

function sized(disk: Disk, path: string): { size: number } {
  const file = disk.open(path);
  const { size } = file;
  file.close();
  return { size };
}

/** What is stored of the epochs holds below what was scanned; from there on the batches themselves tell. */
function epochsOf(
  stored: readonly EpochStart[],
  scannedFrom: number,
  scans: readonly SegmentScan[],
  leo: number,
): EpochList {
  const epochs = new EpochList(stored.filter(({ startOffset }) => startOffset < Math.min(scannedFrom, leo)));
  const last = stored.at(-1);
  // An epoch that began at the very end has left no batch, and is known all the same.
  const unwritten = last !== undefined && last.startOffset === leo ? [last] : [];
  for (const { epoch, startOffset } of [...scans.flatMap((scan) => scan.epochs), ...unwritten])
    if (epoch > epochs.last && startOffset <= leo) epochs.begin(epoch, startOffset);
  return epochs;
}

function isSame(one: readonly EpochStart[], other: readonly EpochStart[]): boolean {
  return (
    one.length === other.length &&
    one.every(({ epoch, startOffset }, n) => epoch === other[n].epoch && startOffset === other[n].startOffset)
  );
}

class Opening {
  readonly #files: OpenFiles;
  readonly #disk: Disk;
  readonly #settings: LogSettings;
  readonly #scanFile: ScanFile;
  readonly #cuts: RecoveryCut[] = [];
  readonly #segments: Segment[] = [];
  #isNew = false;

  constructor(files: OpenFiles, settings: LogSettings, scanFile: ScanFile) {
    this.#files = files;
    this.#disk = files.disk;
    this.#settings = settings;
    this.#scanFile = scanFile;
  }

  async run(): Promise<OpenedLog> {
    const { directory, config } = this.#settings;
    const names = this.#names();
    const bases = baseOffsets(names);
    const late = await this.#lateStart(bases[0]);
    if (late !== undefined) return { log: undefined, damage: late, cuts: [] };
    const stored = readEpochs(this.#disk, directory);
    let firstScanned = stored === undefined ? 0 : this.#adopt(bases, names);
    if (!this.#areTrue(stored ?? [])) firstScanned = 0;
    this.#segments.length = firstScanned;
    const scans = await this.#scan(bases.slice(firstScanned));
    const damage = this.#judge(bases, firstScanned, scans) ?? this.#strangeEpoch(stored ?? [], scans);
    if (damage !== undefined) return { log: undefined, damage, cuts: [] };
    this.#mend(bases.slice(firstScanned), scans, names);

    const leo = this.#segments.at(-1)?.nextOffset ?? this.#settings.logStart;
    const shortage = this.#shortage(leo);
    if (shortage !== undefined) return { log: undefined, damage: shortage, cuts: [] };
    const logStart = Math.min(Math.max(this.#settings.logStart, this.#segments[0]?.baseOffset ?? 0), leo);
    const scannedFrom = bases[firstScanned] ?? leo;
    const epochs = epochsOf(stored ?? [], scannedFrom, scans, leo);
    const log = new SegmentLog(this.#files, directory, config, {
      segments: this.#segments,
      epochs,
      // A power cut may have kept batches of an epoch, and lost what was written down of it.
      areEpochsStale: !isSame(epochs.entries, stored ?? []),
      logStart,
      leo,
      recoveryPoint: Math.min(scannedFrom, leo),
      isNew: this.#isNew,
      spares: [...names]
        .filter((name) => name.endsWith(DELETED_SUFFIX))
        .map((name) => `${directory}/${name}`),
      names,
      scanned: scans
        .slice(0, this.#segments.length - firstScanned)
        .map(({ baseOffset, nextOffset, producers }) => ({ baseOffset, nextOffset, producers })),
    });
    return { log, damage: undefined, cuts: this.#cuts };
  }

  /** Files that are gone, or were emptied, leave nothing behind that could be found damaged. */
  #shortage(leo: number): LogDamage | undefined {
    const { directory, knownEnd = 0 } = this.#settings;
    if (leo >= knownEnd) return undefined;
    const file = `${directory}/${segmentFile(leo, LOG_SUFFIX)}`;
    const sentence = `The log ends there, and is known to have gone up to ${knownEnd}.`;
    return { file, baseOffset: leo, position: 0, fromOffset: leo, sentence };
  }

  /**
   * Nor does a first segment that is gone. Only this start knows of the clean end, so an empty file takes its place:
   * the next ones, after whatever end, find the gap behind it. In a compacted log gaps say nothing, there too.
   */
  async #lateStart(first: number | undefined): Promise<LogDamage | undefined> {
    const { directory, knownStart: start } = this.#settings;
    if (start === undefined || first === undefined || first <= start || this.#gapsAllowed) return undefined;
    const file = `${directory}/${segmentFile(start, LOG_SUFFIX)}`;
    this.#disk.open(file, 'create').close();
    await this.#disk.syncDirectory(directory);
    const sentence = `The log is known to begin there, and its first segment begins at ${first}: what lay before that is missing.`;
    return { file, baseOffset: start, position: 0, fromOffset: start, sentence };
  }

  /** Whether the epochs that were written down are those of the batches: their file has no checksum. */
  #areTrue(stored: readonly EpochStart[]): boolean {
    const end = this.#segments.at(-1)?.nextOffset ?? 0;
    const start = Math.max(this.#settings.logStart, this.#segments[0]?.baseOffset ?? 0);
    try {
      const lastBatch = end > start ? this.#batchAt(end - 1) : undefined;
      const last = stored.findLast(({ startOffset }) => startOffset < end);
      if (lastBatch !== undefined && (last?.epoch ?? -1) !== lastBatch.epoch) return false;
      return stored.every(({ epoch, startOffset }, index) => {
        const from = Math.max(startOffset, start);
        // One that ended before the log begins, or that has left no batch.
        if (from >= Math.min(end, stored[index + 1]?.startOffset ?? end)) return true;
        const batch = this.#batchAt(from);
        if (batch === undefined) return this.#gapsAllowed;
        if (batch.epoch !== epoch) return false;
        if (startOffset <= start || this.#gapsAllowed) return true;
        const before = this.#batchAt(startOffset - 1);
        return batch.baseOffset === startOffset && before !== undefined && before.epoch < epoch;
      });
    } catch (error) {
      if (error instanceof DamagedSegmentError) return false;
      throw error;
    }
  }

  /** The batch that holds `offset`, in what needed no scan. */
  #batchAt(offset: number): { baseOffset: number; epoch: number } | undefined {
    const found = this.#segments.findLast(({ baseOffset }) => baseOffset <= offset)?.find(offset);
    if (found === undefined) return undefined;
    return {
      baseOffset: readBaseOffset(found.bytes, found.at),
      epoch: readLeaderEpoch(found.bytes, found.at),
    };
  }

  get #gapsAllowed(): boolean {
    return isCompacted(this.#settings.config);
  }

  /** What the directory holds, once what compaction has left there is in order. It is made where it is missing. */
  #names(): Set<string> {
    const { directory } = this.#settings;
    let names: string[];
    try {
      names = this.#disk.list(directory);
    } catch (error) {
      if (!(error instanceof DiskError) || error.code !== 'ENOENT') throw error;
      this.#disk.makeDirectory(directory);
      this.#isNew = true;
      return new Set();
    }
    if (!names.some((name) => name.endsWith(CLEANED_SUFFIX) || name.endsWith(SWAP_SUFFIX)))
      return new Set(names);
    finishSwaps(this.#disk, directory);
    return new Set(this.#disk.list(directory));
  }

  /** Takes over the segments that need no scan; the number of them. */
  #adopt(bases: readonly number[], names: ReadonlySet<string>): number {
    const { isClean, recoveryPoint } = this.#settings;
    const holding = bases.findLastIndex((base) => base <= recoveryPoint);
    const count = isClean ? bases.length : Math.max(holding, 0);
    for (let index = 0; index < count; index++) {
      const segment = this.#segment(bases[index]);
      const isIndexed = [INDEX_SUFFIX, TIME_INDEX_SUFFIX].every((suffix) =>
        names.has(segmentFile(bases[index], suffix)),
      );
      try {
        const next = bases[index + 1];
        segment.adopt(this.#files.get(segment.path).size, isIndexed, next);
      } catch (error) {
        // It is not as a clean stop leaves it: it has to be looked at.
        if (!(error instanceof DamagedSegmentError)) throw error;
        return index;
      }
      this.#segments.push(segment);
    }
    return count;
  }

  async #scan(bases: readonly number[]): Promise<SegmentScan[]> {
    return Promise.all(
      bases.map((base) => this.#scanFile(this.#segment(base).path, this.#scanOptions(base))),
    );
  }

  #scanOptions(baseOffset: number): SegmentScanOptions {
    const { config } = this.#settings;
    return {
      baseOffset,
      intervalBytes: config['index.interval.bytes'],
      gapsAllowed: this.#gapsAllowed,
    };
  }

  #segment(base: number): Segment {
    const { directory, config } = this.#settings;
    return new Segment(this.#files, directory, base, config);
  }

  /** Whether something is missing in the midst of what was scanned, rather than at its end. */
  #judge(bases: readonly number[], first: number, scans: readonly SegmentScan[]): LogDamage | undefined {
    const { wasPowerLost, recoveryPoint } = this.#settings;
    for (let index = 0; index < scans.length; index++) {
      const { fault, soundBeyond, nextOffset, bytes } = scans[index];
      // What was on the device has to be there, whatever the end was. What came later nobody promised for a power cut.
      const isLost = nextOffset < recoveryPoint;
      if (wasPowerLost && !isLost) return undefined;
      const isLast = index === scans.length - 1;
      const following = bases[first + index + 1];
      const isTorn = fault !== undefined && fault.kind !== 'end-mark';
      const isGap = !isLast && this.#isGap(nextOffset, following);
      if (isLast ? !isLost && soundBeyond === undefined : !isTorn && !isGap) continue;
      const file = this.#segment(bases[first + index]).path;
      const goesOn = isLast
        ? `and was safe up to ${recoveryPoint}.`
        : `the next segment begins at ${following}.`;
      const sentence = isTorn ? fault.sentence : `It ends at ${nextOffset}, ${goesOn}`;
      const baseOffset = bases[first + index];
      return { file, baseOffset, position: fault?.position ?? bytes, fromOffset: nextOffset, sentence };
    }
    return undefined;
  }

  /**
   * An epoch is written down before any batch of it, and it is not under a batch's checksum: one that nobody has
   * written down was another one. (What a power cut has kept of either nobody knows.) Those below the first are no
   * longer written down once the log begins behind them, though their batches may lie in its first segment still.
   */
  #strangeEpoch(stored: readonly EpochStart[], scans: readonly SegmentScan[]): LogDamage | undefined {
    const { wasPowerLost, recoveryPoint } = this.#settings;
    if (stored.length === 0) return undefined;
    const known = new Set(stored.map(({ epoch }) => epoch));
    for (const { epochs, baseOffset } of scans) {
      const strange = epochs.find(
        ({ epoch, startOffset }) => startOffset >= stored[0].startOffset && !known.has(epoch),
      );
      if (strange === undefined || (wasPowerLost && strange.startOffset >= recoveryPoint)) continue;
      const { epoch, startOffset: fromOffset } = strange;
      const sentence = `The batch of offset ${fromOffset} has the leader epoch ${epoch}, which this log has never known.`;
      return { file: this.#segment(baseOffset).path, baseOffset, position: 0, fromOffset, sentence };
    }
    return undefined;
  }

  #isGap(end: number, next: number): boolean {
    return this.#gapsAllowed ? end > next : end !== next;
  }

  /** Takes over what was found sound, and cuts off what was not. */
  #mend(bases: readonly number[], scans: readonly SegmentScan[], names: ReadonlySet<string>): void {
    let isOver = false;
    let lastEpoch = -1;
    for (let index = 0; index < scans.length; index++) {
      const found = scans[index];
      const segment = this.#segment(bases[index]);
      for (const suffix of [INDEX_SUFFIX, TIME_INDEX_SUFFIX])
        if (names.has(segmentFile(bases[index], suffix))) this.#disk.remove(segment.pathOf(suffix));
      const first = found.epochs[0]?.epoch ?? lastEpoch;
      isOver ||= index > 0 && this.#isGap(scans[index - 1].nextOffset, bases[index]);
      // What a truncation had removed has come back behind what was written since.
      isOver ||= first < lastEpoch;
      lastEpoch = found.epochs.at(-1)?.epoch ?? lastEpoch;
      if (isOver) {
        this.#remove(segment, found);
        continue;
      }
      segment.bytes = found.bytes;
      segment.nextOffset = found.nextOffset;
      segment.staleEnd = found.fileBytes;
      const built = indexOfScan(found, this.#scanOptions(bases[index]));
      if (built !== undefined) segment.adoptIndex(built);
      segment.cut();
      this.#report(segment, found);
      this.#segments.push(segment);
      isOver = found.fault !== undefined && found.fault.kind !== 'end-mark';
    }
  }

  #remove(segment: Segment, found: SegmentScan): void {
    segment.release();
    this.#disk.remove(segment.path);
    if (found.fileBytes === 0) return;
    this.#cuts.push({
      file: segment.path,
      position: 0,
      bytes: found.fileBytes,
      fromOffset: segment.baseOffset,
      action: 'removed',
      reason: 'What should lie before it is missing.',
    });
  }

  #report(segment: Segment, { fault, fileBytes, soundBeyond }: SegmentScan): void {
    if (fault === undefined || fault.kind === 'end-mark') return;
    // Older bytes of a file that was recycled, and written to no further.
    if (fault.kind === 'offset' && soundBeyond === undefined) return;
    this.#cuts.push({
      file: segment.path,
      position: segment.bytes,
      bytes: fileBytes - segment.bytes,
      fromOffset: segment.nextOffset,
      action: 'cut',
      reason: fault.sentence,
    });
  }
}
