import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { MemoryLog, type MemoryLogOptions, SegmentPool } from '../../src/log/memory-log.ts';
import {
  BATCH_HEADER_BYTES,
  batchBytes,
  nextOffset,
  writeBaseOffset,
  writeBatchHeader,
} from '../../src/log/record-batch.ts';

interface ModelBatch {
  readonly base: number;
  readonly next: number;
  readonly bytes: Uint8Array;
}

/** A batch's header is sound, its body is a pattern that no other batch has. */
function batchOf(base: number, count: number, size: number, pattern: number): ModelBatch {
  const bytes = new Uint8Array(BATCH_HEADER_BYTES + size).fill(1 + (pattern % 255), BATCH_HEADER_BYTES);
  writeBatchHeader(bytes, 0, bytes.length, count, 0, 0);
  writeBaseOffset(bytes, 0, base);
  return { base, next: base + count, bytes };
}

function newLog(options: Partial<MemoryLogOptions> = {}, pool = new SegmentPool()): MemoryLog {
  return new MemoryLog({ startBytes: 256, segmentBytes: 1024, retentionBytes: -1, ...options }, pool);
}

/** Appends behind a margin, because a batch lies anywhere in shared memory. */
function append(log: MemoryLog, batch: ModelBatch): void {
  const around = new Uint8Array(batch.bytes.length + 20).fill(0xee);
  around.set(batch.bytes, 7);
  log.append(around, 7, batch.bytes.length);
}

function fill(log: MemoryLog, batches: number, count = 3, size = 40): ModelBatch[] {
  const all: ModelBatch[] = [];
  for (let n = 0; n < batches; n++) {
    const batch = batchOf(log.leo, count, size, n);
    append(log, batch);
    all.push(batch);
  }
  return all;
}

/** All batches from an offset on, through as many reads as it takes. */
function readAll(log: MemoryLog, from = log.logStart, maxBytes = 1 << 20, end = log.leo): Buffer {
  const pieces: Buffer[] = [];
  for (let offset = from; ; ) {
    const extent = log.read(offset, maxBytes, end);
    if (extent === undefined) return Buffer.concat(pieces);
    const piece = Buffer.from(extent.bytes.subarray(extent.from, extent.to));
    pieces.push(piece);
    for (let at = 0; at < piece.length; at += batchBytes(piece, at)) offset = nextOffset(piece, at);
  }
}

function bytesOf(batches: readonly ModelBatch[]): Buffer {
  return Buffer.concat(batches.map(({ bytes }) => bytes));
}

test('what was appended is read back, byte for byte, across segments', () => {
  const log = newLog();
  const batches = fill(log, 50);
  assert.is(log.leo, 150);
  assert.ok(readAll(log).equals(bytesOf(batches)));
  assert.ok(readAll(log, 0, 1).equals(bytesOf(batches)));
});

test('a read begins with the batch that holds the offset', () => {
  const log = newLog();
  const batches = fill(log, 50);
  for (let offset = 0; offset < log.leo; offset++) {
    const rest = batches.filter(({ next }) => next > offset);
    assert.ok(readAll(log, offset).equals(bytesOf(rest)), `from ${offset}`);
  }
  assert.is(log.read(log.leo, 1_000, log.leo), undefined);
  assert.is(log.read(log.leo + 1, 1_000, log.leo + 9), undefined);
});

test('a read gives whole batches up to maxBytes, and at least one', () => {
  const log = newLog({ startBytes: 4096 });
  const [{ bytes }] = fill(log, 10);
  const sizeOf = (maxBytes: number): number => {
    const extent = log.read(0, maxBytes, log.leo);
    return extent === undefined ? 0 : (extent.to - extent.from) / bytes.length;
  };
  assert.is(sizeOf(1), 1);
  assert.is(sizeOf(bytes.length), 1);
  assert.is(sizeOf(2 * bytes.length - 1), 1);
  assert.is(sizeOf(2 * bytes.length), 2);
  assert.is(sizeOf(1 << 20), 10);
});

test('a read keeps below its end, which may lie within a batch', () => {
  const log = newLog({ startBytes: 4096 });
  const batches = fill(log, 4);
  for (let end = 0; end <= log.leo; end++) {
    const below = batches.filter(({ next }) => next <= end);
    assert.ok(readAll(log, 0, 1 << 20, end).equals(bytesOf(below)), `up to ${end}`);
  }
});

test('a batch that does not begin at the LEO is refused, and nothing changes', () => {
  const log = newLog();
  const batches = fill(log, 3);
  for (const base of [0, 8, 10]) {
    assert.throws(() => append(log, batchOf(base, 1, 10, 9)), /the log ends at 9/);
  }
  assert.is(log.leo, 9);
  assert.ok(readAll(log).equals(bytesOf(batches)));
});

test('a batch larger than a segment gets a segment of its own', () => {
  const log = newLog();
  const batches = [...fill(log, 2), batchOf(6, 1, 5_000, 77)];
  append(log, batches[2]);
  batches.push(...fill(log, 2));
  assert.ok(readAll(log).equals(bytesOf(batches)));
});

test('truncation at every offset drops each batch that reaches beyond, and the log goes on from there', () => {
  for (let offset = 0; offset <= 92; offset++) {
    const log = newLog();
    const kept = fill(log, 30).filter(({ next }) => next <= offset);
    log.truncateTo(offset);
    assert.is(log.leo, kept.at(-1)?.next ?? 0, `to ${offset}`);
    assert.is(log.logStart, 0);
    assert.ok(readAll(log).equals(bytesOf(kept)), `to ${offset}`);
    const more = [batchOf(log.leo, 2, 35, 200), batchOf(log.leo + 2, 5, 300, 201)];
    for (const batch of more) append(log, batch);
    assert.ok(readAll(log).equals(bytesOf([...kept, ...more])), `after ${offset}`);
  }
});

test('a log that begins again elsewhere holds nothing of before', () => {
  const log = newLog();
  fill(log, 30);
  for (const offset of [1_000, 5]) {
    log.restartAt(offset);
    assert.equal([log.logStart, log.leo], [offset, offset]);
    assert.is(log.read(offset, 1_000, offset + 10), undefined);
    const batches = fill(log, 5);
    assert.is(log.leo, offset + 15);
    assert.ok(readAll(log).equals(bytesOf(batches)));
  }
});

test('retention drops whole segments, keeps what it is asked to keep, and never drops above committed', () => {
  const log = newLog({ retentionBytes: 2_000 });
  let batches = fill(log, 200);
  assert.is(log.logStart, 0, 'nothing is committed, so nothing may go');
  log.committed = 100;
  batches = batches.concat(fill(log, 20));
  assert.ok(log.logStart > 0 && log.logStart <= 100, `begins at ${log.logStart}`);
  log.committed = log.leo;
  batches = batches.concat(fill(log, 20));
  const kept = batches.filter(({ base }) => base >= log.logStart);
  assert.is(kept[0].base, log.logStart);
  assert.ok(readAll(log).equals(bytesOf(kept)));
  const { length } = bytesOf(kept);
  assert.ok(length >= 2_000 && length <= 2_000 + 3 * 1024, `${length} bytes are kept`);
});

test('what was truncated away does not count for retention', () => {
  const log = newLog({ retentionBytes: 2_000 });
  for (let round = 0; round < 20; round++) {
    fill(log, 18);
    log.truncateTo(0);
  }
  const batches = fill(log, 18);
  log.committed = log.leo;
  batches.push(...fill(log, 2));
  assert.is(log.logStart, 0);
  assert.ok(readAll(log).equals(bytesOf(batches)));
});

test('retention of nothing keeps the segment that is being written', () => {
  const log = newLog({ retentionBytes: 0 });
  for (let n = 0; n < 100; n++) {
    const [batch] = fill(log, 1);
    log.committed = log.leo;
    assert.ok(log.logStart <= batch.base);
    assert.ok(readAll(log, batch.base).equals(Buffer.from(batch.bytes)));
  }
  assert.ok(readAll(log).length <= 2 * 1024);
});

test('without a bound everything is kept', () => {
  const log = newLog({ retentionBytes: -1 });
  const batches = fill(log, 300);
  log.committed = log.leo;
  batches.push(...fill(log, 10));
  assert.is(log.logStart, 0);
  assert.ok(readAll(log).equals(bytesOf(batches)));
});

test('segments begin small, double up to segment.bytes, and go back to the pool', () => {
  const taken: number[] = [];
  const given: number[] = [];
  class WatchedPool extends SegmentPool {
    override take(bytes: number): Buffer {
      taken.push(bytes);
      return super.take(bytes);
    }
    override give(buffer: Buffer): void {
      given.push(buffer.length);
      super.give(buffer);
    }
  }
  const log = newLog({}, new WatchedPool());
  fill(log, 40);
  assert.equal(taken.slice(0, 4), [256, 512, 1024, 1024]);
  log.restartAt(0);
  assert.equal(given, taken);
});

test('a pool hands the same memory out again, keeps a bounded number of it, and only of that size', () => {
  const pool = new SegmentPool(2);
  const buffers = [1, 2, 3].map(() => pool.take(512));
  for (const buffer of buffers) pool.give(buffer);
  assert.is.not(pool.take(256), buffers[0]);
  const again = [pool.take(512), pool.take(512)];
  assert.ok(again.every((buffer) => buffers.includes(buffer)));
  assert.is.not(again[0], again[1]);
  assert.not(buffers.includes(pool.take(512)));
});

test('stale bytes of recycled memory are never taken for records', () => {
  const pool = new SegmentPool();
  const earlier = newLog({}, pool);
  fill(earlier, 60, 3, 11);
  earlier.restartAt(0);
  const log = newLog({}, pool);
  const batches = fill(log, 2, 1, 10);
  assert.ok(readAll(log).equals(bytesOf(batches)));
  assert.is(log.read(2, 1_000, 1_000), undefined);
  log.truncateTo(1);
  assert.ok(readAll(log, 0, 1 << 20, 1_000).equals(bytesOf(batches.slice(0, 1))));
});

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
      append: fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 500 })),
    }),
  },
  { weight: 1, arbitrary: fc.record({ truncate: share }) },
  { weight: 2, arbitrary: fc.record({ commit: share }) },
  { weight: 1, arbitrary: fc.record({ restart: fc.integer({ min: 0, max: 10_000 }) }) },
  { weight: 2, arbitrary: fc.record({ read: fc.tuple(share, fc.integer({ min: 1, max: 2_000 }), share) }) },
);

/** A log and a naive model of it: an array of batches. */
class Comparison {
  readonly log: MemoryLog;
  readonly #retentionBytes: number;
  #batches: ModelBatch[] = [];
  #pattern = 0;

  constructor(retentionBytes: number, pool: SegmentPool) {
    this.log = newLog({ retentionBytes }, pool);
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
    const batch = batchOf(log.leo, count, size, this.#pattern++);
    const startBefore = log.logStart;
    append(log, batch);
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
  const pool = new SegmentPool();
  fc.assert(
    fc.property(
      fc.constantFrom(-1, 0, 700, 3_000),
      fc.array(step, { maxLength: 80 }),
      (retentionBytes, steps) => {
        const comparison = new Comparison(retentionBytes, pool);
        for (const each of steps) comparison.run(each);
        // Its memory serves the next log, stale bytes and all.
        comparison.log.restartAt(0);
      },
    ),
    { numRuns: 300 },
  );
});

test.run();
