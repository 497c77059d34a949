import type { Clock } from '../../../src/runtime/surroundings.ts';
import type { EventKind, Scheduler } from '../scheduler.ts';

/** What a thread throws that was ended in the midst of something: nobody is to see it. */
export class Killed extends Error {}

/** A rounded time is never too early for what waits for it. */
const ROUNDING_MS = 1e-6;
const TURN_MS = 0.002;
/** When the simulated machines' clocks began, in milliseconds since 1970. */
const EPOCH_MS = 1_800_000_000_000;

/** What a thread does, one thing after the other, unless it stands still or is dead. */
export class Strand {
  readonly name: string;
  readonly clock: Clock;
  /** Whether something blocks it besides; asked anew whenever it matters. */
  isBlocked: () => boolean = () => false;
  isDead = false;
  readonly #scheduler: Scheduler;
  readonly #failed: (error: unknown) => void;
  readonly #touched: () => void;
  readonly #held: (() => void)[] = [];
  #stillUntilMs = 0;
  #isDraining = false;

  /** `touched` is told whenever it has done something, `failed` of what it has thrown. */
  constructor(name: string, scheduler: Scheduler, touched: () => void, failed: (error: unknown) => void) {
    this.name = name;
    this.#scheduler = scheduler;
    this.#touched = touched;
    this.#failed = failed;
    this.clock = this.#newClock();
  }

  get isStill(): boolean {
    return this.#scheduler.nowMs < this.#stillUntilMs || this.isBlocked();
  }

  /** For so long nothing happens here. */
  stall(durationMs: number): void {
    this.#stillUntilMs = Math.max(this.#stillUntilMs, this.#scheduler.nowMs + durationMs);
    this.#scheduler.schedule(
      durationMs + ROUNDING_MS,
      'fault',
      () => `${this.name} may go on`,
      () => this.look(),
    );
  }

  goOn(): void {
    this.#stillUntilMs = 0;
  }

  /** Now, or after all that is held back; never if it has died by then. */
  run(action: () => void): void {
    if (this.isDead) return;
    if (this.#held.length > 0 || this.isStill) this.#held.push(action);
    else this.#perform(action);
  }

  after(delayMs: number, kind: EventKind, what: string, action: () => void): () => void {
    let isOff = false;
    const describe = (): string => `${this.name}: ${what}`;
    const event = this.#scheduler.schedule(delayMs + ROUNDING_MS, kind, describe, () => {
      this.run(() => {
        if (!isOff) action();
      });
    });
    return () => {
      isOff = true;
      event.action = undefined;
    };
  }

  /** What was held back comes now, one thing at a time, if nothing holds it back any more. */
  look(): void {
    if (this.#isDraining || this.#held.length === 0 || this.isStill || this.isDead) return;
    this.#isDraining = true;
    const describe = (): string => `${this.name} goes on`;
    this.#scheduler.schedule(0, 'timer', describe, () => {
      this.#isDraining = false;
      if (this.isStill || this.isDead) return;
      const action = this.#held.shift();
      if (action !== undefined) this.#perform(action);
      this.look();
    });
  }

  #perform(action: () => void): void {
    this.#touched();
    try {
      action();
    } catch (error) {
      if (!(error instanceof Killed)) this.#failed(error);
    }
  }

  #newClock(): Clock {
    const scheduler = this.#scheduler;
    const schedule = (delayMs: number, callback: () => void): (() => void) =>
      this.after(delayMs, 'timer', 'a timer', callback);
    return {
      nowMs: () => scheduler.nowMs,
      wallClockMs: () => EPOCH_MS + Math.floor(scheduler.nowMs),
      schedule,
      scheduleKept: schedule,
      every: (periodMs, callback) => {
        let cancel = (): void => undefined;
        const next = (): void => {
          cancel = schedule(periodMs, () => {
            next();
            callback();
          });
        };
        next();
        return () => cancel();
      },
      turn: () =>
        new Promise((resolve) => {
          this.after(TURN_MS, 'timer', 'a turn', resolve);
        }),
    };
  }
}
