import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster, type PartitionStatus, type Producer } from '../src/index.ts';
import { RECORD_BYTES, type RoundResult, type Scenario } from './scenario.ts';
import { replicasEqual } from './verify.ts';

const TOPIC = 'bench';
const PARTITIONS = 3;
/** With a session of three seconds as usual hangs would take most of the bench's time, and say nothing more. */
const HANG_SESSION_MS = 1_000;
/** Between two records of the load that goes on meanwhile. */
const LOAD_EVERY_MS = 1;
const IN_SYNC_LIMIT_MS = 20_000;

/** What a producer waits for when a leader dies, or hangs: from then to the first acknowledgement by another one. */
export class FailoverScenario implements Scenario {
  readonly name: string;
  readonly #kind: 'kill' | 'hang';
  #cluster: Cluster | undefined;
  #producer: Producer | undefined;
  /** A key of each partition. */
  #keys: string[] = [];
  #turn = 0;
  #acknowledged = 0;
  #failed = 0;

  constructor(name: string, kind: 'kill' | 'hang') {
    this.name = name;
    this.#kind = kind;
  }

  async start(): Promise<void> {
    const config = { 'min.insync.replicas': 2 };
    const session = this.#kind === 'hang' ? { sessionMs: HANG_SESSION_MS } : undefined;
    this.#cluster = await Cluster.start({ brokers: 3, durability: 'os', ...session });
    await this.#cluster.admin.createTopic(TOPIC, { partitions: PARTITIONS, replicationFactor: 3, config });
    this.#producer = this.#cluster.producer({ acks: 'all' });
    this.#keys = [];
    for (let n = 0; this.#keys.filter((key) => key !== undefined).length < PARTITIONS; n++) {
      const { partition } = await this.#producer.send(TOPIC, { key: `${n}`, value: '' });
      this.#keys[partition] ??= `${n}`;
      this.#acknowledged += 1;
    }
  }

  /** One leader after the other, so that every third is that of the metadata too. */
  async round(durationMs: number): Promise<RoundResult> {
    const begunMs = performance.now();
    const acknowledged = this.#acknowledged;
    const failed = this.#failed;
    const latenciesMs: number[] = [];
    do latenciesMs.push(await this.#failover(this.#turn++ % PARTITIONS));
    while (performance.now() - begunMs < durationMs);
    const elapsedMs = performance.now() - begunMs;
    return {
      records: this.#acknowledged - acknowledged,
      failed: this.#failed - failed,
      elapsedMs,
      latenciesMs,
    };
  }

  /** What failed may have been written all the same; nothing else may be missing, or there without having been sent. */
  async verify(): Promise<boolean> {
    const cluster = this.#cluster as Cluster;
    await this.#inSync();
    const committed = this.#partitions().reduce((sum, { hwm }) => sum + hwm, 0);
    const isWithin = committed >= this.#acknowledged && committed <= this.#acknowledged + this.#failed;
    if (!isWithin) {
      console.error(
        `bench: ${this.#acknowledged} records were acknowledged, ${this.#failed} failed, and ${committed} are committed`,
      );
    }
    return isWithin && (await replicasEqual(cluster, TOPIC, committed));
  }

  async close(): Promise<void> {
    await this.#cluster?.close();
  }

  /** The time from the fault to the acknowledgement. */
  async #failover(partition: number): Promise<number> {
    const { faults } = this.#cluster as Cluster;
    const { leader } = this.#partitions()[partition];
    const load = this.#load();
    const fromMs = performance.now();
    const faulted = this.#kind === 'kill' ? faults.kill(leader) : faults.pause(leader);
    // What the old leader acknowledged in its last moment says nothing.
    while (!(await this.#send(this.#keys[partition])) || this.#partitions()[partition].leader === leader);
    const latencyMs = performance.now() - fromMs;
    await faulted;
    await load.end();
    await (this.#kind === 'kill' ? faults.restart(leader) : faults.resume(leader));
    await this.#inSync();
    return latencyMs;
  }

  /** Records to all partitions, which goes on whatever happens. */
  #load(): { end(): Promise<void> } {
    let isOver = false;
    const run = async (): Promise<void> => {
      while (!isOver) {
        await this.#send();
        await sleep(LOAD_EVERY_MS);
      }
    };
    const running = Promise.all([run(), run()]);
    const end = async (): Promise<void> => {
      isOver = true;
      await running;
    };
    return { end };
  }

  async #send(key: string | null = null): Promise<boolean> {
    try {
      await this.#producer?.send(TOPIC, { key, value: new Uint8Array(RECORD_BYTES) });
      this.#acknowledged += 1;
      return true;
    } catch {
      this.#failed += 1;
      await sleep(1);
      return false;
    }
  }

  #partitions(): readonly PartitionStatus[] {
    return this.#cluster?.status().topics.find(({ name }) => name === TOPIC)?.partitions ?? [];
  }

  async #inSync(): Promise<void> {
    const isDone = ({ isr, replicas, hwm, leo, leader }: PartitionStatus): boolean =>
      isr.length === replicas.length && leo[leader] === hwm;
    for (let waitedMs = 0; !this.#partitions().every(isDone); waitedMs += 5) {
      if (waitedMs > IN_SYNC_LIMIT_MS)
        throw new Error(`${this.name}: a replica does not come back into sync`);
      await sleep(5);
    }
  }
}
