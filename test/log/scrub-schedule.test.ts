import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ScrubSchedule } from '../../src/log/scrub-schedule.ts';

test('segments have their turn in order, and again only after the interval', () => {
  const schedule = new ScrubSchedule<string>(100);
  const turns: (string | undefined)[] = [];
  for (let nowMs = 0; nowMs <= 120; nowMs += 10) {
    const [path] = schedule.due(['a', 'b', 'c'], nowMs);
    turns.push(path);
    if (path !== undefined) schedule.checked(path, nowMs);
  }
  const none = Array(7).fill(undefined);
  assert.equal(turns, ['a', 'b', 'c', ...none, 'a', 'b', 'c']);
});

test('one that was checked just now does not hide one that has waited as long as it has to', () => {
  const schedule = new ScrubSchedule<string>(100);
  schedule.checked('a', 50);
  schedule.checked('b', 0);
  assert.equal(schedule.due(['a', 'b'], 99), []);
  assert.equal(schedule.due(['a', 'b'], 100), ['b']);
  assert.equal(schedule.due(['a', 'b'], 500), ['b', 'a']);
});

test('a segment that is gone is forgotten', () => {
  const schedule = new ScrubSchedule<string>(100);
  schedule.checked('a', 0);
  assert.equal(schedule.due([], 10), []);
  assert.equal(schedule.due(['a'], 10), ['a']);
});

test('new segments, however many, do not keep an old one from its turn', () => {
  const schedule = new ScrubSchedule<string>(100);
  schedule.checked('old', 0);
  const paths = ['old'];
  let checkedMs: number | undefined;
  for (let nowMs = 10; nowMs < 400 && checkedMs === undefined; nowMs += 10) {
    // Two come while one is checked: there always is one that was never checked.
    paths.push(`new ${nowMs}, one`, `new ${nowMs}, two`);
    const [path] = schedule.due(paths, nowMs);
    if (path === 'old') checkedMs = nowMs;
    schedule.checked(path, nowMs);
  }
  // Eighteen had come before it was due, two with it, and nine of them had been checked by then.
  assert.is(checkedMs, 190);
});

test('a segment that is not checked when it is due keeps its place', () => {
  const schedule = new ScrubSchedule<string>(100);
  schedule.checked('a', 0);
  schedule.checked('b', 5);
  assert.equal(schedule.due(['b', 'a'], 110), ['a', 'b']);
  schedule.checked('b', 110);
  assert.equal(schedule.due(['b', 'a', 'c'], 111), ['a', 'c']);
  schedule.checked('a', 111);
  assert.equal(schedule.due(['b', 'a', 'c'], 150), ['c']);
});

test('as long as a turn comes soon enough, none waits for longer than the interval and one round', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 10 }), (count, tickMs) => {
      const schedule = new ScrubSchedule<string>(count * tickMs);
      const paths = Array.from({ length: count }, (_, index) => `segment ${index}`);
      const lastMs = new Map<string, number>();
      for (let nowMs = 0; nowMs < 5 * count * tickMs; nowMs += tickMs) {
        const [path] = schedule.due(paths, nowMs);
        if (path === undefined) continue;
        assert.ok(nowMs - (lastMs.get(path) ?? Number.NEGATIVE_INFINITY) >= count * tickMs);
        schedule.checked(path, nowMs);
        lastMs.set(path, nowMs);
      }
      assert.is(lastMs.size, count);
      for (const checkedMs of lastMs.values()) assert.ok(checkedMs >= 3 * count * tickMs);
    }),
  );
});

test.run();
