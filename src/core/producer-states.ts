import { BATCHES_IN_FLIGHT_MAX, PRODUCERS_A_PARTITION_MAX } from '../limits.ts';
import type { ProducedBatch, SequenceVerdict } from '../types.ts';

/** Sequence numbers begin again at 0 behind 2^31 - 1. */
const SEQUENCES = 2 ** 31;
/** To find out who has written least lately is to look at all of them: it is done for so many that are too many. */
const FORGOTTEN_AT_ONCE = 500;
/** Nobody has looked at the clock since it was heard. */
const JUST_NOW = -1;

/** What a partition knows of one producer. */
export interface ProducerState {
  readonly epoch: number;
  /** Its last ones in this epoch, the oldest first; none where all that is known is the epoch. */
  readonly batches: readonly ProducedBatch[];
}

interface Producer extends ProducerState {
  epoch: number;
  batches: ProducedBatch[];
  /** A copy of the states has the same list: it is not changed any more. */
  isShared: boolean;
  heardMs: number;
}

/**
 * The idempotent producers of one partition: which sequence number each goes on with, and where its last batches lie. It
 * follows from the log alone, and every replica has it. A batch is judged and noted in one turn, with nothing between.
 */
export class ProducerStates {
  readonly #producers = new Map<number, Producer>();
  /** Who is to be forgotten next, where there are too many. */
  #oldest: [producerId: number, lastOffset: number][] = [];
  #end = 0;

  get size(): number {
    return this.#producers.size;
  }

  /** The offset behind the last batch that was noted. */
  get end(): number {
    return this.#end;
  }

  entries(): Iterable<[producerId: number, state: ProducerState]> {
    return this.#producers.entries();
  }

  /** Whether there is a producer whose last batch lies below an offset: what comes from there on does not tell of it. */
  reachesBelow(offset: number): boolean {
    for (const { batches } of this.#producers.values())
      if (batches.length === 0 || batches[batches.length - 1].baseOffset < offset) return true;
    return false;
  }

  /** As they are now, whatever comes: it costs little until the producers write on. */
  copy(): ProducerStates {
    const copy = new ProducerStates();
    for (const [producerId, producer] of this.#producers) {
      producer.isShared = true;
      copy.#producers.set(producerId, { ...producer });
    }
    copy.#end = this.#end;
    return copy;
  }

  judge(producerId: number, epoch: number, firstSequence: number, records: number): SequenceVerdict {
    const known = this.#producers.get(producerId);
    if (known === undefined) return firstSequence === 0 ? 'next' : 'unknown producer';
    if (epoch < known.epoch) return 'stale epoch';
    if (epoch > known.epoch) return firstSequence === 0 ? 'next' : 'gap';
    if (this.original(producerId, epoch, firstSequence, records) !== undefined) return 'duplicate';
    const last = known.batches.at(-1);
    const expected = last === undefined ? 0 : sequenceAfter(last.firstSequence, recordsOf(last));
    return firstSequence === expected ? 'next' : 'gap';
  }

  /** The batch that this one repeats, if it is one of the last. */
  original(
    producerId: number,
    epoch: number,
    firstSequence: number,
    records: number,
  ): ProducedBatch | undefined {
    const known = this.#producers.get(producerId);
    if (known === undefined || known.epoch !== epoch) return undefined;
    for (const batch of known.batches)
      if (batch.firstSequence === firstSequence && recordsOf(batch) === records) return batch;
    return undefined;
  }

  /** The batch is in the log: whoever has put it there has judged it. One that was noted before is passed over. */
  note(batch: ProducedBatch): void {
    if (batch.nextOffset > this.#end) this.#add(batch);
  }

  /** Takes over what was written down of a producer. */
  restore(producerId: number, { epoch, batches }: ProducerState): void {
    this.#heard(producerId, epoch);
    for (const batch of batches) this.#add(batch);
  }

  /** Goes on with what a part of the log says of itself that lies behind all that is known here, and ends at `end`. */
  goOn(later: ProducerStates, end: number): void {
    for (const [producerId, state] of later.entries()) this.restore(producerId, state);
    this.#end = end;
  }

  /** Forgets those that were not heard for so long. */
  expire(nowMs: number, afterMs: number): void {
    for (const [producerId, producer] of this.#producers) {
      if (producer.heardMs === JUST_NOW) producer.heardMs = nowMs;
      else if (nowMs - producer.heardMs >= afterMs) this.#producers.delete(producerId);
    }
  }

  #add(batch: ProducedBatch): void {
    const producer = this.#heard(batch.producerId, batch.producerEpoch);
    // A marker of a transaction says nothing but the epoch.
    if (batch.firstSequence >= 0) remember(producer, batch);
    if (batch.nextOffset > this.#end) this.#end = batch.nextOffset;
    if (this.#producers.size > PRODUCERS_A_PARTITION_MAX) this.#dropOldest();
  }

  #heard(producerId: number, epoch: number): Producer {
    let producer = this.#producers.get(producerId);
    if (producer === undefined) {
      producer = { epoch, batches: [], isShared: false, heardMs: JUST_NOW };
      this.#producers.set(producerId, producer);
    }
    producer.heardMs = JUST_NOW;
    if (producer.epoch === epoch) return producer;
    producer.epoch = epoch;
    producer.batches = [];
    producer.isShared = false;
    return producer;
  }

  /** The one whose last batch lies furthest back: all replicas forget the same one. */
  #dropOldest(): void {
    for (;;) {
      const next = this.#oldest.pop();
      if (next === undefined) {
        this.#oldest = oldestOf(this.#producers);
        continue;
      }
      const [producerId, offset] = next;
      const producer = this.#producers.get(producerId);
      // It may have written since, or be forgotten already.
      if (producer === undefined || lastOffsetOf(producer) !== offset) continue;
      this.#producers.delete(producerId);
      return;
    }
  }
}

/** Those whose last batches lie furthest back, the very first one last. */
function oldestOf(producers: ReadonlyMap<number, ProducerState>): [producerId: number, lastOffset: number][] {
  return [...producers]
    .map(([producerId, state]): [number, number] => [producerId, lastOffsetOf(state)])
    .sort(([, one], [, other]) => other - one)
    .slice(-FORGOTTEN_AT_ONCE);
}

/** -1 where nothing but its epoch is known. */
function lastOffsetOf({ batches }: ProducerState): number {
  return batches.length === 0 ? -1 : batches[batches.length - 1].baseOffset;
}

function remember(producer: Producer, batch: ProducedBatch): void {
  if (producer.isShared) producer.batches = producer.batches.slice();
  producer.isShared = false;
  producer.batches.push(batch);
  if (producer.batches.length > BATCHES_IN_FLIGHT_MAX) producer.batches.shift();
}

/** The sequence number that so many records further on comes next. */
export function sequenceAfter(sequence: number, records: number): number {
  return (sequence + records) % SEQUENCES;
}

/** As the producer has counted them: compaction leaves fewer in the batch, and its offsets as they were. */
function recordsOf({ baseOffset, nextOffset }: ProducedBatch): number {
  return nextOffset - baseOffset;
}
