import {
  defineLayout,
  loadPosition,
  storePosition,
} from '../../native-free/sharedarraybuffer-utils/index.ts';
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

  get chunkCount(): number {
    return this.#chunks.length;
  }

  loadLeo(id: number): number {
    return loadPosition(this.#arena.int32, this.#slot(id) + slot.index.leo);
  }

  /** Publishes records: everything below `leo` is in this replica's log. */
  storeLeo(id: number, leo: number): void {
    storePosition(this.#arena.int32, this.#slot(id) + slot.index.leo, leo);
  }

  loadHwm(id: number): number {
    return loadPosition(this.#arena.int32, this.#slot(id) + slot.index.hwm);
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
    return this.#chunks[Math.floor(id / PARTITIONS_PER_CHUNK)] + (id % PARTITIONS_PER_CHUNK) * SLOT_WORDS;
  }
}
