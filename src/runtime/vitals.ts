import { defineLayout, ringBell, Sleeper } from '../../native-free/sharedarraybuffer-utils/index.ts';
import { BROKERS_MAX } from '../limits.ts';
import type { ArenaView } from './arena.ts';

/** When a broker was alive last, and what holds it still where somebody wants to see how the others do without it. */
const layout = defineLayout('vitals', [
  { field: 'beat', type: 'int32', writer: 'broker' },
  { field: 'paused', type: 'int32', writer: 'main thread' },
  { field: 'bell', type: 'int32', writer: 'broker while it sleeps, main thread while it rings' },
  { field: 'metadata', type: 'int32', writer: 'broker' },
]);

export const VITALS_BYTES = layout.bytes;

/** A time as far as a word can hold it: differences of two are right, around its end too. */
const wordOf = (ms: number): number => Math.trunc(ms) | 0;

export class Vitals {
  readonly #int32: Int32Array;
  readonly #base: number;

  constructor(arena: ArenaView, address: number) {
    arena.reach(address + VITALS_BYTES);
    this.#int32 = arena.int32;
    this.#base = address / 4;
  }

  /** By the broker, from its event loop: one that hangs, in whatever, does not get there. */
  beat(nowMs: number): void {
    // 0 says that there was none.
    Atomics.store(this.#int32, this.#base + layout.index.beat, wordOf(nowMs) || 1);
  }

  /** When it was alive last, to the millisecond; undefined before it has said so. Within 24 days of that. */
  lastBeatMs(nowMs: number): number | undefined {
    const word = Atomics.load(this.#int32, this.#base + layout.index.beat);
    return word === 0 ? undefined : Math.trunc(nowMs) - ((wordOf(nowMs) - word) | 0);
  }

  /** By the broker: it goes by the metadata up to this entry of their log. */
  storeMetadata(offset: number): void {
    Atomics.store(this.#int32, this.#base + layout.index.metadata, offset);
  }

  /** 0 before it was told of any. */
  loadMetadata(): number {
    return Atomics.load(this.#int32, this.#base + layout.index.metadata);
  }

  get isPaused(): boolean {
    return Atomics.load(this.#int32, this.#base + layout.index.paused) === 1;
  }

  pause(): void {
    Atomics.store(this.#int32, this.#base + layout.index.paused, 1);
  }

  resume(): void {
    Atomics.store(this.#int32, this.#base + layout.index.paused, 0);
    ringBell(this.#int32, this.#base + layout.index.bell);
  }

  /** By the broker: blocks its thread, event loop and all, for as long as it is paused. */
  hold(): void {
    new Sleeper(this.#int32, this.#base + layout.index.bell).sleepSync(() => !this.isPaused);
  }
}

/** A word for each broker, by its id, which is never 0: there stands how often sides have changed. */
export const SIDES_BYTES = BROKERS_MAX * 4;
const CHANGES = 0;
/** Where the coordinator is, and everybody who was not cut off. */
export const COORDINATORS_SIDE = 0;

/**
 * On which side of a broken network each broker is. The main thread writes it, everybody reads it. Brokers see each
 * other's memory and ports only while they are on one side, and the coordinator hears and tells those of its own. A side
 * belongs to a broker and not to a life of it: one that ends while it is cut off is cut off when it is back.
 */
export class Sides {
  readonly #int32: Int32Array;
  readonly #base: number;

  constructor(arena: ArenaView, address: number) {
    arena.reach(address + SIDES_BYTES);
    this.#int32 = arena.int32;
    this.#base = address / 4;
  }

  /** How often they have changed: what brokers look at, since that is next to never. */
  get changes(): number {
    return Atomics.load(this.#int32, this.#base + CHANGES);
  }

  of(broker: number): number {
    return Atomics.load(this.#int32, this.#base + broker);
  }

  areLinked(one: number, other: number): boolean {
    return this.of(one) === this.of(other);
  }

  isWithCoordinator(broker: number): boolean {
    return this.of(broker) === COORDINATORS_SIDE;
  }

  /** By the main thread. The change is counted after the sides that it stands for. */
  put(brokers: readonly number[], side: number): void {
    for (const broker of brokers) Atomics.store(this.#int32, this.#base + broker, side);
    Atomics.add(this.#int32, this.#base + CHANGES, 1);
  }
}
