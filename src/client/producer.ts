import { requireInteger, requireOneOf, requireOptions, show, TidemarkError } from '../errors.ts';
import {
  BATCH_DEFAULT_BYTES,
  IDEMPOTENT_DELIVERY_MAX_MS,
  MAX_BLOCK_DEFAULT_MS,
  MESSAGE_MAX_BYTES,
  PRODUCER_BUFFER_DEFAULT_BYTES,
  PRODUCER_WAITING_RECORDS_MAX,
  REQUEST_TIMEOUT_DEFAULT_MS,
} from '../limits.ts';
import { BATCH_HEADER_BYTES } from '../log/record-batch.ts';
import { nowMs } from '../runtime/clock.ts';
import type { Acks, RecordInput, RecordPlace } from '../types.ts';
import type { Delivery } from './delivery.ts';
import { BatchCall, type ProducerBatch, type Resolve } from './outbound.ts';
import { OwnIdentity } from './producer-identity.ts';
import { checkFields, checkRecord, type RecordRules, snapshotOf } from './record-check.ts';
import { type Accumulator, Route, type RouteHost } from './route.ts';
import type { Session, SessionListener } from './session.ts';
import { WriterPool } from './writer-pool.ts';

export interface ProducerOptions {
  /** When a send counts as done: 0 handed to the broker, 1 appended by the leader, 'all' (default) committed. */
  readonly acks?: Acks;
  /** A batch is sent once it has no room for more within this, or earlier when nothing of its partition is under way. */
  readonly batchBytes?: number;
  /** Bound of the unacknowledged records in memory; sends beyond it wait for room. */
  readonly bufferBytes?: number;
  /** How long a send may wait for room before it fails with BUFFER_EXHAUSTED. */
  readonly maxBlockMs?: number;
  /** For how long a record is sent again and again before the send fails. Default: that of the cluster. */
  readonly deliveryTimeoutMs?: number;
  /** After this time a leader answers that a batch is not committed yet, and it is sent again. */
  readonly requestTimeoutMs?: number;
  /** Whether what is sent again is written once. Default: with acks 'all', and only there. */
  readonly idempotent?: boolean;
}

const ACKS_ON_THE_WIRE = { 0: 0, 1: 1, all: -1 } as const;

/** What a timer, and a word of a request, can hold. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** What can be told of a record before its topic is found. */
const ANY_TOPIC: RecordRules = { maxBytes: MESSAGE_MAX_BYTES, needsKey: false };

const OPTIONS = [
  'acks',
  'batchBytes',
  'bufferBytes',
  'maxBlockMs',
  'deliveryTimeoutMs',
  'requestTimeoutMs',
  'idempotent',
];

/** A call that waits for room, or for its topic to be found; or, with no records, for everything before it. */
interface WaitingSend {
  readonly topic: string;
  readonly sinceMs: number;
  readonly records: number;
  /** False where it has to wait on. Throws where it cannot succeed any more. */
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
  readonly #listener: SessionListener;
  readonly #routes = new Map<string, Route>();
  /** Sealed batches that are neither acknowledged nor given up, and who delivers each. */
  readonly #sent = new Map<ProducerBatch, Delivery>();
  readonly #identity: OwnIdentity;
  readonly #waiting: WaitingSend[] = [];
  #waitingRecords = 0;
  #isResuming = false;
  #bufferedBytes = 0;
  /** Accumulators that got records in this turn. */
  #marked: Accumulator[] = [];
  /** Topics that are being asked for. */
  readonly #lookups = new Set<string>();
  readonly #onClosed: ((producer: Producer) => void) | undefined;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(session: Session, options: ProducerOptions, onClosed?: (producer: Producer) => void) {
    requireOptions('producer options', options, OPTIONS);
    this.#session = session;
    this.#onClosed = onClosed;
    const { bufferBytes = PRODUCER_BUFFER_DEFAULT_BYTES, maxBlockMs = MAX_BLOCK_DEFAULT_MS } = options;
    this.#bufferBytes = requireInteger('bufferBytes', bufferBytes, 1);
    this.#maxBlockMs = requireInteger('maxBlockMs', maxBlockMs, 0);
    this.#identity = new OwnIdentity({
      ask: () => session.directory.newProducerId(),
      found: () => this.#identified(),
      failed: (error, failures) => this.#unidentified(error, failures),
    });
    const settings = settingsOf(options, session.deliveryTimeoutMs);
    const writers = new WriterPool(settings.batchBytes, this.#bufferBytes);
    this.#host = { ...settings, writers, ...this.#hostCalls() };
    this.#listener = {
      tick: () => this.#expire(),
      topicsChanged: () => this.#follow(),
      ended: (error) => this.#abandon(error),
    };
    session.listen(this.#listener);
    // The first send need not wait for it then, nor for whoever decides on the metadata.
    if (this.#host.isIdempotent) this.#identity.ask();
  }

  /** Bytes of records that are not acknowledged. */
  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  /** Writes one record; resolves to its place once it is acknowledged as `acks` asks. */
  send(topic: string, record: RecordInput): Promise<RecordPlace> {
    const route = this.#routes.get(topic) ?? this.#newRoute(topic);
    try {
      this.#checkOpen();
      checkRecord(record, route ?? ANY_TOPIC);
      checkFields(record);
      if (route === undefined || this.#mustWait()) return this.#sendLater(topic, record);
    } catch (error) {
      return Promise.reject(error);
    }
    const promise = new Promise<RecordPlace>(capture);
    route.append(record, capturedResolve);
    return promise;
  }

  /**
   * Writes many records with one promise; resolves to their places, in the order of the records. A record that
   * cannot be written refuses the whole call before anything is. When a broker refuses a batch the call is
   * rejected, though other records of it may have been written.
   */
  sendBatch(topic: string, records: readonly RecordInput[]): Promise<RecordPlace[]> {
    const route = this.#routes.get(topic) ?? this.#newRoute(topic);
    try {
      this.#checkOpen();
      if (!Array.isArray(records)) {
        throw new TidemarkError(
          'INVALID_ARGUMENT',
          `sendBatch takes an array of records; got ${show(records)}.`,
        );
      }
      for (const record of records) checkRecord(record, route ?? ANY_TOPIC);
      if (records.length === 0) return Promise.resolve([]);
      checkFields(records[0]);
      if (route === undefined || this.#mustWait()) return this.#sendBatchLater(topic, records);
    } catch (error) {
      return Promise.reject(error);
    }
    return new Promise((resolve) => {
      const call = new BatchCall(records.length, resolve);
      const next = route.appendRun(records, 0, call);
      if (next < records.length) this.#waitWithRun(topic, records.slice(next), next, call);
    });
  }

  /** Resolves when everything sent before has been acknowledged or has failed. */
  async flush(): Promise<void> {
    if (this.#waiting.length > 0) {
      await new Promise<void>((resolve) => {
        const resume = (): boolean => {
          resolve();
          return true;
        };
        this.#wait({
          topic: '',
          sinceMs: Number.POSITIVE_INFINITY,
          records: 0,
          resume,
          fail: () => resolve(),
        });
      });
    }
    for (const { accumulators } of this.#routes.values()) {
      for (const accumulator of accumulators) accumulator.seal();
    }
    const closed = [...this.#sent.keys()].map(
      (batch) =>
        new Promise<void>((resolve) => {
          batch.onClosed = [...(batch.onClosed ?? []), resolve];
        }),
    );
    await Promise.all(closed);
  }

  /** Sends what is buffered, waits for it, and takes no more. Closing twice waits for the same. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await this.flush();
    this.#session.unlisten(this.#listener);
    this.#routes.clear();
    this.#onClosed?.(this);
  }

  #mustWait(): boolean {
    return this.#waiting.length > 0 || !this.#host.hasRoom();
  }

  /** What waits is kept as it was when it was sent: the caller may use its memory again. */
  #sendLater(topic: string, record: RecordInput): Promise<RecordPlace> {
    this.#checkLine(1);
    const kept = snapshotOf(record);
    return new Promise((resolve, reject) => {
      const resume = (): boolean => {
        const route = this.#routeFor(topic);
        if (route === undefined || !this.#host.hasRoom()) return false;
        checkRecord(kept, route);
        route.append(kept, resolve as Resolve);
        return true;
      };
      this.#wait({ topic, sinceMs: nowMs(), records: 1, resume, fail: reject });
    });
  }

  #sendBatchLater(topic: string, records: readonly RecordInput[]): Promise<RecordPlace[]> {
    this.#checkLine(records.length);
    return new Promise((resolve) => {
      const call = new BatchCall(records.length, resolve);
      this.#waitWithRun(topic, records.slice(), 0, call);
    });
  }

  /** `records` are what is left of a call, of which `written` have been written. */
  #waitWithRun(topic: string, records: readonly RecordInput[], written: number, call: BatchCall): void {
    const kept = records.map(snapshotOf);
    let isChecked = false;
    let next = 0;
    const resume = (): boolean => {
      const route = this.#routeFor(topic);
      if (route === undefined) return false;
      if (!isChecked) for (const record of kept) checkRecord(record, route);
      isChecked = true;
      next = route.appendRun(kept, next, call, written);
      return next === kept.length;
    };
    const fail = (error: TidemarkError): void =>
      call.fail(written + next === 0 ? error : partly(error, written + next));
    this.#wait({ topic, sinceMs: nowMs(), records: kept.length, resume, fail });
  }

  #routeFor(topic: string): Route | undefined {
    return this.#routes.get(topic) ?? this.#newRoute(topic);
  }

  #newRoute(name: string): Route | undefined {
    const topic = this.#session.directory.known(name);
    if (topic === undefined) return undefined;
    const route = new Route(this.#host, topic);
    this.#routes.set(name, route);
    return route;
  }

  /** Topics have changed: routes to those that are gone end, and what they have gathered finds nobody. */
  #follow(): void {
    for (const [name, route] of this.#routes) {
      const topic = this.#session.directory.known(name);
      if (topic !== undefined && route.update(topic)) continue;
      this.#routes.delete(name);
      const sentence = `Topic '${name}' was deleted.`;
      route.end(new TidemarkError('UNKNOWN_TOPIC_OR_PARTITION', sentence));
    }
  }

  /** The connection to the cluster has ended: nothing can be sent any more. */
  #abandon(error: TidemarkError): void {
    for (const route of this.#routes.values()) route.end(error);
    for (const delivery of new Set(this.#sent.values())) delivery.end(error);
  }

  #identified(): void {
    for (const delivery of new Set(this.#sent.values())) delivery.resume();
  }

  #unidentified(error: TidemarkError, failures: number): void {
    if (this.#sent.size === 0) return;
    for (const delivery of new Set(this.#sent.values())) delivery.hindered(error);
    this.#session.retries.waitAfter(failures, { resume: () => this.#identity.ask() });
  }

  /** Asks for a topic that is not known here, once; those who wait for it go on, or fail if there is none. */
  #lookUp(topic: string): void {
    if (this.#lookups.has(topic)) return;
    this.#lookups.add(topic);
    this.#session.topic(topic).then(
      () => {
        this.#lookups.delete(topic);
        this.#resumeWaiting();
      },
      (error) => {
        this.#lookups.delete(topic);
        const inVain = this.#waiting.filter((send) => send.topic === topic && send.records > 0);
        for (const send of inVain) this.#giveUp(send, error);
        this.#resumeWaiting();
      },
    );
  }

  #hostCalls(): Omit<RouteHost, keyof Settings | 'writers'> {
    return {
      nowMs,
      link: (broker) => this.#session.link(broker),
      identity: (spent) => this.#identity.get(spent),
      waitAfter: (failures, delivery) => this.#session.retries.waitAfter(failures, delivery),
      goOn: (delivery) => this.#session.retries.goOn(delivery),
      hasRoom: () => this.#bufferedBytes < this.#bufferBytes,
      buffered: (bytes) => {
        this.#bufferedBytes += bytes;
      },
      sealed: (batch, delivery) => this.#sealed(batch, delivery),
      closed: (batch) => this.#closed(batch),
      explain: (error, broker) => this.#explain(error, broker),
      mark: (accumulator) => this.#mark(accumulator),
    };
  }

  #sealed(batch: ProducerBatch, delivery: Delivery): void {
    if (this.#sent.size === 0) this.#session.hold();
    this.#sent.set(batch, delivery);
  }

  #closed(batch: ProducerBatch): void {
    this.#sent.delete(batch);
    if (this.#sent.size === 0) this.#session.release();
    this.#bufferedBytes -= batch.size - BATCH_HEADER_BYTES;
    if (this.#waiting.length > 0) this.#resumeWaiting();
  }

  /** What has happened to a disk is known to the main thread. */
  #explain(error: TidemarkError, broker: number | undefined): TidemarkError | Promise<TidemarkError> {
    if (error.code !== 'KAFKA_STORAGE_ERROR' || broker === undefined) return error;
    const { code, message, cause } = error;
    return this.#session
      .reasonFor({ broker })
      .then((reason) => new TidemarkError(code, `${reason ?? adviceOn(broker)} ${message}`, { cause }));
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
    this.#session.requireOpen();
    if (this.#closing !== undefined) {
      throw new TidemarkError('CLOSED', 'The producer is closed; make another one.');
    }
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
    if (send.records > 0 && this.#routeFor(send.topic) === undefined) this.#lookUp(send.topic);
  }

  #resumeWaiting(): void {
    // With acks 0 a batch is settled while it is sent, in the midst of the call that is being resumed.
    if (this.#isResuming) return;
    this.#isResuming = true;
    while (this.#waiting.length > 0) {
      const send = this.#waiting[0];
      try {
        if (!send.resume()) break;
        this.#leave(send);
      } catch (error) {
        this.#giveUp(send, error as TidemarkError);
      }
    }
    this.#isResuming = false;
  }

  #leave(send: WaitingSend): void {
    this.#waiting.splice(this.#waiting.indexOf(send), 1);
    this.#waitingRecords -= send.records;
  }

  #giveUp(send: WaitingSend, error: TidemarkError): void {
    this.#leave(send);
    send.fail(error);
  }

  #expire(): void {
    // Before room comes free for those who have waited too long.
    this.#expireWaiting();
    const now = nowMs();
    const late = new Set<Delivery>();
    for (const [batch, delivery] of this.#sent) if (batch.deadlineMs <= now) late.add(delivery);
    for (const delivery of late) delivery.expire(now);
  }

  #expireWaiting(): void {
    const sinceMs = nowMs() - this.#maxBlockMs;
    const sentence = `No room came free in the producer's buffer of ${this.#bufferBytes} bytes for ${this.#maxBlockMs} ms.`;
    while (this.#waiting.length > 0 && this.#waiting[0].sinceMs < sinceMs) {
      this.#giveUp(this.#waiting[0], new TidemarkError('BUFFER_EXHAUSTED', sentence));
    }
    this.#resumeWaiting();
  }
}

type Settings = Pick<
  RouteHost,
  'acks' | 'batchBytes' | 'deliveryTimeoutMs' | 'requestTimeoutMs' | 'isIdempotent'
>;

function settingsOf(options: ProducerOptions, deliveryDefaultMs: number): Settings {
  const { acks = 'all' } = options;
  requireOneOf('acks', acks, [0, 1, 'all'] as const);
  const { idempotent: isIdempotent = acks === 'all' } = options;
  requireOneOf('idempotent', isIdempotent, [true, false]);
  if (isIdempotent && acks !== 'all') {
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      `An idempotent producer needs acks 'all'; with acks ${acks} leave idempotent out, or make it false.`,
    );
  }
  // A cluster may give its producers more than those can use that number their batches.
  const defaultMs = isIdempotent
    ? Math.min(deliveryDefaultMs, IDEMPOTENT_DELIVERY_MAX_MS)
    : deliveryDefaultMs;
  const { deliveryTimeoutMs = defaultMs, requestTimeoutMs = REQUEST_TIMEOUT_DEFAULT_MS } = options;
  requireInteger('deliveryTimeoutMs', deliveryTimeoutMs, 1);
  if (isIdempotent && deliveryTimeoutMs > IDEMPOTENT_DELIVERY_MAX_MS) {
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      `deliveryTimeoutMs must be at most ${IDEMPOTENT_DELIVERY_MAX_MS} for an idempotent producer, which partitions may forget after that time; got ${deliveryTimeoutMs}. Give it less, or make idempotent false.`,
    );
  }
  const { batchBytes = BATCH_DEFAULT_BYTES } = options;
  return {
    acks: ACKS_ON_THE_WIRE[acks],
    isIdempotent,
    batchBytes: requireInteger('batchBytes', batchBytes, 1, MESSAGE_MAX_BYTES),
    deliveryTimeoutMs,
    requestTimeoutMs: requireInteger('requestTimeoutMs', requestTimeoutMs, 1, TIMER_MAX_MS),
  };
}

function adviceOn(broker: number): string {
  return `The disk of broker ${broker} has failed. Check it, then start the broker again, with \`cluster.faults.restart(${broker})\` or with the cluster.`;
}

/** A call that fails while the first of its records are on their way says so. */
function partly(error: TidemarkError, written: number): TidemarkError {
  const { code, message, cause } = error;
  const warning = `The first ${written} records of the call may be written; sending them again may write them twice.`;
  return new TidemarkError(code, `${message} ${warning}`, { cause });
}
