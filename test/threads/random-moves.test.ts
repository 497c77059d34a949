// Partitions are moved, resized and given back at random, while brokers are killed, stopped and paused under load. Whatever
// was acknowledged with acks all is then where it was acknowledged, and all replicas are equal. The seed is printed with a
// failure; set SEED to play it again.
// time limit: 120 s
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Cluster } from '../../src/index.ts';
import { type Random, seededRandom } from '../log/seeded-random.ts';
import { assertReplicated, partitionOf, sleep, until, withCluster } from './fixtures.ts';
import { underLoad } from './load.ts';

const BROKERS = 5;
const PARTITIONS = 3;
const RUN_MS = 8_000;
const SESSION_MS = 1_500;
/** More would leave too few with a vote. */
const DOWN_MAX = 2;

class Mover {
  readonly #cluster: Cluster;
  readonly #random: Random;
  readonly #down = new Set<number>();
  /** What was done, as often as it was not refused. */
  readonly done = new Map<string, number>();

  constructor(cluster: Cluster, random: Random) {
    this.#cluster = cluster;
    this.#random = random;
  }

  #acts(): Record<string, () => Promise<unknown>> {
    const { admin, faults } = this.#cluster;
    return {
      reassign: () => this.#reassign(),
      again: () => this.#reassign(),
      resize: () => admin.reassign('t', { replicationFactor: 2 + this.#random(3) }),
      cancel: () => admin.cancelReassignments(),
      elect: () => admin.electLeaders(),
      kill: () => this.#end((id) => faults.kill(id)),
      stop: () => this.#end((id) => this.#cluster.stopBroker(id)),
      restart: () => this.#restart(),
      back: () => this.#restart(),
      pause: () => this.#pause(),
    };
  }

  async step(wanted?: string): Promise<void> {
    const acts = this.#acts();
    const names = Object.keys(acts);
    const name = wanted ?? names[this.#random(names.length)];
    try {
      await acts[name]();
      this.done.set(name, (this.done.get(name) ?? 0) + 1);
    } catch (error) {
      // A broker that it should go to does not run.
      const { code } = error as { code?: string };
      if (code !== 'INVALID_REPLICA_ASSIGNMENT' && code !== 'INVALID_REPLICATION_FACTOR') throw error;
    }
    await sleep(this.#random(120));
  }

  /** Everybody runs, and every partition goes where it has not been asked to go. */
  async settle(): Promise<void> {
    while (this.#down.size > 0) await this.#restart();
    await this.#eventually('everybody runs', () =>
      this.#cluster.status().brokers.every(({ state }) => state === 'running'),
    );
    await this.#cluster.admin.reassign(this.#targets(PARTITIONS, 3));
    await this.#eventually('all is where it should be', async () => {
      if ((await this.#cluster.admin.listReassignments()).length > 0) return false;
      return Array.from({ length: PARTITIONS }, (_, n) => partitionOf(this.#cluster, n)).every(
        ({ isr, replicas, leader }) => leader !== -1 && isr.length === 3 && replicas.length === 3,
      );
    });
  }

  /** On a busy machine it may take a while; where it never comes, what there is instead is told. */
  async #eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    let failure: unknown;
    for (let tries = 0; tries < 4; tries++) {
      failure = await until(what, holds).then(
        () => undefined,
        (error) => error,
      );
      if (failure === undefined) return;
    }
    const { brokers, topics } = this.#cluster.status();
    const moves = await this.#cluster.admin.listReassignments();
    throw new Error(`${(failure as Error).message}: ${JSON.stringify({ brokers, topics, moves })}`);
  }

  #reassign(): Promise<void> {
    const options = this.#random(3) === 0 ? { throttleBytesPerSecond: 50_000 } : {};
    return this.#cluster.admin.reassign(
      this.#targets(1 + this.#random(PARTITIONS), 2 + this.#random(3)),
      options,
    );
  }

  #targets(partitions: number, replicas: number) {
    return Array.from({ length: partitions }, (_, partition) => {
      const ids = Array.from({ length: BROKERS }, (_, n) => n + 1);
      const chosen = Array.from({ length: replicas }, () => ids.splice(this.#random(ids.length), 1)[0]);
      return { topic: 't', partition, replicas: chosen };
    });
  }

  async #end(act: (broker: number) => Promise<void>): Promise<void> {
    const id = 1 + this.#random(BROKERS);
    if (this.#down.size === DOWN_MAX || this.#down.has(id)) return;
    this.#down.add(id);
    await act(id);
  }

  async #restart(): Promise<void> {
    const [id] = this.#down;
    if (id === undefined) return;
    await this.#cluster.faults.restart(id);
    this.#down.delete(id);
  }

  async #pause(): Promise<void> {
    const id = 1 + this.#random(BROKERS);
    if (this.#down.has(id)) return;
    await this.#cluster.faults.pause(id);
    await sleep(this.#random(4) === 0 ? SESSION_MS + 500 : 30);
    await this.#cluster.faults.resume(id);
  }
}

// In memory two deaths may take all that had something, as they should.
for (const durability of ['os', 'fsync'] as const) {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e6));
  test(`${durability}: whatever is moved, and whoever dies, what was acknowledged stays (seed ${seed})`, () =>
    withCluster(
      {
        durability,
        brokers: BROKERS,
        partitions: PARTITIONS,
        sessionMs: SESSION_MS,
        topicConfig: { 'min.insync.replicas': 2, 'segment.bytes': 1 << 18 },
      },
      async (cluster) => {
        const mover = new Mover(cluster, seededRandom(seed));
        const load = underLoad(cluster);
        const begun = performance.now();
        // On a busy machine there may not be many.
        await mover.step('reassign');
        while (performance.now() - begun < RUN_MS) await mover.step();
        await mover.settle();
        await assertReplicated(cluster, await load.end());
        assert.ok((mover.done.get('reassign') ?? 0) > 0);
      },
    ));
}

test.run();
