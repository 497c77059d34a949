import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { SegmentLog } from '../../src/log/segment-log.ts';
import { append, batchAt, bytesOf, type ModelBatch, newTestLog, readAll } from './log-fixtures.ts';

type Step =
  | { readonly append: readonly [count: number, size: number] }
  | { readonly truncate: number }
  | { readonly commit: number }
  | { readonly restart: number }
  | { readonly read: readonly [from: number, maxBytes: number, end: number] };

const share = fc.double({ min: 0, max: 1, noNaN: true });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      append: fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 1_500 })),
    }),
  },
  { weight: 1, arbitrary: fc.record({ truncate: share }) },
  { weight: 2, arbitrary: fc.record({ commit: share }) },
  { weight: 1, arbitrary: fc.record({ restart: fc.integer({ min: 0, max: 10_000 }) }) },
  { weight: 2, arbitrary: fc.record({ read: fc.tuple(share, fc.integer({ min: 1, max: 20_000 }), share) }) },
);

/** A log and a naive model of it: an array of batches. */
class Comparison {
  readonly log: SegmentLog;
  readonly #retentionBytes: number;
  #batches: ModelBatch[] = [];

  constructor(retentionBytes: number) {
    this.log = newTestLog({ 'retention.bytes': retentionBytes });
    this.#retentionBytes = retentionBytes;
  }

  run(next: Step): void {
    const { log } = this;
    const at = (part: number): number => log.logStart + Math.round(part * (log.leo - log.logStart));
    if ('append' in next) this.#append(...next.append);
    else if ('truncate' in next) this.#truncate(at(next.truncate));
    else if ('commit' in next) log.committed = Math.max(log.committed, at(next.commit));
    else if ('restart' in next) this.#restart(next.restart);
    else this.#read(at(next.read[0]), next.read[1], at(next.read[2]));
    assert.is(log.leo, this.#batches.at(-1)?.next ?? log.logStart);
    assert.ok(readAll(log).equals(bytesOf(this.#batches)));
  }

  #append(count: number, size: number): void {
    const { log } = this;
    const batch = batchAt(log.leo, { records: count, valueBytes: size });
    const startBefore = log.logStart;
    append(log, batch);
    log.flush();
    this.#batches.push(batch);
    if (log.logStart === startBefore) return;
    assert.ok(log.logStart > startBefore && log.logStart <= log.committed);
    this.#batches = this.#batches.filter(({ base }) => base >= log.logStart);
    assert.is(this.#batches[0].base, log.logStart);
    assert.ok(bytesOf(this.#batches).length >= this.#retentionBytes);
  }

  #truncate(offset: number): void {
    this.log.truncateTo(offset);
    this.log.committed = Math.min(this.log.committed, offset);
    this.#batches = this.#batches.filter(({ next }) => next <= offset);
  }

  #restart(offset: number): void {
    this.log.restartAt(offset);
    this.log.committed = 0;
    this.#batches = [];
  }

  #read(from: number, maxBytes: number, end: number): void {
    const wanted = this.#batches.filter(({ next }) => next > from && next <= end);
    const extent = this.log.read(from, maxBytes, end);
    const length = extent === undefined ? 0 : extent.to - extent.from;
    assert.is(length > 0, from < end && wanted.length > 0);
    const bytes = extent?.bytes.subarray(extent.from, extent.to) ?? new Uint8Array(0);
    assert.ok(Buffer.from(bytes).equals(bytesOf(wanted).subarray(0, length)));
    assert.ok(length <= Math.max(maxBytes, wanted[0]?.bytes.length ?? 0));
  }
}

test('whatever is done to a log, it agrees with a plain array of batches', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(-1, 0, 20_000, 60_000),
      fc.array(step, { maxLength: 60 }),
      (retentionBytes, steps) => {
        const comparison = new Comparison(retentionBytes);
        for (const each of steps) comparison.run(each);
      },
    ),
    { numRuns: 300 },
  );
});

test.run();
