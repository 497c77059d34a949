import { requireOptions, show, TidemarkError } from '../errors.ts';
import { ArenaView } from '../runtime/arena.ts';
import { AttachClient, type ClusterHandle } from '../runtime/attach-channel.ts';
import type { ClientEndpoint } from '../runtime/attachments.ts';
import type { ThreadAttachment } from '../runtime/coordinator.ts';
import type { NewProducer } from '../runtime/producer-ids.ts';
import { Admin } from './admin.ts';
import { type Closed, closedError } from './closed.ts';
import { KnownTopics, type TopicAnswer, type TopicNotice } from './known-topics.ts';
import { Producer, type ProducerOptions } from './producer.ts';
import { checkRack } from './rack-check.ts';
import { type ReadOptions, type ReadResult, read } from './read.ts';
import type { ReasonRequest } from './reasons.ts';
import { Session } from './session.ts';
import type { ClusterStatus } from './status.ts';

/** What has become of a broker. */
export interface BrokerEvent {
  readonly what: 'ended' | 'hangs' | 'started' | 'cut';
  readonly broker: number;
  /** 0 where it has started: the link says which life it is to. */
  readonly life: number;
  readonly message: string;
  /** Where it is one client's link that was cut. */
  readonly client?: number;
}

/** A client of a cluster that was started by another thread of this process. */
export class Client {
  readonly admin: Admin;
  readonly #channel: AttachClient;
  readonly #session: Session;
  readonly #topics: KnownTopics;
  /** @internal */
  readonly number: number;
  readonly #producers = new Set<Producer>();
  /** Once it is closing: what is closed. */
  #closed: Closed = 'client';
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(channel: AttachClient, session: Session, topics: KnownTopics, number: number) {
    this.#topics = topics;
    this.#channel = channel;
    this.#session = session;
    this.number = number;
    this.admin = new Admin((request) => channel.ask('admin', request));
  }

  producer(options: ProducerOptions = {}): Producer {
    if (this.#closing !== undefined) throw closedError(this.#closed);
    const producer = new Producer(this.#session, options, (closed) => this.#producers.delete(closed));
    this.#producers.add(producer);
    return producer;
  }

  /** Committed records of one partition. */
  read(topic: string, options: ReadOptions): Promise<ReadResult> {
    return read(this.#session, topic, options);
  }

  /** Up to which entry of their log this thread was told of changes of topics; 0 before it was told of any. */
  get metadataOffset(): number {
    return this.#topics.offset;
  }

  async status(): Promise<ClusterStatus> {
    return (await this.#channel.ask('status', undefined)) as ClusterStatus;
  }

  /** Sends what producers have buffered, then lets go of the cluster, which goes on. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The cluster has ended under this client. */
  async abandon(): Promise<void> {
    if (this.#closing === undefined) this.#closed = 'cluster';
    this.#closing ??= Promise.resolve();
    // Settles what a close that is under way waits for.
    await this.#session.close('cluster');
    this.#channel.close();
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#producers].map((producer) => producer.close()));
    await this.#session.close('client');
    try {
      await this.#channel.ask('detach', this.number);
    } catch {
      // The cluster has ended meanwhile: there is nobody to give anything back to.
    } finally {
      this.#channel.close();
    }
  }
}

export interface ConnectOptions {
  /** Where this thread's reads ask for a replica that stands there, unless a read says otherwise. */
  readonly rack?: string;
}

/** Attaches the calling thread to a cluster that another thread has started. */
export async function connect(handle: ClusterHandle, options: ConnectOptions = {}): Promise<Client> {
  if (
    handle === null ||
    typeof handle !== 'object' ||
    handle.kind !== 'tidemark-cluster' ||
    !(handle.state instanceof Int32Array)
  ) {
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      `connect takes a cluster's handle (cluster.handle); got ${show(handle)}.`,
    );
  }
  requireOptions('connect options', options, ['rack']);
  const rack = options.rack === undefined ? undefined : checkRack('rack', options.rack);
  const topics = new KnownTopics();
  /** What came before there was a session. */
  const early: (() => void)[] = [];
  let client: Client | undefined;
  let session: Session | undefined;
  const channel = new AttachClient(handle, (name, argument) => {
    if (name === 'closing') {
      if (client === undefined) channel.close();
      else void client.abandon();
      return;
    }
    const take = (): void => {
      if (name === 'topics') topics.change(argument as TopicNotice);
      if (name === 'topics') session?.topicsChanged();
      if (name === 'broker') takeBroker(argument as BrokerEvent);
    };
    if (client === undefined) early.push(take);
    else take();
  });
  const takeBroker = (event: BrokerEvent): void => {
    const { broker, life, what, message } = event;
    const isCut = what === 'cut' && event.client === client?.number;
    if (what === 'ended' || isCut) session?.brokerEnded(broker, life, new Error(message));
    if (what === 'hangs') session?.brokerHangs(broker, life, new Error(message));
    if (what !== 'started' || client === undefined) return;
    // One that ends meanwhile tells of it, and of its next life.
    channel.ask('link', { client: client.number, broker }).then(
      (endpoint) => session?.brokerStarted(endpoint as ClientEndpoint),
      () => undefined,
    );
  };
  try {
    const { memory, module, attachment, deliveryTimeoutMs } = (await channel.ask(
      'attach',
      channel.threadId,
    )) as ThreadAttachment;
    const find = (name: string): Promise<TopicAnswer> => channel.ask('topic', name) as Promise<TopicAnswer>;
    const directory = {
      known: (name: string) => topics.get(name),
      find: (name: string) => topics.find(name, find),
      reasonFor: async (request: ReasonRequest) =>
        (await channel.ask('reason', request)) as string | undefined,
      newProducerId: () => channel.ask('producer-id', undefined) as Promise<NewProducer>,
    };
    session = new Session(new ArenaView(memory), module, attachment, directory, deliveryTimeoutMs, rack);
    client = new Client(channel, session, topics, attachment.client);
    for (const take of early) take();
    return client;
  } catch (error) {
    channel.close();
    throw error;
  }
}
