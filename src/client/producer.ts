import { requireInteger, requireOneOf, show, TidemarkError } from '../errors.ts';
import {
  BATCH_DEFAULT_BYTES,
  MAX_BLOCK_DEFAULT_MS,
  MESSAGE_MAX_BYTES,
  PRODUCER_BUFFER_DEFAULT_BYTES,
  PRODUCER_WAITING_RECORDS_MAX,
} from '../limits.ts';
import { BATCH_HEADER_BYTES } from '../log/record-batch.ts';
import { nowMs } from '../runtime/clock.ts';
import type { Acks, PartitionInfo, RecordInput, RecordPlace } from '../types.ts';
import { BatchCall, type ProducerBatch, type Resolve } from './outbound.ts';
import { checkRecord } from './record-check.ts';
import { type Accumulator, Route, type RouteHost } from './route.ts';
import type { Session } from './session.ts';

export interface ProducerOptions {
  /** When a send counts as done: 0 handed to the broker, 1 appended by the leader, 'all' (default) committed. */
  readonly acks?: Acks;
  /** A batch is sent once it has no room for more within this, or earlier when nothing of its partition is under way. */
  readonly batchBytes?: number;
  /** Bound of the unacknowledged records in memory; sends beyond it wait for room. */
  readonly bufferBytes?: number;
  /** How long a send may wait for room before it fails with BUFFER_EXHAUSTED. */
  readonly maxBlockMs?: number;
}

const ACKS_ON_THE_WIRE = { 0: 0, 1: 1, all: -1 } as const;

/** A call that waits for room, or, with no records, for everything before it. */
interface WaitingSend {
  readonly sinceMs: number;
  readonly records: number;
  /** False where the room was not enough for all of it. */
  resume(): boolean;
  fail(error: TidemarkError): void;
}

let capturedResolve: Resolve;
/** One executor for the promises of all records: a closure for each would be the dearest part of a send. */
const capture = (resolve: (place: RecordPlace) => void): void => {
  capturedResolve = resolve as Resolve;
};

/** Writes records: gathers them into batches per partition, and sends each batch to the partition's leader. */
export class Producer {
  readonly #session: Session;
  readonly #bufferBytes: number;
  readonly #maxBlockMs: number;
  readonly #host: RouteHost;
  readonly #routes = new Map<string, Route>();
  /** Sealed batches that are not settled. */
  readonly #sent = new Set<ProducerBatch>();
  readonly #waiting: WaitingSend[] = [];
  #waitingRecords = 0;
  #isResuming = false;
  #bufferedBytes = 0;
  /** Accumulators that got records in this turn. */
  #marked: Accumulator[] = [];
  #state: 'open' | 'closing' | 'closed' = 'open';

  constructor(session: Session, options: ProducerOptions = {}) {
    this.#session = session;
    this.#bufferBytes = requireInteger(
      'bufferBytes',
      options.bufferBytes ?? PRODUCER_BUFFER_DEFAULT_BYTES,
      1,
    );
    this.#maxBlockMs = requireInteger('maxBlockMs', options.maxBlockMs ?? MAX_BLOCK_DEFAULT_MS, 0);
    this.#host = {
      acks: ACKS_ON_THE_WIRE[requireOneOf('acks', options.acks ?? 'all', [0, 1, 'all'] as const)],
      batchBytes: requireInteger(
        'batchBytes',
        options.batchBytes ?? BATCH_DEFAULT_BYTES,
        1,
        MESSAGE_MAX_BYTES,
      ),
      hasRoom: () => this.#bufferedBytes < this.#bufferBytes,
      buffered: (bytes) => {
        this.#bufferedBytes += bytes;
      },
      dispatch: (batch, info) => this.#dispatch(batch, info),
      settled: (batch) => this.#settled(batch),
      mark: (accumulator) => this.#mark(accumulator),
    };
    session.onTick(this.#expireWaiting);
  }

  /** Bytes of records that are not acknowledged. */
  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  /** Writes one record; resolves to its place once it is acknowledged as `acks` asks. */
  send(topic: string, record: RecordInput): Promise<RecordPlace> {
    const route = this.#routes.get(topic) ?? this.#newRoute(topic);
    if (route === undefined) return this.#findRoute(topic).then((found) => this.#send(found, record));
    return this.#send(route, record);
  }

  /**
   * Writes many records with one promise; resolves to their places, in the order of the records. A record that
   * cannot be written refuses the whole call before anything is. When a broker refuses a batch the call is
   * rejected, though other records of it may have been written.
   */
  sendBatch(topic: string, records: readonly RecordInput[]): Promise<RecordPlace[]> {
    const route = this.#routes.get(topic) ?? this.#newRoute(topic);
    if (route === undefined) return this.#findRoute(topic).then((found) => this.#sendBatch(found, records));
    return this.#sendBatch(route, records);
  }

  /** Resolves when everything sent before has been acknowledged or has failed. */
  async flush(): Promise<void> {
    if (this.#waiting.length > 0) {
      await new Promise<void>((resolve) => {
        const resume = (): boolean => {
          resolve();
          return true;
        };
        this.#waiting.push({ sinceMs: nowMs(), records: 0, resume, fail: () => resolve() });
      });
    }
    for (const { accumulators } of this.#routes.values()) {
      for (const accumulator of accumulators) accumulator.seal();
    }
    const closed = [...this.#sent].map(
      (batch) =>
        new Promise<void>((resolve) => {
          batch.onClosed = [...(batch.onClosed ?? []), resolve];
        }),
    );
    await Promise.all(closed);
  }

  /** Sends what is buffered, waits for it, and takes no more. */
  async close(): Promise<void> {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    await this.flush();
    this.#session.offTick(this.#expireWaiting);
    this.#state = 'closed';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #send(route: Route, record: RecordInput): Promise<RecordPlace> {
    try {
      this.#checkOpen();
      checkRecord(record, route.maxBytes);
      if (this.#waiting.length > 0 || !this.#host.hasRoom()) return this.#sendLater(route, record);
    } catch (error) {
      return Promise.reject(error);
    }
    const promise = new Promise<RecordPlace>(capture);
    route.append(record, capturedResolve);
    return promise;
  }

  #sendLater(route: Route, record: RecordInput): Promise<RecordPlace> {
    this.#checkLine(1);
    return new Promise((resolve, reject) => {
      const resume = (): boolean => {
        if (!this.#host.hasRoom()) return false;
        route.append(record, resolve as Resolve);
        return true;
      };
      this.#wait({ sinceMs: nowMs(), records: 1, resume, fail: reject });
    });
  }

  #sendBatch(route: Route, records: readonly RecordInput[]): Promise<RecordPlace[]> {
    try {
      this.#checkOpen();
      if (!Array.isArray(records)) {
        throw new TidemarkError(
          'INVALID_ARGUMENT',
          `sendBatch takes an array of records; got ${show(records)}.`,
        );
      }
      for (const record of records) checkRecord(record, route.maxBytes);
      if (records.length === 0) return Promise.resolve([]);
      if (this.#waiting.length > 0) this.#checkLine(records.length);
    } catch (error) {
      return Promise.reject(error);
    }
    return new Promise((resolve) => {
      const call = new BatchCall(records.length, resolve);
      let next = 0;
      const resume = (): boolean => {
        next = route.appendRun(records, next, call);
        return next === records.length;
      };
      if (this.#waiting.length === 0 && resume()) return;
      this.#wait({ sinceMs: nowMs(), records: records.length, resume, fail: (error) => call.fail(error) });
    });
  }

  #newRoute(name: string): Route | undefined {
    const topic = this.#session.directory.known(name);
    if (topic === undefined) return undefined;
    const route = new Route(this.#host, topic);
    this.#routes.set(name, route);
    return route;
  }

  async #findRoute(name: string): Promise<Route> {
    await this.#session.topic(name);
    return (this.#routes.get(name) ?? this.#newRoute(name)) as Route;
  }

  #dispatch(batch: ProducerBatch, info: PartitionInfo): void {
    this.#sent.add(batch);
    const link = this.#session.link(info.leader);
    if (link === undefined) {
      const sentence = `Broker ${info.leader}, which leads partition ${info.partition} of '${info.topic}', is not running.`;
      batch.fail(new TidemarkError('BROKER_FAILED', sentence));
      return;
    }
    link.produce(batch);
    this.#session.engaged();
  }

  #settled(batch: ProducerBatch): void {
    this.#sent.delete(batch);
    this.#bufferedBytes -= batch.size - BATCH_HEADER_BYTES;
    if (this.#waiting.length > 0) this.#resumeWaiting();
  }

  #mark(accumulator: Accumulator): void {
    if (accumulator.isMarked) return;
    accumulator.isMarked = true;
    // After the callers' own continuations, which may add to the same batches.
    if (this.#marked.push(accumulator) === 1) queueMicrotask(this.#endTurn);
  }

  readonly #endTurn = (): void => {
    const marked = this.#marked;
    this.#marked = [];
    for (const accumulator of marked) {
      accumulator.isMarked = false;
      accumulator.sealIfIdle();
    }
  };

  #checkOpen(): void {
    if (!this.#session.isOpen) throw new TidemarkError('CLOSED', 'The cluster is closed; start another one.');
    if (this.#state !== 'open')
      throw new TidemarkError('CLOSED', 'The producer is closed; make another one.');
  }

  /** The line of calls that wait for room holds the callers' records: it is bounded too. */
  #checkLine(records: number): void {
    if (this.#waitingRecords === 0 || this.#waitingRecords + records <= PRODUCER_WAITING_RECORDS_MAX) return;
    throw new TidemarkError(
      'BUFFER_EXHAUSTED',
      `The producer's buffer of ${this.#bufferBytes} bytes is full and ${this.#waitingRecords} records wait for room. Await the promises of earlier sends before sending more.`,
    );
  }

  #wait(send: WaitingSend): void {
    this.#waiting.push(send);
    this.#waitingRecords += send.records;
  }

  #resumeWaiting(): void {
    // With acks 0 a batch is settled while it is sent, in the midst of the call that is being resumed.
    if (this.#isResuming) return;
    this.#isResuming = true;
    while (this.#waiting.length > 0 && this.#waiting[0].resume()) {
      this.#waitingRecords -= (this.#waiting.shift() as WaitingSend).records;
    }
    this.#isResuming = false;
  }

  readonly #expireWaiting = (): void => {
    const sinceMs = nowMs() - this.#maxBlockMs;
    while (this.#waiting.length > 0 && this.#waiting[0].sinceMs < sinceMs) {
      const late = this.#waiting.shift() as WaitingSend;
      this.#waitingRecords -= late.records;
      late.fail(
        new TidemarkError(
          'BUFFER_EXHAUSTED',
          `No room came free in the producer's buffer of ${this.#bufferBytes} bytes for ${this.#maxBlockMs} ms.`,
        ),
      );
    }
  };
}
