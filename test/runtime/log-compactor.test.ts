// time limit: 60 s
// The owner of a log beside a compaction of it: whatever it does to the log meanwhile, and whenever, nothing breaks.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { TopicConfigInput } from '../../src/config.ts';
import { Replica } from '../../src/core/replica.ts';
import type { Disk } from '../../src/log/disk.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { OpenFiles } from '../../src/log/open-files.ts';
import { batchBytes } from '../../src/log/record-batch.ts';
import type { SegmentLog } from '../../src/log/segment-log.ts';
import { BackgroundClient } from '../../src/runtime/background-client.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import type { BrokerNotice } from '../../src/runtime/directory.ts';
import type { CareHost } from '../../src/runtime/log-care.ts';
import { LogCompactor } from '../../src/runtime/log-compactor.ts';
import { SegmentDamages } from '../../src/runtime/segment-damages.ts';
import { batchOf, type Put, type StoredRecord, sealed, storedBatch } from '../log/compaction-fixtures.ts';
import { FaultyDisk } from '../log/faulty-disk.ts';
import { append, DIRECTORY, openTestLog, readAll, tryOpen } from '../log/log-fixtures.ts';
import { seededRandom } from '../log/seeded-random.ts';

const KEYS = 12;
const settings = {
  everyMs: 1,
  compactionBytesPerSecond: 2 ** 40,
  scrubIntervalMs: 1,
  scrubBytesPerSecond: 1,
};
const config: TopicConfigInput = {
  'cleanup.policy': 'compact',
  'segment.bytes': 16_384,
  'min.cleanable.dirty.ratio': 0,
  'delete.retention.ms': 1_000_000,
};

interface Bench {
  readonly disk: Disk;
  readonly log: SegmentLog;
  readonly replica: Replica;
  readonly compactor: LogCompactor;
  readonly notices: BrokerNotice[];
  /** What would have taken the broker's replicas offline. */
  readonly failures: unknown[];
  /** Every record that was ever appended, by offset. */
  readonly model: Map<number, Put>;
  /** How often the cleaner's checkpoint was to be saved. */
  readonly saved: () => number;
}

function put(bench: Pick<Bench, 'log' | 'model'>, batches: number, seed = 1): void {
  const random = seededRandom(seed);
  for (let n = 0; n < batches; n++) {
    const puts = Array.from({ length: 3 }, (): Put => {
      const value = random(5) === 0 ? null : `${random(1000)}`.padEnd(700, '.');
      return { key: `key ${random(KEYS)}`, value };
    });
    const base = bench.log.leo;
    for (const [index, each] of puts.entries()) bench.model.set(base + index, each);
    append(bench.log, { bytes: batchOf(base, puts), base, next: base + 3, timestamp: 0 });
  }
  bench.log.flush();
}

async function benchOn(
  disk: Disk,
  more: { background?: BackgroundClient; config?: TopicConfigInput } = {},
): Promise<Bench> {
  const { log } = await openTestLog({ disk, config: { ...config, ...more.config } });
  const info = { id: 0, topic: 't', partition: 0, replicas: [1], isr: [1], leader: 1, epoch: 3 };
  const model = new Map<number, Put>();
  put({ log, model }, 60);
  const replica = new Replica(info, log.config, log, 1);
  replica.hwm = log.leo;
  log.committed = log.leo;
  const failures: unknown[] = [];
  const host = {
    id: 1,
    clock: systemClock,
    replicas: [replica],
    metrics: { count: () => {} },
    refreshHwm: () => {},
    restarted: () => replica.restart(),
    diskFailed: (error: unknown) => failures.push(error),
  } as unknown as CareHost;
  const notices: BrokerNotice[] = [];
  const notify = (notice: BrokerNotice): unknown => notices.push(notice);
  let saves = 0;
  const compactor = new LogCompactor(host, {
    files: new OpenFiles(disk, 100),
    root: more.background === undefined ? undefined : '/nowhere',
    background: more.background,
    notify,
    settings,
    damages: new SegmentDamages(host, notify),
    saveCleaned: async () => {
      saves += 1;
    },
  });
  return { disk, log, replica, compactor, notices, failures, model, saved: () => saves };
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

async function untilIdle({ compactor }: Bench): Promise<void> {
  await turn();
  for (let turns = 0; compactor.current !== undefined; turns++) {
    if (turns > 2_000) throw new Error('the compaction does not come to its end');
    await turn();
  }
}

function recordsOf(log: SegmentLog): StoredRecord[] {
  const bytes = readAll(log, log.logStart, 3_000);
  const records: StoredRecord[] = [];
  for (let at = 0; at < bytes.length; at += batchBytes(bytes, at))
    records.push(...storedBatch(Buffer.from(bytes.subarray(at, at + batchBytes(bytes, at)))).records);
  return records.filter(({ offset }) => offset >= log.logStart);
}

/** All that is there was written, in order; and of each key the last record is there, unless the log was cut there. */
function check({ log, model }: Bench, isCut = false): void {
  let end = -1;
  const last = new Map<string | null, number>();
  for (const { offset, key, value } of recordsOf(log)) {
    assert.ok(offset > end, `${offset} after ${end}`);
    end = offset;
    assert.equal({ key, value }, model.get(offset));
    last.set(key, offset);
  }
  assert.ok(log.cleanedTo <= log.leo);
  if (isCut) return;
  const expected = new Map<string | null, number>();
  for (const [offset, { key }] of model)
    if (offset >= log.logStart && offset < log.leo) expected.set(key, offset);
  for (const [key, offset] of expected) assert.is(last.get(key), offset, `the last record of ${key}`);
}

/** The log's own account of its files is what the disk holds, and nothing else lies about. */
async function checkFiles(bench: Bench): Promise<void> {
  const { disk, log } = bench;
  const names = disk.list(DIRECTORY).filter((name) => !name.endsWith('.deleted'));
  for (const name of names) assert.match(name, /^(\d{20}\.(log|index|timeindex)|leader-epoch-checkpoint)$/);
  const before = recordsOf(log);
  const { leo, logStart, bytes } = log;
  await log.close();
  let stored = 0;
  for (const name of disk.list(DIRECTORY).filter((each) => each.endsWith('.log'))) {
    const file = disk.open(`${DIRECTORY}/${name}`);
    stored += file.size;
    file.close();
  }
  assert.is(stored, bytes);
  for (const isClean of [true, false]) {
    const { log: again } = await tryOpen({ disk, config, isClean, recoveryPoint: 0, logStart });
    assert.ok(again !== undefined);
    assert.is(again.leo, leo);
    assert.equal(recordsOf(again), before);
  }
}

for (const [name, make] of [
  ['in memory', () => new MemoryDisk()],
  ['on a disk', () => new FaultyDisk()],
] as const) {
  test(`a log ${name} keeps the last record of each key, and what is read stays in order`, async () => {
    const bench = await benchOn(make());
    const { log, compactor } = bench;
    const { leo, bytes } = log;
    const [active] = log.sealed.slice(-1).map(({ nextOffset }) => nextOffset);
    compactor.start(() => {});
    await untilIdle(bench);
    assert.is(log.cleanedTo, active);
    assert.is(bench.saved(), 1);
    assert.ok(log.bytes < bytes / 2, `${log.bytes} of ${bytes} bytes`);
    const sealed = recordsOf(log).filter(({ offset }) => offset < active);
    assert.is(new Set(sealed.map(({ key }) => key)).size, sealed.length, 'each key once');
    assert.is(log.leo, leo);
    check(bench);
    // Nothing is dirty, until more is sealed.
    compactor.start(() => {});
    await untilIdle(bench);
    assert.is(bench.saved(), 1);
    put(bench, 40, 2);
    bench.replica.hwm = log.leo;
    compactor.start(() => {});
    await untilIdle(bench);
    assert.is(bench.saved(), 2);
    check(bench);
    assert.equal([bench.notices, bench.failures], [[], []]);
    await checkFiles(bench);
  });
}

/** What an owner may do to its log at any moment. */
const changes: Record<string, (bench: Bench) => void> = {
  'drops its oldest segments': ({ log }) => log.deleteBefore(log.sealed[1].nextOffset),
  'drops all of them': ({ log }) => log.deleteBefore(log.leo),
  'begins elsewhere': ({ log, replica }) => {
    log.restartAt(10_000);
    replica.restart();
    replica.hwm = 0;
  },
  'goes back into the midst of what is sealed': ({ log, replica }) => {
    log.truncateTo(log.sealed[1].baseOffset + 5);
    replica.restart();
    replica.hwm = Math.min(replica.hwm, log.leo);
  },
  'sets a segment aside': ({ log, replica }) => {
    log.setAside(log.sealed[1] ?? log.sealed[0]);
    replica.restart();
    replica.hwm = Math.min(replica.hwm, log.leo);
  },
  'is appended to, and sealed further': (bench) => put(bench, 30, 3),
};

for (const [what, change] of Object.entries(changes)) {
  test(`a log that ${what} while it is compacted is whole, whenever that happens`, async () => {
    let changed = 0;
    for (let turns = 0; turns < 60; turns++) {
      const bench = await benchOn(new FaultyDisk({ seed: turns + 1, syncTurns: 2 }));
      const { log, compactor } = bench;
      compactor.start(() => {});
      for (let n = 0; n < turns && compactor.current !== undefined; n++) await turn();
      if (compactor.current !== undefined) changed += 1;
      if (log.sealed.length > 1) change(bench);
      const isCut = log.leo < bench.model.size || log.logStart > bench.model.size;
      await untilIdle(bench);
      check(bench, isCut);
      // It goes on as any other log.
      const { leo } = log;
      put(bench, 25, 9);
      assert.is(log.leo, leo + 75);
      if (!isCut) bench.replica.hwm = log.leo;
      compactor.start(() => {});
      await untilIdle(bench);
      check(bench, isCut);
      const leftovers = bench.disk.list(DIRECTORY).filter((name) => name.endsWith('.damaged'));
      for (const name of leftovers) bench.disk.remove(`${DIRECTORY}/${name}`);
      await checkFiles(bench);
    }
    assert.ok(changed > 5, `${changed} of the changes came while the compaction was under way`);
  });
}

test('full segments of which next to nothing is left are put together at once', async () => {
  const bench = await benchOn(new MemoryDisk());
  const { log, replica, compactor } = bench;
  for (let n = 0; n < 400; n++) {
    const base = bench.log.leo;
    const puts: Put[] = [{ key: 'the one', value: `${n}`.padEnd(1_500, '.') }];
    bench.model.set(base, puts[0]);
    append(bench.log, { bytes: batchOf(base, puts), base, next: base + 1, timestamp: 0 });
  }
  log.flush();
  replica.hwm = log.leo;
  const before = log.sealed.length;
  assert.ok(before > 30);
  compactor.start(() => {});
  await untilIdle(bench);
  check(bench);
  assert.ok(log.sealed.length <= 2, `${log.sealed.length} of ${before}`);
  // What comes then is compacted as ever.
  put(bench, 60, 3);
  replica.hwm = log.leo;
  const { cleanedTo } = log;
  compactor.start(() => {});
  await untilIdle(bench);
  assert.ok(log.cleanedTo > cleanedTo);
  check(bench);
  await checkFiles(bench);
  assert.equal(bench.failures, []);
});

test('a compaction that is ended in the midst of it leaves nothing behind', async () => {
  for (let turns = 1; turns < 12; turns++) {
    const bench = await benchOn(new FaultyDisk());
    bench.compactor.start(() => {});
    for (let n = 0; n < turns; n++) await turn();
    await bench.compactor.close();
    check(bench);
    await checkFiles(bench);
  }
});

for (const code of ['ENOSPC', 'EIO']) {
  test(`${code} at any operation of a compaction loses nothing, and is told or takes the broker offline`, async () => {
    const counted = { told: 0, offline: 0, unharmed: 0 };
    for (let nth = 1; counted.unharmed === 0; nth += nth < 60 ? 1 : 7) {
      const disk = new FaultyDisk({ seed: nth });
      const bench = await benchOn(disk);
      disk.fail({ kind: 'any', nth, code });
      bench.compactor.start(() => {});
      await untilIdle(bench);
      disk.heal();
      const { notices, failures, log } = bench;
      assert.ok(notices.length + failures.length <= 1);
      if (failures.length > 0) {
        counted.offline += 1;
        const again = await openTestLog({ disk: disk.kill(), config });
        check({ ...bench, log: again.log });
        continue;
      }
      if (notices.length > 0) counted.told += 1;
      else if (bench.saved() > 0) counted.unharmed += 1;
      check(bench);
      put(bench, 25, 3);
      bench.replica.hwm = log.leo;
      bench.compactor.start(() => {});
      await untilIdle(bench);
      assert.ok(bench.saved() > 0, 'it is tried again');
      check(bench);
      await checkFiles(bench);
    }
    assert.ok(counted.told > 10 && counted.offline > 10, JSON.stringify(counted));
  });
}

test('a batch that cannot be read is told once, and not tried again before the segments are others', async () => {
  const bench = await benchOn(new MemoryDisk());
  const { log, compactor, notices } = bench;
  const strange = batchOf(log.leo, [{ key: 'a', value: 'b' }]);
  // A record that is longer than its batch, under a checksum that matches: as it was before admission was strict.
  strange[61] = 0x7e;
  append(log, { bytes: sealed(strange), base: log.leo, next: log.leo + 1, timestamp: 0 });
  bench.model.set(log.leo - 1, { key: null, value: null });
  put(bench, 10, 4);
  bench.replica.hwm = log.leo;
  let begun = 0;
  const start = async (): Promise<void> => {
    compactor.start(() => {
      begun += 1;
    });
    await untilIdle(bench);
  };
  await start();
  const [notice] = notices;
  assert.is(notices.length, 1);
  assert.ok(notice.notice === 'uncompacted');
  assert.is(notice.fromOffset, 180);
  assert.match(notice.sentence, /offset 180: A record is/);
  assert.ok(log.cleanedTo > 0 && log.cleanedTo <= 180, 'what lies before it was cleaned');
  const { length } = log.sealed;
  const rounds = begun;
  await start();
  assert.is(begun, rounds);
  while (log.sealed.length === length) put(bench, 1, 5);
  bench.replica.hwm = log.leo;
  await start();
  assert.ok(begun > rounds);
  assert.is(notices.length, 1);
});

test('a pool that fails is told once, and is asked again when the segments are others', async () => {
  let asked = 0;
  const background = new BackgroundClient(({ task }) => {
    asked += 1;
    queueMicrotask(() => background.settle({ task, failure: { message: 'The thread has died.' } }));
  });
  const bench = await benchOn(new FaultyDisk(), { background });
  for (let round = 0; round < 3; round++) {
    bench.compactor.start(() => {});
    await untilIdle(bench);
  }
  assert.is(asked, 1);
  put(bench, 20, 6);
  bench.replica.hwm = bench.log.leo;
  bench.compactor.start(() => {});
  await untilIdle(bench);
  assert.is(asked, 2);
  assert.is(bench.notices.length, 1);
  assert.match((bench.notices[0] as { sentence: string }).sentence, /thread has died/);
  check(bench);
});

test('a follower that has not proven its log, and a partition that nobody leads, are left alone', async () => {
  const bench = await benchOn(new MemoryDisk());
  const { replica, compactor } = bench;
  let begun = 0;
  const start = (): void =>
    compactor.start(() => {
      begun += 1;
    });
  replica.become({ ...replica.info, replicas: [1, 2], leader: 2 });
  replica.source = 'log';
  start();
  await turn();
  replica.become({ ...replica.info, leader: -1 });
  replica.source = 'ring';
  start();
  await turn();
  assert.is(begun, 0);
  replica.become({ ...replica.info, leader: 2 });
  start();
  await untilIdle(bench);
  assert.ok(begun > 0);
});

test('nothing above the HWM is compacted, nor counts as the last record of its key', async () => {
  const bench = await benchOn(new MemoryDisk());
  const { log, replica, compactor } = bench;
  replica.hwm = log.sealed[1].nextOffset;
  const before = recordsOf(log).filter(({ offset }) => offset >= replica.hwm);
  compactor.start(() => {});
  await untilIdle(bench);
  assert.is(log.cleanedTo, replica.hwm);
  const records = recordsOf(log);
  assert.equal(
    records.filter(({ offset }) => offset >= replica.hwm),
    before,
  );
  const keys = new Set(records.filter(({ offset }) => offset < replica.hwm).map(({ key }) => key));
  assert.is(
    keys.size,
    new Set([...bench.model].filter(([at]) => at < replica.hwm).map(([, { key }]) => key)).size,
  );
});

test.run();
