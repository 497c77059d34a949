import { isCompacted } from '../config.ts';
import { TidemarkError } from '../errors.ts';
import type { BatchWriter } from '../log/record-batch-writer.ts';
import { wallClockMs } from '../runtime/clock.ts';
import type { TopicInfo } from '../runtime/topics.ts';
import type { PartitionInfo, RecordInput } from '../types.ts';
import { Delivery, type DeliveryHost, type DeliveryOwner } from './delivery.ts';
import { undelivered } from './delivery-errors.ts';
import { type BatchCall, type BatchOwner, ProducerBatch, type Resolve } from './outbound.ts';
import { partitionOfKey } from './partitioner.ts';
import type { WriterPool } from './writer-pool.ts';

/** What a route asks of its producer. */
export interface RouteHost extends DeliveryHost {
  readonly acks: number;
  readonly batchBytes: number;
  readonly deliveryTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly writers: WriterPool;
  /** Whether the producer's buffer has room for another record. */
  hasRoom(): boolean;
  /** Records of this many bytes have come into the buffer. */
  buffered(bytes: number): void;
  /** A batch takes no more records. */
  sealed(batch: ProducerBatch, delivery: Delivery): void;
  /** A sealed batch is acknowledged, or has failed for good. */
  closed(batch: ProducerBatch): void;
  /** What is to be told of a batch that cannot be delivered. */
  explain(error: TidemarkError, broker: number | undefined): TidemarkError | Promise<TidemarkError>;
  /** The end of this turn should look at the accumulator. */
  mark(accumulator: Accumulator): void;
}

/** The batch of one partition that is being filled, and the delivery of those that are. */
export class Accumulator implements BatchOwner, DeliveryOwner {
  readonly delivery: Delivery;
  readonly #route: Route;
  #current: ProducerBatch | undefined;
  /** Whether the producer has it in the list for the end of this turn. */
  isMarked = false;

  constructor(route: Route, info: PartitionInfo) {
    this.#route = route;
    this.delivery = new Delivery(route.host, this, info);
  }

  get partition(): number {
    return this.delivery.info.partition;
  }

  get acks(): number {
    return this.#route.host.acks;
  }

  get requestTimeoutMs(): number {
    return this.#route.host.requestTimeoutMs;
  }

  /** The batch that takes the next record. */
  batch(): ProducerBatch {
    this.#current ??= this.#route.openBatch(this);
    return this.#current;
  }

  /** Sends what has been gathered. */
  seal(): void {
    const batch = this.#current;
    if (batch === undefined || batch.writer.isEmpty) return;
    this.#current = undefined;
    batch.seal();
    this.#route.sealed(this, batch);
    this.delivery.add(batch);
  }

  /** Sends a batch that is not full, unless one is under way: then more records may join it until that is answered. */
  sealIfIdle(): void {
    if (this.delivery.isIdle) this.seal();
  }

  settled(batch: ProducerBatch): void {
    this.delivery.settled(batch);
  }

  failed(batch: ProducerBatch, error: TidemarkError): void {
    this.delivery.failed(batch, error);
  }

  closed(batch: ProducerBatch, writer: BatchWriter): void {
    this.#route.recycle(writer);
    this.#route.host.closed(batch);
    if (this.#current !== undefined) this.#route.host.mark(this);
  }

  isHopeless(error: TidemarkError): boolean {
    return error.code === 'NOT_ENOUGH_REPLICAS' && this.#route.minInSync > this.delivery.info.replicas.length;
  }

  givenUp(batch: ProducerBatch, last: TidemarkError | undefined, isLate: boolean): void {
    const { host } = this.#route;
    const afterMs = isLate ? host.deliveryTimeoutMs : undefined;
    const error = undelivered(this.#explained(last), batch.mayBeWritten, afterMs);
    const explained = host.explain(error, batch.sentTo?.leader);
    if (explained instanceof TidemarkError) batch.giveUp(explained);
    else void explained.then((found) => batch.giveUp(found));
  }

  /** With what is known of the partition. */
  #explained(error: TidemarkError | undefined): TidemarkError | undefined {
    const { topic, partition, replicas } = this.delivery.info;
    if (error?.code === 'UNKNOWN_PRODUCER_ID') {
      const sentence = `Partition ${partition} of '${topic}' has forgotten this producer, and with it what it has written: after producer.id.expiration.ms, or because too many others have written there since.`;
      return new TidemarkError(error.code, sentence, { cause: error });
    }
    if (error?.code !== 'NOT_ENOUGH_REPLICAS') return error;
    const { minInSync } = this.#route;
    const what = `Partition ${partition} of '${topic}' has min.insync.replicas ${minInSync}`;
    const sentence =
      minInSync > replicas.length
        ? `${what} and a replication factor of ${replicas.length}, so that acks 'all' can never be kept. Create the topic with more replicas or a smaller min.insync.replicas, or send with acks 1.`
        : `${what}, and of its ${replicas.length} replicas fewer are in sync; status() tells which, and why.`;
    return new TidemarkError(error.code, sentence);
  }
}

/** A topic as one producer sends to it. */
export class Route {
  readonly host: RouteHost;
  readonly needsKey: boolean;
  readonly accumulators: Accumulator[];
  #maxBytes: number;
  #minInSync: number;
  #version: number;
  /** Where records without a key go until a batch is sent. */
  #sticky = 0;

  constructor(host: RouteHost, topic: TopicInfo) {
    this.host = host;
    this.#maxBytes = topic.config['max.message.bytes'];
    this.#version = topic.version;
    this.needsKey = isCompacted(topic.config);
    this.#minInSync = topic.config['min.insync.replicas'];
    this.accumulators = topic.partitions.map((info) => new Accumulator(this, info));
  }

  get minInSync(): number {
    return this.#minInSync;
  }

  get maxBytes(): number {
    return this.#maxBytes;
  }

  /** What has become of the topic. False where this is another one of the same name: then the route leads nowhere. */
  update(topic: TopicInfo): boolean {
    if (topic.version === this.#version) return true;
    if (topic.partitions[0].id !== this.accumulators[0].delivery.info.id) return false;
    this.#version = topic.version;
    this.#minInSync = topic.config['min.insync.replicas'];
    for (const [n, info] of topic.partitions.entries()) {
      const accumulator = this.accumulators[n];
      if (accumulator === undefined) this.accumulators.push(new Accumulator(this, info));
      else accumulator.delivery.update(info);
    }
    this.#maxBytes = topic.config['max.message.bytes'];
    return true;
  }

  /** The topic is gone, or the cluster: what has been gathered fails. */
  end(error: TidemarkError): void {
    for (const accumulator of this.accumulators) {
      accumulator.delivery.end(error);
      accumulator.seal();
    }
  }

  /** Adds a checked record; `resolve` is its promise. */
  append(record: RecordInput, resolve: Resolve): void {
    const accumulator = this.#accumulatorFor(record);
    const timestamp = wallClockMs();
    let added = this.#take(accumulator, record, timestamp);
    if (added === 0) {
      accumulator.seal();
      added = this.#take(accumulator, record, timestamp);
    }
    const batch = accumulator.batch();
    batch.await(resolve);
    if (batch.writer.bytes + added > this.host.batchBytes) accumulator.seal();
    else if (!accumulator.isMarked) this.host.mark(accumulator);
  }

  /**
   * Adds checked records from `first` on while there is room; returns the first that found none. They are those of
   * the call after the `written` that were written before.
   */
  appendRun(records: readonly RecordInput[], first: number, call: BatchCall, written = 0): number {
    const timestamp = wallClockMs();
    let next = first;
    while (next < records.length && this.host.hasRoom()) {
      const accumulator = this.#accumulatorFor(records[next]);
      next = this.#appendTo(accumulator, records, next, timestamp, call, written);
    }
    return next;
  }

  /** Adds records for as long as they go to this accumulator's present batch. */
  #appendTo(
    accumulator: Accumulator,
    records: readonly RecordInput[],
    first: number,
    timestamp: number,
    call: BatchCall,
    written: number,
  ): number {
    const { batchBytes } = this.host;
    const { writer } = accumulator.batch();
    let next = first;
    let isFull = false;
    while (next < records.length && !isFull && this.host.hasRoom()) {
      const record = records[next];
      if (next > first && this.#accumulatorFor(record) !== accumulator) break;
      const added = this.#take(accumulator, record, timestamp);
      if (added > 0) next++;
      // Full is what has no room for another record of that size: so the bytes stay within a power of two.
      isFull = added === 0 || writer.bytes + added > batchBytes;
    }
    if (next > first) accumulator.batch().awaitRun(call, written + first, next - first);
    if (isFull) accumulator.seal();
    else if (!accumulator.isMarked) this.host.mark(accumulator);
    return next;
  }

  openBatch(accumulator: Accumulator): ProducerBatch {
    const writer = this.host.writers.take(this.#maxBytes);
    return new ProducerBatch(accumulator, writer, this.host.nowMs() + this.host.deliveryTimeoutMs);
  }

  sealed(accumulator: Accumulator, batch: ProducerBatch): void {
    if (this.accumulators[this.#sticky] === accumulator) {
      this.#sticky = (this.#sticky + 1) % this.accumulators.length;
    }
    this.host.sealed(batch, accumulator.delivery);
  }

  recycle(writer: BatchWriter): void {
    if (writer.capacityBytes === this.#maxBytes) this.host.writers.giveBack(writer);
  }

  #accumulatorFor({ key }: RecordInput): Accumulator {
    if (key === undefined || key === null) return this.accumulators[this.#sticky];
    return this.accumulators[partitionOfKey(key, this.accumulators.length)];
  }

  /** Bytes that a checked record has added to its partition's batch, or 0 where it did not fit beside the others. */
  #take(accumulator: Accumulator, record: RecordInput, timestamp: number): number {
    const { writer } = accumulator.batch();
    const before = writer.bytes;
    const fits = writer.tryAppend(record.timestamp ?? timestamp, record.key, record.value, record.headers);
    if (!fits) {
      if (writer.isEmpty) throw new Error('a checked record does not fit an empty batch');
      return 0;
    }
    const added = writer.bytes - before;
    this.host.buffered(added);
    return added;
  }
}
