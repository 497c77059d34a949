// time limit: 120 s
// A log under seeded load on a disk that fails, is killed, or loses power at every operation: what the log had promised
// by then has to be there when it is opened again, and nothing that was never in it.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DiskError } from '../../src/log/disk.ts';
import type { SegmentLog } from '../../src/log/segment-log.ts';
import { FaultyDisk } from './faulty-disk.ts';
import { append, batchAt, bytesOf, fill, type ModelBatch, openTestLog, readAll } from './log-fixtures.ts';
import { type Random, seededRandom } from './seeded-random.ts';

const CONFIG = { 'segment.bytes': 16_384, 'retention.bytes': 40_000, 'index.interval.bytes': 512 };

/** What a log holds, and what it has promised. */
class Model {
  /** Every history that there was: each truncation begins a new one. */
  histories: ModelBatch[][] = [[]];
  /** The log has answered that this is written, and that this is synced. */
  written = 0;
  synced = 0;
  recoveryPoint = 0;

  get history(): ModelBatch[] {
    return this.histories[this.histories.length - 1];
  }

  clone(): Model {
    const copy = new Model();
    copy.histories = this.histories.map((history) => [...history]);
    copy.written = this.written;
    copy.synced = this.synced;
    copy.recoveryPoint = this.recoveryPoint;
    return copy;
  }
}

/** One run of a log. Everything it does follows from the seed; it ends with the first error of the disk. */
async function run(
  disk: FaultyDisk,
  seed: number,
  steps: number,
  model: Model,
): Promise<DiskError | undefined> {
  const random = seededRandom(seed);
  const background: Promise<unknown>[] = [];
  let failure: DiskError | undefined;
  const caught = (error: unknown): void => {
    if (!(error instanceof DiskError)) throw error;
    failure ??= error;
  };
  try {
    const { log } = await openTestLog({ disk, config: CONFIG });
    log.beginEpoch(1);
    for (let step = 0; step < steps && failure === undefined; step++) {
      const pending = act(log, model, random, step);
      if (pending !== undefined) background.push(pending.catch(caught));
      if (random(3) === 0) await Promise.all(background.splice(0));
    }
  } catch (error) {
    caught(error);
  }
  await Promise.all(background);
  return failure;
}

function act(log: SegmentLog, model: Model, random: Random, step: number): Promise<unknown> | undefined {
  const choice = random(20);
  if (choice < 12) {
    const before = log.leo;
    for (let count = 1 + random(4); count > 0; count--) {
      const sizes = { records: 1 + random(3), valueBytes: random(2) === 0 ? random(60) : random(3_000) };
      const batch = batchAt(log.leo, { ...sizes, epoch: log.lastEpoch, timestamp: 1_700_000_000_000 + step });
      // It may be written, and never be answered for.
      model.history.push(batch);
      append(log, batch);
    }
    log.flush();
    assert.ok(log.written > before);
    model.written = log.written;
    log.committed = random(2) === 0 ? log.written : log.committed;
    return undefined;
  }
  if (choice < 17) {
    return log.sync().then((end) => {
      model.synced = Math.max(model.synced, Math.min(end, model.written));
    });
  }
  if (choice === 17) {
    return log.store().then(() => {
      model.recoveryPoint = Math.max(model.recoveryPoint, Math.min(log.recoveryPoint, model.written));
    });
  }
  if (choice === 18) {
    log.retain(1_700_000_000_000);
    return undefined;
  }
  truncate(log, model, Math.max(log.committed, log.leo - random(10)));
  return undefined;
}

/** As a follower does that learns of a new leader: what is truncated is never written again in the same epoch. */
function truncate(log: SegmentLog, model: Model, offset: number): void {
  const kept = model.history.filter(({ next }) => next <= offset);
  const end = kept.at(-1)?.next ?? 0;
  model.histories.push(kept);
  model.written = Math.min(model.written, end);
  model.synced = Math.min(model.synced, end);
  model.recoveryPoint = Math.min(model.recoveryPoint, end);
  log.truncateTo(offset);
  log.beginEpoch(log.lastEpoch + 1);
}

/** Opens what is left of a disk, and holds it against what was promised. */
async function verify(
  disk: FaultyDisk,
  model: Model,
  end: 'killed' | 'power lost',
  label: string,
): Promise<void> {
  const wasPowerLost = end === 'power lost';
  const recoveryPoint = wasPowerLost ? model.recoveryPoint : 0;
  const { log } = await openTestLog({ disk, config: CONFIG, wasPowerLost, recoveryPoint });
  // Without fsync only what had reached the device in the background, and was written down as that, is certain.
  const promised =
    { killed: model.written, 'power lost': model.synced }[end as string] ?? model.recoveryPoint;
  assert.ok(log.leo >= promised, `${label}: ends at ${log.leo}, ${promised} were promised`);
  const found = readAll(log);
  const isKnown = model.histories.some((history) => {
    const expected = history.filter(({ base, next }) => base >= log.logStart && next <= log.leo);
    const ends = expected.at(-1)?.next ?? log.logStart;
    return ends === log.leo && found.equals(bytesOf(expected));
  });
  assert.ok(isKnown, `${label}: what it holds from ${log.logStart} to ${log.leo} never was the log`);
  const current = model.history.filter(({ base, next }) => base >= log.logStart && next <= promised);
  assert.ok(
    found.subarray(0, bytesOf(current).length).equals(bytesOf(current)),
    `${label}: what was promised differs`,
  );
  log.beginEpoch(log.lastEpoch + 1);
  const before = readAll(log);
  const more = fill(log, 3, { epoch: log.lastEpoch });
  assert.ok(readAll(log).equals(Buffer.concat([before, bytesOf(more)])), `${label}: it does not go on`);
}

test('killed at any operation of its disk, a log keeps what it had written', async () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    const checks: (() => Promise<void>)[] = [];
    const model = new Model();
    let beforeWrite: Model | undefined;
    const disk: FaultyDisk = new FaultyDisk({
      seed,
      syncTurns: 1,
      observe: (kind, path) => {
        if (kind === 'read' || kind === 'list') return;
        const now = model.clone();
        const check = (left: FaultyDisk, then: Model): unknown =>
          checks.push(() => verify(left, then, 'killed', `seed ${seed}, before ${kind} of ${path}`));
        check(disk.kill(), now);
        // In the midst of the write before this: what that write was to bring had not been promised.
        if (beforeWrite !== undefined) check(disk.kill('cut'), beforeWrite);
        beforeWrite = kind === 'write' ? now : undefined;
      },
    });
    const error = await run(disk, seed, 150, model);
    assert.is(error, undefined);
    assert.ok(checks.length > 150, `${checks.length} moments`);
    for (const check of checks) await check();
  }
});

test('after a power cut at any operation of its disk, a log has what was synced', async () => {
  for (const seed of [11, 12, 13, 14, 15, 16, 17, 18]) {
    const checks: (() => Promise<void>)[] = [];
    const model = new Model();
    const disk: FaultyDisk = new FaultyDisk({
      seed,
      syncTurns: 1,
      observe: (kind, path) => {
        if (kind === 'read' || kind === 'list') return;
        for (let round = 0; round < 2; round++) {
          const [left, then] = [disk.crash(), model.clone()];
          checks.push(() => verify(left, then, 'power lost', `seed ${seed}, before ${kind} of ${path}`));
        }
      },
    });
    const error = await run(disk, seed, 100, model);
    assert.is(error, undefined);
    for (const check of checks) await check();
  }
});

test('a spare file that a killed process left is not overwritten before the device knows its name', async () => {
  const disk = new FaultyDisk();
  const { log } = await openTestLog({ disk, config: { ...CONFIG, 'retention.bytes': 0 } });
  log.committed = Number.MAX_SAFE_INTEGER;
  disk.holdSyncs();
  fill(log, 300);
  const killed = disk.kill();
  killed.holdSyncs();
  const again = await openTestLog({ disk: killed, config: { ...CONFIG, 'retention.bytes': 0 } });
  const spares = killed.files().filter((path) => path.endsWith('.deleted'));
  assert.ok(spares.length > 0);
  again.log.committed = Number.MAX_SAFE_INTEGER;
  fill(again.log, 300);
  for (const path of spares) assert.ok(killed.files().includes(path), `${path} was taken`);
});

for (const code of ['ENOSPC', 'EIO']) {
  test(`${code} at any operation stops the log, which then has all that it had written`, async () => {
    let failures = 0;
    for (let nth = 1; nth < 2_000; nth++) {
      const model = new Model();
      const disk = new FaultyDisk({ seed: nth, syncTurns: 1 });
      disk.fail({ kind: 'any', nth, code, always: nth % 2 === 0 });
      const error = await run(disk, 21, 60, model);
      if (error === undefined) break;
      failures++;
      assert.is(error.code, code);
      disk.heal();
      await verify(disk.kill(), model, 'killed', `operation ${nth}`);
    }
    assert.ok(failures > 100 && failures < 1_999, `${failures} operations failed`);
  });
}

test.run();
