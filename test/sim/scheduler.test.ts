// What happens next, and that something else does some time.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Scheduler } from './scheduler.ts';

test('events come in the order of their times, and of their scheduling where that is the same', async () => {
  const scheduler = new Scheduler(undefined);
  const seen: string[] = [];
  for (const [name, delayMs] of [
    ['c', 2],
    ['a', 1],
    ['b', 1],
  ] as const)
    scheduler.schedule(
      delayMs,
      'timer',
      () => name,
      () => seen.push(name),
    );
  await scheduler.run(10);
  assert.equal(seen, ['a', 'b', 'c']);
  assert.is(scheduler.nowMs, 10);
});

test('who goes round in a circle without any time passing is told of, and does not hang the run', async () => {
  const scheduler = new Scheduler(undefined);
  const told: string[] = [];
  scheduler.stuck = (sentence) => {
    told.push(sentence);
    scheduler.stop();
  };
  const again = (): void => void scheduler.schedule(0, 'timer', () => 'asks once more', again);
  again();
  await scheduler.run(10);
  assert.is(told.length, 1);
  assert.match(told[0], /asks once more/);
  assert.ok(scheduler.nowMs < 1);
});

test('where many events lie in many milliseconds, time goes on', async () => {
  const scheduler = new Scheduler(undefined);
  let count = 0;
  const again = (): void => {
    count += 1;
    scheduler.schedule(0.001, 'timer', () => 'one more', again);
  };
  again();
  await scheduler.run(120);
  assert.ok(count > 110_000, `${count} events`);
});

test.run();
