import { defineLayout, ringBell, Sleeper } from '../../native-free/sharedarraybuffer-utils/index.ts';
import type { ArenaView } from './arena.ts';

/** A broker's sign of life, and what holds it still where somebody wants to see how the others do without it. */
const layout = defineLayout('vitals', [
  { field: 'beats', type: 'int32', writer: 'broker' },
  { field: 'paused', type: 'int32', writer: 'main thread' },
  { field: 'bell', type: 'int32', writer: 'broker while it sleeps, main thread while it rings' },
  { field: 'metadata', type: 'int32', writer: 'broker' },
]);

export const VITALS_BYTES = layout.bytes;

export class Vitals {
  readonly #int32: Int32Array;
  readonly #base: number;

  constructor(arena: ArenaView, address: number) {
    arena.reach(address + VITALS_BYTES);
    this.#int32 = arena.int32;
    this.#base = address / 4;
  }

  /** By the broker, from its event loop: one that hangs, in whatever, does not get there. */
  beat(): void {
    Atomics.add(this.#int32, this.#base + layout.index.beats, 1);
  }

  loadBeats(): number {
    return Atomics.load(this.#int32, this.#base + layout.index.beats);
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
