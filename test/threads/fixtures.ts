// A cluster of real threads for one test, which is gone afterwards also when the test fails.
import type { Worker } from 'node:worker_threads';
import * as assert from 'uvu/assert';
import { replicasEqual } from '../../bench/verify.ts';
import type { ClusterOptions, PartitionStatus, RecordInput, TopicConfigInput } from '../../src/index.ts';
import { Cluster } from '../../src/index.ts';

export interface FixtureOptions extends ClusterOptions {
  /** Of the topic 't', which every test finds. */
  readonly partitions?: number;
  readonly replicationFactor?: number;
  readonly topicConfig?: TopicConfigInput;
}

export interface Fixture {
  readonly cluster: Cluster;
  /** The brokers' threads, broker 1 first: to be ended or kept busy from outside. */
  readonly threads: readonly Worker[];
}

export async function withCluster(
  options: FixtureOptions,
  run: (cluster: Cluster, fixture: Fixture) => Promise<void>,
): Promise<void> {
  const { partitions = 1, replicationFactor, topicConfig, brokers = 3, ...rest } = options;
  const threads: Worker[] = [];
  const collect = (thread: Worker): unknown => threads.push(thread);
  process.on('worker', collect);
  const cluster = await Cluster.start({ brokers, durability: 'memory', ...rest });
  process.off('worker', collect);
  try {
    await cluster.admin.createTopic('t', { partitions, replicationFactor, config: topicConfig });
    await run(cluster, { cluster, threads });
  } finally {
    await cluster.close();
  }
}

export function partitionOf(cluster: Cluster, partition = 0, topic = 't'): PartitionStatus {
  const found = cluster.status().topics.find(({ name }) => name === topic)?.partitions[partition];
  if (found === undefined) throw new Error(`no partition ${partition} of ${topic}`);
  return found;
}

/** Waits, for up to some seconds, until something holds. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let waitedMs = 0; waitedMs < 8_000; waitedMs += 5) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`waited in vain until ${what}`);
}

/** All replicas must hold, byte for byte, what was acknowledged. */
export async function assertReplicated(cluster: Cluster, records: number, topic = 't'): Promise<void> {
  assert.is(await replicasEqual(cluster, topic, records), true, 'the replicas differ');
}

export function numbered(count: number, size = 0, from = 0): RecordInput[] {
  return Array.from({ length: count }, (_, n) => ({ value: `${from + n}`.padEnd(size, '.') }));
}

export function text(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes).toString();
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}

/**
 * Keeps a thread busy for about a second, longer than a leader waits for its followers: it has to unpack this
 * before it does anything else, and that takes it longer than it takes us to pack it.
 */
export function occupy(thread: Worker): void {
  const ballast = Array.from({ length: 2_500_000 }, (_, n) => ({ n }));
  thread.postMessage({ sequence: 0, request: { type: 'ballast', ballast } });
}
