import type { Buffer } from 'node:buffer';
import { ProducerStates } from '../core/producer-states.ts';
import type { ProducedBatch, SequenceVerdict } from '../types.ts';
import { readWhole } from './checkpoint-files.ts';
import type { Disk } from './disk.ts';
import { baseOffsetOf, SNAPSHOT_SUFFIX, segmentFile } from './file-names.ts';
import { decodeProducers, encodeProducers } from './producer-snapshot.ts';
import {
  nextOffset,
  readBaseOffset,
  readBaseSequence,
  readLastOffsetDelta,
  readMaxTimestamp,
  readProducerEpoch,
  readProducerId,
} from './record-batch.ts';
import { DamagedSegmentError } from './segment.ts';

/** The log that they have written to. */
export interface ProducedLog {
  readonly directory: string;
  /** Where the oldest batch lies, at the earliest. */
  readonly firstOffset: number;
  readonly written: number;
  /** The leader epoch of the batch at an offset; -1 where nobody knows. */
  epochAt(offset: number): number;
  /** The headers of all batches from one offset to another. */
  eachHeader(from: number, end: number, visit: (bytes: Uint8Array, at: number) => void): void;
}

/** The batch there as a partition remembers it; undefined where its producer is not idempotent. */
export function producedBatch(bytes: Uint8Array, at: number): ProducedBatch | undefined {
  const producerId = readProducerId(bytes, at);
  if (producerId < 0 || !Number.isSafeInteger(producerId)) return undefined;
  return {
    producerId,
    producerEpoch: readProducerEpoch(bytes, at),
    firstSequence: readBaseSequence(bytes, at),
    baseOffset: readBaseOffset(bytes, at),
    nextOffset: nextOffset(bytes, at),
    timestamp: readMaxTimestamp(bytes, at),
  };
}

/**
 * What a log knows of its idempotent producers. It is read with the first need of it, from the newest snapshot and the
 * headers of the batches behind that; whatever is wrong with a snapshot, an older one and more headers say the same.
 */
export class ProducerLog {
  readonly #disk: Disk;
  readonly #log: ProducedLog;
  /** Undefined while nobody has asked, or since the log went back. */
  #states: ProducerStates | undefined;
  /** By offset: with its bytes as long as there is no file. Undefined while the directory was not looked at. */
  #snapshots: Map<number, Buffer | undefined> | undefined;

  /** `names` are those of the directory's files, where they are known. */
  constructor(disk: Disk, log: ProducedLog, names: Iterable<string> | undefined) {
    this.#disk = disk;
    this.#log = log;
    if (names !== undefined) this.#snapshots = snapshotsIn(names);
  }

  judge(bytes: Uint8Array, at: number): SequenceVerdict {
    const id = readProducerId(bytes, at);
    // Ids come from the cluster, one by one: there never was such a one.
    if (!Number.isSafeInteger(id)) return 'unknown producer';
    const records = readLastOffsetDelta(bytes, at) + 1;
    return this.#known().judge(id, readProducerEpoch(bytes, at), readBaseSequence(bytes, at), records);
  }

  original(bytes: Uint8Array, at: number): ProducedBatch | undefined {
    const id = readProducerId(bytes, at);
    const records = readLastOffsetDelta(bytes, at) + 1;
    return this.#known().original(id, readProducerEpoch(bytes, at), readBaseSequence(bytes, at), records);
  }

  /** The batch goes to the log. */
  note(batch: ProducedBatch): void {
    try {
      this.#known().note(batch);
    } catch (error) {
      // Whoever has to know the producers is told; a follower goes on without.
      if (!(error instanceof DamagedSegmentError)) throw error;
    }
  }

  /** Where the last batch of each producer ends. */
  ends(): Map<number, number> {
    const ends = new Map<number, number>();
    for (const [producerId, { batches }] of this.#known().entries()) {
      const last = batches.at(-1);
      if (last !== undefined) ends.set(producerId, last.nextOffset);
    }
    return ends;
  }

  /** As they were at an offset of the log: what a snapshot of there says. */
  at(offset: number): Buffer {
    return this.#encode(this.#statesAt(offset), offset);
  }

  expire(nowMs: number, afterMs: number): void {
    this.#states?.expire(nowMs, afterMs);
  }

  /** A segment begins where the log ends: what is known now is what was known there. */
  rolled(offset: number): void {
    // In memory what was dropped is read nowhere any more. On a disk store() finds it out where nobody knows.
    if (this.#states === undefined && !this.#disk.isVolatile) return;
    this.#keep(offset, this.#known());
  }

  /** The log has ended: so that the next start need not read it. */
  closed(): void {
    if (this.#states !== undefined && this.#states.size > 0) this.#keep(this.#log.written, this.#states);
  }

  /**
   * Brings to the device what was known where segments begin, at each of `bases`, and removes what is older and of use to
   * nobody. The names of the files are the directory's business.
   */
  async store(bases: readonly number[]): Promise<void> {
    const snapshots = this.#listed();
    for (const base of bases) if (!snapshots.has(base)) this.#find(base);
    const writes: Promise<void>[] = [];
    for (const [offset, bytes] of snapshots)
      if (bytes !== undefined) writes.push(this.#write(offset, bytes));
    const newest = Math.max(...snapshots.keys());
    const begins = new Set(bases);
    for (const offset of snapshots.keys())
      if (offset !== newest && !begins.has(offset)) this.#remove(offset);
    await Promise.all(writes);
  }

  /** The log's oldest batches are gone. */
  dropBelow(offset: number): void {
    for (const known of this.#listed().keys()) if (known < offset) this.#remove(known);
  }

  /** The log has gone back. */
  truncatedTo(end: number): void {
    if (this.#states !== undefined && this.#states.end > end) this.#states = undefined;
    for (const offset of this.#listed().keys()) if (offset > end) this.#remove(offset);
  }

  /** The log begins anew at `offset`, of which `snapshot` tells, if anybody does. */
  restartedAt(offset: number, snapshot: Buffer | undefined): void {
    for (const known of this.#listed().keys()) this.#remove(known);
    const states = snapshot === undefined ? undefined : decodeProducers(snapshot)?.states;
    this.#states = states ?? new ProducerStates();
    if (states !== undefined) this.#listed().set(offset, snapshot);
  }

  #known(): ProducerStates {
    this.#states ??= this.#statesAt(this.#log.written);
    return this.#states;
  }

  #statesAt(end: number): ProducerStates {
    const { firstOffset } = this.#log;
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
    this.#log.eachHeader(from, end, (bytes, at) => {
      const batch = producedBatch(bytes, at);
      if (batch !== undefined) found.note(batch);
    });
    return found;
  }

  /** Undefined where it is damaged, or of another log: then it is removed. */
  #read(offset: number): ProducerStates | undefined {
    const bytes = this.#listed().get(offset) ?? readWhole(this.#disk, this.#path(offset));
    const snapshot = bytes === undefined ? undefined : decodeProducers(bytes);
    const { states, place } = snapshot ?? {};
    const epoch = this.#log.epochAt(offset - 1);
    const isAnother = epoch !== -1 && place !== undefined && place.leaderEpoch !== epoch;
    if (states !== undefined && (place === undefined || (place.offset === offset && !isAnother))) return states;
    this.#remove(offset);
    return undefined;
  }

  #find(offset: number): void {
    try {
      this.#keep(offset, this.#statesAt(offset));
    } catch (error) {
      // It is told by whoever looks for damage. Without this one there is more to read later.
      if (!(error instanceof DamagedSegmentError)) throw error;
    }
  }

  #keep(offset: number, states: ProducerStates): void {
    this.#listed().set(offset, this.#encode(states, offset));
  }

  #encode(states: ProducerStates, offset: number): Buffer {
    return encodeProducers(states, { offset, leaderEpoch: this.#log.epochAt(offset - 1) });
  }

  async #write(offset: number, bytes: Buffer): Promise<void> {
    const file = this.#disk.open(this.#path(offset), 'create');
    try {
      file.truncate(0);
      file.write(0, [bytes]);
      await file.sync();
    } finally {
      file.close();
    }
    // A truncation may have removed it meanwhile.
    if (this.#snapshots?.get(offset) === bytes) this.#snapshots.set(offset, undefined);
  }

  #remove(offset: number): void {
    this.#listed().delete(offset);
    this.#disk.remove(this.#path(offset));
  }

  #listed(): Map<number, Buffer | undefined> {
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
