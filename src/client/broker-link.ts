import type { Kernels } from '../../native-free/kernels/index.ts';
import { ChannelReader, ChannelWriter, ringBell } from '../../native-free/sharedarraybuffer-utils/index.ts';
import { type ErrorCode, errorCode, TidemarkError } from '../errors.ts';
import { REQUEST_GRACE_MS, RING_EVERY_BYTES } from '../limits.ts';
import { copyBytes } from '../log/copy.ts';
import { CRC_FROM, writeCrc } from '../log/record-batch.ts';
import type { ArenaView } from '../runtime/arena.ts';
import {
  channelsOf,
  FETCH_BYTES,
  FETCH_FROM_ANY_REPLICA,
  FETCH_FROM_LEADER,
  FETCHED_HEADER_BYTES,
  getOffset,
  type LinkAddresses,
  OFFSET_FOR_TIME_BYTES,
  PRODUCE_HEADER_BYTES,
  putOffset,
  REQUEST_BLOCKED_AT,
  REQUEST_FETCH,
  REQUEST_OFFSET_FOR_TIME,
  REQUEST_PRODUCE,
  RESPONSE_BLOCKED_AT,
  RESPONSE_OFFSET_FOR_TIME,
  RESPONSE_PRODUCED,
} from '../runtime/client-frames.ts';

/** A finished batch on its way to the leader of its partition. */
export interface OutboundBatch {
  readonly partitionId: number;
  readonly epoch: number;
  /** As on the wire: 0, 1, or -1 for all. */
  readonly acks: number;
  /** How long its leader may wait for it to be committed. */
  readonly timeoutMs: number;
  /** Encoded but for its CRC, which is computed where it is copied to. */
  readonly bytes: Uint8Array;
  /** The bytes have been copied to where the broker takes them from. */
  sent(): void;
  settle(baseOffset: number): void;
  fail(error: TidemarkError): void;
}

/** The way of a batch to a broker. */
export interface BatchLink {
  /** Tells what becomes of it, at once or later, unless it is abandoned. */
  produce(batch: OutboundBatch): void;
  /** Whatever is answered to this batch, nobody wants to know. */
  abandon(batch: OutboundBatch): void;
}

export interface FetchRequest {
  readonly partitionId: number;
  readonly offset: number;
  readonly maxBytes: number;
  readonly waitMs: number;
  readonly fromAnyReplica: boolean;
  /** For how long an answer is waited for, beyond `waitMs`. */
  readonly timeoutMs: number;
  /** Of the leader that is meant, or ANY_EPOCH. */
  readonly epoch: number;
}

export interface FetchAnswer {
  readonly error: ErrorCode;
  readonly hwm: number;
  readonly logStart: number;
  /** Shared memory: to be decoded before `take` returns. */
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
}

export interface TimeRequest {
  readonly partitionId: number;
  readonly timestamp: number;
  readonly fromAnyReplica: boolean;
  readonly timeoutMs: number;
  /** Of the leader that is meant, or ANY_EPOCH. */
  readonly epoch: number;
}

export interface TimeAnswer {
  readonly error: ErrorCode;
  /** Of the first record that is not older; -1 where there is none. */
  readonly offset: number;
  readonly hwm: number;
}

interface PendingRequest {
  readonly expiresAtMs: number;
  readonly batch?: OutboundBatch;
  readonly take?: (answer: FetchAnswer) => void;
  readonly takeTime?: (answer: TimeAnswer) => void;
  fail(error: TidemarkError): void;
}

interface WaitingRequest {
  readonly expiresAtMs: number;
  readonly batch?: OutboundBatch;
  write(): boolean;
  fail(error: TidemarkError): void;
}

/** A client's channels to one broker. Requests that find no room wait here, in order. */
export class BrokerLink implements BatchLink {
  readonly broker: number;
  readonly #arena: ArenaView;
  readonly #kernels: Kernels;
  readonly #addresses: LinkAddresses;
  readonly #requests: ChannelWriter;
  readonly #responses: ChannelReader;
  readonly #now: () => number;
  readonly #pending = new Map<number, PendingRequest>();
  #waiting: WaitingRequest[] = [];
  #correlation = 0;
  /** Room that a request did not find enough; only other room is worth another try. */
  #freeWhenBlocked = 0;
  /** Whether this side's flag is up. */
  #isBlocked = false;
  /** Published since the broker's bell was rung: one ring serves the requests of a turn. */
  #unrungBytes = 0;
  #failure: TidemarkError | undefined;

  constructor(
    arena: ArenaView,
    kernels: Kernels,
    broker: number,
    addresses: LinkAddresses,
    now: () => number,
  ) {
    this.broker = broker;
    this.#arena = arena;
    this.#kernels = kernels;
    this.#addresses = addresses;
    this.#now = now;
    const { request, response, end } = channelsOf(addresses);
    const { buffer } = arena.reach(end);
    this.#requests = new ChannelWriter(buffer, request, addresses.requestCapacity);
    this.#responses = new ChannelReader(buffer, response, addresses.responseCapacity);
  }

  /** Requests that have not been answered. */
  get outstanding(): number {
    return this.#pending.size + this.#waiting.length;
  }

  hasWork(): boolean {
    return (
      this.#responses.hasWork() ||
      (this.#waiting.length > 0 && this.#requests.freeBytes !== this.#freeWhenBlocked)
    );
  }

  produce(batch: OutboundBatch): void {
    if (this.#failure !== undefined) batch.fail(this.#failure);
    else if (this.#waiting.length > 0 || !this.#writeProduce(batch))
      this.#waiting.push({
        expiresAtMs: this.#patience(batch),
        batch,
        write: () => this.#writeProduce(batch),
        fail: (error) => batch.fail(error),
      });
  }

  abandon(batch: OutboundBatch): void {
    const waiting = this.#waiting.findIndex((request) => request.batch === batch);
    if (waiting !== -1) this.#waiting.splice(waiting, 1);
    for (const [correlation, pending] of this.#pending)
      if (pending.batch === batch) this.#pending.delete(correlation);
  }

  /** Calls one of the two, at once or later, unless the function that it returns is called before. */
  fetch(
    request: FetchRequest,
    take: (answer: FetchAnswer) => void,
    fail: (error: TidemarkError) => void,
  ): () => void {
    const expiresAtMs = this.#now() + request.waitMs + request.timeoutMs;
    return this.#submit(() => this.#writeFetch(request, expiresAtMs, take, fail), expiresAtMs, fail);
  }

  offsetForTime(
    request: TimeRequest,
    takeTime: (answer: TimeAnswer) => void,
    fail: (error: TidemarkError) => void,
  ): () => void {
    const expiresAtMs = this.#now() + request.timeoutMs;
    return this.#submit(() => this.#writeTime(request, expiresAtMs, takeTime, fail), expiresAtMs, fail);
  }

  /** Takes the answers that have come and sends what waited for room. */
  pump(): void {
    let taken = false;
    while (this.#responses.next()) {
      taken = true;
      this.#answer();
    }
    if (taken) {
      this.#responses.release();
      if (Atomics.load(this.#arena.int32, (this.#addresses.link + RESPONSE_BLOCKED_AT) / 4) === 1)
        this.#ring();
    }
    if (this.#waiting.length > 0) this.#sendWaiting();
  }

  /** Gives up on requests whose time is up: the fate of those that were sent is unknown. */
  expire(nowMs: number, error: () => TidemarkError): void {
    const isLate = ({ expiresAtMs }: { expiresAtMs: number }): boolean => expiresAtMs <= nowMs;
    const late = this.#waiting.filter(isLate);
    if (late.length > 0) this.#waiting = this.#waiting.filter((request) => !isLate(request));
    const unanswered = [...this.#pending].filter(([, request]) => isLate(request));
    for (const [correlation] of unanswered) this.#pending.delete(correlation);
    // Those who fail may ask again.
    for (const [, request] of unanswered) request.fail(error());
    for (const request of late) request.fail(error());
  }

  /** The broker is gone, or the client closes: nothing will be answered any more. */
  fail(error: TidemarkError): void {
    this.#failure ??= error;
    const pending = [...this.#pending.values()];
    const waiting = this.#waiting.splice(0);
    this.#pending.clear();
    for (const request of pending) request.fail(error);
    for (const request of waiting) request.fail(error);
  }

  #submit(write: () => boolean, expiresAtMs: number, fail: (error: TidemarkError) => void): () => void {
    let correlation = 0;
    const writeOnce = (): boolean => {
      const isWritten = write();
      if (isWritten) correlation = this.#correlation;
      return isWritten;
    };
    const waiting = { expiresAtMs, write: writeOnce, fail };
    if (this.#failure !== undefined) fail(this.#failure);
    else if (this.#waiting.length > 0 || !writeOnce()) this.#waiting.push(waiting);
    return () => {
      this.#pending.delete(correlation);
      this.#waiting = this.#waiting.filter((request) => request !== waiting);
    };
  }

  /** The broker tells by itself that it takes long. */
  #patience({ timeoutMs }: OutboundBatch): number {
    return this.#now() + timeoutMs + REQUEST_GRACE_MS;
  }

  #sendWaiting(): void {
    let sent = 0;
    while (sent < this.#waiting.length && this.#waiting[sent].write()) sent++;
    this.#waiting.splice(0, sent);
  }

  #writeProduce(batch: OutboundBatch): boolean {
    const encoded = batch.bytes;
    const { length } = encoded;
    const at = this.#reserve(PRODUCE_HEADER_BYTES + length, REQUEST_PRODUCE);
    if (at === -1) return false;
    const { bytes, int32 } = this.#arena;
    const correlation = this.#nextCorrelation();
    int32[at / 4] = correlation;
    int32[at / 4 + 1] = batch.partitionId;
    int32[at / 4 + 2] = batch.epoch;
    int32[at / 4 + 3] = batch.acks;
    int32[at / 4 + 4] = batch.timeoutMs;
    const target = at + PRODUCE_HEADER_BYTES;
    copyBytes(bytes, target, encoded);
    writeCrc(bytes, target, this.#kernels.crc32c(target + CRC_FROM, length - CRC_FROM));
    if (batch.acks !== 0) {
      const expiresAtMs = this.#patience(batch);
      this.#pending.set(correlation, { expiresAtMs, batch, fail: (error) => batch.fail(error) });
    }
    this.#send(length);
    batch.sent();
    if (batch.acks === 0) batch.settle(-1);
    return true;
  }

  #writeFetch(
    request: FetchRequest,
    expiresAtMs: number,
    take: (answer: FetchAnswer) => void,
    fail: (error: TidemarkError) => void,
  ): boolean {
    const at = this.#reserve(FETCH_BYTES, REQUEST_FETCH);
    if (at === -1) return false;
    const { int32 } = this.#arena;
    const correlation = this.#nextCorrelation();
    int32[at / 4] = correlation;
    int32[at / 4 + 1] = request.partitionId;
    int32[at / 4 + 2] = request.maxBytes;
    int32[at / 4 + 3] = request.waitMs;
    putOffset(int32, at / 4 + 4, request.offset);
    int32[at / 4 + 6] = request.fromAnyReplica ? FETCH_FROM_ANY_REPLICA : FETCH_FROM_LEADER;
    int32[at / 4 + 7] = request.epoch;
    this.#pending.set(correlation, { expiresAtMs, take, fail });
    this.#send(FETCH_BYTES);
    return true;
  }

  #writeTime(
    request: TimeRequest,
    expiresAtMs: number,
    takeTime: (answer: TimeAnswer) => void,
    fail: (error: TidemarkError) => void,
  ): boolean {
    const at = this.#reserve(OFFSET_FOR_TIME_BYTES, REQUEST_OFFSET_FOR_TIME);
    if (at === -1) return false;
    const { int32 } = this.#arena;
    const correlation = this.#nextCorrelation();
    int32[at / 4] = correlation;
    int32[at / 4 + 1] = request.partitionId;
    putOffset(int32, at / 4 + 2, request.timestamp);
    int32[at / 4 + 4] = request.fromAnyReplica ? FETCH_FROM_ANY_REPLICA : FETCH_FROM_LEADER;
    int32[at / 4 + 5] = request.epoch;
    this.#pending.set(correlation, { expiresAtMs, takeTime, fail });
    this.#send(OFFSET_FOR_TIME_BYTES);
    return true;
  }

  #answer(): void {
    const { int32, bytes } = this.#arena;
    const { offset: at, length, kind } = this.#responses;
    const correlation = int32[at / 4];
    const pending = this.#pending.get(correlation);
    // An answer to a request that has been given up.
    if (pending === undefined) return;
    this.#pending.delete(correlation);
    const error = errorCode(int32[at / 4 + 1]);
    const offset = getOffset(int32, at / 4 + 2);
    if (kind === RESPONSE_PRODUCED) {
      // Written before, and too long ago for anybody to know where.
      if (error === 'NONE' || error === 'DUPLICATE_SEQUENCE_NUMBER') pending.batch?.settle(offset);
      else pending.fail(produceError(error));
      return;
    }
    if (kind === RESPONSE_OFFSET_FOR_TIME) {
      pending.takeTime?.({ error, offset, hwm: getOffset(int32, at / 4 + 6) });
      return;
    }
    const from = at + FETCHED_HEADER_BYTES;
    pending.take?.({
      error,
      hwm: offset,
      logStart: getOffset(int32, at / 4 + 4),
      bytes,
      from,
      to: at + length,
    });
  }

  #nextCorrelation(): number {
    this.#correlation = (this.#correlation + 1) & 0x7fffffff;
    return this.#correlation;
  }

  #send(bytes: number): void {
    this.#requests.commit();
    this.#requests.publish();
    this.#unrungBytes += bytes;
    if (this.#unrungBytes >= RING_EVERY_BYTES) this.#ring();
    else if (this.#unrungBytes === bytes) queueMicrotask(this.#ringLate);
  }

  readonly #ringLate = (): void => {
    if (this.#unrungBytes > 0) this.#ring();
  };

  #ring(): void {
    this.#unrungBytes = 0;
    ringBell(this.#arena.int32, this.#addresses.brokerBell / 4);
  }

  /** Room for a request, or -1 with the flag raised that makes the broker ring when it has handed space back. */
  #reserve(bytes: number, kind: number): number {
    let at = this.#requests.reserve(bytes, kind);
    if (at === -1) {
      this.#setBlocked(1);
      this.#freeWhenBlocked = this.#requests.freeBytes;
      at = this.#requests.reserve(bytes, kind);
    }
    if (at !== -1 && this.#isBlocked) this.#setBlocked(0);
    return at;
  }

  #setBlocked(value: number): void {
    this.#isBlocked = value === 1;
    Atomics.store(this.#arena.int32, (this.#addresses.link + REQUEST_BLOCKED_AT) / 4, value);
  }
}

const sentences: Partial<Record<ErrorCode, string>> = {
  NOT_ENOUGH_REPLICAS: 'Fewer replicas are in sync than min.insync.replicas asks for.',
  NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    'The batch was written, but too few replicas are left in sync to commit it.',
  MESSAGE_TOO_LARGE: "The batch is larger than the topic's max.message.bytes.",
  CORRUPT_MESSAGE: 'The broker refused the batch: its bytes do not match its checksum or its header.',
  INVALID_RECORD:
    'The broker refused the batch: its header does not fit what it holds, or the topic is compacted and takes records with a key alone.',
  UNSUPPORTED_COMPRESSION_TYPE:
    'The topic is compacted, and the codec of the batch is none that compaction can read; use gzip, snappy, lz4 or none.',
  FENCED_LEADER_EPOCH: 'Another broker leads the partition by now, or the same one anew.',
  UNKNOWN_LEADER_EPOCH: 'The broker has not heard yet that it leads the partition.',
  NOT_LEADER_OR_FOLLOWER: 'Another broker leads the partition by now.',
  UNKNOWN_TOPIC_OR_PARTITION: 'The broker does not know the partition.',
  REQUEST_TIMED_OUT: 'The leader has written the batch, but not all replicas in sync had it in time.',
  KAFKA_STORAGE_ERROR: 'The broker cannot use its disk.',
};

function produceError(code: ErrorCode): TidemarkError {
  return new TidemarkError(code, sentences[code] ?? `The broker refused the batch: ${code}.`);
}
