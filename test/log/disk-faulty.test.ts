import { Buffer } from 'node:buffer';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DiskError, type DiskFile } from '../../src/log/disk.ts';
import { testDiskContract, textOf } from './disk-contract.ts';
import { FaultyDisk, type OperationKind } from './faulty-disk.ts';
import { PAGE_BYTES } from './faulty-inode.ts';

const SEEDS = 300;

testDiskContract(async (use) => use(new FaultyDisk()));

function write(disk: FaultyDisk, path: string, text: string, position = 0): DiskFile {
  const file = disk.open(path, 'create');
  file.write(position, [Buffer.from(text)]);
  return file;
}

/** How often each outcome came about, over many seeds. */
async function outcomes(play: (disk: FaultyDisk) => string | Promise<string>): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (let seed = 0; seed < SEEDS; seed++) {
    const outcome = await play(new FaultyDisk({ seed }));
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  }
  return counts;
}

function namesOf(counts: Map<string, number>): string[] {
  return [...counts.keys()].sort();
}

function textOrMissing(disk: FaultyDisk, path: string): string {
  return disk.files().includes(path) ? textOf(disk, path) : 'missing';
}

function codeOf(error: unknown): string {
  return error instanceof DiskError ? error.code : String(error);
}

function failureOf(act: () => unknown): string {
  try {
    act();
    return 'none';
  } catch (error) {
    return codeOf(error);
  }
}

test('the operation of the kind and number that was named fails, and that one alone', async () => {
  const acts: Record<
    Exclude<OperationKind, 'sync' | 'syncDirectory'>,
    (disk: FaultyDisk, n: number) => unknown
  > = {
    open: (disk) => disk.open('file').close(),
    read: (disk) => disk.open('file').read(0, 1),
    write: (disk) => disk.open('file').write(0, [Buffer.from('x')]),
    truncate: (disk, n) => disk.open('file').truncate(n),
    list: (disk) => disk.list(''),
    makeDirectory: (disk, n) => disk.makeDirectory(`directory-${n}`),
    rename: (disk, n) => disk.rename(`file-${n}`, `moved-${n}`),
    remove: (disk) => disk.remove('file-9'),
  };
  for (const [kind, act] of Object.entries(acts) as [
    OperationKind,
    (disk: FaultyDisk, n: number) => unknown,
  ][]) {
    const disk = new FaultyDisk();
    for (const path of ['file', 'file-0', 'file-1', 'file-2', 'file-3']) write(disk, path, 'text').close();
    const before = disk.count(kind);
    disk.fail({ kind, nth: 3, code: 'EIO' });
    const failures = [0, 1, 2, 3].map((n) => failureOf(() => act(disk, n)));
    assert.equal(failures, ['none', 'none', 'EIO', 'none'], kind);
    assert.is(disk.count(kind), before + 4, kind);
    // What failed was not done.
    if (kind === 'rename') assert.ok(disk.files().includes('file-2') && disk.files().includes('moved-3'));
    if (kind === 'makeDirectory') assert.is(disk.list('').includes('directory-2/'), false);
  }
  const disk = new FaultyDisk();
  const file = write(disk, 'file', 'text');
  disk.fail({ kind: 'sync', nth: 2, code: 'EIO' });
  disk.fail({ kind: 'syncDirectory', nth: 1, code: 'ENOSPC' });
  const syncs = [file.sync(), file.sync(), disk.syncDirectory(''), disk.syncDirectory('')];
  const results = await Promise.all(syncs.map((sync) => sync.then(() => 'none', codeOf)));
  assert.equal(results, ['none', 'EIO', 'ENOSPC', 'none']);
});

test('a fault may be for always, and for any operation that changes something, until it is healed', () => {
  const disk = new FaultyDisk();
  const file = write(disk, 'a', 'text');
  disk.fail({ kind: 'any', nth: 2, code: 'EIO', always: true });
  file.truncate(3);
  assert.is(
    failureOf(() => file.truncate(2)),
    'EIO',
  );
  assert.is(
    failureOf(() => disk.rename('a', 'b')),
    'EIO',
  );
  assert.is(file.read(0, 9).toString(), 'tex');
  assert.equal(disk.list(''), ['a']);
  disk.heal();
  assert.is(
    failureOf(() => disk.rename('a', 'b')),
    'none',
  );
  assert.is(disk.count('any'), 6);
});

test('a write that fails may have written any part of its bytes', async () => {
  const seen = await outcomes((disk) => {
    disk.fail({ kind: 'write', nth: 1, code: 'ENOSPC' });
    assert.is(
      failureOf(() => write(disk, 'a', '123')),
      'ENOSPC',
    );
    return textOf(disk, 'a');
  });
  assert.equal(namesOf(seen), ['', '1', '12', '123']);
});

test('what was synced in a directory that was synced outlives a power cut, whatever comes after', () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    const disk = new FaultyDisk({ seed });
    disk.makeDirectory('t');
    const text = 'x'.repeat(3 * PAGE_BYTES);
    const file = write(disk, 't/a', text);
    void file.sync();
    void disk.syncDirectory('t');
    void disk.syncDirectory('');
    file.write(text.length, [Buffer.from('more')]);
    write(disk, 't/b', 'other').close();
    const after = disk.crash();
    assert.is(textOf(after, 't/a').slice(0, text.length), text);
    // And what is on the device after the crash stays there.
    assert.equal(after.crash().snapshot(), after.snapshot());
    assert.equal([disk.files(), file.size], [['t/a', 't/b'], text.length + 4]);
  }
});

test('of what was not synced, each page is there, or not, or in part; and so is the size', async () => {
  const seen = await outcomes(async (disk) => {
    const file = write(disk, 'a', 'o'.repeat(2 * PAGE_BYTES));
    await Promise.all([file.sync(), disk.syncDirectory('')]);
    file.write(0, [Buffer.alloc(3 * PAGE_BYTES, 'n')]);
    const text = textOf(disk.crash(), 'a');
    const pages = [0, 1, 2].map((page) => text.slice(page * PAGE_BYTES, (page + 1) * PAGE_BYTES));
    return pages.map((page) => (page === '' ? '-' : [...new Set(page)].sort().join(''))).join(' ');
  });
  for (const outcome of [
    'n n n',
    'o o -',
    'n o -',
    'o n -',
    'no n n',
    'n no n',
    'n n \0',
    'n n \0n',
    'o n n',
  ])
    assert.ok(seen.has(outcome), `${JSON.stringify(outcome)} is not in ${JSON.stringify([...seen.keys()])}`);
  for (const outcome of seen.keys()) assert.match(outcome, /^(n|o|no) (n|o|no) (-|n|\0|\0n)$/);
});

test('a page is torn at sectors of 512 bytes', async () => {
  const seen = await outcomes(async (disk) => {
    const file = write(disk, 'a', 'o'.repeat(PAGE_BYTES));
    await Promise.all([file.sync(), disk.syncDirectory('')]);
    file.write(0, [Buffer.alloc(PAGE_BYTES, 'n')]);
    return (textOf(disk.crash(), 'a').match(/.{512}/g) ?? [])
      .map((sector) => [...new Set(sector)].join(''))
      .join(' ');
  });
  assert.ok(seen.size > 20);
  for (const outcome of seen.keys()) assert.match(outcome, /^[no]( [no]){7}$/);
});

test('of several writes to a page, the device may have an earlier one', async () => {
  const seen = await outcomes(async (disk) => {
    const file = write(disk, 'a', '0');
    await Promise.all([file.sync(), disk.syncDirectory('')]);
    for (const text of ['1', '2', '3']) file.write(0, [Buffer.from(text)]);
    return textOf(disk.crash(), 'a');
  });
  assert.equal(namesOf(seen), ['0', '1', '2', '3']);
});

test('a truncation that was not synced may be undone, and never shows what was not there', async () => {
  const seen = await outcomes(async (disk) => {
    const file = write(disk, 'a', 'old text');
    await Promise.all([file.sync(), disk.syncDirectory('')]);
    file.truncate(3);
    file.write(3, [Buffer.from(' now')]);
    return textOf(disk.crash(), 'a').replaceAll('\0', '_');
  });
  assert.ok(seen.has('old text') && seen.has('old') && seen.has('old now'), [...seen.keys()].join());
  // Each byte is the old one, the new one, or the zero that a truncation leaves.
  for (const outcome of seen.keys()) assert.match(outcome, /^old([ _]([tn_]([eo_]([xw_][t_]?)?)?)?)?$/);
});

test('a file whose name was not synced may be gone, though its bytes were', async () => {
  const seen = await outcomes(async (disk) => {
    await write(disk, 'a', 'text').sync();
    return textOrMissing(disk.crash(), 'a');
  });
  assert.equal(namesOf(seen), ['missing', 'text']);
});

test('a rename that was not synced leaves the file under one of its names, and the one it replaced', async () => {
  const seen = await outcomes(async (disk) => {
    const files = [write(disk, 'a', 'old'), write(disk, 'a.tmp', 'new')];
    await Promise.all([...files.map((file) => file.sync()), disk.syncDirectory('')]);
    disk.rename('a.tmp', 'a');
    const after = disk.crash();
    return `${textOrMissing(after, 'a')} ${textOrMissing(after, 'a.tmp')}`;
  });
  assert.equal(namesOf(seen), ['new missing', 'old new']);
});

test('a file that was renamed into place without a sync may be empty there', async () => {
  const seen = await outcomes(async (disk) => {
    write(disk, 'a.tmp', 'new');
    disk.rename('a.tmp', 'a');
    await disk.syncDirectory('');
    return textOf(disk.crash(), 'a');
  });
  assert.ok(seen.has('') && seen.has('new'), namesOf(seen).join());
});

test('changes of names are lost from the end: none without those before it', async () => {
  const seen = await outcomes((disk) => {
    for (const path of ['a', 'b', 'c']) disk.open(path, 'create').close();
    disk.remove('a');
    return disk.crash().files().join('');
  });
  assert.equal(namesOf(seen), ['', 'a', 'ab', 'abc', 'bc']);
});

test('a directory is removed piece by piece', async () => {
  const seen = await outcomes(async (disk) => {
    disk.makeDirectory('t');
    for (const path of ['t/a', 't/b']) disk.open(path, 'create').close();
    await Promise.all([disk.syncDirectory('t'), disk.syncDirectory('')]);
    disk.remove('t');
    const after = disk.crash();
    return after.list('').join() + after.files().join();
  });
  assert.equal(namesOf(seen), ['', 't/', 't/t/a,t/b', 't/t/b']);
});

test('after a sync that failed, one that succeeds saves nothing of what the first one lost', async () => {
  const seen = await outcomes(async (disk) => {
    const file = write(disk, 'a', 'old');
    await Promise.all([file.sync(), disk.syncDirectory('')]);
    file.write(0, [Buffer.from('new')]);
    disk.fail({ kind: 'sync', nth: 1, code: 'EIO' });
    assert.is(await file.sync().then(() => 'none', codeOf), 'EIO');
    await file.sync();
    assert.is(textOf(disk.kill(), 'a'), 'new');
    return textOf(disk.crash(), 'a');
  });
  assert.equal(namesOf(seen), ['new', 'old']);
});

test('a sync waits until it is let go, and covers what was written before it was called', async () => {
  const seen = await outcomes(async (disk) => {
    await disk.open('a', 'create').sync();
    await disk.syncDirectory('');
    disk.holdSyncs();
    const file = write(disk, 'a', '1');
    let isDone = false;
    const sync = file.sync().then(() => {
      isDone = true;
    });
    file.write(1, [Buffer.from('2')]);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal([isDone, disk.heldSyncs], [false, 1]);
    const before = textOf(disk.crash(), 'a').length;
    disk.releaseSyncs(1);
    await sync;
    assert.is(disk.heldSyncs, 0);
    const later = textOf(disk.crash(), 'a');
    assert.ok(later.startsWith('1'), later);
    void file.sync();
    assert.is(disk.heldSyncs, 1);
    disk.releaseSyncs();
    await file.sync();
    return `${before} ${later}`;
  });
  assert.ok([...seen.keys()].some((outcome) => outcome.startsWith('0')));
  assert.ok([...seen.keys()].some((outcome) => outcome.endsWith(' 1')));
});

test('a slow sync takes the turns of the event loop that it was given', async () => {
  const disk = new FaultyDisk({ syncTurns: 3 });
  let turns = 0;
  const sync = write(disk, 'a', 'text').sync();
  let isDone = false;
  void sync.then(() => {
    isDone = true;
  });
  for (; !isDone && turns < 10; turns++) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(turns >= 3 && turns < 10, `${turns}`);
});

test('a process that is killed leaves all that was written, or a part of its last write', async () => {
  const seen = await outcomes((disk) => {
    const file = write(disk, 'a', 'o'.repeat(PAGE_BYTES + 10));
    disk.rename('a', 'b');
    file.write(10, [Buffer.alloc(2 * PAGE_BYTES, 'n')]);
    const whole = 'o'.repeat(10) + 'n'.repeat(2 * PAGE_BYTES);
    assert.is(textOf(disk.kill(), 'b'), whole);
    const cut = textOf(disk.kill('cut'), 'b');
    const shared = [...cut].findIndex((letter, at) => letter !== whole[at]);
    const same = shared === -1 ? cut.length : shared;
    assert.ok(cut.length === PAGE_BYTES + 10 || cut.length === same);
    assert.is(textOf(disk, 'b'), whole);
    assert.is(textOf(disk.kill('cut'), 'b'), whole, 'whoever reads has seen the write end');
    return `${same}/${cut.length}`;
  });
  assert.equal(namesOf(seen), [
    `${10}/${PAGE_BYTES + 10}`,
    `${PAGE_BYTES}/${PAGE_BYTES + 10}`,
    `${2 * PAGE_BYTES}/${2 * PAGE_BYTES}`,
  ]);
});

test('what a killed process wrote and did not sync can still be lost by a power cut', async () => {
  const seen = await outcomes(async (disk) => {
    await disk.syncDirectory('');
    write(disk, 'a', 'text');
    return textOrMissing(disk.kill().crash(), 'a');
  });
  assert.ok(seen.has('missing') && seen.has('') && seen.has('text'), namesOf(seen).join());
});

test('a bit that rots is wrong in the cache and on the device', async () => {
  const disk = new FaultyDisk();
  const file = write(disk, 'a', 'aaaa');
  await Promise.all([file.sync(), disk.syncDirectory('')]);
  disk.flipBit('a', 8 * 2 + 1);
  assert.is(textOf(disk, 'a'), 'aaca');
  assert.is(textOf(disk.crash(), 'a'), 'aaca');
  assert.throws(() => disk.flipBit('a', 32), /has no bit 32/);
});

test('bytes that were read are spoilt as soon as they may not be used any more', () => {
  const disk = new FaultyDisk();
  const [a, b] = [write(disk, 'a', 'aaaa'), write(disk, 'b', 'bbbb')];
  const uses: [() => void, string][] = [
    [() => b.write(0, [Buffer.from('B')]), 'aaaa'],
    [() => b.read(0, 1), '\xdd\xdd\xdd\xdd'],
    [() => a.write(9, [Buffer.from('x')]), '\xdd\xdd\xdd\xdd'],
    [() => a.truncate(4), '\xdd\xdd\xdd\xdd'],
    [() => disk.rename('b', 'a'), '\xdd\xdd\xdd\xdd'],
  ];
  for (const [use, left] of uses) {
    const bytes = a.read(0, 4);
    use();
    assert.is(bytes.toString('latin1'), left);
  }
});

test('the same seed and the same calls give the same disk, and a copy goes its own way', () => {
  const play = (seed: number): [Map<string, Buffer>, Map<string, Buffer>] => {
    const disk = new FaultyDisk({ seed });
    for (let n = 0; n < 10; n++) write(disk, `${n % 3}`, `${n}`.repeat(3000), n * 1000).close();
    const copy = disk.clone();
    copy.remove('0');
    assert.equal([disk.files().length, copy.files().length], [3, 2]);
    return [disk.crash().snapshot(), disk.crash().snapshot()];
  };
  assert.equal(play(5), play(5));
  assert.is.not(JSON.stringify([...play(5)[0]]), JSON.stringify([...play(6)[0]]));
});

test('a test may look at every moment of a run', () => {
  const seen: string[] = [];
  const disk: FaultyDisk = new FaultyDisk({
    observe: (kind, path) => {
      seen.push(`${kind} ${path} ${disk.kill().files().join()}`);
      disk.crash().list('');
    },
  });
  write(disk, 'a', 'text').close();
  disk.rename('a', 'b');
  assert.equal(seen, ['open a ', 'write a a', 'rename a a']);
});

test.run();
