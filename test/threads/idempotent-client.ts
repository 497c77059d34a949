// An idempotent producer as plain as it can be: what it sends again it sends as it was, until somebody says where it is.
import * as assert from 'uvu/assert';
import type { BrokerEvent } from '../../src/client/connect.ts';
import { KnownTopics, type TopicAnswer } from '../../src/client/known-topics.ts';
import { Session } from '../../src/client/session.ts';
import type { ErrorCode } from '../../src/errors.ts';
import type { Cluster } from '../../src/index.ts';
import { ArenaView } from '../../src/runtime/arena.ts';
import { AttachClient } from '../../src/runtime/attach-channel.ts';
import type { ClientEndpoint } from '../../src/runtime/attachments.ts';
import type { ThreadAttachment } from '../../src/runtime/coordinator.ts';
import type { NewProducer } from '../../src/runtime/producer-ids.ts';
import { encodeBatch } from '../log/record-batch-fixtures.ts';
import { sleep } from './fixtures.ts';

const IN_FLIGHT_MAX = 5;

interface Batch {
  readonly number: number;
  readonly sequence: number;
  readonly records: number;
  state: 'waiting' | 'sent' | 'done';
}

/** Of partition 0 of the topic 't'. Values are sequence numbers, so that what is read tells what was written. */
export class IdempotentClient {
  readonly #channel: AttachClient;
  readonly #session: Session;
  readonly #client: number;
  readonly producer: NewProducer;
  readonly #unanswered: Batch[] = [];
  /** Where each batch is, by its first sequence number. */
  readonly places = new Map<number, number>();
  /** How often each code came. */
  readonly errors = new Map<ErrorCode, number>();
  /** Answers that were dropped as if they had been lost. */
  lost = 0;
  #next = 0;
  #batches = 0;

  private constructor(channel: AttachClient, session: Session, client: number, producer: NewProducer) {
    this.#channel = channel;
    this.#session = session;
    this.#client = client;
    this.producer = producer;
  }

  /** With an id of its own, or in the place of another one: then what that has sent last is sent again. */
  static async open({ handle }: Cluster, before?: IdempotentClient): Promise<IdempotentClient> {
    let session: Session | undefined;
    const channel = new AttachClient(handle, (name, argument) => {
      if (name !== 'broker') return;
      const { what, broker, life, message } = argument as BrokerEvent;
      if (what === 'ended') session?.brokerEnded(broker, life, new Error(message));
      if (what === 'hangs') session?.brokerHangs(broker, life, new Error(message));
    });
    const { memory, module, attachment } = (await channel.ask('attach', 0)) as ThreadAttachment;
    const topics = new KnownTopics();
    const directory = {
      known: () => undefined,
      find: (name: string) => topics.find(name, (each) => channel.ask('topic', each) as Promise<TopicAnswer>),
      reasonFor: async () => undefined,
      newProducerId: () => channel.ask('producer-id', undefined) as Promise<NewProducer>,
    };
    session = new Session(new ArenaView(memory), module, attachment, directory, 2_000);
    const producer = before?.producer ?? (await directory.newProducerId());
    const client = new IdempotentClient(channel, session, attachment.client, producer);
    if (before !== undefined) client.#succeed(before);
    return client;
  }

  /** Records that were produced, whatever has become of them. */
  get produced(): number {
    return this.#next;
  }

  /** Keeps five batches in flight until it is told to end, and then until all are answered. */
  async run(isOver: () => boolean): Promise<void> {
    while (!isOver() || this.#unanswered.length > 0) {
      while (!isOver() && this.#hasRoom) this.#add();
      const topic = await this.#session.topic('t');
      const { id, leader, epoch } = topic.partitions[0];
      for (const batch of this.#unanswered)
        if (batch.state === 'waiting') this.#send(batch, id, leader, epoch);
      this.#session.engaged();
      await sleep(1);
      // One that was refused is sent again when all of them have been answered, in order, as the ones behind it will be.
      if (this.#unanswered.some(({ state }) => state === 'sent')) continue;
      if (this.#unanswered.length > 0) await this.#relink(leader);
    }
  }

  async close(): Promise<void> {
    await this.#session.close('client');
    await this.#channel.ask('detach', this.#client);
    this.#channel.close();
  }

  #succeed(before: IdempotentClient): void {
    this.#next = before.#next;
    for (const [sequence, offset] of before.places) this.places.set(sequence, offset);
    const sequence = Math.max(...this.places.keys());
    const number = this.#batches++;
    this.#unanswered.push({ number, sequence, records: this.#next - sequence, state: 'waiting' });
  }

  /** A leader knows the last five batches: none is sent while an earlier one than those may have to be sent again. */
  get #hasRoom(): boolean {
    const [first] = this.#unanswered;
    return first === undefined || this.#batches - first.number < IN_FLIGHT_MAX;
  }

  #add(): void {
    const records = 1 + (this.#next % 3);
    this.#unanswered.push({ number: this.#batches++, sequence: this.#next, records, state: 'waiting' });
    this.#next += records;
  }

  #send(batch: Batch, partitionId: number, leader: number, epoch: number): void {
    const link = this.#session.link(leader);
    if (link === undefined) return;
    const { sequence, records } = batch;
    const { producerId, producerEpoch } = this.producer;
    const values = Array.from({ length: records }, (_, n) => ({ value: Buffer.from(`${sequence + n}`) }));
    batch.state = 'sent';
    link.produce({
      partitionId,
      epoch,
      acks: -1,
      timeoutMs: 1_000,
      bytes: encodeBatch(values, { producer: [producerId, producerEpoch, sequence] }),
      sent: () => {},
      settle: (baseOffset) => this.#settle(batch, baseOffset),
      fail: ({ code }) => {
        this.errors.set(code, (this.errors.get(code) ?? 0) + 1);
        batch.state = 'waiting';
      },
    });
  }

  #settle(batch: Batch, baseOffset: number): void {
    const { sequence } = batch;
    const known = this.places.get(sequence);
    assert.ok(
      known === undefined || known === baseOffset,
      `${sequence} was at ${known}, is at ${baseOffset}`,
    );
    this.places.set(sequence, baseOffset);
    // Every seventh answer is lost on its way.
    if (known === undefined && sequence % 7 === 0) {
      this.lost += 1;
      batch.state = 'waiting';
      return;
    }
    batch.state = 'done';
    this.#unanswered.splice(this.#unanswered.indexOf(batch), 1);
  }

  /** The leader may have come back in another life. */
  async #relink(broker: number): Promise<void> {
    if (broker === -1 || this.#session.link(broker) !== undefined) return;
    const endpoint = await this.#channel.ask('link', { client: this.#client, broker }).catch(() => undefined);
    if (endpoint !== undefined) this.#session.brokerStarted(endpoint as ClientEndpoint);
  }
}
