import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { IsrJudge } from '../../src/core/isr-judge.ts';
import type { Replica } from '../../src/core/replica.ts';
import { append, replicaOf } from './partition-fixtures.ts';

const EVERY_MS = 100;
const LIMIT_MS = 1_000;

/** A leader that is looked at every so often, and its followers. */
class Watched {
  readonly replica: Replica;
  readonly leos: Record<number, number> = { 2: 0, 3: 0 };
  readonly said: string[] = [];
  readonly lags = new Map<number, readonly [behindMs: number, records: number]>();
  nowMs = 5_000;
  readonly #log;
  readonly #judge = new IsrJudge(EVERY_MS);

  constructor(messagesMax = -1, isr: readonly number[] = [1, 2, 3]) {
    const config = { 'replica.lag.time.max.ms': LIMIT_MS, 'replica.lag.max.messages': messagesMax };
    const { replica, log } = replicaOf({ config, isr });
    this.replica = replica;
    this.#log = log;
  }

  append(records: number): void {
    append(this.#log, 0, records);
  }

  look(afterMs = EVERY_MS): void {
    this.nowMs += afterMs;
    this.#judge.begin(this.nowMs);
    const lagging = this.#judge.look(
      this.replica,
      (broker) => this.leos[broker],
      (follower, behindMs, records) => this.lags.set(follower, [behindMs, records]),
    );
    for (const id of lagging) this.said.push(`${id} at ${this.nowMs}`);
  }

  /** A round in which nothing is uncommitted here. */
  pass(): void {
    this.nowMs += EVERY_MS;
    this.#judge.begin(this.nowMs);
  }
}

test('a follower that does not move lags when its time is over, and not before; one that has everything does not', () => {
  const watched = new Watched();
  watched.append(1);
  watched.leos[3] = 1;
  for (let n = 0; n <= 10; n++) watched.look();
  assert.equal(watched.said, []);
  assert.equal(watched.lags.get(2), [1_000, 1]);
  assert.equal(watched.lags.get(3), [0, 0]);
  watched.look();
  assert.equal(watched.said, [`2 at ${watched.nowMs}`]);
});

test('LESSONS 8: one that is always behind a busy leader, and always follows, stays for ever', () => {
  const watched = new Watched();
  for (let n = 0; n < 100; n++) {
    const before = watched.replica.log.leo;
    watched.append(50);
    // What the leader had a look ago, and never what it has now.
    watched.leos[2] = before;
    watched.leos[3] = watched.replica.log.leo;
    watched.look();
  }
  assert.equal(watched.said, []);
});

test('one that gets on, but more slowly than its leader, lags', () => {
  const watched = new Watched();
  for (let n = 0; n < 30 && watched.said.length === 0; n++) {
    watched.append(10);
    watched.leos[2] += 3;
    watched.leos[3] = watched.replica.log.leo;
    watched.look();
  }
  assert.is(watched.said.length, 1);
  assert.match(watched.said[0], /^2 at/);
});

test('an LEO that does not count in this reign is none', () => {
  const watched = new Watched();
  watched.append(1);
  watched.leos[2] = -1;
  watched.leos[3] = 1;
  for (let n = 0; n < 12; n++) watched.look();
  assert.is(watched.said.length, 1);
  assert.equal(watched.lags.get(2)?.[1], 1);
});

test('a leader that stood still itself blames nobody for that time', () => {
  const watched = new Watched();
  watched.append(1);
  watched.look();
  watched.look(60_000);
  watched.look(60_000);
  assert.equal(watched.said, []);
  for (let n = 0; n < 10; n++) watched.look();
  assert.is(watched.said.length, 2);
});

test('where everything was committed in between, all begin afresh', () => {
  const watched = new Watched();
  watched.append(1);
  for (let n = 0; n < 9; n++) watched.look();
  watched.pass();
  for (let n = 0; n < 10; n++) watched.look();
  assert.equal(watched.said, []);
});

test('it is said once, and once more when nothing has come of it', () => {
  const watched = new Watched();
  watched.append(1);
  watched.leos[3] = 1;
  for (let n = 0; n < 22; n++) watched.look();
  assert.is(watched.said.length, 1);
  watched.look();
  assert.is(watched.said.length, 2);
});

test('one that is out of the ISR is not judged, and judged anew from when it is back', () => {
  const watched = new Watched(-1, [1, 3]);
  watched.append(1);
  watched.leos[3] = 1;
  for (let n = 0; n < 30; n++) watched.look();
  assert.equal(watched.said, []);
  assert.equal(watched.lags.get(2), [0, 1]);
  // The leader waits for one that it has proposed: that one can keep it waiting too.
  watched.replica.propose(2);
  for (let n = 0; n < 11; n++) watched.look();
  assert.equal(watched.said, []);
  watched.look();
  assert.is(watched.said.length, 1);
});

test('LESSONS 8: a burst beyond the bound on messages takes nobody out, being beyond it does', () => {
  const watched = new Watched(100);
  for (let n = 0; n < 20; n++) {
    watched.append(500);
    watched.look();
    watched.look();
    watched.leos[2] = watched.leos[3] = watched.replica.log.leo;
    watched.look();
  }
  assert.equal(watched.said, []);
  watched.append(500);
  watched.leos[3] = watched.replica.log.leo;
  for (let n = 0; n < 3; n++) watched.look();
  assert.is(watched.said.length, 1);
});

test('whoever reaches what the leader had within its time is never said to lag, in whatever steps', () => {
  const step = fc.record({ more: fc.nat(5), takes: fc.nat(3), gapMs: fc.integer({ min: 1, max: 400 }) });
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 60 }), (steps) => {
      const watched = new Watched();
      const ends: { atMs: number; leo: number }[] = [];
      for (const { more, takes, gapMs } of steps) {
        if (more > 0) watched.append(more);
        const { leo } = watched.replica.log;
        ends.push({ atMs: watched.nowMs, leo });
        // Has at least what there was half the limit ago.
        const due = ends.filter(({ atMs }) => watched.nowMs - atMs >= LIMIT_MS / 2).at(-1)?.leo ?? 0;
        for (const id of [2, 3]) watched.leos[id] = Math.min(leo, Math.max(watched.leos[id] + takes, due));
        watched.look(gapMs);
      }
      assert.equal(watched.said, []);
    }),
  );
});

test.run();
