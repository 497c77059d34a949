import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FailureDetector } from '../../src/core/failure-detector.ts';

type Signs = readonly (readonly [id: number, signMs: number | undefined])[];

/** What a look finds of those signs. */
function look(detector: FailureDetector, nowMs: number, ...signs: Signs): unknown[] {
  const { suspected, back, nextLookMs } = detector.look(new Map(signs), nowMs);
  return [suspected, back, nextLookMs];
}

test('who gives no sign for a session is suspected once, at its end and not later, and is back with its next sign', () => {
  const detector = new FailureDetector(200, 1_000);
  assert.equal(look(detector, 0, [1, undefined], [2, undefined]), [[], [], 250]);
  assert.equal(look(detector, 250, [1, 200], [2, 90]), [[], [], 500]);
  assert.equal(look(detector, 500, [1, 400], [2, 90]), [[], [], 750]);
  assert.equal(look(detector, 750, [1, 600], [2, 90]), [[], [], 1_000]);
  // What is left of the session is less than a quarter.
  assert.equal(look(detector, 1_000, [1, 1_000], [2, 90]), [[], [], 1_090]);
  assert.equal(look(detector, 1_090, [1, 1_000], [2, 90]), [[2], [], 1_290]);
  assert.equal(look(detector, 1_290, [1, 1_200], [2, 90]), [[], [], 1_490]);
  assert.equal(look(detector, 1_490, [1, 1_400], [2, 1_450]), [[], [2], 1_740]);
});

test('a look that comes early finds nobody who has a part of a session left', () => {
  const detector = new FailureDetector(200, 1_000);
  look(detector, 0, [1, 0]);
  for (const nowMs of [250, 500, 750]) look(detector, nowMs, [1, 0]);
  assert.equal(look(detector, 999, [1, 0]), [[], [], 1_000]);
});

test('whoever looks after having stood still suspects nobody, and gives everybody a whole session', () => {
  const detector = new FailureDetector(200, 1_000);
  assert.equal(look(detector, 0, [1, 0]), [[], [], 250]);
  assert.equal(look(detector, 60_000, [1, 0]), [[], [], 60_250]);
  for (const nowMs of [60_250, 60_500, 60_750]) assert.equal(look(detector, nowMs, [1, 0])[0], []);
  assert.equal(look(detector, 61_000, [1, 0])[0], [1]);
});

test('who is suspected stays it while the looker stands still', () => {
  const detector = new FailureDetector(200, 400);
  for (const nowMs of [0, 100, 200, 300]) look(detector, nowMs, [1, 0]);
  assert.equal(look(detector, 400, [1, 0]), [[1], [], 500]);
  assert.equal(look(detector, 9_000, [1, 0]), [[], [], 9_100]);
  assert.equal(look(detector, 9_100, [1, 9_050]), [[], [1], 9_200]);
});

test('a sign that is a session old when it is heard brings nobody back', () => {
  const detector = new FailureDetector(200, 400);
  for (const nowMs of [0, 100, 200, 300, 400]) look(detector, nowMs, [1, 0]);
  assert.equal(look(detector, 600, [1, 150]), [[], [], 700]);
  assert.equal(look(detector, 700, [1, 650]), [[], [1], 800]);
});

test('who was not there begins a session, and one that gives no sign at all is suspected at its end', () => {
  const detector = new FailureDetector(200, 400);
  look(detector, 0, [1, 0]);
  // Another life, in the place of the first.
  assert.equal(look(detector, 390, [2, undefined]), [[], [], 490]);
  assert.equal(look(detector, 490), [[], [], 590]);
  assert.equal(look(detector, 590, [2, undefined]), [[], [], 690]);
  for (const nowMs of [690, 790, 890]) assert.equal(look(detector, nowMs, [2, undefined])[0], []);
  assert.equal(look(detector, 990, [2, undefined])[0], [2]);
});

test('no sign at a look is silence since the last', () => {
  const detector = new FailureDetector(200, 400);
  look(detector, 0, [1, undefined]);
  look(detector, 100, [1, 60]);
  for (const nowMs of [200, 300, 400]) assert.equal(look(detector, nowMs, [1, undefined])[0], []);
  assert.equal(look(detector, 460, [1, undefined]), [[1], [], 560]);
});

test.run();
