// time limit: 60 s
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { topicConfig } from '../../src/config.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { OpenFiles } from '../../src/log/open-files.ts';
import { openLog, setAside } from '../../src/log/open-log.ts';
import {
  append,
  batchAt,
  bytesOf,
  DIRECTORY,
  fill,
  type ModelBatch,
  openTestLog,
  readAll,
  segmentFiles,
  tryOpen,
} from './log-fixtures.ts';

/** What lies on a disk in the partition's directory. */
type Files = Map<string, Buffer>;

function filesOf(disk: MemoryDisk): Files {
  const files: Files = new Map();
  for (const name of disk.list(DIRECTORY)) {
    const file = disk.open(`${DIRECTORY}/${name}`);
    files.set(name, Buffer.from(Uint8Array.from(file.read(0, file.size))));
    file.close();
  }
  return files;
}

function diskOf(files: Files): MemoryDisk {
  const disk = new MemoryDisk();
  disk.makeDirectory(DIRECTORY);
  for (const [name, bytes] of files) {
    const file = disk.open(`${DIRECTORY}/${name}`, 'create');
    if (bytes.length > 0) file.write(0, [bytes]);
    file.close();
  }
  return disk;
}

async function closedLog(batches = 300): Promise<{ files: Files; written: ModelBatch[] }> {
  const disk = new MemoryDisk();
  const { log } = await openTestLog({ disk });
  const written = fill(log, batches);
  await log.close();
  return { files: filesOf(disk), written };
}

function lastLog(files: Files): string {
  return [...files.keys()]
    .filter((name) => name.endsWith('.log'))
    .sort()
    .at(-1) as string;
}

test('a log that was closed is opened again without a scan, and goes on', async () => {
  const { files, written } = await closedLog();
  let scans = 0;
  const opened = await tryOpenWith(diskOf(files), true, () => scans++);
  const log = opened.log as NonNullable<typeof opened.log>;
  assert.is(scans, 0);
  assert.is(log.leo, 900);
  assert.is(log.logStart, 0);
  assert.ok(readAll(log).equals(bytesOf(written)));
  const more = fill(log, 100);
  assert.ok(readAll(log).equals(bytesOf([...written, ...more])));
});

async function tryOpenWith(
  disk: MemoryDisk,
  isClean: boolean,
  scanned: (path: string) => void,
): ReturnType<typeof tryOpen> {
  const { scanHere } = await import('../../src/log/open-log.ts');
  const files = new OpenFiles(disk, 10);
  const scan = scanHere(files);
  const config = topicConfig({ 'segment.bytes': 16_384, 'index.interval.bytes': 256 });
  const settings = {
    directory: DIRECTORY,
    config,
    isClean,
    wasPowerLost: false,
    recoveryPoint: 0,
    logStart: 0,
  };
  return openLog(files, settings, (path, options) => {
    scanned(path);
    return scan(path, options);
  });
}

test('an unclean log is scanned from the recovery point on, and its indexes are made again', async () => {
  const disk = new MemoryDisk();
  const { log } = await openTestLog({ disk });
  const written = fill(log, 300);
  const names = segmentFiles(disk);
  const recoveryPoint = Number(names[2].slice(0, 20));
  for (const name of names.slice(0, 2))
    assert.not(disk.list(DIRECTORY).includes(name.replace('.log', '.index')));
  const { log: again, opened } = await openTestLog({ disk, recoveryPoint: recoveryPoint + 1 });
  assert.equal(opened.cuts, []);
  assert.is(again.recoveryPoint, recoveryPoint);
  assert.ok(readAll(again).equals(bytesOf(written)));
  for (let offset = 0; offset < again.leo; offset += 7) {
    const first = written.findIndex(({ next }) => next > offset);
    assert.ok(readAll(again, offset).equals(bytesOf(written.slice(first))), `from ${offset}`);
  }
});

test('storing what is sealed moves the recovery point to the last segment', async () => {
  const disk = new MemoryDisk();
  const { log } = await openTestLog({ disk });
  fill(log, 300);
  assert.is(log.recoveryPoint, 0);
  await log.store();
  const names = segmentFiles(disk);
  assert.is(log.recoveryPoint, Number(names.at(-1)?.slice(0, 20)));
  assert.ok(disk.list(DIRECTORY).includes(names[0].replace('.log', '.timeindex')));
});

test('a log cut at any byte of its last two batches keeps every batch before, and says what went', async () => {
  const { files, written } = await closedLog(20);
  const name = lastLog(files);
  const whole = files.get(name) as Buffer;
  const [first, second] = written.slice(-2);
  const start = whole.length - first.bytes.length - second.bytes.length;
  for (let length = start; length <= whole.length; length++) {
    const disk = diskOf(new Map([...files, [name, whole.subarray(0, length)]]));
    const { log, opened } = await openTestLog({ disk });
    const kept = length === whole.length ? 20 : length >= whole.length - second.bytes.length ? 19 : 18;
    assert.is(log.leo, kept * 3, `cut to ${length}`);
    assert.ok(readAll(log).equals(bytesOf(written.slice(0, kept))));
    const end = bytesOf(written.slice(0, kept)).length;
    const torn = length - end;
    // A batch begins with zeros, the upper bytes of its offset: nothing but these is nothing.
    const isNothing = whole.subarray(end, length).every((byte) => byte === 0);
    assert.is(opened.cuts.length, isNothing ? 0 : 1);
    if (!isNothing) {
      const { file, position, bytes, fromOffset, action } = opened.cuts[0];
      assert.equal(
        { file, position, bytes, fromOffset, action },
        { file: `${DIRECTORY}/${name}`, position: end, bytes: torn, fromOffset: kept * 3, action: 'cut' },
      );
    }
    const more = fill(log, 2, { valueBytes: 11 });
    assert.ok(readAll(log).equals(bytesOf([...written.slice(0, kept), ...more])));
  }
});

test('the same in a recycled file, where older batches lie behind the cut', async () => {
  const config = { 'retention.bytes': 0 };
  const disk = new MemoryDisk();
  const { log } = await openTestLog({ disk, config });
  log.committed = Number.MAX_SAFE_INTEGER;
  fill(log, 200);
  const start = log.logStart;
  fill(log, 20);
  assert.is(log.logStart, start, 'still in the same recycled file');
  const files = filesOf(disk);
  const name = lastLog(files);
  const whole = files.get(name) as Buffer;
  const written = readAll(log);
  assert.ok(whole.length > written.length, 'older bytes lie behind the end');
  const batch = batchAt(log.leo).bytes;
  for (let length = 0; length <= batch.length; length++) {
    const torn = Buffer.from(whole);
    torn.set(batch.subarray(0, length), written.length);
    const { log: again } = await openTestLog({ disk: diskOf(new Map([...files, [name, torn]])), config });
    // The last bytes may happen to be there already.
    if (!torn.subarray(written.length).subarray(0, batch.length).equals(batch)) {
      assert.is(again.leo, log.leo, `${length} bytes of the batch were written`);
      assert.ok(readAll(again).equals(written));
    } else {
      assert.ok(readAll(again).equals(Buffer.concat([written, batch])));
    }
  }
});

test('damage in the midst of a log is refused with its place, and nothing is changed', async () => {
  const { files, written } = await closedLog();
  const names = [...files.keys()].filter((name) => name.endsWith('.log')).sort();
  const damaged = Buffer.from(files.get(names[1]) as Buffer);
  damaged[damaged.length >> 1] ^= 4;
  const broken = new Map([...files, [names[1], damaged]]);
  const disk = diskOf(broken);
  const opened = await tryOpen({ disk });
  assert.is(opened.log, undefined);
  assert.is(opened.damage?.file, `${DIRECTORY}/${names[1]}`);
  assert.is(opened.damage?.baseOffset, Number(names[1].slice(0, 20)));
  const hit = written.find(({ next }) => next > (opened.damage?.fromOffset ?? -1)) as ModelBatch;
  assert.is(opened.damage?.fromOffset, hit.base);
  assert.equal([...filesOf(disk).keys()], [...broken.keys()]);

  if (opened.damage === undefined) return;
  const cuts = setAside(new OpenFiles(disk, 10), DIRECTORY, opened.damage);
  assert.equal(
    cuts.map(({ action }) => action),
    ['set aside', ...names.slice(2).map(() => 'removed')],
  );
  assert.ok(disk.list(DIRECTORY).includes(`${names[1]}.damaged`));
  const { log } = await openTestLog({ disk });
  assert.is(log.leo, Number(names[1].slice(0, 20)));
  assert.ok(readAll(log).equals(bytesOf(written.filter(({ next }) => next <= log.leo))));
});

test('after a segment was set aside, what is fetched again is in files that have names', async () => {
  const { files, written } = await closedLog();
  const names = [...files.keys()].filter((name) => name.endsWith('.log')).sort();
  const damaged = Buffer.from(files.get(names[1]) as Buffer);
  damaged[damaged.length >> 1] ^= 4;
  const disk = diskOf(new Map([...files, [names[1], damaged]]));
  // As a broker does it: what it has opened to look at stays open.
  const open = new OpenFiles(disk, 100);
  const config = topicConfig({ 'segment.bytes': 16_384, 'index.interval.bytes': 256 });
  const settings = {
    directory: DIRECTORY,
    config,
    isClean: false,
    wasPowerLost: false,
    recoveryPoint: 0,
    logStart: 0,
  };
  const { damage } = await openLog(open, settings);
  if (damage === undefined) throw new Error('the damage was not seen');
  setAside(open, DIRECTORY, damage);
  const { log } = await openLog(open, settings);
  if (log === undefined) throw new Error('the log cannot be opened');
  for (const batch of written.filter(({ base }) => base >= log.leo)) append(log, batch);
  await log.close();
  const { log: again } = await openTestLog({ disk: diskOf(filesOf(disk)) });
  assert.ok(readAll(again).equals(bytesOf(written)));
  assert.ok(
    filesOf(disk).get(`${names[1]}.damaged`)?.equals(damaged),
    'the damaged bytes are kept as they were',
  );
});

test('a swap of compaction that was damaged before it could be finished is refused, and can be set aside', async () => {
  const { files, written } = await closedLog();
  const [name] = [...files.keys()].filter((each) => each.endsWith('.log')).sort();
  const swap = Buffer.from(files.get(name) as Buffer);
  swap[500] ^= 1;
  const disk = diskOf(new Map([...files, [`${name}.swap`, swap]]));
  const config = { 'cleanup.policy': 'compact' } as const;
  const opened = await tryOpen({ disk, config });
  assert.is(opened.damage?.file, `${DIRECTORY}/${name}.swap`);
  if (opened.damage === undefined) return;
  setAside(new OpenFiles(disk, 10), DIRECTORY, opened.damage);
  const { log } = await openTestLog({ disk, config });
  assert.ok(readAll(log).equals(bytesOf(written)));
});

test('a segment that is missing between two others is damage', async () => {
  const { files } = await closedLog();
  const names = [...files.keys()].filter((name) => name.endsWith('.log')).sort();
  files.delete(names[1]);
  const opened = await tryOpen({ disk: diskOf(files) });
  assert.is(opened.damage?.file, `${DIRECTORY}/${names[0]}`);
  assert.match(opened.damage?.sentence ?? '', 'the next segment begins at');
});

/** A log that was closed, without its first segment; where the second begins. */
async function beheaded(withIndexes: boolean): Promise<{ disk: MemoryDisk; first: string; second: number }> {
  const { files } = await closedLog();
  const [first, second] = [...files.keys()].filter((name) => name.endsWith('.log')).sort();
  files.delete(first);
  for (const suffix of ['.index', '.timeindex'])
    if (!withIndexes) files.delete(first.replace('.log', suffix));
  return { disk: diskOf(files), first: `${DIRECTORY}/${first}`, second: Number(second.slice(0, 20)) };
}

for (const withIndexes of [true, false])
  test(`a log that begins behind where it was known to begin is damaged, also for later starts, ${withIndexes ? 'with the indexes' : 'without indexes'}`, async () => {
    const { disk, first, second } = await beheaded(withIndexes);
    const known = { disk, recoveryPoint: 900, knownEnd: 900 };
    const opened = await tryOpen({ ...known, isClean: true, knownStart: 0 });
    assert.is(opened.log, undefined);
    assert.equal([opened.damage?.file, opened.damage?.baseOffset, opened.damage?.fromOffset], [first, 0, 0]);
    assert.match(opened.damage?.sentence ?? '', `its first segment begins at ${second}`);
    for (const wasPowerLost of [false, true]) {
      const again = await tryOpen({ ...known, wasPowerLost });
      assert.equal([again.damage?.file, again.damage?.fromOffset], [first, 0]);
      assert.match(again.damage?.sentence ?? '', `the next segment begins at ${second}`);
    }
  });

test('once it was set aside, such a log is empty where it began', async () => {
  const { disk } = await beheaded(true);
  const files = new OpenFiles(disk, 100);
  const { damage } = await tryOpen({ disk, isClean: true, knownStart: 0 });
  const cuts = setAside(files, DIRECTORY, damage as NonNullable<typeof damage>);
  assert.equal(
    cuts.map(({ action }) => action),
    ['set aside', ...cuts.slice(1).map(() => 'removed' as const)],
  );
  const { log } = await openTestLog({ disk, isClean: true, knownStart: 0 });
  assert.equal([log.logStart, log.leo, segmentFiles(disk)], [0, 0, []]);
});

test('where a log may begin behind what was written down of it, it begins with its first segment', async () => {
  const { disk, second } = await beheaded(false);
  // After an unclean end, or without the table, nobody knows; and where it is known, it is as it should be.
  for (const knownStart of [undefined, second, second + 1]) {
    const logStart = knownStart ?? 0;
    const { log } = await openTestLog({ disk, isClean: true, logStart, knownStart });
    assert.is(log.logStart, Math.max(second, logStart));
  }
  const config = { 'cleanup.policy': 'compact' } as const;
  const { log } = await openTestLog({ disk, isClean: true, knownStart: 0, config });
  assert.is(log.logStart, second);
});

test('after a power cut the log ends at its first gap above the recovery point', async () => {
  const { files, written } = await closedLog();
  const names = [...files.keys()].filter((name) => name.endsWith('.log')).sort();
  const damaged = Buffer.from(files.get(names[1]) as Buffer);
  damaged.fill(0, 4_096, 8_192);
  const disk = diskOf(new Map([...files, [names[1], damaged]]));
  const { log, opened } = await openTestLog({ disk, wasPowerLost: true });
  const kept = written.filter(({ next }) => next <= log.leo);
  assert.ok(kept.length > 0 && kept.length < written.length);
  assert.ok(readAll(log).equals(bytesOf(kept)));
  assert.equal(
    opened.cuts.map(({ action }) => action),
    ['cut', ...names.slice(2).map(() => 'removed')],
  );
});

test('after a power cut, damage below the recovery point costs nothing that lies behind it', async () => {
  const { files } = await closedLog();
  const names = [...files.keys()].filter((name) => name.endsWith('.log')).sort();
  const damaged = Buffer.from(files.get(names[1]) as Buffer);
  damaged[damaged.length >> 1] ^= 4;
  const broken = new Map([...files, [names[1], damaged]]);
  // The epoch file is gone too, so that everything has to be looked at.
  broken.delete('leader-epoch-checkpoint');
  const recoveryPoint = Number(names.at(-1)?.slice(0, 20));
  const opened = await tryOpen({ disk: diskOf(broken), wasPowerLost: true, recoveryPoint });
  assert.is(opened.log, undefined);
  assert.is(opened.damage?.file, `${DIRECTORY}/${names[1]}`);
});

test('a log that ends below its recovery point has lost something, and says so', async () => {
  const { files } = await closedLog(20);
  const name = lastLog(files);
  const cut = (files.get(name) as Buffer).subarray(0, -1);
  for (const wasPowerLost of [false, true]) {
    const disk = diskOf(new Map([...files, [name, cut]]));
    const opened = await tryOpen({ disk, wasPowerLost, recoveryPoint: 60 });
    assert.is(opened.damage?.fromOffset, 57);
  }
});

test('a log whose epoch file is missing finds its epochs in its batches', async () => {
  const disk = new MemoryDisk();
  const { log } = await openTestLog({ disk });
  for (const epoch of [1, 4]) {
    log.beginEpoch(epoch);
    fill(log, 20, { epoch });
  }
  await log.close();
  const files = filesOf(disk);
  files.delete('leader-epoch-checkpoint');
  const { log: again } = await openTestLog({ disk: diskOf(files), isClean: true });
  assert.is(again.lastEpoch, 4);
  assert.equal(again.endOfEpoch(1), { epoch: 1, endOffset: 60 });
});

test('index files that were damaged lead nobody astray', async () => {
  const { files, written } = await closedLog();
  let seed = 1;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const names = [...files.keys()].filter((name) => name.endsWith('index'));
  for (let round = 0; round < 300; round++) {
    const name = names[random(names.length)];
    const bytes = Buffer.from(files.get(name) as Buffer);
    bytes[random(bytes.length)] ^= 1 << random(8);
    const { log } = await openTestLog({ disk: diskOf(new Map([...files, [name, bytes]])), isClean: true });
    for (const offset of [0, random(900), random(900), 899]) {
      const first = written.findIndex(({ next }) => next > offset);
      const extent = log.read(offset, 1, log.leo);
      const got = extent && Buffer.from(extent.bytes.subarray(extent.from, extent.to));
      assert.ok(got?.equals(written[first].bytes), `${name}, from ${offset}`);
    }
    const wanted = 1_700_000_000_000 + random(900);
    const expected = written.find(({ timestamp }) => timestamp >= wanted);
    assert.is(log.offsetForTimestamp(wanted, log.leo)?.offset, expected?.base, `${name}, since ${wanted}`);
  }
});

test('a damaged epoch file is made again from the log', async () => {
  const disk = new MemoryDisk();
  const { log } = await openTestLog({ disk });
  for (const epoch of [1, 4, 9]) {
    log.beginEpoch(epoch);
    fill(log, 20, { epoch });
  }
  await log.close();
  const files = filesOf(disk);
  files.set('leader-epoch-checkpoint', Buffer.from('0\n3\n1 0\n'));
  const { log: again } = await openTestLog({ disk: diskOf(files), isClean: true });
  assert.equal(again.endOfEpoch(1), { epoch: 1, endOffset: 60 });
  assert.equal(again.endOfEpoch(4), { epoch: 4, endOffset: 120 });
  assert.is(again.lastEpoch, 9);
});

test('an empty log, and one of which everything was deleted, come back as they were', async () => {
  const disk = new MemoryDisk();
  const { log } = await openTestLog({ disk });
  await log.close();
  assert.is((await openTestLog({ disk, isClean: true })).log.leo, 0);
  const { log: second } = await openTestLog({ disk });
  fill(second, 10);
  second.deleteBefore(30);
  await second.close();
  const { log: third } = await openTestLog({ disk, isClean: true, logStart: 30 });
  assert.is(third.leo, 30);
  assert.is(third.logStart, 30);
  const batch = batchAt(30);
  append(third, batch);
  third.flush();
  assert.ok(readAll(third).equals(Buffer.from(batch.bytes)));
});

test.run();
