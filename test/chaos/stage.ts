// A cluster under a steady load, and somebody who tells what happens in it, for people who watch.
import { replicasEqual } from '../../bench/verify.ts';
import { Cluster, type ClusterOptions, type ClusterStatus, type TopicConfigInput } from '../../src/index.ts';
import { sleep } from '../threads/fixtures.ts';
import { check } from './checker.ts';
import { TOPIC } from './clients.ts';
import { type Acknowledgement, valueNumbered } from './history.ts';
import { readLogs } from './logs.ts';
import { makeTopic } from './topic.ts';

const WRITERS = [1, 2, 3, 4];
const LOOK_MS = 2;
const WAIT_LIMIT_MS = 30_000;
const REFUSED_PAUSE_MS = 5;
const DELIVERY_TIMEOUT_MS = 10_000;

export interface StageOptions {
  readonly brokers: number;
  readonly replicationFactor: number;
  readonly config: TopicConfigInput;
  readonly sessionMs?: number | undefined;
}

/** What the watcher compares: a line is told when one of these sentences has become another. */
function sentencesOf({ brokers, topics, quorum }: ClusterStatus): Map<string, string> {
  const sentences = new Map<string, string>();
  for (const { id, state } of brokers) sentences.set(`broker ${id}`, state);
  for (const { id, leader, epoch, isr, replicas } of topics[0]?.partitions ?? []) {
    const name = `${TOPIC}-${id}`;
    sentences.set(`${name} leader`, leader === -1 ? `nobody (epoch ${epoch})` : `${leader} (epoch ${epoch})`);
    sentences.set(`${name} ISR`, [...isr].sort().join(','));
    sentences.set(`${name} replicas`, replicas.join(','));
  }
  sentences.set('the quorum is led by the voter of broker', `${quorum.leaderId ?? 'nobody'}`);
  return sentences;
}

export class Stage {
  readonly cluster: Cluster;
  readonly #print: (line: string) => void;
  readonly #startedMs = performance.now();
  readonly #begun = new Map<number, number>();
  readonly #acknowledged: Acknowledgement[] = [];
  readonly #refusals = new Map<string, number>();
  readonly #writing: Promise<void>[];
  readonly #watcher: NodeJS.Timeout;
  #sentences: Map<string, string>;
  #acknowledgedAtMs = 0;
  #isOver = false;

  private constructor(cluster: Cluster, print: (line: string) => void) {
    this.cluster = cluster;
    this.#print = print;
    this.#sentences = sentencesOf(cluster.status());
    for (const [subject, state] of this.#sentences) this.tell(`${subject}: ${state}`);
    this.#watcher = setInterval(() => this.#look(), LOOK_MS);
    this.#writing = WRITERS.map((id) => this.#write(id));
  }

  static async open(
    { brokers, replicationFactor, config, sessionMs }: StageOptions,
    print: (line: string) => void,
  ): Promise<Stage> {
    const deliveryTimeoutMs = DELIVERY_TIMEOUT_MS;
    const options: ClusterOptions = { brokers, deliveryTimeoutMs };
    const cluster = await Cluster.start(sessionMs === undefined ? options : { ...options, sessionMs });
    try {
      await makeTopic(cluster, { partitions: 1, replicationFactor, config });
      return new Stage(cluster, print);
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  get leader(): number {
    return this.#partition.leader;
  }

  get isr(): readonly number[] {
    return this.#partition.isr;
  }

  get replicas(): readonly number[] {
    return this.#partition.replicas;
  }

  get acknowledged(): number {
    return this.#acknowledged.length;
  }

  get #partition() {
    return this.cluster.status().topics[0].partitions[0];
  }

  stateOf(broker: number): string | undefined {
    return this.cluster.status().brokers.find(({ id }) => id === broker)?.state;
  }

  tell(line: string): void {
    const seconds = (performance.now() - this.#startedMs) / 1_000;
    this.#print(`${seconds.toFixed(3).padStart(8)} s  ${line}`);
  }

  /** Something that is done to the cluster. */
  async act(line: string, act: () => Promise<unknown>): Promise<void> {
    this.tell(`>>> ${line}`);
    await act();
  }

  /** What has to hold by now. */
  require(holds: boolean, sentence: string): void {
    this.#look();
    if (!holds) throw new Error(`It does not hold that ${sentence}.`);
    this.tell(`    as it has to be: ${sentence}`);
  }

  /** What has to hold before long. */
  async until(sentence: string, holds: () => boolean): Promise<void> {
    const sinceMs = performance.now();
    while (!holds()) {
      if (performance.now() - sinceMs > WAIT_LIMIT_MS)
        throw new Error(`It was waited in vain for ${WAIT_LIMIT_MS / 1_000} s until ${sentence}.`);
      await sleep(LOOK_MS);
    }
    this.#look();
    this.tell(`    after ${(performance.now() - sinceMs).toFixed(0)} ms: ${sentence}`);
  }

  /** Until a record is acknowledged that nobody had been told of before this call. */
  async untilAcknowledged(since: string): Promise<void> {
    const { acknowledged } = this;
    await this.until(
      `a record is acknowledged with acks all, the first since ${since}`,
      () => this.acknowledged > acknowledged,
    );
  }

  /** Nobody is told that a record is committed for so long, but for what was on its way. */
  async requireSilence(forMs: number): Promise<void> {
    await sleep(forMs);
    const silentMs = performance.now() - this.#acknowledgedAtMs;
    this.require(silentMs >= forMs / 2, `nothing was acknowledged for the last ${(forMs / 2).toFixed(0)} ms`);
  }

  async untilInSync(): Promise<void> {
    await this.until('all replicas are in sync', () => this.isr.length === this.replicas.length);
  }

  /** Some time in which nothing but the load happens. */
  async work(forMs: number): Promise<void> {
    await sleep(forMs);
    this.tell(`    ${this.acknowledged} records are acknowledged so far`);
  }

  /** Everything that was acknowledged is where it was, once, and all replicas are equal. */
  async finish(): Promise<void> {
    await this.untilInSync();
    this.#isOver = true;
    await Promise.all(this.#writing);
    const logs = await readLogs(this.cluster, 1);
    const { hwm } = logs[0];
    const anomalies = check({
      writers: WRITERS.map((id) => ({ id, acks: 'all', isIdempotent: true })),
      begun: this.#begun,
      acknowledged: this.#acknowledged,
      polls: [],
      logs,
    });
    for (const { kind, sentence } of anomalies.slice(0, 10)) this.tell(`${kind}: ${sentence}`);
    this.require(
      anomalies.length === 0,
      `all ${this.acknowledged} records that were acknowledged are there, once, in their order, of ${hwm} in the log`,
    );
    this.require(await replicasEqual(this.cluster, TOPIC, hwm), 'the replicas are equal, byte by byte');
  }

  async close(): Promise<void> {
    this.#isOver = true;
    clearInterval(this.#watcher);
    await this.cluster.close();
    await Promise.all(this.#writing);
  }

  async #write(id: number): Promise<void> {
    const producer = this.cluster.producer({ acks: 'all' });
    for (let n = 0; !this.#isOver; n++) {
      const value = valueNumbered(id, n);
      this.#begun.set(id, n + 1);
      try {
        const { partition, offset } = await producer.send(TOPIC, { value: `${value}`.padEnd(200) });
        this.#acknowledged.push({ value, partition, offset });
        this.#acknowledgedAtMs = performance.now();
      } catch (error) {
        this.#refused(error as Error & { readonly code?: string });
        await sleep(REFUSED_PAUSE_MS);
      }
      await sleep(0);
    }
  }

  #refused({ code = 'UNKNOWN', message }: Error & { readonly code?: string }): void {
    const count = this.#refusals.get(code) ?? 0;
    this.#refusals.set(code, count + 1);
    if (count === 0 && !this.#isOver) this.tell(`    a writer is told ${code}: ${message}`);
  }

  #look(): void {
    const sentences = sentencesOf(this.cluster.status());
    for (const [subject, state] of sentences) {
      const before = this.#sentences.get(subject);
      if (before !== state) this.tell(`${subject}: ${before ?? 'unknown'} -> ${state}`);
    }
    this.#sentences = sentences;
  }
}
