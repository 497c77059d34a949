// time limit: 60 s
import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { finishSwaps, swapIn } from '../../src/log/compaction-swap.ts';
import { DiskError } from '../../src/log/disk.ts';
import { BatchAttribute } from '../../src/log/record-batch.ts';
import {
  batchOf,
  checkIndexes,
  DIRECTORY,
  drain,
  jobOf,
  NOW_MS,
  type Put,
  storedBatch,
  syncSegments,
  willing,
  writeSegments,
} from './compaction-fixtures.ts';
import { CompactionModel } from './compaction-model.ts';
import { type Fault, FaultyDisk, type OperationKind } from './faulty-disk.ts';

const RETENTION_MS = 1000;
const NEVER = Number.MAX_SAFE_INTEGER;

/** The process ends at an operation that would have changed the disk. */
class Killed extends Error {}

interface BatchInput {
  readonly puts: readonly Put[];
  readonly codec: number;
  readonly isTransactional: boolean;
}

interface Run {
  readonly passedMs: number;
  readonly uncleanedBatches: number;
  readonly mapBytesMax: number;
  readonly segmentBytes: number;
  /** The process is killed at this change; beyond the last one it is not. */
  readonly killAt: number;
  /** And again while the swaps are finished. */
  readonly killAgainAt: number;
  /** The machine with it: what was not synced may be lost. */
  readonly losesPower: boolean;
}

const put = fc.record({
  key: fc.oneof({ weight: 20, arbitrary: fc.constantFrom('a', 'b', 'c', 'd', 'e') }, fc.constant(null)),
  value: fc.oneof({ weight: 3, arbitrary: fc.string({ maxLength: 12 }) }, fc.constant(null)),
});
const batch = fc.record({
  puts: fc.array(put, { minLength: 1, maxLength: 5 }),
  codec: fc.nat(3),
  isTransactional: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, fc.constant(true)),
});
const segments = fc.array(fc.array(batch, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 4 });
const run = fc.record({
  passedMs: fc.constantFrom(0, 400, 1100),
  uncleanedBatches: fc.nat(3),
  mapBytesMax: fc.constantFrom(0, 1 << 20),
  segmentBytes: fc.constantFrom(0, 400, 4096),
  killAt: fc.oneof(fc.nat(40), fc.constant(NEVER)),
  killAgainAt: fc.oneof(fc.nat(8), fc.constant(NEVER)),
  losesPower: fc.boolean(),
});

const harmless: readonly OperationKind[] = ['read', 'list'];

class Scenario {
  readonly model = new CompactionModel();
  disk: FaultyDisk;
  #nowMs = NOW_MS;
  #changesLeft = NEVER;

  constructor(seed: number) {
    this.disk = new FaultyDisk({ seed, observe: (kind) => this.#observe(kind) });
  }

  async append(inputs: readonly (readonly BatchInput[])[]): Promise<void> {
    for (const segment of inputs) {
      const written: Buffer[] = [];
      for (const { puts, codec, isTransactional } of segment) {
        const attributes = isTransactional ? BatchAttribute.TRANSACTIONAL : 0;
        const bytes = batchOf(this.model.end, puts, { codec, attributes, producer: [1, 0, 0] });
        this.model.append(storedBatch(bytes));
        written.push(bytes);
      }
      writeSegments(this.disk, [written]);
    }
    await syncSegments(this.disk);
  }

  /** One compaction, as far as it gets. True if it got to its end. */
  async compact(options: Run, fault?: Fault): Promise<boolean> {
    this.#nowMs += options.passedMs;
    const { model } = this;
    const job = jobOf(this.disk, {
      firstDirtyOffset: model.cleanedTo,
      uncleanableFrom: model.end - options.uncleanedBatches,
      nowMs: this.#nowMs,
      deleteRetentionMs: RETENTION_MS,
      segmentBytes: options.segmentBytes,
      mapBytesMax: options.mapBytesMax,
    });
    let isWhole = false;
    try {
      model.begin(job.uncleanableFrom, this.#nowMs);
      this.#changesLeft = options.killAt;
      if (fault !== undefined) this.disk.fail(fault);
      const result = drain(this.disk, job);
      assert.is(result.fault, undefined);
      await swapIn(this.disk, DIRECTORY, result.groups, willing());
      isWhole = true;
      model.cleanedTo = result.cleanedTo;
    } catch (error) {
      if (!(error instanceof Killed || error instanceof DiskError)) throw error;
    }
    this.disk.heal();
    if (isWhole && options.losesPower) this.#die(true);
    if (!isWhole) this.#die(options.losesPower);
    this.#restart(options);
    this.check();
    if (isWhole) model.checkCleaned(this.disk);
    return isWhole;
  }

  check(): void {
    this.model.check(this.disk, RETENTION_MS);
    checkIndexes(this.disk);
    for (const name of this.disk.list(DIRECTORY)) assert.match(name, /^\d{20}\.(log|index|timeindex)$/);
  }

  #observe(kind: OperationKind): void {
    if (harmless.includes(kind) || this.#changesLeft === NEVER) return;
    // A dead process changes nothing any more.
    if (this.#changesLeft === 0) throw new Killed();
    this.#changesLeft -= 1;
  }

  #die(losesPower: boolean): void {
    this.#changesLeft = NEVER;
    this.disk = losesPower ? this.disk.crash() : this.disk.kill();
  }

  #restart({ killAgainAt, losesPower }: Run): void {
    try {
      this.#changesLeft = killAgainAt;
      finishSwaps(this.disk, DIRECTORY);
      this.#changesLeft = NEVER;
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
      this.#die(losesPower);
      finishSwaps(this.disk, DIRECTORY);
    }
  }
}

test('whatever was appended, compacted and killed in between: no offset goes back, no last value is missing', async () => {
  const round = fc.record({ segments, run });
  const rounds = fc.array(round, { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(rounds, fc.nat(), async (given, seed) => {
      const scenario = new Scenario(seed);
      for (const { segments: appended, run: options } of given) {
        await scenario.append(appended);
        await scenario.compact(options);
      }
    }),
    { numRuns: 400 },
  );
});

function batches(text: string): BatchInput[] {
  return text.split(' ').map((word) => ({
    // A capital is a tombstone.
    puts: [...word].map((key) => ({ key: key.toLowerCase(), value: key < 'a' ? null : `${key} value` })),
    codec: 0,
    isTransactional: false,
  }));
}

/** A log that was compacted once, and whose second run drops tombstones, merges, and empties segments. */
async function secondRun(seed: number): Promise<{ scenario: Scenario; options: Run }> {
  const scenario = new Scenario(seed);
  const options: Run = {
    passedMs: 0,
    uncleanedBatches: 0,
    mapBytesMax: 1 << 20,
    segmentBytes: 300,
    killAt: NEVER,
    killAgainAt: NEVER,
    losesPower: false,
  };
  await scenario.append(['abc ab', 'aB cd', 'eA e', 'ff g'].map(batches));
  await scenario.compact(options);
  await scenario.append(['gh ab', 'hh f'].map(batches));
  return { scenario, options: { ...options, passedMs: RETENTION_MS + 1 } };
}

for (const losesPower of [false, true]) {
  const what = losesPower ? 'a power cut' : 'a kill';
  test(`${what} at each single change of a compaction leaves the log whole`, async () => {
    for (let seed = 0; seed < (losesPower ? 12 : 1); seed++) {
      let ended = false;
      for (let killAt = 0; !ended; killAt++) {
        const { scenario, options } = await secondRun(seed);
        ended = await scenario.compact({ ...options, killAt, killAgainAt: (killAt + seed) % 7, losesPower });
        if (ended) assert.ok(killAt > 20, `${killAt} kills`);
      }
    }
  });
}

test('an error of the disk at each single operation of a compaction leaves the log whole', async () => {
  for (const code of ['ENOSPC', 'EIO']) {
    for (const always of [false, true]) {
      let ended = false;
      for (let nth = 1; !ended; nth++) {
        const { scenario, options } = await secondRun(nth);
        ended = await scenario.compact(options, { kind: 'any', nth, code, always });
        if (ended) assert.ok(nth > 20, `${nth} errors`);
      }
    }
  }
});

test.run();
