// One seed: faults for most of its time, then none, and everything has to come to rest.
import { isSameImage } from '../core/metadata/same-image.ts';
import { Clients } from './clients.ts';
import { Dice } from './dice.ts';
import { Nemesis } from './nemesis.ts';
import { drawPlan, type Plan } from './plan.ts';
import { Scheduler } from './scheduler.ts';
import { type Violation, World } from './world.ts';

/** Of the simulated time the part in which things go wrong. */
const FAULTY_PART = 0.75;
/** How long after the last fault a quorum may take to be whole again: long elections, a voter that is added, ... */
const RECOVERY_LIMIT_MS = 15_000;
const LOOK_EVERY_MS = 50;
/** In election time-outs: so long nothing may change once all is at rest. */
const QUIET_TIMEOUTS = 4;

export interface SeedResult {
  readonly seed: number;
  readonly plan: Plan;
  readonly violation: Violation | undefined;
  readonly simulatedMs: number;
  readonly events: number;
  /** The same for the same seed. */
  readonly hash: number;
  /** What has been committed, and in how many terms. */
  readonly entries: number;
  readonly terms: number;
}

export interface SeedOptions {
  readonly seconds: number;
  /** Prints what happens, a line each. */
  readonly trace?: ((line: string) => void) | undefined;
}

export async function runSeed(seed: number, options: SeedOptions): Promise<SeedResult> {
  // Refusals are errors by the thousand, and nobody looks where they come from unless the run is told.
  const { stackTraceLimit } = Error;
  if (options.trace === undefined) Error.stackTraceLimit = 0;
  try {
    return await simulate(seed, options);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

async function simulate(seed: number, { seconds, trace }: SeedOptions): Promise<SeedResult> {
  const dice = new Dice(seed);
  const plan = drawPlan(dice);
  const scheduler = new Scheduler(trace);
  if (trace !== undefined) trace(JSON.stringify(plan));
  const world = new World(plan, dice, scheduler);
  scheduler.stuck = (sentence) => world.violate('Time goes on', sentence);
  const clients = new Clients(world, dice.fork());
  const nemesis = new Nemesis(world, dice.fork(), (leader) => clients.write(leader));
  for (const node of world.nodes) world.start(node);
  nemesis.begin();
  clients.begin();
  await scheduler.run(seconds * 1000 * FAULTY_PART);
  if (!scheduler.isStopped) {
    scheduler.note('the faults end');
    nemesis.heal();
    await recover(world, nemesis, clients);
  }
  if (!scheduler.isStopped) await rest(world, seconds * 1000);
  const { hash, events, nowMs } = scheduler;
  const voters = world.nodes.map(({ voter }) => voter?.node);
  const entries = Math.max(0, ...voters.map((node) => node?.commit ?? 0));
  const terms = Math.max(0, ...voters.map((node) => node?.term ?? 0));
  return { seed, plan, violation: world.violation, simulatedMs: nowMs, events, hash, entries, terms };
}

/** Without faults there is soon a leader, what is proposed is committed, and all voters have all of it. */
async function recover(world: World, nemesis: Nemesis, clients: Clients): Promise<void> {
  const invariant = 'Once the faults have ended, the quorum is soon whole again and takes proposals';
  const { scheduler } = world;
  const limitMs = scheduler.nowMs + RECOVERY_LIMIT_MS;
  const look = async (isThere: () => boolean, otherwise: () => string): Promise<void> => {
    while (!scheduler.isStopped && !isThere()) {
      if (scheduler.nowMs >= limitMs) {
        world.violate(invariant, otherwise());
        return;
      }
      await scheduler.run(scheduler.nowMs + LOOK_EVERY_MS);
    }
  };
  await look(
    () => world.leader !== undefined && nemesis.isAsWanted(world.leader.node.configuration),
    () =>
      `there is ${world.leader === undefined ? 'no leader' : 'a leader, but not the voters that should be'}`,
  );
  clients.end();
  let probe = 'not begun';
  await look(
    () => {
      if (probe === 'pending') return false;
      if (probe === 'succeeded') return true;
      const leader = world.leader;
      if (leader === undefined) return false;
      probe = 'pending';
      world.ask(
        { kind: 'read', node: leader.self.id, what: 'at the end', data: undefined },
        () => leader.read(),
        ({ outcome }) => {
          probe = outcome;
          if (outcome === 'succeeded') clients.write(leader);
        },
      );
      return false;
    },
    () => `nobody answers a read: ${probe}`,
  );
  await look(
    () => world.pendingCalls.length === 0,
    () => {
      const calls = world.pendingCalls.map(({ id, kind, what, node }) => `${kind} ${id} ${what} of ${node}`);
      return `these calls are never answered: ${calls.join(', ')}`;
    },
  );
  await look(
    // What a leader has only proposed, of voters as of all else, may go with it: then somebody has to ask again.
    () =>
      isConverged(world) && world.leader !== undefined && nemesis.isAsWanted(world.leader.node.configuration),
    () => 'the voters do not come to have the same, or are not those that should be',
  );
}

function isConverged(world: World): boolean {
  const { leader } = world;
  if (leader === undefined || leader.applied !== leader.node.lastIndex) return false;
  const image = world.node(leader.self.id).machine?.image;
  return leader.node.configuration.voters.every(({ id }) => {
    const { machine } = world.node(id);
    return image !== undefined && machine !== undefined && isSameImage(image, machine.image);
  });
}

/** Nothing more happens, and that is how it stays. */
async function rest(world: World, untilMs: number): Promise<void> {
  const { scheduler, plan } = world;
  const before = world.leader;
  const term = before?.node.term;
  const quietMs = QUIET_TIMEOUTS * plan.options.electionTimeoutMs;
  await scheduler.run(Math.max(untilMs, scheduler.nowMs + quietMs));
  if (scheduler.isStopped) return;
  if (world.leader !== before || world.leader?.node.term !== term) {
    world.violate(
      'Where nothing goes wrong, a leader goes on leading',
      `term ${term} has become ${world.leader?.node.term ?? 'one without a leader'}`,
    );
  }
  world.checkEnd();
}
