import { ANY_EPOCH } from '../api/01-fetch.ts';
import { type ErrorCode, TidemarkError } from '../errors.ts';
import { REQUEST_TIMEOUT_DEFAULT_MS } from '../limits.ts';
import { nowMs } from '../runtime/clock.ts';
import type { PartitionInfo } from '../types.ts';
import type { BrokerLink } from './broker-link.ts';
import type { ReadResult } from './read.ts';
import { decode, refusal } from './read-answers.ts';
import type { Session, SessionListener } from './session.ts';

/** A read, checked. It begins at an offset, or else at a timestamp. */
interface ReadRequest {
  readonly topic: string;
  readonly partition: number;
  readonly offset?: number;
  readonly timestamp?: number;
  readonly maxBytes: number;
  readonly waitMs: number;
  readonly timeoutMs: number;
  /** The one replica that is asked, whatever it is. */
  readonly broker: number | undefined;
  /** Where a replica is asked rather than elsewhere, if one is in sync there. */
  readonly rack: string | undefined;
}

/** What another leader, or the same one a little later, may not answer any more. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'BROKER_FAILED',
  'FENCED_LEADER_EPOCH',
  'KAFKA_STORAGE_ERROR',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_OR_FOLLOWER',
  'REQUEST_TIMED_OUT',
  'UNKNOWN_LEADER_EPOCH',
  'UNKNOWN_TOPIC_OR_PARTITION',
]);

/** One read from the call to its answer: while the partition changes its leader, one try follows the other. */
export class Reading implements SessionListener {
  readonly answer: Promise<ReadResult>;
  readonly #session: Session;
  readonly #request: ReadRequest;
  readonly #waitUntilMs: number;
  readonly #deadlineMs: number;
  /** Refusing: it has failed, and the reason is asked for. Nothing but its end comes after that. */
  #state: 'asking' | 'waiting' | 'refusing' | 'over' = 'waiting';
  #failures = 0;
  #lastError: TidemarkError | undefined;
  /** Whether a replica on the rack could not answer: then the leader is asked. */
  #isRackSpent = false;
  /** Whom the present try asks. */
  #broker = -1;
  /** Where the present try goes, and the partition as it was then. */
  #link: BrokerLink | undefined;
  #info: PartitionInfo | undefined;
  /** Makes the present request one whose answer nobody waits for. */
  #cancel: () => void = () => undefined;
  #resolve: (result: ReadResult) => void = () => undefined;
  #reject: (error: unknown) => void = () => undefined;

  constructor(session: Session, request: ReadRequest) {
    this.#session = session;
    this.#request = request;
    this.#waitUntilMs = nowMs() + request.waitMs;
    this.#deadlineMs = this.#waitUntilMs + request.timeoutMs;
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    session.listen(this);
    session.hold();
    this.resume();
  }

  /** Another try. */
  resume(): void {
    this.#state = 'asking';
    try {
      this.#try();
    } catch (error) {
      this.#refuse(error);
    }
  }

  tick(): void {
    if (this.#state === 'waiting' && nowMs() >= this.#deadlineMs) void this.#giveUp();
  }

  /** Who waits at a leader that is none any more, or at a replica that is out of sync, would be told of no record. */
  topicsChanged(): void {
    const topic = this.#session.directory.known(this.#request.topic);
    const info = topic?.partitions[this.#request.partition];
    const isSame = info?.leader === this.#info?.leader && info?.epoch === this.#info?.epoch;
    const isMoved = !isSame || (info !== undefined && this.#replica(info) !== this.#broker);
    if (!isMoved || !this.#isUnderWay || this.#request.broker !== undefined) return;
    this.#cancel();
    this.#session.retries.goOn(this);
    this.resume();
  }

  ended(error: TidemarkError): void {
    this.#refuse(error);
  }

  #try(): void {
    const info = this.#partition();
    this.#info = info;
    this.#broker = this.#replica(info);
    if (info.unavailable !== undefined && this.#request.broker === undefined) {
      this.#failed(new TidemarkError('LEADER_NOT_AVAILABLE', info.unavailable));
      return;
    }
    this.#link = this.#session.link(this.#broker);
    if (this.#link === undefined)
      this.#failed(new TidemarkError('BROKER_FAILED', `Broker ${this.#broker} is not running.`));
    else if (this.#request.offset !== undefined) this.#fetch(this.#link, this.#request.offset);
    else this.#find(this.#link, this.#request.timestamp as number);
  }

  #replica({ id, leader, isr }: PartitionInfo): number {
    const { broker, rack } = this.#request;
    if (broker !== undefined) return broker;
    if (rack === undefined || this.#isRackSpent || this.#session.rackOf(leader) === rack) return leader;
    const near = isr.filter((each) => this.#session.rackOf(each) === rack);
    return near.length === 0 ? leader : near[id % near.length];
  }

  /** Whether somebody other than the leader is asked who was not named. */
  get #isNear(): boolean {
    return this.#request.broker === undefined && this.#broker !== this.#info?.leader;
  }

  #partition(): PartitionInfo {
    const { topic: name, partition, broker } = this.#request;
    const topic = this.#session.directory.known(name);
    if (topic === undefined)
      throw new TidemarkError('UNKNOWN_TOPIC_OR_PARTITION', `Topic '${name}' was deleted.`);
    const info = topic.partitions[partition];
    if (info === undefined) {
      throw new TidemarkError(
        'UNKNOWN_TOPIC_OR_PARTITION',
        `Topic '${name}' has no partition ${partition}; it has ${topic.partitions.length}, counted from 0.`,
      );
    }
    if (broker !== undefined && !info.replicas.includes(broker)) {
      throw new TidemarkError(
        'INVALID_ARGUMENT',
        `Broker ${broker} holds no replica of partition ${partition} of '${name}'; brokers ${info.replicas.join(', ')} do.`,
      );
    }
    return info;
  }

  #fetch(link: BrokerLink, offset: number): void {
    const info = this.#info as PartitionInfo;
    const request = {
      partitionId: info.id,
      offset,
      maxBytes: this.#request.maxBytes,
      waitMs: Math.max(0, Math.ceil(this.#waitUntilMs - nowMs())),
      ...this.#role(info),
      timeoutMs: this.#timeoutMs(),
    };
    const failed = (error: TidemarkError): void => this.#failed(error);
    this.#cancel = link.fetch(
      request,
      (answer) => {
        if (answer.error !== 'NONE' && (this.#isNear || answer.error !== 'OFFSET_OUT_OF_RANGE')) {
          this.#refused(answer.error, offset);
          return;
        }
        try {
          const result = decode(info, offset, answer);
          if (result === 'corrupt') this.#refused('CORRUPT_MESSAGE', offset);
          else this.#answer(result);
        } catch (error) {
          this.#refuse(error);
        }
      },
      failed,
    );
    this.#session.engaged();
  }

  /** From the first committed record on that is not older, or from the HWM where there is none. */
  #find(link: BrokerLink, timestamp: number): void {
    const info = this.#info as PartitionInfo;
    const timeoutMs = this.#timeoutMs();
    const request = { partitionId: info.id, timestamp, ...this.#role(info), timeoutMs };
    this.#cancel = link.offsetForTime(
      request,
      ({ error, offset, hwm }) => {
        if (error !== 'NONE') this.#refused(error);
        else this.#fetch(link, offset === -1 ? hwm : offset);
      },
      (error) => this.#failed(error),
    );
    this.#session.engaged();
  }

  /** Whom the request means: the leader that this thread knows of, or whichever replica it reaches. */
  #role({ epoch }: PartitionInfo): { fromAnyReplica: boolean; epoch: number } {
    const fromAnyReplica = this.#request.broker !== undefined || this.#isNear;
    return { fromAnyReplica, epoch: fromAnyReplica ? ANY_EPOCH : epoch };
  }

  #timeoutMs(): number {
    return Math.min(REQUEST_TIMEOUT_DEFAULT_MS, Math.max(1, this.#deadlineMs - nowMs()));
  }

  #refused(code: ErrorCode, offset?: number): void {
    this.#failed(new TidemarkError(code, `${code}.`), offset);
  }

  #failed(error: TidemarkError, offset?: number): void {
    if (!this.#isUnderWay) return;
    if (this.#isNear && error.code !== 'CLOSED') {
      this.#isRackSpent = true;
      this.resume();
      return;
    }
    this.#lastError = error;
    this.#state = 'waiting';
    const mayPass = PASSING.has(error.code) && this.#request.broker === undefined;
    if (!mayPass || !this.#session.isOpen || nowMs() >= this.#deadlineMs) void this.#giveUp(offset);
    else this.#session.retries.waitAfter(++this.#failures, this);
  }

  get #isUnderWay(): boolean {
    return this.#state === 'asking' || this.#state === 'waiting';
  }

  async #giveUp(offset?: number): Promise<void> {
    const error = this.#lastError as TidemarkError;
    const info = this.#info as PartitionInfo;
    this.#state = 'refusing';
    const isSaid = ['BROKER_FAILED', 'LEADER_NOT_AVAILABLE', 'REQUEST_TIMED_OUT', 'CLOSED'].includes(
      error.code,
    );
    this.#refuse(isSaid ? error : await refusal(this.#session, this.#broker, info, error.code, offset));
  }

  #answer(result: ReadResult): void {
    if (this.#leave()) this.#resolve(result);
  }

  #refuse(error: unknown): void {
    if (this.#leave()) this.#reject(error);
  }

  /** Whether that was the end: the session may end while the reason is still asked for. */
  #leave(): boolean {
    if (this.#state === 'over') return false;
    this.#state = 'over';
    this.#cancel();
    this.#session.retries.goOn(this);
    this.#session.unlisten(this);
    this.#session.release();
    return true;
  }
}
