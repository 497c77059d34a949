// What clients did and saw while brokers failed. Plain data, so that it travels between threads.

/** Values are whole numbers that nobody writes twice; each writer has a block of its own. */
const WRITER_BLOCK = 2 ** 32;

/** The nth value of a writer. */
export function valueNumbered(writer: number, n: number): number {
  return writer * WRITER_BLOCK + n;
}

export function writerOf(value: number): number {
  return Math.floor(value / WRITER_BLOCK);
}

/** What people are shown of a value. */
export function nameOf(value: number): string {
  return `w${writerOf(value)}#${value % WRITER_BLOCK}`;
}

export interface WriterSetup {
  readonly id: number;
  readonly acks: 1 | 'all';
  /** Its records are there once at most, and in the order in which they were sent. */
  readonly isIdempotent: boolean;
}

/** A record that was acknowledged: where the cluster says that it is. */
export interface Acknowledgement {
  readonly value: number;
  readonly partition: number;
  readonly offset: number;
}

/** What a reader was answered. It asked for what begins at `from`; the next time it asks for what begins at `next`. */
export interface Poll {
  readonly reader: string;
  readonly partition: number;
  readonly from: number;
  readonly next: number;
  /** In the order in which they came: offsets, and the values there. */
  readonly offsets: readonly number[];
  readonly values: readonly number[];
}

/** A partition as it was read when all faults were over and all was quiet: every record below the HWM. */
export interface FinalLog {
  readonly partition: number;
  readonly offsets: readonly number[];
  readonly values: readonly number[];
  readonly hwm: number;
}

export interface History {
  readonly writers: readonly WriterSetup[];
  /** How many values each writer has begun to send: whatever else is read is nobody's. By the writer's id. */
  readonly begun: ReadonlyMap<number, number>;
  readonly acknowledged: readonly Acknowledgement[];
  readonly polls: readonly Poll[];
  readonly logs: readonly FinalLog[];
}
