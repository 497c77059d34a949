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

/** As a BrokerHandle shows its state. */
class WatchedHandle {
  readonly id = 1;
  life = 1;
  state = 'running';
  readonly #fenced: (life: number) => void;

  constructor(fenced: (life: number) => void) {
    this.#fenced = fenced;
  }

  fence(): void {
    this.state = 'fenced';
    this.#fenced(this.life);
  }

  unfence(): void {
    this.state = 'running';
  }
}

/** A broker that runs, and the looks for its signs, at whatever time they are due. Its session is a second. */
function watchedBroker(): {
  /** Lets time pass up to the next look, which finds this life, with its last sign. */
  look: (life: number, beatMs: number | undefined) => void;
  nowMs: () => number;
  setReachable: (reachable: boolean) => void;
  /** Lives that were taken for one that hangs, and when. */
  fenced: [life: number, atMs: number][];
  state: () => string;
  /** What is to happen once changes can be decided on again. */
  turns: (() => void)[];
} {
  let nowMs = 0;
  let due: { readonly atMs: number; readonly wake: () => void } | undefined;
  let lastBeatMs: number | undefined;
  let isReachable = true;
  const fenced: [number, number][] = [];
  const handle = new WatchedHandle((life) => fenced.push([life, nowMs]));
  const turns: (() => void)[] = [];
  const cluster = {
    clock: {
      nowMs: () => nowMs,
      schedule: (delayMs: number, wake: () => void) => {
        due = { atMs: nowMs + delayMs, wake };
        return () => undefined;
      },
    },
    members: {
      all: [{ handle, vitals: { lastBeatMs: () => lastBeatMs } }],
      sides: { isWithCoordinator: () => isReachable },
    },
    changes: {
      change: (_: unknown, { begin }: { begin: () => void }) => {
        turns.push(begin);
        return new Promise<void>(() => undefined);
      },
    },
    tell: () => undefined,
    sessionMs: 1_000,
  };
  const lives = new BrokerLives(cluster as unknown as LivesCluster);
  lives.watch();
  return {
    look: (life, beatMs) => {
      handle.life = life;
      lastBeatMs = beatMs;
      nowMs = due?.atMs ?? nowMs;
      due?.wake();
    },
    nowMs: () => nowMs,
    setReachable: (reachable) => {
      isReachable = reachable;
    },
    fenced,
    state: () => handle.state,
    turns,
  };
}

/** Whether that was when a session had ended which began then. */
function assertFencedOnce({ fenced }: ReturnType<typeof watchedBroker>, life: number, sinceMs: number): void {
  assert.is(fenced.length, 1);
  const [[fencedLife, atMs]] = fenced;
  assert.is(fencedLife, life);
  assert.ok(atMs >= sinceMs + 1_000 && atMs <= sinceMs + 1_010, `it was at ${atMs}, silent since ${sinceMs}`);
}

test('a broker that is restarted again and again, each time before it has given a sign, is not taken for one that hangs', () => {
  const { look, nowMs, fenced } = watchedBroker();
  for (let life = 2; nowMs() < 5_000; life++) look(life, undefined);
  assert.equal(fenced, []);
});

test('a broker that has never given a sign is taken for one that hangs, in whichever life', () => {
  const broker = watchedBroker();
  while (broker.nowMs() < 1_500) broker.look(1, undefined);
  assertFencedOnce(broker, 1, 0);
  broker.fenced.length = 0;
  broker.look(2, undefined);
  const sinceMs = broker.nowMs();
  while (broker.nowMs() < sinceMs + 2_000) broker.look(2, undefined);
  assertFencedOnce(broker, 2, sinceMs);
});

test('a broker that gives signs no more is taken for one that hangs, a session after the last', () => {
  const broker = watchedBroker();
  while (broker.nowMs() < 4_000) broker.look(1, broker.nowMs());
  assert.equal(broker.fenced, []);
  const lastMs = broker.nowMs() - 100;
  while (broker.nowMs() < 6_000) broker.look(1, lastMs);
  assertFencedOnce(broker, 1, lastMs);
});

test('a broker that hangs again before its return was decided on stays fenced, until it has woken again', () => {
  const { look, nowMs, turns, state } = watchedBroker();
  while (nowMs() < 1_500) look(1, undefined);
  assert.is(state(), 'fenced');
  look(1, nowMs());
  assert.is(turns.length, 1);
  const wokenMs = nowMs();
  while (nowMs() < wokenMs + 2_000) look(1, wokenMs);
  turns.shift()?.();
  assert.is(state(), 'fenced');
  look(1, nowMs());
  turns.shift()?.();
  assert.is(state(), 'running');
});

test('a broker that is cut off is taken for one that hangs, a session after the last sign that was heard', () => {
  const broker = watchedBroker();
  while (broker.nowMs() < 4_000) broker.look(1, broker.nowMs());
  const heardMs = broker.nowMs();
  broker.look(1, heardMs);
  broker.setReachable(false);
  while (broker.nowMs() < 6_000) broker.look(1, broker.nowMs());
  assertFencedOnce(broker, 1, heardMs);
});

test.run();
