import {
  defineLayout,
  loadPosition,
  storePosition,
} from '../../native-free/sharedarraybuffer-utils/index.ts';
import type { LogEnd } from '../core/reopening.ts';
import { PARTITIONS_PER_CHUNK } from '../limits.ts';
import type { ArenaView } from './arena.ts';

/**
 * A broker's partition table: where it stands in every partition it holds a replica of. The broker alone
 * writes; leaders read their followers' LEO here, clients and the coordinator read what they show.
 * A table is a list of chunks of slots; the slot of a partition is its dense id.
 */
const slot = defineLayout(
  'partition slot',
  [
    { field: 'leo', type: 'position', writer: 'broker' },
    { field: 'hwm', type: 'position', writer: 'broker' },
    { field: 'logStart', type: 'position', writer: 'broker' },
    // One more than the epoch of the reign that the LEO counts for, so that 0 is none.
    { field: 'reign', type: 'int32', writer: 'broker' },
    // One more than the newest epoch that has begun in the log, so that 0 is none.
    { field: 'lastEpoch', type: 'int32', writer: 'broker' },
  ],
  { alignBytes: 64 },
);

export const PARTITION_CHUNK_BYTES = slot.bytes * PARTITIONS_PER_CHUNK;
const SLOT_WORDS = slot.bytes / 4;

export class PartitionTable {
  readonly #arena: ArenaView;
  readonly #chunks: number[];

  constructor(arena: ArenaView, chunks: readonly number[]) {
    this.#arena = arena;
    this.#chunks = [];
    for (const address of chunks) this.addChunk(address);
  }

  addChunk(address: number): void {
    this.#arena.reach(address + PARTITION_CHUNK_BYTES);
    this.#chunks.push(address / 4);
  }

  /** Takes those of these chunks that it has not got: every list of a table's chunks begins with the earlier one. */
  extendTo(chunks: readonly number[]): void {
    for (const address of chunks.slice(this.#chunks.length)) this.addChunk(address);
  }

  get chunkCount(): number {
    return this.#chunks.length;
  }

  loadLeo(id: number): number {
    return loadPosition(this.#arena.int32, this.#slot(id) + slot.index.leo);
  }

  /** Publishes records: everything below `leo` is in this replica's log, in which `lastEpoch` has begun last (-1: none). */
  storeEnd(id: number, leo: number, lastEpoch: number): void {
    const { int32 } = this.#arena;
    int32[this.#slot(id) + slot.index.lastEpoch] = lastEpoch + 1;
    // Orders the epoch before the LEO.
    storePosition(int32, this.#slot(id) + slot.index.leo, leo);
  }

  /** How far the log reaches, for whom that is the same as how much it is worth: by epoch and then by offset. */
  loadEnd(id: number): LogEnd {
    const leo = this.loadLeo(id);
    return { leo, lastEpoch: Atomics.load(this.#arena.int32, this.#slot(id) + slot.index.lastEpoch) - 1 };
  }

  /**
   * The LEO, if it counts in the reign with this epoch; otherwise -1. A follower that has turned to another leader, or
   * has not yet held its log against this one's, counts for nobody: what it has may be no part of this leader's log.
   */
  loadLeoIn(epoch: number, id: number): number {
    const { int32 } = this.#arena;
    const reign = this.#slot(id) + slot.index.reign;
    if (Atomics.load(int32, reign) !== epoch + 1) return -1;
    const leo = loadPosition(int32, this.#slot(id) + slot.index.leo);
    // Asked again: the LEO that was loaded may already be that of the next reign.
    return Atomics.load(int32, reign) === epoch + 1 ? leo : -1;
  }

  /** Ordered after the LEO that counts from now on. An epoch of -1 comes before any LEO that does not count. */
  storeReign(id: number, epoch: number): void {
    Atomics.store(this.#arena.int32, this.#slot(id) + slot.index.reign, epoch + 1);
  }

  loadHwm(id: number): number {
    return loadPosition(this.#arena.int32, this.#slot(id) + slot.index.hwm);
  }

  /** The HWM, if this broker leads in the reign with this epoch; otherwise -1: of another one it says nothing of this one. */
  loadHwmIn(epoch: number, id: number): number {
    const { int32 } = this.#arena;
    const reign = this.#slot(id) + slot.index.reign;
    const isBefore = Atomics.load(int32, reign) === epoch + 1;
    const hwm = this.loadHwm(id);
    return isBefore && Atomics.load(int32, reign) === epoch + 1 ? hwm : -1;
  }

  storeHwm(id: number, hwm: number): void {
    storePosition(this.#arena.int32, this.#slot(id) + slot.index.hwm, hwm);
  }

  loadLogStart(id: number): number {
    return loadPosition(this.#arena.int32, this.#slot(id) + slot.index.logStart);
  }

  storeLogStart(id: number, logStart: number): void {
    storePosition(this.#arena.int32, this.#slot(id) + slot.index.logStart, logStart);
  }

  #slot(id: number): number {
    // Ids are below 2^20, and a chunk has a power of two of them: whole numbers without a division.
    return this.#chunks[(id / PARTITIONS_PER_CHUNK) | 0] + (id & (PARTITIONS_PER_CHUNK - 1)) * SLOT_WORDS;
  }
}
