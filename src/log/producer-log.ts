import { Buffer } from 'node:buffer';
import { ProducerStates } from '../core/producer-states.ts';
import type { KnownProducers, ProducedBatch, SequenceVerdict } from '../types.ts';
import { readWhole, writeWhole } from './checkpoint-files.ts';
import type { Disk, DiskFile } from './disk.ts';
import { baseOffsetOf, SNAPSHOT_SUFFIX, segmentFile } from './file-names.ts';
import { decodeProducers, encodeProducers } from './producer-snapshot.ts';
import {
  producedBatch,
  readBaseSequence,
  readLastOffsetDelta,
  readProducerEpoch,
  readProducerId,
} from './record-batch.ts';
import { DamagedSegmentError, type Segment } from './segment.ts';

/** The log that they have written to. */
export interface ProducedLog {
  readonly directory: string;
  /** In the order of their offsets. */
  readonly segments: readonly Segment[];
  readonly written: number;
  /** The leader epoch of the batch at an offset; -1 where nobody knows. */
  epochAt(offset: number): number;
}

/** What the batches of a segment say of producers: whoever has checked the segment has seen all of them. */
export interface ScannedProducers {
  readonly baseOffset: number;
  readonly nextOffset: number;
  /** As a snapshot; undefined where they say nothing. */
  readonly producers: Uint8Array | undefined;
}

/** Files that wait for their next use: about as many as a log that keeps little writes between two rounds. */
const STRAYS_KEPT = 4;

/** What is known where a segment begins, until the disk has it. */
interface Kept {
  readonly states: ProducerStates;
  readonly leaderEpoch: number;
  /** A file of it may be there already. */
  isBegun: boolean;
  /** The file is whole, and only the device may not have it. */
  isWritten: boolean;
}

/**
 * What a log knows of its idempotent producers. It is read with the first need of it, from the newest snapshot and the
 * headers of the batches behind that; whatever is wrong with a snapshot, an older one and more headers say the same. What
 * was scanned when the log was opened is not read again, but for the segment in which the log is cut.
 */
export class ProducerLog implements KnownProducers {
  readonly #disk: Disk;
  readonly #log: ProducedLog;
  /** Undefined while nobody has asked, or since the log went back. */
  #states: ProducerStates | undefined;
  /** By offset; undefined where the disk has it. Undefined as a whole while the directory was not looked at. */
  #snapshots: Map<number, Kept | undefined> | undefined;
  /** Files of before the log's start, which serve again: they are written far oftener than a file system likes to make any. */
  readonly #strays: number[] = [];
  /** By base offset, until somebody has asked. */
  readonly #scanned: Map<number, ScannedProducers>;

  /** `names` are those of the directory's files, where they are known. */
  constructor(
    disk: Disk,
    log: ProducedLog,
    names: Iterable<string> | undefined,
    scanned: readonly ScannedProducers[] = [],
  ) {
    this.#disk = disk;
    this.#log = log;
    this.#scanned = new Map(scanned.map((segment) => [segment.baseOffset, segment]));
    if (names !== undefined) this.#snapshots = snapshotsIn(names);
    // From its first batch on nothing has to be read.
    if (this.#snapshots?.size === 0 && log.segments.length === 0) this.#states = new ProducerStates();
  }

  /** At the end of the log. */
  get states(): ProducerStates {
    if (this.#states === undefined) {
      this.#states = this.#statesAt(this.#log.written);
      this.#scanned.clear();
    }
    return this.#states;
  }

  /** Whether a producer is known of whom neither the log's batches nor a snapshot on the device tell. */
  get isOwed(): boolean {
    const { segments, written } = this.#log;
    return this.#states !== undefined && this.#isOwed(segments[0]?.baseOffset ?? written, 'synced');
  }

  judge(bytes: Uint8Array, at: number): SequenceVerdict {
    const id = readProducerId(bytes, at);
    // Ids come from the cluster, one by one: there never was such a one.
    if (!Number.isSafeInteger(id)) return 'unknown producer';
    const records = readLastOffsetDelta(bytes, at) + 1;
    return this.states.judge(id, readProducerEpoch(bytes, at), readBaseSequence(bytes, at), records);
  }

  original(bytes: Uint8Array, at: number): ProducedBatch | undefined {
    const id = readProducerId(bytes, at);
    const records = readLastOffsetDelta(bytes, at) + 1;
    return this.states.original(id, readProducerEpoch(bytes, at), readBaseSequence(bytes, at), records);
  }

  /** The batch goes to the log. */
  note(batch: ProducedBatch): void {
    try {
      this.states.note(batch);
    } catch (error) {
      // Whoever has to know the producers is told; a follower goes on without.
      if (!(error instanceof DamagedSegmentError)) throw error;
    }
  }

  /** Where the last batch of each producer ends. */
  ends(): Map<number, number> {
    const ends = new Map<number, number>();
    for (const [producerId, { batches }] of this.states.entries()) {
      const last = batches.at(-1);
      if (last !== undefined) ends.set(producerId, last.nextOffset);
    }
    return ends;
  }

  /** As they were at an offset of the log: what a snapshot of there says. */
  at(offset: number): Buffer {
    const leaderEpoch = this.#log.epochAt(offset - 1);
    return encodeProducers(this.#statesAt(offset), { offset, leaderEpoch });
  }

  expire(nowMs: number, afterMs: number): void {
    this.#states?.expire(nowMs, afterMs);
  }

  /** A segment begins where the log ends: what is known now is what was known there. */
  rolled(offset: number): void {
    // In memory what was dropped is read nowhere any more. On a disk store() finds it out where nobody knows.
    if (this.#states === undefined && !this.#disk.isVolatile) return;
    // Of a log that begins nobody needs to be told that it knows nothing.
    if (this.#log.segments.length > 0 || this.states.size > 0) this.#keep(offset, this.states);
  }

  /**
   * Brings to the device what was known where the segment begins that is written to, and where those up to `end` do, and
   * removes what is of use to nobody. The names of the files are the directory's business.
   */
  async store(base: number, end: number): Promise<void> {
    if (Math.max(-1, ...this.#listed().keys()) < base) this.#find(base);
    this.#removeStrays();
    await this.#writeAll((offset) => offset <= end || offset >= base);
    this.#removeFiles(this.#strays.splice(STRAYS_KEPT));
  }

  /** The log has ended. True where that has left a file, so that the next start need not read the log. */
  async close(): Promise<boolean> {
    if (this.#states !== undefined && this.#states.size > 0) {
      this.#keep(this.#log.written, this.#states);
      this.#removeStrays();
    }
    const hasWritten = await this.#writeAll();
    this.#removeFiles(this.#strays.splice(0));
    return hasWritten;
  }

  /**
   * The log is about to drop its oldest batches, and to begin at `offset`. A producer of whom they alone tell is written
   * down before, so that a kill does not take it. Of others an earlier batch may be forgotten then, which is gone anyway.
   */
  leaves(offset: number): void {
    if (this.#disk.isVolatile || !this.#isOwed(offset, 'written')) return;
    let at = Math.max(...this.#listed().keys());
    if (at < offset) {
      at = this.#log.written;
      this.#find(at);
    }
    const kept = this.#listed().get(at);
    if (kept === undefined) return;
    this.#begin(at, kept).close();
    if (this.#disk.isKept) kept.isWritten = true;
    else this.#listed().set(at, undefined);
  }

  /** The log's oldest batches are gone. */
  dropBelow(offset: number): void {
    for (const base of this.#scanned.keys()) if (base < offset) this.#scanned.delete(base);
    for (const [known, kept] of this.#listed()) {
      if (known >= offset) continue;
      this.#listed().delete(known);
      if (kept === undefined || kept.isBegun) this.#strays.push(known);
    }
  }

  /** Nothing was written beyond `end`: what was noted of it holds no longer. */
  undone(end: number): void {
    if (this.#states !== undefined && this.#states.end > end) this.#states = undefined;
  }

  /** The log has gone back. */
  truncatedTo(end: number): void {
    this.undone(end);
    for (const [base, { nextOffset }] of this.#scanned) if (nextOffset > end) this.#scanned.delete(base);
    for (const offset of this.#listed().keys()) if (offset > end) this.#remove(offset);
  }

  /** The log begins anew at `offset`, of which `snapshot` tells, if anybody does. */
  restartedAt(offset: number, snapshot: Uint8Array | undefined): void {
    this.#scanned.clear();
    for (const known of this.#listed().keys()) this.#remove(known);
    const bytes = snapshot === undefined ? undefined : Buffer.from(snapshot);
    const decoded = bytes === undefined ? undefined : decodeProducers(bytes);
    this.#states = decoded?.states ?? new ProducerStates();
    if (decoded === undefined) return;
    const { leaderEpoch } = decoded.place ?? { leaderEpoch: -1 };
    this.#listed().set(offset, {
      states: this.#states.copy(),
      leaderEpoch,
      isBegun: false,
      isWritten: false,
    });
  }

  #statesAt(end: number): ProducerStates {
    const { segments, written } = this.#log;
    const firstOffset = segments[0]?.baseOffset ?? written;
    // What lies before the log would be missing behind an older one.
    const offsets = [...this.#listed().keys()].filter((offset) => offset >= firstOffset && offset <= end);
    let from = firstOffset;
    let states: ProducerStates | undefined;
    for (const offset of offsets.sort((one, other) => other - one)) {
      states = this.#read(offset);
      from = offset;
      if (states !== undefined) break;
      from = firstOffset;
    }
    const found = states ?? new ProducerStates();
    const begin = from;
    const active = segments.at(-1)?.baseOffset ?? written;
    const take = (bytes: Uint8Array, at: number): void => {
      const batch = producedBatch(bytes, at);
      if (batch !== undefined) found.note(batch);
    };
    for (const segment of segments) {
      const { baseOffset, nextOffset } = segment;
      // What lies before need not be read again, whether for housekeeping or when the log goes back.
      const isWorthKeeping = baseOffset === active || this.#scanned.has(baseOffset);
      if (isWorthKeeping && begin < baseOffset && baseOffset <= end && !this.#listed().has(baseOffset))
        this.#keep(baseOffset, found);
      if (nextOffset <= from || baseOffset >= end) continue;
      const scanned = from <= baseOffset ? this.#scannedOf(baseOffset, Math.min(nextOffset, end)) : undefined;
      if (scanned !== undefined) {
        const { states: later, end: scannedTo } = scanned;
        if (later !== undefined) found.goOn(later, scannedTo);
        from = scannedTo;
      }
      if (nextOffset > from) segment.eachHeader(from, end, take);
    }
    return found;
  }

  /** What is known of the segment that begins at `base` up to where it was scanned, unless that is beyond `end`. */
  #scannedOf(base: number, end: number): { states: ProducerStates | undefined; end: number } | undefined {
    const scanned = this.#scanned.get(base);
    if (scanned === undefined || scanned.nextOffset > end) return undefined;
    if (scanned.producers === undefined) return { states: undefined, end: scanned.nextOffset };
    const { buffer, byteOffset, length } = scanned.producers;
    const known = decodeProducers(Buffer.from(buffer, byteOffset, length));
    return known && { states: known.states, end: scanned.nextOffset };
  }

  /** Undefined where it is damaged, or of another log: then it is removed. */
  #read(offset: number): ProducerStates | undefined {
    const kept = this.#listed().get(offset);
    if (kept !== undefined) return kept.states.copy();
    const bytes = readWhole(this.#disk, this.#path(offset));
    const snapshot = bytes === undefined ? undefined : decodeProducers(bytes);
    const { states, place } = snapshot ?? {};
    const epoch = this.#log.epochAt(offset - 1);
    const isAnother = epoch !== -1 && place !== undefined && place.leaderEpoch !== epoch;
    if (states !== undefined && (place === undefined || (place.offset === offset && !isAnother)))
      return states;
    this.#remove(offset);
    return undefined;
  }

  /** Of a log that begins at `first`. */
  #isOwed(first: number, least: 'written' | 'synced'): boolean {
    for (const [offset, kept] of this.#listed()) {
      if (offset < first) continue;
      if (kept === undefined || (kept.isWritten && least === 'written')) return false;
    }
    try {
      return this.states.reachesBelow(first);
    } catch (error) {
      if (error instanceof DamagedSegmentError) return false;
      throw error;
    }
  }

  #find(offset: number): void {
    try {
      // From here on they are known where segments begin, and nothing has to be read again.
      const { states } = this;
      this.#keep(offset, states.end <= offset ? states : this.#statesAt(offset));
    } catch (error) {
      // It is told by whoever looks for damage. Without this one there is more to read later.
      if (!(error instanceof DamagedSegmentError)) throw error;
    }
  }

  #keep(offset: number, states: ProducerStates): void {
    const listed = this.#listed();
    const isBegun = listed.has(offset) && listed.get(offset)?.isBegun !== false;
    listed.set(offset, {
      states: states.copy(),
      leaderEpoch: this.#log.epochAt(offset - 1),
      isBegun,
      isWritten: false,
    });
  }

  /** Those that are neither where a segment begins nor where the log ended last. */
  #removeStrays(): void {
    const begins = new Set(this.#log.segments.map(({ baseOffset }) => baseOffset));
    const offsets = [...this.#listed().keys()];
    const newest = Math.max(...offsets);
    for (const offset of offsets) if (offset !== newest && !begins.has(offset)) this.#remove(offset);
  }

  /** Those of the offsets that are wanted. True where there was any. */
  async #writeAll(isWanted: (offset: number) => boolean = () => true): Promise<boolean> {
    const unwritten = [...(this.#snapshots ?? [])].filter(
      ([offset, kept]) => kept !== undefined && isWanted(offset),
    );
    await Promise.all(unwritten.map(([offset, kept]) => this.#write(offset, kept as Kept)));
    return unwritten.length > 0;
  }

  async #write(offset: number, kept: Kept): Promise<void> {
    const file = this.#begin(offset, kept);
    try {
      if (this.#disk.isKept) await file.sync();
    } finally {
      file.close();
    }
    // A truncation may have removed it meanwhile.
    if (this.#snapshots?.get(offset) === kept) this.#snapshots.set(offset, undefined);
  }

  /** Its file, which the system has. */
  #begin(offset: number, kept: Kept): DiskFile {
    kept.isBegun = true;
    const { states, leaderEpoch } = kept;
    const stray = this.#strays.pop();
    if (stray !== undefined) this.#disk.rename(this.#path(stray), this.#path(offset));
    const file = this.#disk.open(this.#path(offset), 'create');
    try {
      writeWhole(file, encodeProducers(states, { offset, leaderEpoch }));
    } catch (error) {
      file.close();
      throw error;
    }
    return file;
  }

  #remove(offset: number): void {
    const kept = this.#listed().get(offset);
    this.#listed().delete(offset);
    if (kept === undefined || kept.isBegun) this.#removeFiles([offset]);
  }

  #removeFiles(offsets: readonly number[]): void {
    for (const offset of offsets) this.#disk.remove(this.#path(offset));
  }

  #listed(): Map<number, Kept | undefined> {
    this.#snapshots ??= snapshotsIn(this.#disk.list(this.#log.directory));
    return this.#snapshots;
  }

  #path(offset: number): string {
    return `${this.#log.directory}/${segmentFile(offset, SNAPSHOT_SUFFIX)}`;
  }
}

function snapshotsIn(names: Iterable<string>): Map<number, undefined> {
  const found = new Map<number, undefined>();
  for (const name of names) {
    const offset = baseOffsetOf(name, SNAPSHOT_SUFFIX);
    if (offset !== undefined) found.set(offset, undefined);
  }
  return found;
}
