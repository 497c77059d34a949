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
  readonly #held: (() => void)[] = [];

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
        let isCancelled = false;
        const due = (): void => {
          if (!isCancelled) callback();
        };
        // A little later, so that a rounded time is never too early for what waits for it.
        const leftMs = delayMs / rate + ROUNDING_MS;
        const event = scheduler.schedule(
          leftMs,
          'timer',
          () => `of ${name}`,
          () => this.whenRunning(due),
        );
        return () => {
          isCancelled = true;
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
    const describe = (): string => `${this.name} may go on`;
    this.#scheduler.schedule(durationMs + ROUNDING_MS, 'fault', describe, () => {
      if (!this.#isPaused) this.resume();
    });
  }

  /** What was held back happens now, in its order and at once. */
  resume(): void {
    this.#resumesMs = 0;
    for (const action of this.#held.splice(0)) if (!this.#isDead) action();
  }

  /** Now, or when the pause is over; never if it has died by then. */
  whenRunning(action: () => void): void {
    if (this.#isDead) return;
    if (this.#isPaused) this.#held.push(action);
    else action();
  }

  get #isPaused(): boolean {
    return this.#scheduler.nowMs < this.#resumesMs;
  }
}
