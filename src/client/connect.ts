import { show, TidemarkError } from '../errors.ts';
import { ArenaView } from '../runtime/arena.ts';
import { AttachClient, type ClusterHandle } from '../runtime/attach-channel.ts';
import type { ThreadAttachment, TopicInfo } from '../runtime/coordinator.ts';
import { Admin } from './admin.ts';
import { Producer, type ProducerOptions } from './producer.ts';
import { type ReadOptions, type ReadResult, read } from './read.ts';
import type { ReasonRequest } from './reasons.ts';
import { Session } from './session.ts';
import type { ClusterStatus } from './status.ts';

/** A client of a cluster that was started by another thread of this process. */
export class Client {
  readonly admin: Admin;
  readonly #channel: AttachClient;
  readonly #session: Session;
  readonly #clientNumber: number;
  readonly #producers = new Set<Producer>();
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(channel: AttachClient, session: Session, clientNumber: number) {
    this.#channel = channel;
    this.#session = session;
    this.#clientNumber = clientNumber;
    this.admin = new Admin(
      async (request) => {
        await channel.ask('create-topic', request);
      },
      async (request) => (await channel.ask('delete-records', request)) as Map<number, number>,
    );
  }

  producer(options: ProducerOptions = {}): Producer {
    if (this.#closing !== undefined)
      throw new TidemarkError('CLOSED', 'The client is closed; connect again.');
    const producer = new Producer(this.#session, options, (closed) => this.#producers.delete(closed));
    this.#producers.add(producer);
    return producer;
  }

  /** Committed records of one partition. */
  read(topic: string, options: ReadOptions): Promise<ReadResult> {
    return read(this.#session, topic, options);
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
    this.#closing ??= Promise.resolve();
    // Settles what a close that is under way waits for.
    await this.#session.close();
    this.#channel.close();
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#producers].map((producer) => producer.close()));
    await this.#session.close();
    try {
      await this.#channel.ask('detach', this.#clientNumber);
    } catch {
      // The cluster has ended meanwhile: there is nobody to give anything back to.
    } finally {
      this.#channel.close();
    }
  }
}

/** Attaches the calling thread to a cluster that another thread has started. */
export async function connect(handle: ClusterHandle): Promise<Client> {
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
  const topics = new Map<string, TopicInfo>();
  const failures: { broker: number; message: string }[] = [];
  let client: Client | undefined;
  let session: Session | undefined;
  const channel = new AttachClient(handle, (name, argument) => {
    if (name === 'closing') {
      if (client === undefined) channel.close();
      else void client.abandon();
    }
    if (name !== 'broker-failed') return;
    const failure = argument as { broker: number; message: string };
    failures.push(failure);
    session?.brokerFailed(failure.broker, new Error(failure.message));
  });
  try {
    const { memory, module, attachment, deliveryTimeoutMs } = (await channel.ask(
      'attach',
      channel.threadId,
    )) as ThreadAttachment;
    const directory = {
      known: (name: string) => topics.get(name),
      find: async (name: string) => {
        const topic = (await channel.ask('topic', name)) as TopicInfo | undefined;
        if (topic !== undefined) topics.set(name, topic);
        return topic;
      },
      reasonFor: async (request: ReasonRequest) =>
        (await channel.ask('reason', request)) as string | undefined,
    };
    session = new Session(new ArenaView(memory), module, attachment, directory, deliveryTimeoutMs);
    for (const { broker, message } of failures) session.brokerFailed(broker, new Error(message));
    client = new Client(channel, session, attachment.client);
    return client;
  } catch (error) {
    channel.close();
    throw error;
  }
}
