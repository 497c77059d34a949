import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Command } from '../../src/core/metadata/commands.ts';
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

test.run();
