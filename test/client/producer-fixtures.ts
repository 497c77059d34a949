// A producer without threads: the test plays the brokers, and decides when and how they answer.

import type { BatchLink, OutboundBatch } from '../../src/client/broker-link.ts';
import { closedError } from '../../src/client/closed.ts';
import { Producer, type ProducerOptions } from '../../src/client/producer.ts';
import { Retries } from '../../src/client/retries.ts';
import type { Session, SessionListener } from '../../src/client/session.ts';
import { type TopicConfigInput, topicConfig } from '../../src/config.ts';
import { TidemarkError } from '../../src/errors.ts';
import { readBaseSequence, readProducerEpoch, readProducerId } from '../../src/log/record-batch.ts';
import type { NewProducer } from '../../src/runtime/producer-ids.ts';
import type { TopicInfo } from '../../src/runtime/topics.ts';
import type { PartitionInfo } from '../../src/types.ts';
import { readBatch } from '../log/record-batch-fixtures.ts';

export interface BenchOptions extends ProducerOptions {
  readonly partitions?: number;
  /** Partitions are led by brokers 1, 2, ... in turn. */
  readonly brokers?: number;
  readonly config?: TopicConfigInput;
  /** Whether there is a link to any broker. */
  readonly isRunning?: boolean;
  /** What asking for an identity comes to. */
  readonly newProducerId?: () => Promise<NewProducer>;
}

/** A batch as a broker got it. */
export interface SentBatch {
  readonly broker: number;
  readonly partition: number;
  readonly epoch: number;
  readonly producer: { readonly id: number; readonly epoch: number; readonly sequence: number };
  readonly original: OutboundBatch;
  readonly values: readonly string[];
  readonly bytes: number;
  settle(baseOffset: number): void;
  fail(error: TidemarkError): void;
}

export class ProducerBench {
  readonly producer: Producer;
  /** What was sent and is not answered, the oldest first. */
  readonly sent: SentBatch[] = [];
  /** What a broker does with a batch; without an entry it keeps it until the test answers. */
  readonly answers = new Map<number, (batch: OutboundBatch) => void>();
  /** The topic is known only to those who ask for it; as in an attached thread. */
  isKnown = true;
  isOpen = true;
  /** Brokers to which there is no link. */
  readonly stopped = new Set<number>();
  #identities = 0;
  readonly #retries = new Retries();
  #topic: TopicInfo | undefined;
  readonly #listeners = new Set<SessionListener>();

  constructor(options: BenchOptions = {}) {
    const {
      partitions = 1,
      brokers = 1,
      config,
      isRunning = true,
      newProducerId,
      ...producerOptions
    } = options;
    const topic = topicOf(partitions, brokers, config);
    this.#topic = topic;
    if (!isRunning) for (let broker = 1; broker <= brokers; broker++) this.stopped.add(broker);
    const find = async (name: string): Promise<TopicInfo | undefined> => {
      this.isKnown = true;
      return name === topic.name ? this.#topic : undefined;
    };
    const bench = this;
    const session = {
      get isOpen() {
        return bench.isOpen;
      },
      requireOpen: () => {
        if (!bench.isOpen) throw closedError('cluster');
      },
      deliveryTimeoutMs: 60_000,
      directory: {
        known: (name: string) => (this.isKnown && name === topic.name ? this.#topic : undefined),
        find,
        newProducerId: newProducerId ?? (async () => ({ producerId: ++this.#identities, producerEpoch: 0 })),
      },
      topic: async (name: string) => {
        const found = await find(name);
        if (found === undefined)
          throw new TidemarkError('UNKNOWN_TOPIC_OR_PARTITION', 'There is no such topic.');
        return found;
      },
      link: (broker: number) => (this.stopped.has(broker) ? undefined : this.#link(broker)),
      reasonFor: async () => 'The reason is known.',
      engaged: () => {},
      retries: this.#retries,
      hold: () => undefined,
      release: () => undefined,
      listen: (listener: SessionListener) => this.#listeners.add(listener),
      unlisten: (listener: SessionListener) => this.#listeners.delete(listener),
    };
    this.producer = new Producer(session as unknown as Session, producerOptions);
  }

  /** What the session's clock does twice a second. */
  tick(): void {
    for (const listener of this.#listeners) listener.tick();
  }

  /** What was found out about a partition is told to everybody. */
  announce(partition: number, change: Partial<PartitionInfo>): void {
    const { version, partitions, ...topic } = this.#topic as TopicInfo;
    const changed = partitions.map((info, n) => (n === partition ? { ...info, ...change } : info));
    this.#topic = { ...topic, version: version + 1, partitions: changed };
    for (const listener of this.#listeners) listener.topicsChanged();
  }

  deleteTopic(): void {
    this.#topic = undefined;
    for (const listener of this.#listeners) listener.topicsChanged();
  }

  /** There is a link again. */
  start(broker: number): void {
    this.stopped.delete(broker);
    this.#retries.resumeAll();
  }

  /** The cluster is closed. */
  end(): void {
    this.isOpen = false;
    const error = new TidemarkError('CLOSED', 'The cluster was closed.');
    for (const listener of this.#listeners) listener.ended(error);
    for (const batch of this.sent.splice(0)) batch.fail(error);
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  /** The oldest unanswered batch is appended at this offset. */
  settle(baseOffset: number): void {
    this.sent.shift()?.settle(baseOffset);
  }

  /** Lets everything that is sent be appended, partition by partition, until nothing comes any more. */
  async settleAll(): Promise<SentBatch[]> {
    const ends = new Map<number, number>();
    const settled: SentBatch[] = [];
    for (;;) {
      await turn();
      const batch = this.sent.shift();
      if (batch === undefined) return settled;
      const base = ends.get(batch.partition) ?? 0;
      ends.set(batch.partition, base + batch.values.length);
      settled.push(batch);
      batch.settle(base);
    }
  }

  #link(broker: number): BatchLink {
    return {
      produce: (batch) => {
        const answer = this.answers.get(broker);
        if (answer !== undefined) return answer(batch);
        this.sent.push(sentBatch(broker, batch));
        batch.sent();
      },
      abandon: (batch) => {
        const index = this.sent.findIndex(({ original }) => original === batch);
        if (index !== -1) this.sent.splice(index, 1);
      },
    };
  }
}

function sentBatch(broker: number, batch: OutboundBatch): SentBatch {
  const { bytes } = batch;
  return {
    broker,
    partition: batch.partitionId,
    epoch: batch.epoch,
    producer: {
      id: readProducerId(bytes, 0),
      epoch: readProducerEpoch(bytes, 0),
      sequence: readBaseSequence(bytes, 0),
    },
    original: batch,
    values: valuesOf(batch),
    bytes: bytes.length,
    settle: (baseOffset) => batch.settle(baseOffset),
    fail: (error) => batch.fail(error),
  };
}

export function valuesOf(batch: OutboundBatch): string[] {
  // The checksum is written where the batch is copied to, and there is no such place here.
  return readBatch(batch.bytes).map(({ value }) => Buffer.from(value ?? []).toString());
}

/** Lets the continuations of promises and microtasks run. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}

function topicOf(partitions: number, brokers: number, config?: TopicConfigInput): TopicInfo {
  const infos = Array.from({ length: partitions }, (_, partition) => {
    const leader = 1 + (partition % brokers);
    return { id: partition, topic: 't', partition, replicas: [leader], isr: [leader], leader, epoch: 0 };
  });
  return { name: 't', config: topicConfig(config), partitions: infos, version: 1 };
}
