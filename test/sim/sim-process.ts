import { PublishedImage } from '../../src/runtime/metadata-machine.ts';
import type { Quorum, QuorumClock } from '../../src/runtime/quorum.ts';
import type { Scheduler } from './scheduler.ts';
import type { SimMachine } from './sim-machine.ts';

const ROUNDING_MS = 1e-6;

/** A thread with a clock of its own, which may stand still; and the voters that live in it. */
export class SimProcess {
  readonly name: string;
  readonly clock: QuorumClock;
  readonly quorum: Quorum<SimMachine>;
  /** Voters of one process share images. */
  readonly published = new PublishedImage(() => undefined);
  readonly #scheduler: Scheduler;
  #isDead = false;
  #resumesMs = 0;

  constructor(
    name: string,
    scheduler: Scheduler,
    /** How many of its milliseconds pass in one of the simulator's. */
    rate: number,
    quorumOf: (process: SimProcess) => Quorum<SimMachine>,
  ) {
    this.name = name;
    this.#scheduler = scheduler;
    const beganMs = scheduler.nowMs;
    this.clock = {
      nowMs: () => (scheduler.nowMs - beganMs) * rate,
      schedule: (delayMs, callback) => {
        const event = scheduler.schedule(
          // A little later, so that a rounded time is never too early for what waits for it.
          delayMs / rate + ROUNDING_MS,
          'timer',
          () => `of ${name}`,
          () => this.whenRunning('timer', callback),
        );
        return () => {
          event.action = undefined;
        };
      },
    };
    this.quorum = quorumOf(this);
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  end(): void {
    this.#isDead = true;
  }

  /** It stands still: nothing that concerns it happens before. */
  pause(durationMs: number): void {
    this.#resumesMs = Math.max(this.#resumesMs, this.#scheduler.nowMs + durationMs);
  }

  resume(): void {
    this.#resumesMs = 0;
  }

  /** Now, or when the pause is over; never if it has died by then. */
  whenRunning(kind: 'timer' | 'message' | 'disk' | 'client', action: () => void): void {
    if (this.#isDead) return;
    const leftMs = this.#resumesMs - this.#scheduler.nowMs;
    if (leftMs <= ROUNDING_MS) {
      action();
      return;
    }
    const describe = (): string => `held back by the pause of ${this.name}`;
    this.#scheduler.schedule(leftMs, kind, describe, () => this.whenRunning(kind, action));
  }
}
