import {
  defineLayout,
  loadPosition,
  storePosition,
} from '../../native-free/sharedarraybuffer-utils/index.ts';
import { BROKERS_MAX } from '../limits.ts';
import type { ArenaView } from './arena.ts';

/** A broker's progress as a follower of one leader. The follower alone writes it. */
const line = defineLayout(
  'progress line',
  [
    { field: 'cursor', type: 'position', writer: 'follower' },
    { field: 'changes', type: 'int32', writer: 'follower' },
    // 1 while reads wait at the follower for what this leader commits.
    { field: 'readers', type: 'int32', writer: 'follower' },
  ],
  { alignBytes: 64 },
);

export const PROGRESS_BYTES = BROKERS_MAX * line.bytes;

/**
 * A row of lines, one for each leader a broker may follow: how far it has read that leader's ring, and a counter that
 * is raised after LEOs of partitions led there went up. A leader looks at one word a follower, however many
 * partitions there are.
 */
export class ProgressRow {
  readonly #arena: ArenaView;
  readonly #base: number;

  constructor(arena: ArenaView, address: number) {
    arena.reach(address + PROGRESS_BYTES);
    this.#arena = arena;
    this.#base = address / 4;
  }

  loadChanges(leader: number): number {
    return Atomics.load(this.#arena.int32, this.#line(leader) + line.index.changes);
  }

  loadCursor(leader: number): number {
    return loadPosition(this.#arena.int32, this.#line(leader) + line.index.cursor);
  }

  /** Ordered after the stores of the LEOs it stands for. */
  advance(leader: number, cursor: number): void {
    const { int32 } = this.#arena;
    storePosition(int32, this.#line(leader) + line.index.cursor, cursor);
    const index = this.#line(leader) + line.index.changes;
    Atomics.store(int32, index, (Atomics.load(int32, index) + 1) | 0);
  }

  hasReaders(leader: number): boolean {
    return Atomics.load(this.#arena.int32, this.#line(leader) + line.index.readers) !== 0;
  }

  /** Ordered before the last look at the HWM that they wait for. */
  storeReaders(leader: number, readers: number): void {
    Atomics.store(this.#arena.int32, this.#line(leader) + line.index.readers, readers);
  }

  #line(leader: number): number {
    return this.#base + leader * (line.bytes / 4);
  }
}
