// One partition with a replica on each of a hundred brokers: how they keep up, and what becomes of them when its leader dies.
import { percentiles } from '../../../src/runtime/histogram.ts';
import { Dice } from '../dice.ts';
import { Scheduler } from '../scheduler.ts';
import { IdempotentProducer } from './idempotent-producer.ts';
import type { Plan } from './plan.ts';
import { SimClient } from './sim-client.ts';
import { SimProducer } from './sim-producer.ts';
import { SimReader } from './sim-reader.ts';
import { recover } from './simulation.ts';
import { World } from './world.ts';

const SEED = 1;
const NEVER = Number.POSITIVE_INFINITY;
const LOOK_EVERY_MS = 10;
const START_LIMIT_MS = 60_000;
const SAMPLE_EVERY_MS = 5;
const DOWN_MS = 500;

const rates: Plan['rates'] = {
  kill: NEVER,
  killInReturn: NEVER,
  crash: NEVER,
  stop: NEVER,
  isolate: NEVER,
  pause: NEVER,
  stall: NEVER,
  stallOfMain: NEVER,
  processKill: NEVER,
  powerCut: NEVER,
  diskFault: NEVER,
  slowDisk: NEVER,
  wipe: NEVER,
  topics: NEVER,
  moves: NEVER,
};

const plan: Omit<Plan, 'brokers' | 'replicas'> = {
  durability: 'os',
  partitions: 1,
  segmentBytes: 1 << 20,
  ringBytes: 262_144,
  channelBytes: 65_536,
  sessionMs: 3_000,
  passMs: [0.005, 0.05],
  wakeMs: [0.02, 0.5],
  portMs: [0.05, 0.5],
  newsMs: [0.05, 0.5],
  syncMs: [0.5, 8],
  meanwhilePercent: 0,
  producers: 2,
  idempotent: 1,
  lagMs: 10_000,
  readers: 2,
  acks: [-1],
  sendEveryMs: 2,
  valueBytes: [10, 300, 900],
  rates,
};

interface Spread {
  readonly p50: number;
  readonly max: number;
}

export interface WideResult {
  readonly brokers: number;
  readonly followers: number;
  /** What is wrong, in a sentence. */
  readonly violation: string | undefined;
  readonly simulatedMs: number;
  readonly wallMs: number;
  readonly records: number;
  readonly events: number;
  readonly messages: number;
  readonly passes: number;
  /** Of all followers, every few milliseconds before the leader dies: records that the leader has and they have not. */
  readonly behindRecords: Spread;
  /** From the leader's append to a follower's log, and to the commit. */
  readonly behindMs: Spread;
  readonly commitMs: Spread;
  /** How many are in sync before the leader dies, without it, and at the end. */
  readonly inSync: readonly [before: number, without: number, end: number];
  /** From the leader's death to the first commit under the next one, and from its restart until it is in sync again. */
  readonly failoverMs: number;
  readonly returnMs: number;
}

/** Writes for so many simulated seconds, and kills the leader in the middle. */
export async function runWide(brokers: number, seconds: number): Promise<WideResult> {
  const startedMs = performance.now();
  const dice = new Dice(SEED);
  const scheduler = new Scheduler(undefined);
  const world = new World({ ...plan, brokers, replicas: brokers }, dice, scheduler);
  process.on('unhandledRejection', world.unhandled);
  try {
    const figures = await new Wide(world, dice).play(seconds);
    const { violation } = world;
    const { nowMs: simulatedMs, events, counts } = scheduler;
    return {
      brokers,
      followers: brokers - 1,
      violation: violation && `${violation.invariant}: ${violation.detail}`,
      simulatedMs,
      wallMs: performance.now() - startedMs,
      records: world.canon.endOf(0),
      events,
      messages: counts.message,
      passes: counts.pass,
      ...figures,
    };
  } finally {
    process.off('unhandledRejection', world.unhandled);
    world.close();
  }
}

type Figures = Pick<
  WideResult,
  'behindRecords' | 'behindMs' | 'commitMs' | 'inSync' | 'failoverMs' | 'returnMs'
>;

class Wide {
  readonly #world: World;
  readonly #dice: Dice;
  readonly #behind: number[] = [];
  #nextSampleMs = NEVER;

  constructor(world: World, dice: Dice) {
    this.#world = world;
    this.#dice = dice;
    world.onLook(() => this.#sample());
  }

  async play(seconds: number): Promise<Figures> {
    const world = this.#world;
    const { scheduler } = world;
    const clients = (kind: string, count: number): SimClient[] =>
      Array.from({ length: count }, (_, n) => new SimClient(`${kind}${n + 1}`, world, this.#dice.fork()));
    const producers = [
      ...clients('p', plan.producers).map((client) => new SimProducer(client)),
      ...clients('i', plan.idempotent).map((client) => new IdempotentProducer(client)),
    ];
    const readers = clients('r', plan.readers).map((client) => new SimReader(client));
    world.boot();
    await this.#until(() => this.#inSync === world.plan.brokers && world.canon.endOf(0) > 0);
    this.#nextSampleMs = scheduler.nowMs;
    await scheduler.run(scheduler.nowMs + (seconds * 1_000) / 2);
    this.#nextSampleMs = NEVER;
    const steady = {
      before: this.#inSync,
      behindMs: this.#lags('lagFollower'),
      commitMs: this.#lags('lagHwm'),
    };
    const leader = world.partitions()[0]?.leader ?? -1;
    const failoverMs = await this.#kill(leader);
    await scheduler.run(scheduler.nowMs + DOWN_MS);
    const without = this.#inSync;
    const returnMs = await this.#bringBack(leader);
    await scheduler.run(scheduler.nowMs + (seconds * 1_000) / 2);
    if (!scheduler.isStopped) await recover(world, producers, readers);
    if (!scheduler.isStopped) world.checkEnd();
    const { before, ...lags } = steady;
    const behindRecords = spreadOf(this.#behind);
    return { behindRecords, ...lags, inSync: [before, without, this.#inSync], failoverMs, returnMs };
  }

  get #inSync(): number {
    return this.#world.partitions()[0]?.isr.length ?? 0;
  }

  /** How long it takes in simulated time until something holds. */
  async #until(holds: () => boolean): Promise<number> {
    const { scheduler } = this.#world;
    const fromMs = scheduler.nowMs;
    while (!holds() && !scheduler.isStopped) {
      if (scheduler.nowMs - fromMs > START_LIMIT_MS)
        this.#world.violate('A cluster without faults is soon whole', `${this.#inSync} are in sync`);
      else await scheduler.run(scheduler.nowMs + LOOK_EVERY_MS);
    }
    return scheduler.nowMs - fromMs;
  }

  async #kill(leader: number): Promise<number> {
    const { canon, coordinator, scheduler } = this.#world;
    let end = NEVER;
    let firstMs = NEVER;
    const fromMs = scheduler.nowMs;
    this.#world.onLook(() => {
      const isNext = this.#world.partitions()[0]?.leader !== leader;
      if (!isNext) end = canon.endOf(0);
      else if (firstMs === NEVER && canon.endOf(0) > end) firstMs = scheduler.nowMs;
    });
    coordinator?.lives.kill(leader).catch(this.#world.unhandled);
    await this.#until(() => firstMs !== NEVER);
    return firstMs - fromMs;
  }

  #bringBack(leader: number): Promise<number> {
    this.#world.coordinator?.lives.start(leader).catch(this.#world.unhandled);
    return this.#until(() => this.#world.partitions()[0]?.isr.includes(leader) === true);
  }

  #sample(): void {
    const { nowMs, scheduler } = this.#world;
    if (nowMs < this.#nextSampleMs || scheduler.isStopped) return;
    this.#nextSampleMs = nowMs + SAMPLE_EVERY_MS;
    const replicas = this.#world.brokers().flatMap(({ broker }) => broker.replicas[0] ?? []);
    const leo = replicas.find(({ isLeader }) => isLeader)?.log.leo ?? 0;
    for (const { isLeader, stable } of replicas) if (!isLeader) this.#behind.push(Math.max(0, leo - stable));
  }

  /** Of all brokers together. */
  #lags(which: 'lagFollower' | 'lagHwm'): Spread {
    const all = this.#world.brokers().map(({ broker }) => broker.metrics[which].snapshot());
    return percentiles(all[0].map((_, bucket) => all.reduce((sum, counts) => sum + counts[bucket], 0)));
  }
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((one, other) => one - other);
  return { p50: sorted[sorted.length >> 1] ?? 0, max: sorted.at(-1) ?? 0 };
}
