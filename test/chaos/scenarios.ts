// What people want to see happen once, told in lines.
import { TOPIC } from './clients.ts';
import { Stage, type StageOptions } from './stage.ts';

export interface Scenario {
  readonly name: string;
  readonly sentence: string;
  readonly options?: Partial<StageOptions>;
  run(stage: Stage, paceMs: number): Promise<void>;
}

/** A follower that stands still is out of sync by this time, long before its session ends. */
const LAG_MS = 500;
const THREE = { brokers: 3, replicationFactor: 3, config: { 'min.insync.replicas': 2 } } as const;

const leaderKilled: Scenario = {
  name: 'leader-killed',
  sentence: 'the leader dies, another one takes over, and the old one comes back as a follower',
  async run(stage, paceMs) {
    const { leader } = stage;
    await stage.work(paceMs);
    await stage.act(`broker ${leader}, the leader, is killed`, () => stage.cluster.faults.kill(leader));
    await stage.until('another one leads', () => ![leader, -1].includes(stage.leader));
    await stage.untilAcknowledged('then');
    stage.require(!stage.isr.includes(leader), `broker ${leader} is not in the ISR`);
    await stage.work(paceMs);
    await stage.act(`broker ${leader} is started again`, () => stage.cluster.startBroker(leader));
    await stage.untilInSync();
    await stage.work(paceMs);
  },
};

const partition: Scenario = {
  name: 'partition-2-1',
  sentence: 'the network parts the leader from two others, who go on; it acknowledges nothing that gets lost',
  async run(stage, paceMs) {
    const { leader, cluster } = stage;
    await stage.work(paceMs);
    await stage.act(`broker ${leader}, the leader, is cut off from the others and the coordinator`, () =>
      cluster.faults.isolate([leader]),
    );
    await stage.until('another one leads', () => ![leader, -1].includes(stage.leader));
    await stage.untilAcknowledged('then');
    const { leo } = cluster.status().topics[0].partitions[0];
    await stage.work(paceMs);
    const now = cluster.status().topics[0].partitions[0];
    stage.require(now.leo[leader] === leo[leader], `broker ${leader} gets nothing of what is written now`);
    stage.require(stage.stateOf(leader) === 'fenced', `broker ${leader} is fenced`);
    await stage.act('the network is healed', () => cluster.faults.heal());
    await stage.untilInSync();
    await stage.work(paceMs);
  },
};

const minorityUnavailable: Scenario = {
  name: 'minority-unavailable',
  sentence:
    'two of five brokers are cut off, and the others go on; with a third one all stops, and nothing is lost',
  options: { brokers: 5, replicationFactor: 5, config: { 'min.insync.replicas': 3 } },
  async run(stage, paceMs) {
    const { leader, replicas, cluster } = stage;
    const [one, two, three] = replicas.filter((id) => id !== leader);
    await stage.work(paceMs);
    await stage.act(`the brokers ${one} and ${two} are cut off`, () => cluster.faults.isolate([one, two]));
    await stage.until('they have left the ISR', () => stage.isr.length === 3);
    await stage.untilAcknowledged('then');
    await stage.work(paceMs);
    await stage.act(`broker ${three} is cut off too: most voters are away`, () =>
      cluster.faults.isolate([one, two, three]),
    );
    await stage.requireSilence(paceMs * 2);
    stage.require(stage.isr.includes(three), 'nobody is left that could decide who is in sync');
    await stage.act('the network is healed', () => cluster.faults.heal());
    await stage.untilAcknowledged('that');
    await stage.untilInSync();
  },
};

const diskFull: Scenario = {
  name: 'disk-full',
  sentence: "the leader's disk is full: others lead, and it follows again when there is room",
  async run(stage, paceMs) {
    const { leader, cluster } = stage;
    await stage.work(paceMs);
    await stage.act(`the disk of broker ${leader}, the leader, is full`, () =>
      cluster.faults.disk(leader, 'full'),
    );
    await stage.until('it is offline', () => stage.stateOf(leader) === 'offline');
    stage.tell(`    ${cluster.status().brokers.find(({ id }) => id === leader)?.error ?? ''}`);
    await stage.until('another one leads', () => ![leader, -1].includes(stage.leader));
    await stage.untilAcknowledged('then');
    await stage.work(paceMs);
    await stage.act('there is room again, and the broker is started', async () => {
      await cluster.faults.disk(leader, 'sound');
      await cluster.faults.restart(leader);
    });
    await stage.untilInSync();
    await stage.work(paceMs);
  },
};

const slowFollower: Scenario = {
  name: 'slow-follower',
  sentence: 'a follower that does not keep up leaves the ISR, and is in sync again when it does',
  options: { config: { 'min.insync.replicas': 2, 'replica.lag.time.max.ms': LAG_MS }, sessionMs: 20_000 },
  async run(stage, paceMs) {
    const { leader, replicas, cluster } = stage;
    const follower = replicas.find((id) => id !== leader) as number;
    await stage.work(paceMs);
    await stage.act(`broker ${follower}, a follower, stands still`, () => cluster.faults.pause(follower));
    await stage.until('it has left the ISR', () => !stage.isr.includes(follower));
    stage.require(stage.stateOf(follower) === 'running', 'it was not taken for dead');
    await stage.untilAcknowledged('then');
    await stage.work(paceMs);
    await stage.act(`broker ${follower} goes on`, () => cluster.faults.resume(follower));
    await stage.untilInSync();
    stage.require(stage.leader === leader, 'the leader has stayed');
    await stage.work(paceMs);
  },
};

const twoAtOnce: Scenario = {
  name: 'two-at-once',
  sentence:
    'two of three brokers die at once: nothing is acknowledged until one of them is back, and nothing is lost',
  async run(stage, paceMs) {
    const { leader, replicas, cluster } = stage;
    const other = replicas.find((id) => id !== leader) as number;
    await stage.work(paceMs);
    await stage.act(`broker ${leader}, the leader, and broker ${other} are killed`, () =>
      Promise.all([cluster.faults.kill(leader), cluster.faults.kill(other)]),
    );
    await stage.requireSilence(paceMs);
    await stage.act(`broker ${other} is started again`, () => cluster.startBroker(other));
    await stage.untilAcknowledged('that');
    await stage.act(`broker ${leader} is started again`, () => cluster.startBroker(leader));
    await stage.untilInSync();
    await stage.work(paceMs);
  },
};

const killDuringReassignment: Scenario = {
  name: 'kill-during-reassignment',
  sentence: 'a partition moves to another broker; the one that it moves to and the leader die on the way',
  options: { brokers: 4 },
  async run(stage, paceMs) {
    const { leader, replicas, cluster } = stage;
    const target = [1, 2, 3, 4].find((id) => !replicas.includes(id)) as number;
    const staying = replicas.filter((id) => id !== leader);
    const wanted = [...staying, target];
    await stage.work(paceMs);
    await stage.act(
      `the replicas are to be ${wanted.join(',')} instead of ${replicas.join(',')}, slowly`,
      () =>
        cluster.admin.reassign([{ topic: TOPIC, partition: 0, replicas: wanted }], {
          throttleBytesPerSecond: 20_000,
        }),
    );
    await stage.work(paceMs / 2);
    await stage.act(`broker ${target}, which it moves to, is killed`, () => cluster.faults.kill(target));
    await stage.untilAcknowledged('that');
    await stage.act(`broker ${target} is started again`, () => cluster.startBroker(target));
    await stage.act(`broker ${leader}, the leader, is killed`, () => cluster.faults.kill(leader));
    await stage.until('another one leads', () => ![leader, -1].includes(stage.leader));
    await stage.untilAcknowledged('that');
    await stage.act(`broker ${leader} is started again`, () => cluster.startBroker(leader));
    await stage.act('and it need not be slow any more', () =>
      cluster.admin.reassign([{ topic: TOPIC, partition: 0, replicas: wanted }]),
    );
    await stage.until(`the replicas are ${wanted.join(',')}`, () => stage.replicas.join() === wanted.join());
    await stage.untilInSync();
    await stage.work(paceMs);
  },
};

export const SCENARIOS: readonly Scenario[] = [
  leaderKilled,
  partition,
  minorityUnavailable,
  diskFull,
  slowFollower,
  twoAtOnce,
  killDuringReassignment,
];

/** Throws where something is other than it has to be. A session is the product's, unless it is to be fast. */
export async function play(
  scenario: Scenario,
  speed: 'fast' | 'usual',
  print: (line: string) => void,
): Promise<void> {
  const isFast = speed === 'fast';
  const options = { ...THREE, ...(isFast ? { sessionMs: 2_500 } : {}), ...scenario.options };
  print(`${scenario.name}: ${scenario.sentence}.`);
  const stage = await Stage.open(options, print);
  try {
    await scenario.run(stage, isFast ? 150 : 1_000);
    await stage.finish();
  } finally {
    await stage.close();
  }
}
