import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type AgedSegment, type CompactionState, planCompaction } from '../../src/log/compaction-plan.ts';

const settings = {
  'min.cleanable.dirty.ratio': 0.5,
  'min.compaction.lag.ms': 0,
  'max.compaction.lag.ms': Number.MAX_SAFE_INTEGER,
  'segment.bytes': 100,
};

/** Segments of ten offsets and 100 bytes each, a second apart. */
function segments(count: number, from = 0): AgedSegment[] {
  return Array.from({ length: count }, (_, index) => ({
    baseOffset: from + 10 * index,
    nextOffset: from + 10 * index + 10,
    bytes: 100,
    firstTimestamp: 1000 * index,
    maxTimestamp: 1000 * index + 900,
  }));
}

function state(given: Partial<CompactionState> = {}): CompactionState {
  return { cleanedTo: 0, committed: 1000, nowMs: 10_000, ...given };
}

test('a log is compacted when enough of it is dirty', () => {
  const plan = planCompaction(segments(4), state({ cleanedTo: 20 }), settings);
  assert.equal(
    [plan?.firstDirtyOffset, plan?.uncleanableFrom, plan?.dirtyRatio, plan?.segments.length],
    [20, 40, 0.5, 4],
  );
  assert.is(planCompaction(segments(4), state({ cleanedTo: 30 }), settings), undefined);
});

test('where nothing is dirty there is nothing to do, whatever the ratio', () => {
  const eager = { ...settings, 'min.cleanable.dirty.ratio': 0 };
  assert.is(planCompaction(segments(4), state({ cleanedTo: 40 }), eager), undefined);
  assert.is(planCompaction([], state(), eager), undefined);
});

test('what is not committed is left out, and so is what is too young', () => {
  assert.is(planCompaction(segments(4), state({ committed: 29 }), settings)?.uncleanableFrom, 20);
  const lagging = { ...settings, 'min.compaction.lag.ms': 8000 };
  assert.is(planCompaction(segments(4), state(), lagging)?.uncleanableFrom, 20);
  assert.is(planCompaction(segments(4), state({ nowMs: 8899 }), lagging), undefined);
});

test('a record that has waited for too long has its log compacted, however little is dirty', () => {
  const impatient = { ...settings, 'max.compaction.lag.ms': 7000 };
  const lazy = state({ cleanedTo: 30, nowMs: 10_000 });
  assert.is(planCompaction(segments(4), lazy, impatient), undefined);
  assert.is(planCompaction(segments(4), { ...lazy, nowMs: 10_001 }, impatient)?.firstDirtyOffset, 30);
});

test('a checkpoint below what retention has left counts from there, and empty segments are passed over', () => {
  const [first, second] = segments(2, 500);
  const empty = { ...second, baseOffset: 520, nextOffset: 520, bytes: 0 };
  const plan = planCompaction([first, second, empty], state({ cleanedTo: 100 }), settings);
  assert.equal(
    [plan?.firstDirtyOffset, plan?.uncleanableFrom, plan?.segments.length, plan?.dirtyRatio],
    [500, 520, 2, 1],
  );
});

test('small clean segments are put together, once many or half of them can go', () => {
  const roomy = { ...settings, 'segment.bytes': 200 };
  const clean = state({ cleanedTo: 1000 });
  const plan = planCompaction(segments(2), clean, roomy);
  assert.equal(
    [plan?.segments.length, plan?.firstDirtyOffset, plan?.uncleanableFrom, plan?.dirtyRatio],
    [2, 1000, 1000, 0],
  );
  assert.is(planCompaction(segments(2), clean, { ...roomy, 'segment.bytes': 199 }), undefined);
  assert.is(planCompaction(segments(1), clean, roomy), undefined);
  // One of three, and eight of ten and some.
  assert.is(planCompaction(segments(3), clean, roomy), undefined);
  assert.is(planCompaction(segments(17), clean, roomy)?.segments.length, 17);
  const lazy = { ...roomy, 'min.cleanable.dirty.ratio': 0.9 };
  assert.is(planCompaction(segments(4), state({ cleanedTo: 20 }), lazy)?.segments.length, 2);
});

test.run();
