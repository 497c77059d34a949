import { BROKERS_MAX } from '../limits.ts';
import type { ArenaView } from './arena.ts';

export const PROGRESS_BYTES = BROKERS_MAX * 4;

/**
 * A broker's progress as a follower: one counter for each leader, raised after LEOs of partitions led there went
 * up. The broker alone writes its row; a leader looks at one word a follower, however many partitions there are.
 */
export class ProgressRow {
  readonly #arena: ArenaView;
  readonly #base: number;

  constructor(arena: ArenaView, address: number) {
    arena.reach(address + PROGRESS_BYTES);
    this.#arena = arena;
    this.#base = address / 4;
  }

  load(leader: number): number {
    return Atomics.load(this.#arena.int32, this.#base + leader);
  }

  /** Ordered after the stores of the LEOs it stands for. */
  advance(leader: number): void {
    const { int32 } = this.#arena;
    const index = this.#base + leader;
    Atomics.store(int32, index, (Atomics.load(int32, index) + 1) | 0);
  }
}
