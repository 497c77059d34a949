// What happens next, and nothing else: one heap of events in simulated time. Ties go by the order of scheduling.

export type EventKind = 'message' | 'timer' | 'disk' | 'client' | 'fault' | 'check' | 'pass';

export interface ScheduledEvent {
  readonly atMs: number;
  readonly sequence: number;
  readonly kind: EventKind;
  readonly describe: () => string;
  /** Undefined once it was called off. */
  action: (() => void) | undefined;
}

/** Turns of the event loop that are asked for at once: between any two of them all promises come to rest. */
const TURNS_AT_ONCE = 512;

/** More of them at once, or nearly, and whatever goes on there goes round in a circle. */
const EVENTS_A_MS_MAX = 100_000;

const CODES: Readonly<Record<EventKind, number>> = {
  message: 1,
  timer: 2,
  disk: 3,
  client: 4,
  fault: 5,
  check: 6,
  pass: 7,
};

export class Scheduler {
  nowMs = 0;
  events = 0;
  /** Of all that has happened, in its order: two runs of a seed are the same if this is. */
  hash = 0x811c9dc5;
  /** How many events of each kind there were. */
  readonly counts: Record<EventKind, number> = {
    message: 0,
    timer: 0,
    disk: 0,
    client: 0,
    fault: 0,
    check: 0,
    pass: 0,
  };
  isStopped = false;
  /** Called between any two events, when all promises have come to rest. */
  between: () => void = () => undefined;
  /** Told where time does not get on, whatever happens. */
  stuck: (sentence: string) => void = (sentence) => {
    throw new Error(sentence);
  };
  /** How many events there were before this millisecond began. */
  #eventsBefore = 0;
  readonly #trace: ((line: string) => void) | undefined;
  readonly #heap: ScheduledEvent[] = [];
  #sequence = 0;

  constructor(trace: ((line: string) => void) | undefined) {
    this.#trace = trace;
  }

  get isTraced(): boolean {
    return this.#trace !== undefined;
  }

  /** A line of what has come of an event; only for people. */
  note(line: string): void {
    this.#trace?.(`${stamp(this.nowMs)}    ${line}`);
  }

  schedule(delayMs: number, kind: EventKind, describe: () => string, action: () => void): ScheduledEvent {
    if (Number.isNaN(delayMs)) throw new Error(`${describe()}: when, nobody knows`);
    const atMs = this.nowMs + Math.max(0, delayMs);
    this.#sequence += 1;
    const event: ScheduledEvent = { atMs, sequence: this.#sequence, kind, describe, action };
    this.#push(event);
    return event;
  }

  mix(value: number): void {
    this.hash = Math.imul(this.hash ^ value, 0x01000193) >>> 0;
  }

  stop(): void {
    this.isStopped = true;
  }

  /** Lets simulated time pass up to this moment. */
  run(untilMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let isOver = false;
      const turn = (): void => {
        if (isOver) return;
        try {
          isOver = !this.#next(untilMs);
          if (isOver) resolve();
        } catch (error) {
          isOver = true;
          reject(error);
        }
      };
      const ask = (): void => {
        if (isOver) return;
        for (let n = 0; n < TURNS_AT_ONCE; n++) setImmediate(turn);
        setImmediate(ask);
      };
      ask();
    });
  }

  #next(untilMs: number): boolean {
    if (!this.isStopped) this.between();
    if (this.isStopped) return false;
    for (;;) {
      const event = this.#heap[0];
      if (event === undefined || event.atMs > untilMs) {
        this.nowMs = untilMs;
        return false;
      }
      this.#pop();
      const { action } = event;
      if (action === undefined) continue;
      if (Math.floor(event.atMs) > Math.floor(this.nowMs)) this.#eventsBefore = this.events;
      this.nowMs = event.atMs;
      this.events += 1;
      if (this.events - this.#eventsBefore === EVENTS_A_MS_MAX)
        this.stuck(`${EVENTS_A_MS_MAX} events within a millisecond, the last of them: ${event.describe()}`);
      this.counts[event.kind] += 1;
      this.mix((event.atMs * 1024) | 0);
      this.mix(CODES[event.kind]);
      if (this.#trace !== undefined) {
        this.#trace(`${stamp(event.atMs)} ${event.kind.padEnd(7)} ${event.describe()}`);
      }
      event.action = undefined;
      action();
      return true;
    }
  }

  #push(event: ScheduledEvent): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent])) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child += 1;
      if (!isBefore(heap[child], last)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(one: ScheduledEvent, other: ScheduledEvent): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.sequence < other.sequence);
}

function stamp(timeMs: number): string {
  return `${timeMs.toFixed(3).padStart(10)} ms`;
}
