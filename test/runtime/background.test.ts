import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { swapIn } from '../../src/log/compaction-swap.ts';
import { DiskError } from '../../src/log/disk.ts';
import { LOG_SUFFIX, segmentFile } from '../../src/log/file-names.ts';
import { scanSegment } from '../../src/log/segment-scan.ts';
import { Background } from '../../src/runtime/background.ts';
import { BackgroundClient } from '../../src/runtime/background-client.ts';
import type { CompactRequest, ScrubRequest, TaskReply } from '../../src/runtime/background-tasks.ts';
import { FileDisk } from '../../src/runtime/file-disk.ts';
import {
  batchOf,
  checkIndexes,
  DIRECTORY,
  INTERVAL_BYTES,
  jobOf,
  recordsOf,
  willing,
  writeSegments,
} from '../log/compaction-fixtures.ts';

interface Setup {
  readonly root: string;
  readonly disk: FileDisk;
  readonly background: Background;
}

/** A log of one segment with 4 MiB of values for few keys, and a pool. */
async function withLog(body: (setup: Setup) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'tidemark-background-'));
  const background = new Background();
  try {
    const disk = new FileDisk(root);
    const batches = Array.from({ length: 64 }, (_, index) =>
      batchOf(index, [{ key: `key ${index % 5}`, value: 'v'.repeat(64 << 10) }]),
    );
    writeSegments(disk, [batches.slice(0, 40), batches.slice(40)]);
    await body({ root, disk, background });
  } finally {
    await background.close();
    rmSync(root, { recursive: true, force: true });
  }
}

function compaction({ root, disk }: Setup, bytesPerSecond = 1 << 30): CompactRequest {
  return { kind: 'compact', root, job: jobOf(disk, { segmentBytes: 8 << 20 }), bytesPerSecond };
}

function scrubbing({ root, disk }: Setup, bytesPerSecond: number): ScrubRequest {
  const [first] = jobOf(disk).segments;
  const path = `${DIRECTORY}/${segmentFile(0, LOG_SUFFIX)}`;
  return { kind: 'scrub', root, segment: { ...first, path, gapsAllowed: false }, bytesPerSecond };
}

test('a compaction in the pool writes what its owner swaps in', () =>
  withLog(async (setup) => {
    const { groups, cleanedTo, recordsDropped } = await setup.background.run(compaction(setup));
    assert.equal([cleanedTo, recordsDropped, groups.length], [64, 59, 1]);
    assert.is(recordsOf(setup.disk).length, 64);
    assert.is(await swapIn(setup.disk, DIRECTORY, groups, willing()), true);
    assert.equal(
      recordsOf(setup.disk).map(({ offset }) => offset),
      [59, 60, 61, 62, 63],
    );
    checkIndexes(setup.disk);
  }));

test('a scan in the pool finds what a scan here finds', () =>
  withLog(async ({ root, disk, background }) => {
    const options = { baseOffset: 0, intervalBytes: INTERVAL_BYTES, gapsAllowed: false };
    const path = `${DIRECTORY}/${segmentFile(0, LOG_SUFFIX)}`;
    const there = await background.run({ kind: 'scan', root, path, options });
    const here = scanSegment(disk.open(path), options);
    assert.equal(
      { ...there, offsets: [...there.offsets], times: [...there.times] },
      { ...here, offsets: [...here.offsets], times: [...here.times] },
    );
  }));

test('a scrub goes no faster than it may, and tells how far it is', () =>
  withLog(async (setup) => {
    const request = scrubbing(setup, 10 << 20);
    const progress: number[] = [];
    const startMs = performance.now();
    const fault = await setup.background.run(request, { progress: (bytes) => progress.push(bytes) });
    const tookMs = performance.now() - startMs;
    assert.is(fault, undefined);
    assert.ok(tookMs > (1000 * request.segment.bytes) / (10 << 20) - 1, `${tookMs} ms`);
    assert.ok(progress.length >= 1);
    assert.equal(
      progress,
      [...progress].sort((a, b) => a - b),
    );
  }));

test('a scrub in the pool finds a bit that has changed', () =>
  withLog(async (setup) => {
    const request = scrubbing(setup, 1 << 30);
    setup.disk.open(request.segment.path).write(100_000, [Buffer.from('X')]);
    const fault = await setup.background.run(request);
    assert.is(fault?.offset, 1);
    assert.match(fault?.sentence ?? '', /does not match its CRC/);
  }));

test('a refusal of the disk comes back as what it was', () =>
  withLog(async (setup) => {
    const { path } = scrubbing(setup, 1).segment;
    const request = compaction(setup);
    setup.disk.remove(path);
    let caught: unknown;
    await setup.background.run(request).catch((error: unknown) => {
      caught = error;
    });
    assert.ok(caught instanceof DiskError);
    assert.is(caught.code, 'ENOENT');
    assert.ok(caught.path.endsWith(path), caught.path);
    assert.equal(
      readdirSync(join(setup.root, DIRECTORY)).filter((name) => name.endsWith('.cleaned')),
      [],
    );
  }));

async function rejection(promise: Promise<unknown>): Promise<Error & { code?: string }> {
  return promise.then(
    () => assert.unreachable('it should have been rejected') as never,
    (error) => error,
  );
}

test('a task can be aborted, and the pool goes on with the next', () =>
  withLog(async (setup) => {
    const abort = new AbortController();
    const slow = rejection(
      setup.background.run(scrubbing(setup, 1 << 10), {
        signal: abort.signal,
        progress: () => abort.abort(),
      }),
    );
    const waiting = rejection(setup.background.run(scrubbing(setup, 1 << 10), { signal: abort.signal }));
    assert.is((await slow).name, 'AbortError');
    assert.is((await waiting).name, 'AbortError');
    const late = setup.background.run(scrubbing(setup, 1 << 10), { signal: abort.signal });
    assert.is((await rejection(late)).name, 'AbortError');
    assert.is(await setup.background.run(scrubbing(setup, 1 << 30)), undefined);
  }));

test('closing ends what is under way and what waits, and says so', () =>
  withLog(async (setup) => {
    let isUnderWay = (): void => {};
    const underWay = new Promise<void>((resolve) => {
      isUnderWay = resolve;
    });
    const request = scrubbing(setup, 1 << 10);
    const tasks = [setup.background.run(request, { progress: () => isUnderWay() })];
    for (let count = 0; count < 8; count++) tasks.push(setup.background.run(request));
    const rejections = tasks.map(rejection);
    await underWay;
    await setup.background.close();
    for (const { code } of await Promise.all(rejections)) assert.is(code, 'CLOSED');
    assert.is((await rejection(setup.background.run(request))).code, 'CLOSED');
  }));

test('threads that die, or cannot start, fail their tasks and those that wait, and the next ones have new threads', async () => {
  const root = mkdtempSync(join(tmpdir(), 'tidemark-background-'));
  writeFileSync(join(root, 'dying.mjs'), 'export function run() { process.exit(7); }');
  try {
    for (const [file, cause] of [
      ['dying.mjs', /code: 7/],
      ['missing.mjs', /missing\.mjs/],
    ] as const) {
      const background = new Background(pathToFileURL(join(root, file)));
      for (let round = 0; round < 2; round++) {
        const tasks = [1, 2, 3].map(() => rejection(background.run(missing(root))));
        for (const { message } of await Promise.all(tasks)) assert.match(message, cause);
      }
      await background.close();
    }
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});

test('a broker thread has its tasks run, through two ports', () =>
  withLog(async (setup) => {
    const aborts = new Map<number, AbortController>();
    const client: BackgroundClient = new BackgroundClient((message) => {
      void setup.background.serve(structuredClone(message), aborts, (reply: TaskReply) =>
        client.settle(structuredClone(reply)),
      );
    });
    const abort = new AbortController();
    const progress: number[] = [];
    const aborted = rejection(
      client.run(scrubbing(setup, 1 << 10), {
        signal: abort.signal,
        progress: (bytes) => {
          progress.push(bytes);
          abort.abort();
        },
      }),
    );
    const result = client.run(compaction(setup));
    assert.is((await aborted).name, 'AbortError');
    assert.ok(progress.length > 0);
    assert.is((await result).recordsDropped, 59);
    const failed = await rejection(client.run(missing(setup.root)));
    assert.ok(failed instanceof DiskError);
    assert.is(aborts.size, 0);
  }));

function missing(root: string): ScrubRequest {
  const segment = { path: 'topic-9/x.log', baseOffset: 0, nextOffset: 1, bytes: 1, gapsAllowed: false };
  return { kind: 'scrub', root, segment, bytesPerSecond: 1 << 30 };
}

test.run();
