import type { ErrorCode, TidemarkError } from '../errors.ts';
import type { BatchWriter } from '../log/record-batch-writer.ts';
import type { NewProducer } from '../runtime/producer-ids.ts';
import type { PartitionInfo, RecordPlace } from '../types.ts';
import type { BatchLink, OutboundBatch } from './broker-link.ts';
import { isRefusal, isSequenceError } from './delivery-errors.ts';

/** The promise of one record: takes its place, or a rejected promise. */
export type Resolve = (place: RecordPlace | Promise<never>) => void;

/** Records of a call that have been written: `count` of them from `first` on lie at `offset` and after it. */
interface Written {
  readonly first: number;
  readonly count: number;
  readonly partition: number;
  readonly offset: number;
  readonly step: number;
}

/** The promise of a sendBatch, whose records may lie in several batches. */
export class BatchCall {
  readonly #records: number;
  readonly #resolve: (places: RecordPlace[] | Promise<never>) => void;
  readonly #written: Written[] = [];
  /** Records without a place; negative once the call has failed. */
  #left: number;

  constructor(records: number, resolve: (places: RecordPlace[] | Promise<never>) => void) {
    this.#records = records;
    this.#left = records;
    this.#resolve = resolve;
  }

  place(first: number, count: number, partition: number, offset: number, step: number): void {
    if (this.#left < 0) return;
    this.#written.push({ first, count, partition, offset, step });
    this.#left -= count;
    if (this.#left === 0) this.#resolve(this.#places());
  }

  /** The first failure is the call's; a rejected promise that nobody takes would end the process. */
  fail(error: TidemarkError): void {
    if (this.#left < 0) return;
    this.#left = -1;
    this.#resolve(Promise.reject(error));
  }

  /** Made at the end, all at once: places that wait for others would live long enough to be promoted by the collector. */
  #places(): RecordPlace[] {
    const places: RecordPlace[] = new Array(this.#records);
    for (const { first, count, partition, offset, step } of this.#written) {
      for (let n = 0; n < count; n++) places[first + n] = { partition, offset: offset + n * step };
    }
    return places;
  }
}

/** Records of one call that follow each other in a batch. */
interface Run {
  readonly call: BatchCall;
  readonly first: number;
  readonly count: number;
}

/** Where a batch is on its way from, and who hears what becomes of it. */
export interface BatchOwner {
  readonly partition: number;
  readonly acks: number;
  readonly requestTimeoutMs: number;
  /** It is delivered, or given up: its writer may take other records. */
  closed(batch: ProducerBatch, writer: BatchWriter): void;
  settled(batch: ProducerBatch): void;
  failed(batch: ProducerBatch, error: TidemarkError): void;
}

/**
 * A batch of a producer, from its first record to its acknowledgement. One promise a record or a run, no more. Its bytes
 * stay until then, to be sent again.
 */
export class ProducerBatch implements OutboundBatch {
  /** When it is given up. */
  readonly deadlineMs: number;
  /** The place in the order of its partition. */
  place = -1;
  /** Told when the batch is settled or was given up; for flush. */
  onClosed: (() => void)[] | undefined;
  readonly #owner: BatchOwner;
  #writer: BatchWriter | undefined;
  #size = 0;
  /** In the order of the records: a function stands for one record, a run for several. */
  readonly #waiting: (Resolve | Run)[] = [];
  /** As its partition was when it was sent last, and the way it took. */
  #sentTo: PartitionInfo | undefined;
  #link: BatchLink | undefined;
  #isNumbered = false;
  #mayBeWritten = false;
  /** The same, before it was sent last. */
  #mightBeWritten = false;
  #sequenceFault: ErrorCode | undefined;

  constructor(owner: BatchOwner, writer: BatchWriter, deadlineMs: number) {
    this.#owner = owner;
    this.#writer = writer;
    this.deadlineMs = deadlineMs;
  }

  get writer(): BatchWriter {
    if (this.#writer === undefined) throw new Error('a batch that is closed has no bytes any more');
    return this.#writer;
  }

  /** Bytes of the sealed batch. */
  get size(): number {
    return this.#size;
  }

  get records(): number {
    return this.writer.count;
  }

  get acks(): number {
    return this.#owner.acks;
  }

  get timeoutMs(): number {
    return this.#owner.requestTimeoutMs;
  }

  get partitionId(): number {
    return (this.#sentTo as PartitionInfo).id;
  }

  get epoch(): number {
    return (this.#sentTo as PartitionInfo).epoch;
  }

  get bytes(): Uint8Array {
    return this.writer.bytesView();
  }

  get sentTo(): PartitionInfo | undefined {
    return this.#sentTo;
  }

  get link(): BatchLink | undefined {
    return this.#link;
  }

  /** Whether it has the sequence numbers of an idempotent producer. */
  get isNumbered(): boolean {
    return this.#isNumbered;
  }

  /** Whether a log may hold it, as far as is known here. */
  get mayBeWritten(): boolean {
    return this.#mayBeWritten;
  }

  /** What its numbers were refused for when it was sent last. */
  get sequenceFault(): ErrorCode | undefined {
    return this.#sequenceFault;
  }

  await(resolve: Resolve): void {
    this.#waiting.push(resolve);
  }

  awaitRun(call: BatchCall, first: number, count: number): void {
    this.#waiting.push({ call, first, count });
  }

  /** No more records come: the header is written. */
  seal(): void {
    this.#size = this.writer.finish();
  }

  number({ producerId, producerEpoch }: NewProducer, baseSequence: number): void {
    this.writer.setProducer(producerId, producerEpoch, baseSequence);
    this.writer.finish();
    this.#isNumbered = true;
  }

  /** It is certain that no log holds it: it may have other numbers. */
  unnumber(): void {
    this.#isNumbered = false;
    this.#mayBeWritten = false;
  }

  goesTo(info: PartitionInfo, link: BatchLink): void {
    this.#sentTo = info;
    this.#link = link;
    this.#mightBeWritten = this.#mayBeWritten;
    this.#sequenceFault = undefined;
  }

  /** The bytes have been copied to where the broker takes them from. */
  sent(): void {
    this.#mayBeWritten = true;
  }

  /**
   * What a refusal says of where it is written. That nobody knows the producer proves nothing where its sequence was known
   * before (`wasKnown`): it may be forgotten with all that it has written.
   */
  refused(code: ErrorCode, wasKnown: boolean): void {
    if (isSequenceError(code)) {
      this.#sequenceFault = code;
      this.#mayBeWritten = code === 'UNKNOWN_PRODUCER_ID' && wasKnown && this.#mightBeWritten;
    } else if (isRefusal(code)) {
      this.#mayBeWritten = this.#mightBeWritten;
    }
  }

  /** With acks 0 nobody tells the offset: every record gets -1. */
  settle(baseOffset: number): void {
    const { partition } = this.#owner;
    const step = baseOffset < 0 ? 0 : 1;
    let offset = baseOffset;
    for (const waiting of this.#waiting) {
      if (typeof waiting === 'function') {
        waiting({ partition, offset });
        offset += step;
      } else {
        waiting.call.place(waiting.first, waiting.count, partition, offset, step);
        offset += step * waiting.count;
      }
    }
    this.#owner.settled(this);
    this.#close();
  }

  /** It may be sent again. */
  fail(error: TidemarkError): void {
    this.#owner.failed(this, error);
  }

  /** It is not sent again. */
  giveUp(error: TidemarkError): void {
    for (const waiting of this.#waiting) {
      if (typeof waiting === 'function') waiting(Promise.reject(error));
      else waiting.call.fail(error);
    }
    this.#close();
  }

  #close(): void {
    const writer = this.writer;
    this.#writer = undefined;
    this.#waiting.length = 0;
    const told = this.onClosed;
    this.onClosed = undefined;
    this.#owner.closed(this, writer);
    for (const tell of told ?? []) tell();
  }
}
