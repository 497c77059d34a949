import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Disk, DiskError, type DiskFile } from '../../src/log/disk.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { OpenFiles } from '../../src/log/open-files.ts';

/** A disk on which so many files can be open at once, and which knows how many are. */
function limitedDisk(descriptors = Number.POSITIVE_INFINITY) {
  const disk = new MemoryDisk();
  const open = new Set<DiskFile>();
  let opened = 0;
  const limited: Disk = Object.create(disk, {
    open: {
      value: (path: string, mode?: 'create') => {
        if (open.size >= descriptors) throw new DiskError('open', path, 'EMFILE');
        const file = disk.open(path, mode);
        opened += 1;
        open.add(file);
        const close = file.close.bind(file);
        file.close = () => {
          open.delete(file);
          close();
        };
        return file;
      },
    },
  });
  // Methods of a class with private fields work on the class's own objects only.
  for (const name of ['list', 'makeDirectory', 'rename', 'remove', 'syncDirectory', 'locate'] as const)
    Object.defineProperty(limited, name, { value: disk[name].bind(disk) });
  return { disk: limited, open, opened: () => opened };
}

test('the least recently used file is closed for the next one', () => {
  const { disk, open, opened } = limitedDisk();
  const files = new OpenFiles(disk, 3);
  for (const path of ['a', 'b', 'c']) files.create(path);
  files.get('a');
  files.get('a');
  files.create('d');
  assert.equal([...open].map(({ path }) => path).sort(), ['a', 'c', 'd']);
  assert.is(opened(), 4);
  files.get('c');
  files.get('b');
  assert.equal([...open].map(({ path }) => path).sort(), ['b', 'c', 'd']);
  assert.is(files.size, 3);
  files.closeAll();
  assert.is(open.size, 0);
});

test('a file that is asked for again is the same one, and has what was written to it', () => {
  const { disk, opened } = limitedDisk();
  const files = new OpenFiles(disk, 1);
  const file = files.create('a');
  assert.is(files.get('a'), file);
  assert.is(files.create('a'), file);
  assert.is(opened(), 1);
  file.write(0, [Buffer.from('kept')]);
  files.create('b');
  assert.is(files.get('a').read(0, 9).toString(), 'kept');
});

test('a file that is missing is refused, and refused again', () => {
  const { disk, open } = limitedDisk();
  const files = new OpenFiles(disk, 2);
  const isMissing = (error: unknown): boolean => error instanceof DiskError && error.code === 'ENOENT';
  for (let n = 0; n < 3; n++) assert.throws(() => files.get('missing'), isMissing);
  assert.is(open.size, 0);
});

test('where descriptors run out, half of the files are closed and it is tried once more', () => {
  const { disk, open } = limitedDisk(8);
  const files = new OpenFiles(disk, 100);
  for (let n = 0; n < 9; n++) files.create(`${n}`);
  assert.equal([...open].map(({ path }) => path).sort(), ['4', '5', '6', '7', '8']);
  assert.is(files.size, 5);
});

test('once descriptors have run out, fewer files are kept open and others find some, however often it happens', () => {
  const { disk, open } = limitedDisk(40);
  const files = new OpenFiles(disk, 60);
  for (let n = 0; n < 200; n++) files.create(`${n}`);
  assert.is(files.size, 30);
  const few = limitedDisk(2);
  const busy = new OpenFiles(few.disk, 60);
  for (let n = 0; n < 200; n++) busy.create(`${n % 20}`);
  assert.ok(few.open.size <= 2);
  assert.is(open.size, 30);
});

test('where descriptors have run out and none can be spared, the error is handed on', () => {
  const { disk } = limitedDisk(0);
  const isOut = (error: unknown): boolean => error instanceof DiskError && error.code === 'EMFILE';
  assert.throws(() => new OpenFiles(disk, 100).create('a'), isOut);
});

test('a renamed file stays open under its new name, and what had that name is closed', () => {
  const { disk, open, opened } = limitedDisk();
  const files = new OpenFiles(disk, 10);
  disk.makeDirectory('topic-0');
  const file = files.create('topic-0/a');
  files.create('topic-0/b');
  disk.rename('topic-0/a', 'topic-0/b');
  files.renamed('topic-0/a', 'topic-0/b');
  assert.is(files.get('topic-0/b'), file);
  assert.is(open.size, 1);
  assert.throws(
    () => files.get('topic-0/a'),
    (error: unknown) => error instanceof DiskError,
  );
  assert.is(opened(), 2);
});

test('a forgotten file is closed', () => {
  const { disk, open } = limitedDisk();
  const files = new OpenFiles(disk, 10);
  for (const directory of ['t', 't2']) disk.makeDirectory(directory);
  for (const path of ['t/a', 't/b', 't2/a', 'u']) files.create(path);
  files.forget('u');
  files.forget('missing');
  assert.equal(
    [...open].map(({ path }) => path),
    ['t/a', 't/b', 't2/a'],
  );
  disk.remove('u');
  const fresh = files.create('u');
  fresh.write(0, [Buffer.from('new')]);
  assert.is(fresh.size, 3);
});

test('whatever is done, never more files are open than allowed, and each is what its path says', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
  const step = fc.tuple(fc.constantFrom('create', 'get', 'forget', 'rename', 'remove'), name, name);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 40 }), (max, steps) => {
      const { disk, open } = limitedDisk();
      const files = new OpenFiles(disk, max);
      const model = new Map<string, string>();
      steps.forEach(([action, path, to], n) => {
        if (action === 'create') {
          files.create(path).write(0, [Buffer.from(`${n}`.padStart(3))]);
          model.set(path, `${n}`.padStart(3));
        } else if (action === 'get' && model.has(path)) {
          const file = files.get(path);
          assert.equal([file.path, file.read(0, 9).toString()], [path, model.get(path)]);
        } else if (action === 'forget') files.forget(path);
        else if (action === 'rename' && model.has(path)) {
          disk.rename(path, to);
          files.renamed(path, to);
          const text = model.get(path) as string;
          model.delete(path);
          model.set(to, text);
        } else if (action === 'remove') {
          files.forget(path);
          disk.remove(path);
          model.delete(path);
        }
        assert.ok(open.size <= max && open.size === files.size);
      });
    }),
  );
});

test('a bound that allows no file is refused', () => {
  assert.throws(() => new OpenFiles(new MemoryDisk(), 0), /at least one file must be allowed open, not 0/);
});

test.run();
