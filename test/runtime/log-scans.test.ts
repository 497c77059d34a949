import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { topicConfig } from '../../src/config.ts';
import { SCAN_HERE_MAX_BYTES } from '../../src/limits.ts';
import { DiskError } from '../../src/log/disk.ts';
import { newLog } from '../../src/log/known-log.ts';
import { OpenFiles } from '../../src/log/open-files.ts';
import { type OpenedLog, openLog } from '../../src/log/open-log.ts';
import { Background } from '../../src/runtime/background.ts';
import { BackgroundClient } from '../../src/runtime/background-client.ts';
import type { TaskMessage } from '../../src/runtime/background-tasks.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { FileDisk } from '../../src/runtime/file-disk.ts';
import { LogScans } from '../../src/runtime/log-scans.ts';
import { append, batchAt, DIRECTORY, readAll } from '../log/log-fixtures.ts';
import { withDirectory } from './directory-fixtures.ts';

const VALUE_BYTES = 512 << 10;
const config = topicConfig({ 'segment.bytes': 8 << 20, 'retention.bytes': -1, 'retention.ms': -1 });

/** A log that nobody has closed, with a torn end. */
function leaveLog(root: string, bytes: number): void {
  const disk = new FileDisk(root);
  const log = newLog(new OpenFiles(disk, 10), DIRECTORY, config);
  for (let written = 0; written < bytes; written += VALUE_BYTES)
    append(log, batchAt(log.leo, { records: 2, valueBytes: VALUE_BYTES / 2 }));
  log.flush();
  const name = disk
    .list(DIRECTORY)
    .filter((each) => each.endsWith('.log'))
    .at(-1);
  const file = disk.open(`${DIRECTORY}/${name}`);
  file.truncate(file.size - 100);
  file.close();
}

async function open(
  root: string,
  background: BackgroundClient | undefined,
  progress: (doneBytes: number, totalBytes: number) => void = () => {},
): Promise<OpenedLog> {
  const files = new OpenFiles(new FileDisk(root), 10);
  const scans = new LogScans(files, background && { root, background }, systemClock, progress);
  const settings = { directory: DIRECTORY, config, isClean: false, wasPowerLost: false };
  return openLog(files, { ...settings, recoveryPoint: 0, logStart: 0 }, (...file) => scans.scan(...file));
}

/** A broker thread's way to a pool, in one thread; `asked` is told of every message. */
function clientOf(background: Background, asked: TaskMessage[]): BackgroundClient {
  const tasks = new Map<number, AbortController>();
  const client = new BackgroundClient((message) => {
    asked.push(message);
    void background.serve(message, tasks, (reply) => client.settle(structuredClone(reply)));
  });
  return client;
}

async function withPool(run: (background: Background) => Promise<void>): Promise<void> {
  const background = new Background();
  try {
    await run(background);
  } finally {
    await background.close();
  }
}

function assertSame(one: OpenedLog, other: OpenedLog): void {
  assert.equal(one.cuts, other.cuts);
  assert.is(one.cuts.length, 1);
  assert.is(one.log?.leo, other.log?.leo);
  assert.equal(one.log && readAll(one.log), other.log && readAll(other.log));
}

test('a large log is scanned in the pool, and is the log that a scan here gives', () =>
  withDirectory((root) =>
    withPool(async (background) => {
      leaveLog(root, SCAN_HERE_MAX_BYTES + (2 << 20));
      const asked: TaskMessage[] = [];
      const progress: [number, number][] = [];
      const there = await open(root, clientOf(background, asked), (...step) => progress.push(step));
      assert.is(asked.length, 5, 'each of its five segments');
      assert.is(progress.length, 5);
      const total = progress[0][1];
      assert.ok(total > SCAN_HERE_MAX_BYTES);
      assert.equal(progress.at(-1), [total, total]);
      const files = there.log?.sealed.map((segment) => [segment.maxTimestamp, segment.firstTimestamp]);
      const times = [0, 20, 60].map((at) => there.log?.offsetForTimestamp(1_700_000_000_000 + at, 1000));
      leaveTornAgain(root);
      const here = await open(root, undefined);
      assertSame(there, here);
      assert.equal(
        here.log?.sealed.map((segment) => [segment.maxTimestamp, segment.firstTimestamp]),
        files,
      );
      assert.equal(
        [0, 20, 60].map((at) => here.log?.offsetForTimestamp(1_700_000_000_000 + at, 1000)),
        times,
      );
    }),
  ));

/** The first opening has cut the torn end; the second one finds the same. */
function leaveTornAgain(root: string): void {
  const disk = new FileDisk(root);
  const name = disk
    .list(DIRECTORY)
    .filter((each) => each.endsWith('.log'))
    .at(-1);
  const file = disk.open(`${DIRECTORY}/${name}`);
  const { bytes } = batchAt(134, { records: 2, valueBytes: VALUE_BYTES / 2 });
  file.write(file.size, [bytes.subarray(0, bytes.length - 100)]);
  file.close();
}

test('a small log is scanned by its broker', () =>
  withDirectory((root) =>
    withPool(async (background) => {
      leaveLog(root, 3 << 20);
      const asked: TaskMessage[] = [];
      const opened = await open(root, clientOf(background, asked));
      assert.is(asked.length, 0);
      assert.is(opened.log?.leo, 10);
    }),
  ));

test('where the pool has failed a large log is scanned here', () =>
  withDirectory(async (root) => {
    leaveLog(root, SCAN_HERE_MAX_BYTES + (2 << 20));
    let refused = 0;
    const client = new BackgroundClient(({ task }) => {
      refused++;
      queueMicrotask(() => client.settle({ task, failure: { message: 'the thread has died' } }));
    });
    const opened = await open(root, client);
    assert.is(refused, 5);
    assert.is(opened.log?.leo, 134);
  }));

test('what the disk refuses to the pool is refused', () =>
  withDirectory(async (root) => {
    leaveLog(root, SCAN_HERE_MAX_BYTES + (2 << 20));
    const client = new BackgroundClient(({ task }) => {
      const failure = { message: 'the device failed', code: 'EIO', path: 't-0/0.log' };
      queueMicrotask(() => client.settle({ task, failure }));
    });
    let caught: unknown;
    await open(root, client).catch((error: unknown) => {
      caught = error;
    });
    assert.ok(caught instanceof DiskError && caught.code === 'EIO');
  }));

test.run();
