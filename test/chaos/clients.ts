// Writers and readers of one thread, in the cluster's own or in an attached one. They write down what they were told.
import type { Client, Cluster, Producer, ReadOptions, RecordInput } from '../../src/index.ts';
import { seededRandom } from '../log/seeded-random.ts';
import { sleep } from '../threads/fixtures.ts';
import { type Acknowledgement, type Poll, valueNumbered, type WriterSetup } from './history.ts';

export const TOPIC = 'chaos';
/** After a refusal, so that nobody spins while a partition has no leader. */
const REFUSED_PAUSE_MS = 10;
const RECORDS_A_CALL_MAX = 20;
const VALUE_MAX_BYTES = 400;
/** Now and then a record that is larger than what a batch waits for. */
const LARGE_VALUE_BYTES = 30_000;

export interface ClientTask {
  readonly seed: number;
  readonly writers: readonly WriterSetup[];
  /** Names: each reader goes round all partitions. Those of `followers` ask any replica, others the leader. */
  readonly readers: readonly { readonly name: string; readonly asks: 'leaders' | 'replicas' }[];
  readonly partitions: number;
  readonly brokers: number;
}

export interface ClientHistory {
  readonly begun: ReadonlyMap<number, number>;
  readonly acknowledged: readonly Acknowledgement[];
  readonly polls: readonly Poll[];
  /** By code: what calls were refused with. */
  readonly refusals: Readonly<Record<string, number>>;
}

/** A word that counts acknowledged records, for whoever shows progress. */
export type Counter = Int32Array;

type Access = Cluster | Client;

export class ChaosClient {
  readonly #access: Access;
  readonly #task: ClientTask;
  readonly #counter: Counter;
  readonly #random: (below: number) => number;
  readonly #begun = new Map<number, number>();
  readonly #acknowledged: Acknowledgement[] = [];
  readonly #polls: Poll[] = [];
  readonly #refusals: Record<string, number> = {};
  readonly #running: Promise<void>[];
  #isOver = false;

  constructor(access: Access, task: ClientTask, counter: Counter) {
    this.#access = access;
    this.#task = task;
    this.#counter = counter;
    this.#random = seededRandom(task.seed);
    this.#running = [
      ...task.writers.map((writer) => this.#write(writer)),
      ...task.readers.map(({ name, asks }) => this.#read(name, asks)),
    ];
  }

  /** Resolves when every call has been answered. */
  async stop(): Promise<ClientHistory> {
    this.#isOver = true;
    await Promise.all(this.#running);
    return {
      begun: this.#begun,
      acknowledged: this.#acknowledged,
      polls: this.#polls,
      refusals: this.#refusals,
    };
  }

  async #write({ id, acks }: WriterSetup): Promise<void> {
    const producer = this.#access.producer({ acks, batchBytes: 16_384 });
    for (let n = 0; !this.#isOver; ) {
      const count = 1 + this.#random(RECORDS_A_CALL_MAX);
      const values = Array.from({ length: count }, (_, m) => valueNumbered(id, n + m));
      n += count;
      // Before anybody may read one of them.
      this.#begun.set(id, n);
      const isRefused = await this.#send(producer, values);
      await sleep(isRefused ? REFUSED_PAUSE_MS : this.#random(4));
    }
    await producer.close();
  }

  /** One call for all of them, or one for each, so that several batches are under way at a time. */
  async #send(producer: Producer, values: readonly number[]): Promise<boolean> {
    const records = values.map((value) => this.#recordOf(value));
    let isRefused = false;
    const refused = (error: unknown): void => {
      isRefused = true;
      this.#refused(error);
    };
    if (this.#random(3) > 0) {
      await producer.sendBatch(TOPIC, records).then((places) => {
        for (const [m, place] of places.entries()) this.#acknowledge(values[m], place);
      }, refused);
      return isRefused;
    }
    const sent: Promise<void>[] = [];
    for (const [m, record] of records.entries()) {
      sent.push(producer.send(TOPIC, record).then((place) => this.#acknowledge(values[m], place), refused));
      if (this.#random(4) === 0) await sleep(0);
    }
    await Promise.all(sent);
    return isRefused;
  }

  #recordOf(value: number): RecordInput {
    const isLarge = this.#random(300) === 0;
    const length = isLarge ? LARGE_VALUE_BYTES : this.#random(VALUE_MAX_BYTES);
    return { key: `key ${this.#random(1_000)}`, value: `${value}`.padEnd(length) };
  }

  #acknowledge(value: number, place: { readonly partition: number; readonly offset: number }): void {
    this.#acknowledged.push({ value, partition: place.partition, offset: place.offset });
    Atomics.add(this.#counter, 0, 1);
  }

  async #read(name: string, asks: 'leaders' | 'replicas'): Promise<void> {
    const ends = new Array<number>(this.#task.partitions).fill(0);
    while (!this.#isOver) {
      const partition = this.#random(this.#task.partitions);
      const options: ReadOptions = {
        partition,
        offset: ends[partition],
        maxBytes: 1 + this.#random(1 << 17),
        waitMs: this.#random(40),
      };
      const broker = 1 + this.#random(this.#task.brokers);
      const poll = await this.#poll(name, asks === 'leaders' ? options : { ...options, broker });
      if (poll === undefined) await sleep(REFUSED_PAUSE_MS);
      else ends[partition] = poll.next;
    }
  }

  async #poll(reader: string, options: ReadOptions): Promise<Poll | undefined> {
    const { partition, offset: from = 0 } = options;
    try {
      const { records, nextOffset: next } = await this.#access.read(TOPIC, options);
      const offsets = records.map(({ offset }) => offset);
      const values = records.map(({ value }) => numberIn(value));
      const poll = { reader, partition, from, next, offsets, values };
      if (records.length > 0 || next !== from) this.#polls.push(poll);
      return poll;
    } catch (error) {
      this.#refused(error);
      return undefined;
    }
  }

  #refused(error: unknown): void {
    const { code = 'UNKNOWN', message } = error as { code?: string; message: string };
    const name = code === 'UNKNOWN' || code.startsWith('ERR_') ? `${code}: ${message}` : code;
    this.#refusals[name] = (this.#refusals[name] ?? 0) + 1;
  }
}

export function numberIn(value: Uint8Array | null): number {
  return value === null ? Number.NaN : Number(Buffer.from(value).toString());
}
