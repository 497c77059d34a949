import type { Port } from '../../../src/runtime/surroundings.ts';
import type { Dice } from '../dice.ts';
import type { Scheduler } from '../scheduler.ts';
import type { Strand } from './strand.ts';

/** Messages arrive late, each for itself, but in their order. */
export class Line {
  readonly #scheduler: Scheduler;
  readonly #dice: Dice;
  readonly #delayMs: readonly [number, number];
  readonly #name: () => string;
  #lastMs = 0;

  constructor(scheduler: Scheduler, dice: Dice, delayMs: readonly [number, number], name: () => string) {
    this.#scheduler = scheduler;
    this.#dice = dice;
    this.#delayMs = delayMs;
    this.#name = name;
  }

  /** Nothing arrives before this time. */
  holdUntil(timeMs: number): void {
    this.#lastMs = Math.max(this.#lastMs, timeMs);
  }

  send(what: string, arrive: () => void): void {
    const { nowMs } = this.#scheduler;
    this.#lastMs = Math.max(this.#lastMs, nowMs + this.#dice.between(...this.#delayMs));
    const describe = (): string => `${this.#name()}: ${what}`;
    this.#scheduler.schedule(this.#lastMs - nowMs, 'message', describe, arrive);
  }
}

/** One end of a connection between two brokers. */
export class SimPort implements Port {
  /** Whoever has this end: nobody before it was handed over. */
  owner: Strand | undefined;
  #line: Line | undefined;
  #other: SimPort | undefined;
  #listener: ((message: unknown) => void) | undefined;
  /** What came before anybody listened. */
  readonly #early: unknown[] = [];
  #isClosed = false;

  static pair(scheduler: Scheduler, dice: Dice, delayMs: readonly [number, number]): [SimPort, SimPort] {
    const one = new SimPort();
    const other = new SimPort();
    one.#connect(other, scheduler, dice, delayMs);
    other.#connect(one, scheduler, dice, delayMs);
    return [one, other];
  }

  postMessage(message: unknown, transfer: readonly object[] = []): void {
    const other = this.#other;
    if (this.#isClosed || other === undefined) return;
    const copy: unknown = structuredClone(message, { transfer: transfer as ArrayBuffer[] });
    const { type } = message as { type?: string };
    this.#line?.send(type ?? 'a message', () => other.#arrive(copy));
  }

  on(_event: 'message', listener: (message: unknown) => void): void {
    this.#listener = listener;
    for (const message of this.#early.splice(0)) this.#arrive(message);
  }

  close(): void {
    this.#isClosed = true;
  }

  /** Hands it to another thread: as with a MessagePort that is too late once either end is closed. */
  giveTo(owner: Strand): void {
    if (this.#isClosed || (this.#other as SimPort).#isClosed)
      throw new Error('A port whose other end is closed cannot be handed over.');
    this.owner = owner;
  }

  #connect(other: SimPort, scheduler: Scheduler, dice: Dice, delayMs: readonly [number, number]): void {
    this.#other = other;
    const name = (): string => `${this.owner?.name ?? 'nobody'} to ${other.owner?.name ?? 'nobody'}`;
    this.#line = new Line(scheduler, dice.fork(), delayMs, name);
  }

  #arrive(message: unknown): void {
    if (this.#isClosed) return;
    const listener = this.#listener;
    if (listener === undefined) this.#early.push(message);
    else
      this.owner?.run(() => {
        if (!this.#isClosed) listener(message);
      });
  }
}
