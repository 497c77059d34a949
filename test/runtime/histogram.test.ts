import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bucketEnd, bucketOf, HISTOGRAM_BYTES, Histogram, percentiles } from '../../src/runtime/histogram.ts';

const AT = 128;

function newHistogram(): Histogram {
  return new Histogram(new Int32Array(new SharedArrayBuffer(AT + HISTOGRAM_BYTES)), AT);
}

test('a bucket ends where the next one begins', () => {
  const last = bucketOf(2 ** 31 - 1);
  assert.is((last + 1) * 4, HISTOGRAM_BYTES);
  assert.is(bucketEnd(last), 2 ** 31 - 1);
  for (let bucket = 0; bucket <= last; bucket++) {
    assert.is(bucketOf(bucketEnd(bucket)), bucket);
    if (bucket < last) assert.is(bucketOf(bucketEnd(bucket) + 1), bucket + 1);
  }
});

test('short times are exact, and longer ones to a sixteenth', () => {
  for (let microseconds = 0; microseconds < 32; microseconds++) {
    assert.is(bucketEnd(bucketOf(microseconds)), microseconds);
  }
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 31 - 1 }), (microseconds) => {
      const end = bucketEnd(bucketOf(microseconds));
      assert.ok(end >= microseconds && end - microseconds <= microseconds / 16, `${microseconds} as ${end}`);
    }),
  );
});

test('a time of any length has a place', () => {
  const histogram = newHistogram();
  for (const milliseconds of [0, -1, 1e-9, 5, 1e9, Number.MAX_VALUE]) histogram.record(milliseconds);
  const counts = histogram.snapshot();
  assert.is(
    counts.reduce((sum, count) => sum + count, 0),
    6,
  );
  assert.is(counts[0], 3);
  assert.is(counts.at(-1), 2);
});

test('percentiles are those of the times themselves, to a sixteenth and never too small', () => {
  const time = fc.double({ min: 0, max: 100_000, noNaN: true });
  fc.assert(
    fc.property(fc.array(time, { minLength: 1, maxLength: 300 }), (times) => {
      const histogram = newHistogram();
      for (const milliseconds of times) histogram.record(milliseconds);
      const sorted = times
        .map((milliseconds) => Math.round(milliseconds * 1000) / 1000)
        .sort((a, b) => a - b);
      const found = percentiles(histogram.snapshot());
      const shares = { p50: 0.5, p95: 0.95, p99: 0.99, p999: 0.999, max: 1 };
      for (const [name, share] of Object.entries(shares)) {
        const exact = sorted[Math.ceil(sorted.length * share) - 1];
        const told = found[name as keyof typeof found];
        assert.ok(told >= exact - 1e-9 && told <= exact * (17 / 16) + 1e-9, `${name}: ${told} for ${exact}`);
      }
    }),
  );
});

test('without any time all percentiles are 0', () => {
  assert.equal(percentiles(newHistogram().snapshot()), { p50: 0, p95: 0, p99: 0, p999: 0, max: 0 });
});

test('a snapshot stays as it was, and two histograms keep apart', () => {
  const words = new Int32Array(new SharedArrayBuffer(AT + 2 * HISTOGRAM_BYTES));
  const first = new Histogram(words, AT);
  const second = new Histogram(words, AT + HISTOGRAM_BYTES);
  first.record(1);
  const before = first.snapshot();
  first.record(1);
  assert.is(before[bucketOf(1000)], 1);
  assert.is(first.snapshot()[bucketOf(1000)], 2);
  assert.ok(second.snapshot().every((count) => count === 0));
});

test.run();
