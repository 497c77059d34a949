import {
  ChannelReader,
  ChannelWriter,
  CorruptFrameError,
  ringBell,
} from '../../native-free/sharedarraybuffer-utils/index.ts';
import { admitBatch, isOutOfSequence } from '../api/00-produce.ts';
import { admitRead } from '../api/01-fetch.ts';
import { admitListOffsets } from '../api/02-list-offsets.ts';
import { NOBODY } from '../core/commit-queue.ts';
import { isOfAnotherReign } from '../core/partition-leader.ts';
import type { Replica, WaitingRead } from '../core/replica.ts';
import { type ErrorCode, errorNumber } from '../errors.ts';
import { PASS_BATCH_BYTES, PASS_BYTES, READ_MAX_BYTES } from '../limits.ts';
import { copyBytes } from '../log/copy.ts';
import type { Extent, PartitionLog, TimestampedOffset } from '../types.ts';
import type { BrokerHost } from './broker-host.ts';
import {
  channelsOf,
  FETCH_BYTES,
  FETCH_FROM_ANY_REPLICA,
  FETCHED_HEADER_BYTES,
  getOffset,
  type LinkAddresses,
  OFFSET_FOR_TIME_ANSWER_BYTES,
  OFFSET_FOR_TIME_BYTES,
  PRODUCE_HEADER_BYTES,
  PRODUCED_BYTES,
  putOffset,
  REQUEST_BLOCKED_AT,
  REQUEST_FETCH,
  REQUEST_OFFSET_FOR_TIME,
  REQUEST_PRODUCE,
  RESPONSE_BLOCKED_AT,
  RESPONSE_FETCHED,
  RESPONSE_OFFSET_FOR_TIME,
  RESPONSE_PRODUCED,
} from './client-frames.ts';

/** A read as the client asked for it. */
interface Fetch {
  readonly correlation: number;
  readonly partition: number;
  readonly maxBytes: number;
  readonly waitMs: number;
  readonly offset: number;
  readonly fromAnyReplica: boolean;
  readonly epoch: number;
}

/** A client as the broker sees it: its requests, and the channel for the answers. */
export class ClientLink {
  readonly #broker: BrokerHost;
  readonly #client: number;
  readonly #addresses: LinkAddresses;
  readonly #requests: ChannelReader;
  readonly #responses: ChannelWriter;
  /** Answers for which the channel had no room, in order; while there are any, no request is taken. */
  readonly #backlog: (() => boolean)[] = [];
  readonly #waitingReads = new Set<() => void>();
  #freeBytesWhenBlocked = 0;
  /** Whether this side's flag is up. */
  #isBlocked = false;
  #answered = false;

  constructor(broker: BrokerHost, client: number, addresses: LinkAddresses) {
    this.#broker = broker;
    this.#client = client;
    this.#addresses = addresses;
    const { request, response, end } = channelsOf(addresses);
    const { buffer } = broker.arena.reach(end);
    this.#requests = new ChannelReader(buffer, request, addresses.requestCapacity);
    this.#responses = new ChannelWriter(buffer, response, addresses.responseCapacity);
  }

  hasWork(): boolean {
    // With a backlog only room for answers counts, and room comes when the client hands some back.
    return this.#backlog.length > 0
      ? this.#responses.freeBytes !== this.#freeBytesWhenBlocked
      : this.#requests.hasWork();
  }

  /** Takes requests within a pass's bound. True where there were any. */
  serve(): boolean {
    if (this.#backlog.length > 0 && !this.#drainBacklog()) return false;
    let taken = 0;
    try {
      while (taken < PASS_BYTES && this.#backlog.length === 0 && this.#requests.next()) {
        taken += Math.max(this.#requests.length, PASS_BATCH_BYTES);
        this.#take(this.#requests);
      }
    } catch (error) {
      if (!(error instanceof CorruptFrameError)) throw error;
      // Where the next request would begin nobody knows, and what else is wrong there neither.
      this.#broker.metrics.count('corruptRequests');
      this.#broker.cut(this.#client, error.message);
      return true;
    }
    if (taken === 0) return false;
    this.#requests.release();
    // Dekker with the client: it raises the flag, then tries again; we hand space back, then look at the flag.
    if (Atomics.load(this.#broker.arena.int32, (this.#addresses.link + REQUEST_BLOCKED_AT) / 4) === 1)
      ringBell(this.#broker.arena.int32, this.#addresses.clientBell / 4);
    return true;
  }

  /** Publishes this pass's answers, with one ring for all of them. */
  flush(): void {
    if (!this.#answered) return;
    this.#answered = false;
    this.#responses.publish();
    ringBell(this.#broker.arena.int32, this.#addresses.clientBell / 4);
  }

  respondProduced(correlation: number, error: ErrorCode, baseOffset: number): void {
    if (this.#backlog.length === 0 && this.#writeProduced(correlation, error, baseOffset)) return;
    this.#backlog.push(() => this.#writeProduced(correlation, error, baseOffset));
  }

  close(): void {
    for (const cancel of this.#waitingReads) cancel();
    this.#waitingReads.clear();
  }

  /** Nothing is read beyond a request's end. */
  #take({ kind, offset, length }: ChannelReader): void {
    if (kind === REQUEST_PRODUCE && length >= PRODUCE_HEADER_BYTES) this.#produce(offset, length);
    else if (kind === REQUEST_FETCH && length === FETCH_BYTES) this.#fetch(offset);
    else if (kind === REQUEST_OFFSET_FOR_TIME && length === OFFSET_FOR_TIME_BYTES) this.#findOffset(offset);
    else throw new CorruptFrameError(`There is no request of the kind ${kind} with ${length} bytes.`);
  }

  #produce(at: number, length: number): void {
    const { arena, replicas, metrics } = this.#broker;
    const words = arena.int32;
    const correlation = words[at / 4];
    const replica = replicas[words[at / 4 + 1]];
    const epoch = words[at / 4 + 2];
    const acks = words[at / 4 + 3];
    const timeoutMs = words[at / 4 + 4];
    const batch = at + PRODUCE_HEADER_BYTES;
    const bytes = length - PRODUCE_HEADER_BYTES;
    const error = this.#admit(replica, epoch, acks, batch, bytes);
    if (error === 'DUPLICATE_SEQUENCE_NUMBER') {
      this.#repeat(replica as Replica, batch, acks, correlation, timeoutMs);
      return;
    }
    if (error !== 'NONE') {
      metrics.count('batchesRefused');
      this.#countFenced(error);
      if (isOutOfSequence(error)) metrics.count('sequencesRefused');
      if (acks !== 0) this.respondProduced(correlation, error, -1);
      return;
    }
    const waiter = acks === 0 ? NOBODY : this.#client;
    const waitsFor = acks === 1 ? 'stable' : 'committed';
    this.#broker.append(replica as Replica, bytes, waiter, correlation, waitsFor, timeoutMs);
  }

  /** What is known of producers may have to be read first. */
  #admit(replica: Replica | undefined, epoch: number, acks: number, batch: number, bytes: number): ErrorCode {
    const { arena, stage } = this.#broker;
    try {
      return admitBatch(replica, epoch, acks, arena.bytes, batch, bytes, stage);
    } catch (error) {
      return this.#broker.readFailed(replica as Replica, error);
    }
  }

  /** The batch is in the log already, and its producer has not heard of it: it is told when it would have been. */
  #repeat(replica: Replica, batch: number, acks: number, correlation: number, timeoutMs: number): void {
    const { arena, clock, metrics } = this.#broker;
    metrics.count('duplicateBatches');
    const original = replica.log.producers.original(arena.bytes, batch);
    if (acks === 0 || original === undefined) return;
    const { baseOffset, nextOffset } = original;
    if (nextOffset <= (acks === 1 ? replica.stable : replica.hwm)) {
      this.respondProduced(correlation, 'NONE', baseOffset);
      return;
    }
    const waitsFor = acks === 1 ? 'stable' : 'committed';
    const appendedAtMs = clock.nowMs();
    const waiter = {
      client: this.#client,
      correlation,
      waitsFor,
      deadlineMs: appendedAtMs + timeoutMs,
    } as const;
    replica.pending.join({ nextOffset, baseOffset, appendedAtMs, ...waiter });
  }

  #fetch(at: number): void {
    const words = this.#broker.arena.int32;
    const fetch: Fetch = {
      correlation: words[at / 4],
      partition: words[at / 4 + 1],
      maxBytes: Math.min(words[at / 4 + 2], READ_MAX_BYTES),
      waitMs: words[at / 4 + 3],
      offset: getOffset(words, at / 4 + 4),
      fromAnyReplica: words[at / 4 + 6] === FETCH_FROM_ANY_REPLICA,
      epoch: words[at / 4 + 7],
    };
    const replica = this.#broker.replicas[fetch.partition];
    if (replica !== undefined) this.#broker.refreshHwm(replica);
    const error = admitRead(replica, fetch.epoch, fetch.offset, fetch.fromAnyReplica);
    if (error !== 'NONE') {
      this.#countRefusedRead(error);
      this.#respond(() => this.#writeFetched(fetch, replica, error));
    } else if (fetch.waitMs > 0 && (replica as Replica).hwm <= fetch.offset) {
      this.#wait(fetch, replica as Replica);
    } else {
      this.#respond(() => this.#writeFetched(fetch, replica, 'NONE'));
    }
  }

  #countRefusedRead(error: ErrorCode): void {
    this.#broker.metrics.count('readsRefused');
    this.#countFenced(error);
  }

  #countFenced(error: ErrorCode): void {
    if (isOfAnotherReign(error)) this.#broker.metrics.count('requestsFenced');
  }

  /** A long poll: answered by the HWM, or by the clock. */
  #wait(fetch: Fetch, replica: Replica): void {
    const end = (): void => {
      cancel();
      replica.reads.delete(read);
      this.#waitingReads.delete(end);
    };
    const read: WaitingRead = {
      offset: fetch.offset,
      answer: (reason) => {
        end();
        // Who asked this replica, and not the leader, is served by it all the same.
        const error = reason === 'NOT_LEADER_OR_FOLLOWER' && fetch.fromAnyReplica ? 'NONE' : reason;
        this.#respond(() => this.#writeFetched(fetch, replica, error));
      },
    };
    const cancel = this.#broker.clock.schedule(fetch.waitMs, () => {
      this.#broker.refreshHwm(replica);
      read.answer('NONE');
      this.flush();
    });
    replica.reads.add(read);
    this.#broker.readWaits(replica);
    this.#waitingReads.add(end);
  }

  #respond(write: () => boolean): void {
    if (this.#backlog.length > 0 || !write()) this.#backlog.push(write);
  }

  #drainBacklog(): boolean {
    let written = 0;
    while (written < this.#backlog.length && this.#backlog[written]()) written++;
    this.#backlog.splice(0, written);
    this.flush();
    return this.#backlog.length === 0;
  }

  #writeProduced(correlation: number, error: ErrorCode, baseOffset: number): boolean {
    const at = this.#reserve(PRODUCED_BYTES, RESPONSE_PRODUCED);
    if (at === -1) return false;
    const words = this.#broker.arena.int32;
    words[at / 4] = correlation;
    words[at / 4 + 1] = errorNumber(error);
    putOffset(words, at / 4 + 2, baseOffset);
    this.#responses.commit();
    this.#answered = true;
    return true;
  }

  #writeFetched(fetch: Fetch, replica: Replica | undefined, admitted: ErrorCode): boolean {
    let error = admitted;
    let extent: Extent | undefined;
    if (replica !== undefined && error === 'NONE') {
      error = this.#fromLog(replica, (log) => {
        if (fetch.offset >= log.logStart) extent = log.read(fetch.offset, fetch.maxBytes, replica.hwm);
      });
    }
    const size = extent === undefined ? 0 : extent.to - extent.from;
    const at = this.#reserve(FETCHED_HEADER_BYTES + size, RESPONSE_FETCHED);
    if (at === -1) return false;
    const { int32, bytes } = this.#broker.arena;
    int32[at / 4] = fetch.correlation;
    int32[at / 4 + 1] = errorNumber(error);
    putOffset(int32, at / 4 + 2, replica?.hwm ?? -1);
    putOffset(int32, at / 4 + 4, replica?.log.logStart ?? -1);
    if (extent !== undefined) {
      copyBytes(bytes, at + FETCHED_HEADER_BYTES, extent.bytes.subarray(extent.from, extent.to));
    }
    this.#responses.commit();
    this.#answered = true;
    return true;
  }

  #findOffset(at: number): void {
    const words = this.#broker.arena.int32;
    const correlation = words[at / 4];
    const replica = this.#broker.replicas[words[at / 4 + 1]];
    const timestamp = getOffset(words, at / 4 + 2);
    if (replica !== undefined) this.#broker.refreshHwm(replica);
    const fromAnyReplica = words[at / 4 + 4] === FETCH_FROM_ANY_REPLICA;
    let error = admitListOffsets(replica, words[at / 4 + 5], fromAnyReplica);
    if (error !== 'NONE') this.#countRefusedRead(error);
    let found: TimestampedOffset | undefined;
    if (replica !== undefined && error === 'NONE') {
      error = this.#fromLog(replica, (log) => {
        found = log.offsetForTimestamp(timestamp, replica.hwm);
      });
    }
    this.#respond(() => this.#writeOffset(correlation, error, found, replica?.hwm ?? -1));
  }

  /** What asks a log on a disk may fail: then the replica is offline, or one of its segments is damaged. */
  #fromLog(replica: Replica, ask: (log: PartitionLog) => void): ErrorCode {
    if (replica.state !== 'online') return 'KAFKA_STORAGE_ERROR';
    try {
      ask(replica.log);
      return 'NONE';
    } catch (error) {
      return this.#broker.readFailed(replica, error);
    }
  }

  #writeOffset(
    correlation: number,
    error: ErrorCode,
    found: TimestampedOffset | undefined,
    hwm: number,
  ): boolean {
    const at = this.#reserve(OFFSET_FOR_TIME_ANSWER_BYTES, RESPONSE_OFFSET_FOR_TIME);
    if (at === -1) return false;
    const words = this.#broker.arena.int32;
    words[at / 4] = correlation;
    words[at / 4 + 1] = errorNumber(error);
    putOffset(words, at / 4 + 2, found?.offset ?? -1);
    putOffset(words, at / 4 + 4, found?.timestamp ?? -1);
    putOffset(words, at / 4 + 6, hwm);
    this.#responses.commit();
    this.#answered = true;
    return true;
  }

  /** Room for an answer, or -1 with the flag raised that lets the client ring when it has handed space back. */
  #reserve(bytes: number, kind: number): number {
    let at = this.#responses.reserve(bytes, kind);
    if (at === -1) {
      this.#setBlocked(1);
      this.#freeBytesWhenBlocked = this.#responses.freeBytes;
      at = this.#responses.reserve(bytes, kind);
    }
    if (at !== -1 && this.#isBlocked) this.#setBlocked(0);
    return at;
  }

  #setBlocked(value: number): void {
    this.#isBlocked = value === 1;
    Atomics.store(this.#broker.arena.int32, (this.#addresses.link + RESPONSE_BLOCKED_AT) / 4, value);
  }
}
