// time limit: 90 s
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  ASLEEP,
  AWAKE,
  forceRing,
  ringBell,
  Sleeper,
} from '../../../native-free/sharedarraybuffer-utils/index.ts';
import { endingThreads } from '../../../src/runtime/thread-end.ts';
import { dyingAtomics } from './dying-atomics.ts';
import { isRangeError, isTypeError } from './errors.ts';
import { endWorkers, startWorker, yieldToEventLoop } from './messages.ts';

const SYNC_ROUNDS = 500_000;
const ASYNC_ROUNDS = 50_000;
/** A wake-up that takes longer than this was lost and only found again by the time limit of the sleep. */
const LOST_MS = 5000;

const words = (): Int32Array<SharedArrayBuffer> => new Int32Array(new SharedArrayBuffer(256));
const never = (): boolean => false;

test('a ring of somebody awake costs nothing and does nothing', () => {
  const int32 = words();
  assert.is(ringBell(int32, 0), false);
  assert.is(int32[0], AWAKE);
});

test('of several rings of one sleeper the first one notifies', () => {
  const int32 = words();
  int32[0] = ASLEEP;
  assert.is(ringBell(int32, 0), true);
  assert.is(ringBell(int32, 0), false);
});

test('a sleep with work at hand resolves at once and leaves the flag down', async () => {
  const int32 = words();
  const sleeper = new Sleeper(int32, 3);
  await sleeper.sleep(() => true);
  assert.is(int32[3], AWAKE);
  let asked = 0;
  await sleeper.sleep(() => {
    asked += 1;
    return asked === 2;
  });
  assert.is(asked, 2);
  assert.is(int32[3], AWAKE);
});

test('a sleep goes on after a ring without work, and ends after one with work', async () => {
  const int32 = words();
  const sleeper = new Sleeper(int32, 0);
  const keepAlive = setInterval(() => {}, 1000);
  let work = false;
  let awake = false;
  const slept = sleeper
    .sleep(() => work)
    .then(() => {
      awake = true;
    });
  ringBell(int32, 0);
  for (let turn = 0; turn < 20; turn += 1) await yieldToEventLoop();
  assert.is(awake, false);
  assert.is(int32[0], ASLEEP);
  work = true;
  assert.is(ringBell(int32, 0), true);
  await slept;
  assert.is(int32[0], AWAKE);
  clearInterval(keepAlive);
});

test('a second sleep at the same time is refused, so that no waiter is left behind', async () => {
  const int32 = words();
  const sleeper = new Sleeper(int32, 0);
  let work = false;
  const slept = sleeper.sleep(() => work);
  assert.throws(() => sleeper.sleep(never), /sleeps already/);
  assert.throws(() => sleeper.sleepSync(never, 0), /sleeps already/);
  work = true;
  ringBell(int32, 0);
  await slept;
});

test('the thread itself ends its sleep, or its next one, without any work', async () => {
  const int32 = words();
  const sleeper = new Sleeper(int32, 0);
  setTimeout(() => sleeper.ring(), 5);
  const keepAlive = setInterval(() => {}, 1000);
  await sleeper.sleep(never);
  sleeper.ring();
  await sleeper.sleep(never);
  sleeper.ring();
  assert.is(sleeper.sleepSync(never), false);
  assert.is(sleeper.sleepSync(never, 1), false);
  clearInterval(keepAlive);
});

test('what hasWork throws comes out of the sleep and leaves the sleeper usable', async () => {
  const int32 = words();
  const sleeper = new Sleeper(int32, 0);
  let asked = 0;
  const slept = sleeper.sleep(() => {
    asked += 1;
    if (asked === 3) throw new Error('broken');
    return false;
  });
  ringBell(int32, 0);
  await slept.then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, 'broken'),
  );
  assert.is(int32[0], AWAKE);
  await sleeper.sleep(() => true);
});

test('a blocking sleep ends at its time limit', () => {
  const int32 = words();
  const sleeper = new Sleeper(int32, 0);
  const startedMs = performance.now();
  assert.is(sleeper.sleepSync(never, 30), false);
  const tookMs = performance.now() - startedMs;
  assert.ok(tookMs >= 29 && tookMs < 2000, `${tookMs} ms`);
  assert.is(int32[0], AWAKE);
  assert.is(sleeper.sleepSync(never, 0), false);
  assert.throws(() => sleeper.sleepSync(never, -1), isRangeError);
});

test('a bell has to lie in shared memory, within its array', () => {
  assert.throws(() => new Sleeper(new Int32Array(4), 0), isTypeError);
  for (const index of [-1, 0.5, 64, Number.NaN])
    assert.throws(() => new Sleeper(words(), index), isRangeError);
});

test('a ringer that dies between taking the flag down and notifying is made up for by force', async () => {
  const int32 = words();
  const sleeper = new Sleeper(int32, 0);
  const keepAlive = setInterval(() => {}, 1000);
  let work = false;
  const slept = sleeper.sleep(() => work);
  work = true;
  assert.is(
    dyingAtomics(1, () => ringBell(int32, 0)),
    true,
  );
  assert.is(ringBell(int32, 0), false);
  forceRing(int32, 0);
  await slept;
  clearInterval(keepAlive);
});

test('a sleeper terminated in its sleep does not swallow its successor’s wake-up', async () => {
  const int32 = words();
  for (let life = 0; life < 20; life += 1) {
    const { worker } = startWorker('./bell-worker.js', { buffer: int32.buffer, mode: 'sleep for ever' });
    while (Atomics.load(int32, 32) !== ASLEEP) await yieldToEventLoop();
    const exited = endingThreads(() => worker.terminate());
    const sleeper = new Sleeper(int32, 32);
    let work = false;
    const slept = sleeper.sleep(() => work);
    work = true;
    ringBell(int32, 32);
    await exited;
    await slept;
  }
});

test('two threads wake each other a million times, blocking, and no wake-up is lost', async () => {
  const int32 = words();
  const exited = startWorker('./bell-worker.js', {
    buffer: int32.buffer,
    mode: 'sync',
    rounds: SYNC_ROUNDS,
  }).exited;
  const sleeper = new Sleeper(int32, 0);
  let round = 1;
  const answered = (): boolean => Atomics.load(int32, 48) === round;
  for (; round <= SYNC_ROUNDS; round += 1) {
    Atomics.store(int32, 16, round);
    ringBell(int32, 32);
    const startedMs = performance.now();
    assert.ok(sleeper.sleepSync(answered, 4 * LOST_MS));
    // The first answer waits for the worker to start.
    if (round > 1 && performance.now() - startedMs > LOST_MS) assert.unreachable(`lost in round ${round}`);
  }
  assert.is(await exited, 0);
});

test('two event loops wake each other many times and no wake-up is lost', async () => {
  const int32 = words();
  const exited = startWorker('./bell-worker.js', {
    buffer: int32.buffer,
    mode: 'async',
    rounds: ASYNC_ROUNDS,
  }).exited;
  const sleeper = new Sleeper(int32, 0);
  let round = 1;
  let lastRound = 0;
  let lost = 0;
  const watch = setInterval(() => {
    if (round === lastRound) {
      lost += 1;
      forceRing(int32, 0);
      forceRing(int32, 32);
    }
    lastRound = round;
  }, LOST_MS);
  const answered = (): boolean => Atomics.load(int32, 48) === round;
  for (; round <= ASYNC_ROUNDS; round += 1) {
    Atomics.store(int32, 16, round);
    ringBell(int32, 32);
    await sleeper.sleep(answered);
  }
  clearInterval(watch);
  assert.is(await exited, 0);
  assert.is(lost, 0);
});

test('a bell with several ringers loses none of their rings', async () => {
  const int32 = words();
  const rounds = 50_000;
  const ringers = [16, 20, 24].map(
    (counter) =>
      startWorker('./bell-worker.js', { buffer: int32.buffer, mode: 'ringer', counter, rounds }).exited,
  );
  const sleeper = new Sleeper(int32, 0);
  let seen = 0;
  const total = (): number => Atomics.load(int32, 16) + Atomics.load(int32, 20) + Atomics.load(int32, 24);
  while (seen < 3 * rounds) {
    const startedMs = performance.now();
    assert.ok(sleeper.sleepSync(() => total() !== seen, 4 * LOST_MS));
    if (seen > 0 && performance.now() - startedMs > LOST_MS) assert.unreachable(`lost after ${seen}`);
    seen = total();
    // What each ringer waits for before it goes on: that its last ring was heard.
    for (const counter of [16, 20, 24]) Atomics.store(int32, counter + 1, Atomics.load(int32, counter));
  }
  assert.equal(await Promise.all(ringers), [0, 0, 0]);
});

test.after.each(endWorkers);

test.run();
