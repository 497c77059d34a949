// One seed: faults for most of its time, then none, and everything has to be there.
// What the product loads late it has to have by then: that takes more than an event.
import '../../../src/log/open-log.ts';
import '../../../src/log/closed-logs.ts';
import '../../../src/runtime/file-stamps.ts';
import '../../../src/runtime/log-compactor.ts';
import '../../../src/runtime/log-scans.ts';
import '../../../src/runtime/log-scrubber.ts';
import { Dice } from '../dice.ts';
import { Scheduler } from '../scheduler.ts';
import type { Violation } from '../world.ts';
import { describeWorld, isSettled } from './describe.ts';
import { IdempotentProducer } from './idempotent-producer.ts';
import { Nemesis } from './nemesis.ts';
import { drawPlan, type Plan } from './plan.ts';
import { SimClient } from './sim-client.ts';
import { SimProducer } from './sim-producer.ts';
import { SimReader } from './sim-reader.ts';
import { Killed } from './strand.ts';
import { World } from './world.ts';

const FAULTY_PART = 0.75;
const RECOVERY_LIMIT_MS = 60_000;
/** Readers may have most of a long log before them. */
const READING_LIMIT_MS = 600_000;
/** Ten times what a cluster without a fault takes to become whole: who asks for ever without a pause is not waited for. */
const RECOVERY_EVENTS_MAX = 1_000_000;
const LOOK_EVERY_MS = 50;

export interface ClusterResult {
  readonly seed: number;
  readonly plan: Plan;
  readonly violation: Violation | undefined;
  readonly simulatedMs: number;
  readonly events: number;
  readonly hash: number;
  /** Records that were committed. */
  readonly records: number;
}

export interface ClusterOptions {
  readonly seconds: number;
  /** Prints what happens, a line each. */
  readonly trace?: ((line: string) => void) | undefined;
}

export async function runCluster(seed: number, options: ClusterOptions): Promise<ClusterResult> {
  const { stackTraceLimit } = Error;
  if (options.trace === undefined) Error.stackTraceLimit = 4;
  const dice = new Dice(seed);
  const plan = drawPlan(dice);
  const scheduler = new Scheduler(options.trace);
  options.trace?.(JSON.stringify(plan));
  const world = new World(plan, dice, scheduler);
  const unhandled = (error: unknown): void => {
    if (!(error instanceof Killed)) world.unhandled(error);
  };
  process.on('unhandledRejection', unhandled);
  try {
    await simulate(world, dice, options.seconds);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    process.off('unhandledRejection', unhandled);
    world.close();
  }
  const { hash, events, nowMs } = scheduler;
  const { canon, violation } = world;
  const records = canon.partitions.reduce((sum, partition) => sum + canon.endOf(partition), 0);
  return { seed, plan, violation, simulatedMs: nowMs, events, hash, records };
}

async function simulate(world: World, dice: Dice, seconds: number): Promise<void> {
  const { scheduler, plan } = world;
  const clients = (kind: string, count: number): SimClient[] =>
    Array.from({ length: count }, (_, n) => new SimClient(`${kind}${n + 1}`, world, dice.fork()));
  const producers = [
    ...clients('p', plan.producers).map((client) => new SimProducer(client)),
    ...clients('i', plan.idempotent).map((client) => new IdempotentProducer(client)),
  ];
  for (const producer of producers) world.onMeanwhile(() => producer.burst());
  const readers = clients('r', plan.readers).map((client) => new SimReader(client));
  const nemesis = new Nemesis(world, dice.fork());
  world.boot();
  nemesis.begin();
  await scheduler.run(seconds * 1000 * FAULTY_PART);
  if (scheduler.isStopped) return;
  scheduler.note('the faults end');
  nemesis.end();
  await recover(world, producers, readers);
  if (!scheduler.isStopped) world.checkEnd();
}

/** Without faults all partitions are soon led, in sync, written to and read. */
export async function recover(
  world: World,
  producers: readonly (SimProducer | IdempotentProducer)[],
  readers: readonly SimReader[],
): Promise<void> {
  const { scheduler } = world;
  let limitMs = scheduler.nowMs + RECOVERY_LIMIT_MS;
  const eventsMax = scheduler.events + RECOVERY_EVENTS_MAX;
  const look = async (isThere: () => boolean, otherwise: () => string): Promise<void> => {
    while (!scheduler.isStopped && !isThere()) {
      if (scheduler.nowMs >= limitMs || scheduler.events >= eventsMax) {
        const after = `after ${scheduler.events} events: ${otherwise()}`;
        world.violate('Once the faults have ended, everything is soon whole again', after);
        return;
      }
      await scheduler.run(scheduler.nowMs + LOOK_EVERY_MS);
    }
  };
  await look(
    () => isWhole(world),
    () => describeWorld(world, world.coordinator),
  );
  for (const producer of producers) producer.end();
  await look(
    () => producers.every(({ unanswered }) => unanswered === 0),
    () =>
      `${producers.map(({ unanswered }) => unanswered).join(' ')} batches are not answered; ${describeWorld(world, world.coordinator)}`,
  );
  await look(
    () => isWhole(world) && isSettled(world),
    () => `the replicas do not come to have the same; ${describeWorld(world, world.coordinator)}`,
  );
  const haveRead = (): boolean =>
    readers.every(({ offsets }) =>
      world.partitions().every(({ id, partition }) => offsets[partition] === world.canon.endOf(id)),
    );
  limitMs = scheduler.nowMs + READING_LIMIT_MS;
  await look(
    // What was begun while there were faults may end meanwhile, and let somebody leave for a moment.
    () => isWhole(world) && isSettled(world) && haveRead(),
    () =>
      `readers are at ${readers.map(({ offsets }) => offsets.join(' ')).join(', ')}; ${describeWorld(world, world.coordinator)}`,
  );
}

function isWhole(world: World): boolean {
  const partitions = world.partitions();
  return (
    partitions.length > 0 &&
    partitions.every(
      ({ leader, isr, replicas, adding, removing }) =>
        leader !== -1 && isr.length === replicas.length && adding.length + removing.length === 0,
    )
  );
}
