import { TidemarkError } from '../errors.ts';
import { BATCHES_IN_FLIGHT_MAX } from '../limits.ts';
import type { NewProducer } from '../runtime/producer-ids.ts';
import type { PartitionInfo } from '../types.ts';
import type { BatchLink } from './broker-link.ts';
import { isRetried } from './delivery-errors.ts';
import type { ProducerBatch } from './outbound.ts';

/** Sequence numbers begin again at 0 behind 2^31 - 1. */
const SEQUENCE_MASK = 0x7fffffff;
const PRODUCER_EPOCH_MAX = 32_767;

/** What a delivery asks of its producer. */
export interface DeliveryHost {
  readonly isIdempotent: boolean;
  nowMs(): number;
  link(broker: number): BatchLink | undefined;
  /** Undefined: it is being asked for, and `resume` is called when it is there. `spent` is no use any more. */
  identity(spent: NewProducer | undefined): NewProducer | undefined;
  /** Calls `resume` after a while that grows with the failures, or with the next news of brokers. */
  waitAfter(failures: number, delivery: Delivery): void;
  /** It does not wait any more. */
  goOn(delivery: Delivery): void;
}

/** What a delivery asks of whoever gathers its batches. */
export interface DeliveryOwner {
  /** Whether the partition, as it is at present, can ever take what it has refused so. */
  isHopeless(error: TidemarkError): boolean;
  /** The batch cannot be delivered, or not in time. `last` is what has gone wrong last, if anything has. */
  givenUp(batch: ProducerBatch, last: TidemarkError | undefined, isLate: boolean): void;
}

/**
 * The batches of one partition from when they are sealed until they are acknowledged, in their order.
 *
 *   sending    those at the head are in flight, others follow as these are settled
 *   draining   one in flight has failed: nothing is sent before the rest of them is answered too
 *   waiting    nothing is in flight: for a while, or for news, which may be a leader
 *   ended      the partition is gone, or the cluster
 *
 * What has failed goes back to its place in the line and is sent again, with the sequence numbers it had. A batch that is
 * given up leaves a gap in them: once it is certain that none behind it is written, they begin anew in another epoch.
 */
export class Delivery {
  #info: PartitionInfo;
  readonly #host: DeliveryHost;
  readonly #owner: DeliveryOwner;
  /** Sealed and not in flight. */
  readonly #line: ProducerBatch[] = [];
  /** They come before all of the line, unless one of them has failed. */
  readonly #inFlight: ProducerBatch[] = [];
  #state: 'sending' | 'draining' | 'waiting' | 'ended' = 'sending';
  /** Why nothing is sent any more. */
  #end: TidemarkError | undefined;
  /** Since a batch was settled: how often, and with what. */
  #failures = 0;
  #lastError: TidemarkError | undefined;
  #identity: NewProducer | undefined;
  #nextSequence = 0;
  /** Whether the sequence has a gap: no batch gets a number of it any more. */
  #isBroken = false;
  /** Whether anything of the sequence was acknowledged: the partition has known it. */
  #isKnown = false;
  #added = 0;

  constructor(host: DeliveryHost, owner: DeliveryOwner, info: PartitionInfo) {
    this.#host = host;
    this.#owner = owner;
    this.#info = info;
  }

  /** As it was last heard of: a batch is sent to whoever leads when it is sent. */
  get info(): PartitionInfo {
    return this.#info;
  }

  get isIdle(): boolean {
    return this.#inFlight.length === 0 && this.#line.length === 0;
  }

  add(batch: ProducerBatch): void {
    batch.place = this.#added++;
    this.#line.push(batch);
    this.#send();
  }

  /** What has become of the partition. */
  update(info: PartitionInfo): void {
    const before = this.#info;
    this.#info = info;
    if (isSame(before, info)) return;
    const hasMoved = info.leader !== before.leader || info.epoch !== before.epoch;
    if (hasMoved && this.#inFlight.length > 0) {
      // A partition that sees batches twice knows them. Otherwise the old leader may still say what was written.
      if (this.#host.isIdempotent) this.#recall();
      else if (this.#state === 'sending') this.#state = 'draining';
    }
    if (this.#inFlight.length === 0) this.resume();
  }

  /** Something has changed, or time has passed: another try. */
  resume(): void {
    if (this.#state === 'ended' || this.#inFlight.length > 0) return;
    this.expire(this.#host.nowMs());
    this.#becomeSending();
  }

  /** An answer: the batch is written. */
  settled(batch: ProducerBatch): void {
    this.#leaveFlight(batch);
    this.#isKnown = true;
    this.#failures = 0;
    this.#lastError = undefined;
    this.#goOn();
  }

  /** The batch was refused, or nobody knows what has become of it. */
  failed(batch: ProducerBatch, error: TidemarkError): void {
    this.#leaveFlight(batch);
    batch.refused(error.code, this.#isKnown);
    this.#lastError = error;
    const isForgotten = error.code === 'UNKNOWN_PRODUCER_ID' && batch.mayBeWritten;
    const isLost = isForgotten || !isRetried(error.code) || this.#owner.isHopeless(error);
    const isOver = this.#state === 'ended' || isLost;
    if (isOver || batch.deadlineMs <= this.#host.nowMs()) {
      this.#giveUp(batch, error, !isOver);
    } else {
      this.#putBack(batch);
      if (this.#state === 'sending') this.#becomeDraining();
    }
    this.#goOn();
  }

  /** Gives up what has not been delivered in time. */
  expire(nowMs: number): void {
    for (const batch of [...this.#inFlight, ...this.#line]) {
      if (batch.deadlineMs > nowMs) continue;
      batch.link?.abandon(batch);
      this.#leaveFlight(batch);
      const index = this.#line.indexOf(batch);
      if (index !== -1) this.#line.splice(index, 1);
      this.#giveUp(batch, this.#lastError, true);
    }
    this.#goOn();
  }

  /** Nothing can be sent any more; what is in flight may still be answered. */
  end(error: TidemarkError): void {
    if (this.#state === 'ended') return;
    this.#leaveWaiting();
    this.#state = 'ended';
    this.#end = error;
    for (const batch of this.#line.splice(0)) this.#owner.givenUp(batch, error, false);
  }

  /** The line waits for this, which has failed. */
  hindered(error: TidemarkError): void {
    this.#lastError = error;
  }

  #becomeSending(): void {
    this.#leaveWaiting();
    this.#state = 'sending';
    this.#send();
  }

  #becomeDraining(): void {
    this.#state = 'draining';
    this.#failures++;
  }

  #becomeWaiting(error: TidemarkError): void {
    this.#lastError = error;
    if (this.#state === 'sending') this.#failures++;
    this.#state = 'waiting';
    this.#host.waitAfter(this.#failures, this);
  }

  #leaveWaiting(): void {
    if (this.#state === 'waiting') this.#host.goOn(this);
  }

  /** After the last one in flight was answered, or any that leaves room. */
  #goOn(): void {
    if (this.#state !== 'draining') this.#send();
    else if (this.#inFlight.length === 0) this.#drained();
  }

  /** Where none before the head is missing and it does not follow all the same, what was there has been lost. */
  #drained(): void {
    const head = this.#line[0];
    const error = this.#lastError;
    if (head?.sequenceFault !== undefined) this.#isBroken = true;
    if (head?.sequenceFault === 'INVALID_PRODUCER_EPOCH') this.#renew();
    const isNews = head?.sentTo === undefined || !isSame(head.sentTo, this.#info);
    const isMended = this.#isBroken && this.#failures === 1;
    if (isNews || isMended || error === undefined) this.#becomeSending();
    else this.#becomeWaiting(error);
  }

  #send(): void {
    if (this.#end !== undefined) {
      for (const batch of this.#line.splice(0)) this.#owner.givenUp(batch, this.#end, false);
      return;
    }
    while (this.#state === 'sending' && this.#line.length > 0) {
      const batch = this.#line[0];
      // Counted from the oldest: the partition has to know that one again, whatever was acknowledged since.
      if (batch.place - (this.#inFlight[0]?.place ?? batch.place) >= BATCHES_IN_FLIGHT_MAX) return;
      const link = this.#leader();
      if (link === undefined || !this.#isNumbered(batch)) return;
      this.#line.shift();
      this.#inFlight.push(batch);
      batch.goesTo(this.#info, link);
      link.produce(batch);
    }
  }

  #leader(): BatchLink | undefined {
    const { unavailable, leader, partition, topic } = this.#info;
    if (unavailable !== undefined) {
      this.#becomeWaiting(new TidemarkError('LEADER_NOT_AVAILABLE', unavailable));
      return undefined;
    }
    const link = this.#host.link(leader);
    if (link !== undefined) return link;
    const sentence = `Broker ${leader}, which leads partition ${partition} of '${topic}', is not running.`;
    this.#becomeWaiting(new TidemarkError('BROKER_FAILED', sentence));
    return undefined;
  }

  /** Gives the head of the line its sequence numbers, if it needs any. False: it has to wait for them. */
  #isNumbered(batch: ProducerBatch): boolean {
    if (!this.#host.isIdempotent) return true;
    if (this.#isBroken) {
      if (this.#inFlight.length > 0) return false;
      // It may stand in the log: only there it is known, and only by the numbers it had.
      if (batch.isNumbered && batch.mayBeWritten) return true;
      this.#beginSequence();
    }
    if (batch.isNumbered) return true;
    this.#identity ??= this.#host.identity(undefined);
    if (this.#identity === undefined) return false;
    batch.number(this.#identity, this.#nextSequence);
    this.#nextSequence = (this.#nextSequence + batch.records) & SEQUENCE_MASK;
    return true;
  }

  /** Nothing of the line is written: whatever follows a batch that is not written is refused. */
  #beginSequence(): void {
    for (const batch of this.#line) batch.unnumber();
    this.#isBroken = false;
    this.#isKnown = false;
    this.#nextSequence = 0;
    if (this.#identity === undefined) return;
    const { producerId, producerEpoch } = this.#identity;
    if (producerEpoch < PRODUCER_EPOCH_MAX) this.#identity = { producerId, producerEpoch: producerEpoch + 1 };
    else this.#renew();
  }

  /** The old one is no use any more. */
  #renew(): void {
    if (this.#identity !== undefined) this.#identity = this.#host.identity(this.#identity);
  }

  /** Another one leads: what the old leader was asked is asked anew, and it may answer what it likes. */
  #recall(): void {
    for (const batch of this.#inFlight.splice(0)) {
      batch.link?.abandon(batch);
      this.#putBack(batch);
    }
  }

  #putBack(batch: ProducerBatch): void {
    let index = 0;
    while (index < this.#line.length && this.#line[index].place < batch.place) index++;
    this.#line.splice(index, 0, batch);
  }

  #giveUp(batch: ProducerBatch, error: TidemarkError | undefined, isLate: boolean): void {
    if (batch.isNumbered) this.#isBroken = true;
    this.#owner.givenUp(batch, error, isLate);
  }

  #leaveFlight(batch: ProducerBatch): void {
    const index = this.#inFlight.indexOf(batch);
    if (index !== -1) this.#inFlight.splice(index, 1);
  }
}

function isSame(one: PartitionInfo, other: PartitionInfo): boolean {
  return (
    one.leader === other.leader &&
    one.epoch === other.epoch &&
    one.unavailable === other.unavailable &&
    one.isr.length === other.isr.length
  );
}
