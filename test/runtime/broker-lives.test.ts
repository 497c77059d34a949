import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Command } from '../../src/core/metadata/commands.ts';
import { TidemarkError } from '../../src/errors.ts';
import type { BrokerHandle } from '../../src/runtime/broker-handle.ts';
import { BrokerLives, type LivesCluster } from '../../src/runtime/broker-lives.ts';

/** One broker, registered with epoch 7, and what is to be decided about it, when its turn comes. */
function livesOf(): {
  lives: BrokerLives;
  turns: (() => Command | undefined)[];
  setRunning: (runs: boolean) => void;
} {
  let isRunning = false;
  const turns: (() => Command | undefined)[] = [];
  const cluster = {
    members: { ids: [1], running: () => (isRunning ? {} : undefined) },
    changes: {
      change: (commandOf: () => Command | undefined) => {
        turns.push(commandOf);
        return Promise.resolve();
      },
    },
    sessionMs: 3_000,
  };
  const lives = new BrokerLives(cluster as unknown as LivesCluster);
  lives.registered(new Map([[1, 7]]), new Map());
  return {
    lives,
    turns,
    setRunning: (runs) => {
      isRunning = runs;
    },
  };
}

test('a broker that does not run is fenced, under its epoch', () => {
  const { lives, turns } = livesOf();
  void lives.lose(1);
  assert.equal(turns[0]?.(), { type: 'fence-broker', broker: 1, epoch: 7 });
});

test('a broker that has come back by then is not fenced by what was asked for before', () => {
  const { lives, turns, setRunning } = livesOf();
  void lives.lose(1);
  setRunning(true);
  assert.is(turns[0]?.(), undefined);
});

test('a broker that lives another life by then is fenced in the one that was meant', () => {
  const { lives, turns, setRunning } = livesOf();
  void lives.lose(1);
  lives.registered(new Map([[1, 8]]), new Map());
  setRunning(true);
  assert.equal(turns[0]?.(), { type: 'fence-broker', broker: 1, epoch: 7 });
});

/** A broker whose threads run, whose logs are opened, and of which nothing more is decided: no majority is left. */
function returningBroker(submit: () => Promise<unknown> = () => Promise.resolve({ epoch: 8 })): {
  lives: BrokerLives;
  begun: (() => void)[];
  votes: () => number;
} {
  const begun: (() => void)[] = [];
  let votes = 0;
  const handleOf = (): { handle: BrokerHandle } => {
    let hasEnded = begun.length === 0;
    let end = (): void => undefined;
    const exited = new Promise<void>((resolve) => {
      end = resolve;
    });
    begun.push(() => {
      hasEnded = true;
      end();
    });
    const handle = {
      id: 1,
      get hasEnded(): boolean {
        return hasEnded;
      },
      exited,
      request: () => Promise.resolve([]),
      kill: () => {
        begun.at(-1)?.();
        return Promise.resolve();
      },
    };
    return { handle: handle as unknown as BrokerHandle };
  };
  let present = handleOf();
  const cluster = {
    clock: { nowMs: () => 0, schedule: () => () => undefined },
    members: {
      ids: [1],
      get: () => present,
      running: () => undefined,
      sides: { isWithCoordinator: () => true },
      extendTables: () => [],
      start: () => {
        present = handleOf();
        return Promise.resolve(present);
      },
    },
    directory: { prepare: () => Promise.resolve('id'), home: () => undefined },
    metadata: {
      hasQuorum: false,
      brokerReturned: () => {
        votes += 1;
        return Promise.resolve();
      },
      submit,
      image: { broker: () => undefined, partitionsOn: () => [] },
    },
    topics: { foreignTo: () => new Map(), written: [] },
    topicChanges: { takeOwed: () => new Map() },
    changes: { change: () => new Promise<void>(() => undefined) },
    opened: () => undefined,
    sessionMs: 3_000,
  };
  return { lives: new BrokerLives(cluster as unknown as LivesCluster), begun, votes: () => votes };
}

test('a broker that has died while it came back is started again, though its return is not decided on: its vote may be missing', async () => {
  const { lives, begun } = returningBroker();
  await lives.start(1);
  await settled();
  begun.at(-1)?.();
  void lives.start(1);
  await settled();
  // The one that had ended before, and two lives more.
  assert.is(begun.length, 3);
});

test('a broker whose return is not decided on can be killed at once', async () => {
  const { lives } = returningBroker();
  await lives.start(1);
  await settled();
  let isKilled = false;
  void lives.kill(1).then(() => {
    isKilled = true;
  });
  await settled();
  assert.ok(isKilled);
});

test('a broker that waits for a majority looks after its own vote each time: that may be what is missing', async () => {
  let tries = 0;
  const { lives, votes } = returningBroker(() => {
    tries += 1;
    if (tries < 4) return Promise.reject(new TidemarkError('NOT_CONTROLLER', 'nobody decides'));
    return Promise.resolve({ epoch: 8 });
  });
  await lives.start(1);
  await settled();
  // Once before its thread began, and once for each try.
  assert.equal([tries, votes()], [4, 5]);
});

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A broker that runs, in a life after the other, and the looks for its signs, at whatever time they are due. */
function watchedBroker(): {
  /** Lets time pass, up to the next look; that finds this life, with its last sign. */
  look: (life: number, beatMs: number | undefined) => void;
  nowMs: () => number;
  /** Lives that were taken for one that hangs. */
  fenced: number[];
} {
  let nowMs = 0;
  let due: { readonly atMs: number; readonly wake: () => void } | undefined;
  let present: { readonly life: number; readonly beatMs: number | undefined } = {
    life: 1,
    beatMs: undefined,
  };
  const fenced: number[] = [];
  const memberOf = ({ life, beatMs }: typeof present) => ({
    handle: { id: 1, life, state: 'running', fence: () => fenced.push(life) },
    vitals: { lastBeatMs: () => beatMs },
  });
  const cluster = {
    clock: {
      nowMs: () => nowMs,
      schedule: (delayMs: number, wake: () => void) => {
        due = { atMs: nowMs + delayMs, wake };
        return () => undefined;
      },
    },
    members: {
      get all() {
        return [memberOf(present)];
      },
      get: () => memberOf(present),
      sides: { isWithCoordinator: () => true },
    },
    tell: () => undefined,
    sessionMs: 1_000,
  };
  const lives = new BrokerLives(cluster as unknown as LivesCluster);
  lives.watch();
  const look = (life: number, beatMs: number | undefined): void => {
    present = { life, beatMs };
    nowMs = due?.atMs ?? nowMs;
    due?.wake();
  };
  return { look, nowMs: () => nowMs, fenced };
}

test('a broker that is restarted again and again, each time before it has given a sign, is not taken for one that hangs', () => {
  const { look, nowMs, fenced } = watchedBroker();
  for (let life = 2; nowMs() < 5_000; life++) look(life, undefined);
  assert.equal(fenced, []);
});

test('a broker that gives no sign, or none any more, is taken for one that hangs', () => {
  const silent = watchedBroker();
  while (silent.nowMs() < 2_000) silent.look(1, undefined);
  assert.equal(silent.fenced, [1]);
  const blocked = watchedBroker();
  for (let life = 2; blocked.nowMs() < 2_000; life++) blocked.look(life, undefined);
  while (blocked.nowMs() < 3_900) blocked.look(99, 2_500);
  assert.equal(blocked.fenced, [99]);
});

test.run();
