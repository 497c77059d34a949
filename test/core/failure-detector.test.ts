import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FailureDetector } from '../../src/core/failure-detector.ts';

const NONE = { suspected: [], back: [] };

test('who does not move for a session is suspected once, and is back with its next sign', () => {
  const detector = new FailureDetector(200, 1_000);
  for (let nowMs = 0; nowMs < 1_000; nowMs += 200)
    assert.equal(
      detector.look(
        new Map([
          [1, nowMs],
          [2, 7],
        ]),
        nowMs,
      ),
      NONE,
    );
  assert.equal(
    detector.look(
      new Map([
        [1, 1],
        [2, 7],
      ]),
      1_000,
    ),
    { suspected: [2], back: [] },
  );
  assert.equal(
    detector.look(
      new Map([
        [1, 2],
        [2, 7],
      ]),
      1_200,
    ),
    NONE,
  );
  assert.equal(
    detector.look(
      new Map([
        [1, 3],
        [2, 8],
      ]),
      1_400,
    ),
    { suspected: [], back: [2] },
  );
  assert.equal(
    detector.look(
      new Map([
        [1, 4],
        [2, 8],
      ]),
      1_600,
    ),
    NONE,
  );
});

test('whoever looks after having stood still suspects nobody, and gives everybody a whole session', () => {
  const detector = new FailureDetector(200, 1_000);
  assert.equal(detector.look(new Map([[1, 1]]), 0), NONE);
  assert.equal(detector.look(new Map([[1, 1]]), 60_000), NONE);
  for (let nowMs = 60_200; nowMs < 61_000; nowMs += 200)
    assert.equal(detector.look(new Map([[1, 1]]), nowMs), NONE);
  assert.equal(detector.look(new Map([[1, 1]]), 61_000), { suspected: [1], back: [] });
});

test('who is suspected stays it while the looker stands still', () => {
  const detector = new FailureDetector(200, 400);
  for (const nowMs of [0, 200]) detector.look(new Map([[1, 1]]), nowMs);
  assert.equal(detector.look(new Map([[1, 1]]), 400), { suspected: [1], back: [] });
  assert.equal(detector.look(new Map([[1, 1]]), 9_000), NONE);
  assert.equal(detector.look(new Map([[1, 2]]), 9_200), { suspected: [], back: [1] });
});

test('another life of a broker begins a session of its own', () => {
  const detector = new FailureDetector(200, 400);
  for (const nowMs of [0, 200]) detector.look(new Map([[1, 9]]), nowMs);
  assert.equal(detector.look(new Map(), 400), NONE);
  assert.equal(detector.look(new Map([[1, 0]]), 600), NONE);
  assert.equal(detector.look(new Map([[1, 0]]), 800), NONE);
  assert.equal(detector.look(new Map([[1, 0]]), 1_000), { suspected: [1], back: [] });
});

test.run();
