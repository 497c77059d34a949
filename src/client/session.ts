import type { Kernels } from '../../native-free/kernels/index.ts';
import { Sleeper } from '../../native-free/sharedarraybuffer-utils/index.ts';
import { TidemarkError } from '../errors.ts';
import { YIELD_EVERY_MS } from '../limits.ts';
import { type ArenaView, kernelsOver } from '../runtime/arena.ts';
import type { Attachment, ClientEndpoint } from '../runtime/attachments.ts';
import { nowMs, yieldToEventLoop } from '../runtime/clock.ts';
import type { NewProducer } from '../runtime/producer-ids.ts';
import { KeepAlive } from '../runtime/timers.ts';
import type { TopicInfo } from '../runtime/topics.ts';
import { BrokerLink } from './broker-link.ts';
import { type Closed, closedError, cutOffError } from './closed.ts';
import type { ReasonRequest } from './reasons.ts';
import { Retries } from './retries.ts';
import { requireTopicName, unknownTopic } from './unknown-topic.ts';

const EXPIRY_CHECK_MS = 500;

/** What clients of a session hear of. */
export interface SessionListener {
  /** About twice a second while requests are unanswered, or the session is held. */
  tick(): void;
  /** Topics, their leaders or their configurations have changed. */
  topicsChanged(): void;
  /** The connection has ended; links fail after this. */
  ended(error: TidemarkError): void;
}

/** What a session asks of the coordinator, which may live in another thread. */
export interface Directory {
  /** The topic if this thread knows it. */
  known(name: string): TopicInfo | undefined;
  /** Asks for it; undefined where it does not exist. */
  find(name: string): Promise<TopicInfo | undefined>;
  /** Why a broker has refused something, as far as anybody knows. */
  reasonFor(request: ReasonRequest): Promise<string | undefined>;
  /** What an idempotent producer begins with: an id that no other one has or had. */
  newProducerId(): Promise<NewProducer>;
}

/** A client thread's connection to a cluster: one bell, and a link to each broker. */
export class Session {
  readonly directory: Directory;
  readonly deliveryTimeoutMs: number;
  /** Where reads ask for a replica that stands there, if they say nothing else. */
  readonly rack: string | undefined;
  /** Who waits before another try goes on when a broker has come. */
  readonly retries = new Retries();
  readonly #arena: ArenaView;
  readonly #kernels: Kernels;
  readonly #sleeper: Sleeper;
  readonly #links = new Map<number, BrokerLink>();
  /** By broker: which of its lives the link is to. */
  readonly #lives = new Map<number, number>();
  readonly #racks = new Map<number, string | null>();
  readonly #keepAlive: KeepAlive;
  readonly #listeners = new Set<SessionListener>();
  /** Who has something to send that no link knows of yet. */
  #holders = 0;
  readonly #ended: Promise<void>;
  /** Once it is closed: what was. */
  #closed: Closed = 'cluster';
  #state: 'open' | 'closed' = 'open';

  constructor(
    arena: ArenaView,
    module: WebAssembly.Module,
    attachment: Attachment,
    directory: Directory,
    deliveryTimeoutMs: number,
    rack?: string,
  ) {
    this.directory = directory;
    this.rack = rack;
    this.deliveryTimeoutMs = deliveryTimeoutMs;
    this.#arena = arena;
    this.#kernels = kernelsOver(arena, attachment.workspace, module);
    for (const endpoint of attachment.endpoints) this.brokerStarted(endpoint);
    this.#sleeper = new Sleeper(arena.reach(attachment.bell + 4).int32, attachment.bell / 4);
    this.#keepAlive = new KeepAlive(EXPIRY_CHECK_MS, () => this.#expire());
    this.#ended = this.#run().catch((cause) => this.#broken(cause));
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  requireOpen(): void {
    if (!this.isOpen) throw closedError(this.#closed);
  }

  link(broker: number): BrokerLink | undefined {
    return this.#links.get(broker);
  }

  /** Where a broker stands to which there is a link. */
  rackOf(broker: number): string | null {
    return this.#racks.get(broker) ?? null;
  }

  /** The topic, or an error that says what to do. */
  async topic(name: string): Promise<TopicInfo> {
    requireTopicName(name);
    this.requireOpen();
    const topic = this.directory.known(name) ?? (await this.directory.find(name));
    if (topic !== undefined) return topic;
    throw unknownTopic(name);
  }

  /** As the directory says, or nothing once the cluster is gone. */
  reasonFor(request: ReasonRequest): Promise<string | undefined> {
    return this.directory.reasonFor(request).catch(() => undefined);
  }

  listen(listener: SessionListener): void {
    this.#listeners.add(listener);
  }

  unlisten(listener: SessionListener): void {
    this.#listeners.delete(listener);
  }

  /** The event loop is kept alive until this is released. */
  hold(): void {
    this.#holders++;
    this.#keepAlive.hold(true);
  }

  release(): void {
    this.#holders--;
  }

  /** Call after a request was made: while one is unanswered the event loop is kept alive. */
  engaged(): void {
    this.#keepAlive.hold(true);
  }

  /** What the directory knows has changed. */
  topicsChanged(): void {
    for (const listener of this.#listeners) listener.topicsChanged();
  }

  /** A link to a broker that has come, or come back. */
  brokerStarted({ broker, life, rack, addresses }: ClientEndpoint): void {
    if (this.#state === 'closed' || (this.#lives.get(broker) ?? 0) >= life) return;
    this.#lives.set(broker, life);
    this.#racks.set(broker, rack);
    this.#links.set(broker, new BrokerLink(this.#arena, this.#kernels, broker, addresses, nowMs));
    this.retries.resumeAll();
  }

  /** Nothing of the memory of its link is used from here on. */
  brokerEnded(broker: number, life: number, cause: unknown): void {
    if ((this.#lives.get(broker) ?? 0) > life) return;
    const link = this.#links.get(broker);
    this.#lives.set(broker, life);
    this.#racks.delete(broker);
    this.#links.delete(broker);
    link?.fail(brokerFailed(`Broker ${broker} has failed`, cause));
  }

  /** It hangs: what it was asked is not waited for any longer. */
  brokerHangs(broker: number, life: number, cause: unknown): void {
    if (this.#lives.get(broker) !== life) return;
    const error = brokerFailed(`Broker ${broker} does not answer`, cause);
    this.#links.get(broker)?.expire(Number.POSITIVE_INFINITY, () => error);
  }

  /** Fails what is unanswered, and ends the loop. */
  async close(what: Closed): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#closed = what;
    this.#end(cutOffError(what));
    this.#sleeper.ring();
    await this.#ended;
    this.#keepAlive.end();
  }

  /** What a broker has sent makes no sense: nothing more can come of this session. */
  #broken(cause: unknown): void {
    this.#state = 'closed';
    const error = new TidemarkError(
      'BROKER_FAILED',
      'The connection to the brokers is broken; start again.',
      { cause },
    );
    this.#end(error);
    this.#keepAlive.end();
  }

  #end(error: TidemarkError): void {
    this.retries.end();
    for (const listener of this.#listeners) listener.ended(error);
    for (const link of this.#links.values()) link.fail(error);
  }

  readonly #hasWork = (): boolean => {
    if (this.#state === 'closed') return true;
    for (const link of this.#links.values()) if (link.hasWork()) return true;
    return false;
  };

  async #run(): Promise<void> {
    let turnStartedMs = nowMs();
    while (this.#state === 'open') {
      let outstanding = 0;
      for (const link of this.#links.values()) {
        link.pump();
        outstanding += link.outstanding;
      }
      if (outstanding === 0 && this.#holders === 0) this.#keepAlive.hold(false);
      if (!this.#hasWork()) {
        await this.#sleeper.sleep(this.#hasWork);
        turnStartedMs = nowMs();
      } else if (nowMs() - turnStartedMs < YIELD_EVERY_MS) {
        // The callers' continuations come first: they may have more to send.
        await null;
      } else {
        await yieldToEventLoop();
        turnStartedMs = nowMs();
      }
    }
  }

  #expire(): void {
    for (const listener of this.#listeners) listener.tick();
    const now = nowMs();
    let outstanding = this.#holders;
    for (const link of this.#links.values()) {
      link.expire(
        now,
        () => new TidemarkError('REQUEST_TIMED_OUT', `Broker ${link.broker} did not answer in time.`),
      );
      outstanding += link.outstanding;
    }
    if (outstanding === 0) this.#keepAlive.hold(false);
  }
}

function brokerFailed(what: string, cause: unknown): TidemarkError {
  return new TidemarkError('BROKER_FAILED', `${what}.`, { cause });
}
