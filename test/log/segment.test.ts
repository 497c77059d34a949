import type { Buffer } from 'node:buffer';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Disk, DiskFile } from '../../src/log/disk.ts';
import { INDEX_SUFFIX } from '../../src/log/file-names.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { DIRECTORY, fill, openTestLog } from './log-fixtures.ts';

const config = { 'segment.bytes': 8 << 20 };

/** Lengths of what is read from now on of files that are opened from now on. */
function watchReads(disk: Disk): number[] {
  const lengths: number[] = [];
  const open = disk.open.bind(disk);
  disk.open = (path, mode) => {
    const file: DiskFile = open(path, mode);
    const read = file.read.bind(file);
    file.read = (position: number, length: number): Buffer => {
      lengths.push(length);
      return read(position, length);
    };
    return file;
  };
  return lengths;
}

/** What is read to make the index of a sealed segment again whose own is gone. */
async function readsForIndex(
  batches: number,
  valueBytes: number,
): Promise<{ reads: number[]; bytes: number }> {
  const disk = new MemoryDisk();
  const { log } = await openTestLog({ disk, config });
  const written = fill(log, batches, { records: 1, valueBytes });
  await log.close();
  for (const name of disk.list(DIRECTORY))
    if (name.endsWith(INDEX_SUFFIX)) disk.remove(`${DIRECTORY}/${name}`);
  const reads = watchReads(disk);
  const { log: again } = await openTestLog({ disk, config, isClean: true, recoveryPoint: log.leo });
  assert.is(again.sealed.length, 0);
  assert.is(again.segments[0].maxTimestamp, written.at(-1)?.timestamp);
  const found = again.offsetForTimestamp(written[batches >> 1].timestamp, again.leo);
  assert.is(found?.offset, written[batches >> 1].base);
  return { reads, bytes: again.bytes };
}

test('a walk over many small batches reads them in pieces that grow', async () => {
  const { reads, bytes } = await readsForIndex(20_000, 300);
  assert.ok(bytes > 7 << 20);
  // Twice: the end of the log is looked for as well.
  assert.ok(reads.length < 80, `${reads.length} reads`);
});

test('of batches that are large a walk reads the headers', async () => {
  const { reads, bytes } = await readsForIndex(60, 128 << 10);
  assert.ok(bytes > 7 << 20);
  const read = reads.reduce((sum, length) => sum + length, 0);
  assert.ok(read < bytes / 3, `${read} of ${bytes} bytes`);
});

test.run();
