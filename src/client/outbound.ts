import type { TidemarkError } from '../errors.ts';
import type { BatchWriter } from '../log/record-batch-writer.ts';
import type { PartitionInfo, RecordPlace } from '../types.ts';
import type { OutboundBatch } from './broker-link.ts';

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

/** What an accumulator learns of its batches. */
export interface BatchOwner {
  readonly info: PartitionInfo;
  /** The same error, with what the owner knows of the partition. */
  explained(error: TidemarkError): TidemarkError;
  /** The bytes are elsewhere: their writer may take other records. */
  recycle(writer: BatchWriter): void;
  settled(batch: ProducerBatch): void;
}

/** A batch of a producer, from its first record to its acknowledgement. One promise a record or a run, no more. */
export class ProducerBatch implements OutboundBatch {
  readonly acks: number;
  /** Told when the batch is settled or has failed; for flush. */
  onClosed: (() => void)[] | undefined;
  readonly #owner: BatchOwner;
  /** Held until the bytes have been sent. */
  #writer: BatchWriter | undefined;
  #size = 0;
  /** In the order of the records: a function stands for one record, a run for several. */
  readonly #waiting: (Resolve | Run)[] = [];

  constructor(owner: BatchOwner, acks: number, writer: BatchWriter) {
    this.#owner = owner;
    this.acks = acks;
    this.#writer = writer;
  }

  get writer(): BatchWriter {
    if (this.#writer === undefined) throw new Error('a batch that was sent takes no more records');
    return this.#writer;
  }

  /** Bytes of the sealed batch. */
  get size(): number {
    return this.#size;
  }

  get partitionId(): number {
    return this.#owner.info.id;
  }

  get epoch(): number {
    return this.#owner.info.epoch;
  }

  get bytes(): Uint8Array {
    return this.writer.bytesView();
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

  /** The bytes have been copied to where they are sent from. */
  sent(): void {
    const writer = this.#writer;
    this.#writer = undefined;
    if (writer !== undefined) this.#owner.recycle(writer);
  }

  /** With acks 0 nobody tells the offset: every record gets -1. */
  settle(baseOffset: number): void {
    const { partition } = this.#owner.info;
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
    this.#close();
  }

  fail(cause: TidemarkError): void {
    const error = this.#owner.explained(cause);
    for (const waiting of this.#waiting) {
      if (typeof waiting === 'function') waiting(Promise.reject(error));
      else waiting.call.fail(error);
    }
    this.#close();
  }

  #close(): void {
    this.#waiting.length = 0;
    this.sent();
    const told = this.onClosed;
    this.onClosed = undefined;
    this.#owner.settled(this);
    for (const tell of told ?? []) tell();
  }
}
