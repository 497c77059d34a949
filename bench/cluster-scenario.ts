import type { Producer } from '../src/client/producer.ts';
import { type Acks, Cluster, type Durability, type TopicConfigInput } from '../src/index.ts';
import type { Load } from './load.ts';
import type { RoundResult, Scenario } from './scenario.ts';
import { replicasEqual } from './verify.ts';

export interface ClusterSetting {
  readonly brokers: number;
  readonly acks: Acks;
  readonly load: Load;
  readonly durability?: Durability;
  readonly partitions?: number;
  readonly config?: TopicConfigInput;
}

const TOPIC = 'bench';

/**
 * Three partitions and the tail ring take about what the limits give a replica, and a short warm-up takes every replica
 * into recycled memory: the first touch of a page costs more than everything else that is done to the records on it.
 */
const TOPIC_CONFIG = { 'retention.bytes': 2 << 20, 'segment.bytes': 1 << 19 };

/** A cluster under load from the main thread, through the public face. */
export class ClusterScenario implements Scenario {
  readonly name: string;
  readonly #setting: ClusterSetting;
  #cluster: Cluster | undefined;
  #producer: Producer | undefined;
  #acknowledged = 0;

  constructor(name: string, setting: ClusterSetting) {
    this.name = name;
    this.#setting = setting;
  }

  get cluster(): Cluster {
    if (this.#cluster === undefined) throw new Error(`${this.name} has not been started`);
    return this.#cluster;
  }

  async start(): Promise<void> {
    const { brokers, acks, durability = 'memory', partitions = 3, config = TOPIC_CONFIG } = this.#setting;
    this.#cluster = await Cluster.start({ brokers, durability, config });
    await this.#cluster.admin.createTopic(TOPIC, { partitions, replicationFactor: brokers });
    this.#producer = this.#cluster.producer({ acks });
  }

  async round(durationMs: number, recordsPerSecond: number): Promise<RoundResult> {
    const result = await this.#setting.load(this.#producer as Producer, TOPIC, durationMs, recordsPerSecond);
    this.#acknowledged += result.records;
    return result;
  }

  verify(): Promise<boolean> {
    return replicasEqual(this.cluster, TOPIC, this.#acknowledged);
  }

  async close(): Promise<void> {
    await this.#cluster?.close();
  }
}
