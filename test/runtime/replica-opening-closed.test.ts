// A start after a clean end believes what was written down of its logs, once, and only while nobody has touched them.
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { topicConfig } from '../../src/config.ts';
import type { PartitionAssignment } from '../../src/runtime/directory.ts';
import { type Opening, ReplicaOpening, segmentLogOf } from '../../src/runtime/replica-opening.ts';
import { withBrokers } from './broker-fixtures.ts';
import { withDirectory } from './directory-fixtures.ts';
import { threadSurroundings } from './surroundings-fixtures.ts';

const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAA';
const OTHER_ID = 'BBBBBBBBBBBBBBBBBBBBBA';
const MARKER = '.kafka_cleanshutdown';
const CLOSED = 'closed-logs-checkpoint';
const RECORDS = 40;
/** The clock that files are stamped by has ticks of some milliseconds. */
const TICK_MS = 25;

function assignment(partition: number, isKept: boolean, topicId = TOPIC_ID): PartitionAssignment {
  const info = { id: partition, topic: 't', partition, replicas: [1], isr: [1], leader: 1 };
  const config = topicConfig({ 'segment.bytes': 16_384, 'retention.bytes': -1 });
  return { info: { ...info, epoch: isKept ? 1 : 0 }, config, topicId, isKept };
}

const homeOf = (path: string) => ({ path, isTemporary: false, wasPowerLost: false });

/** A life of a broker with three partitions, of which the first two have records, and its clean end. */
async function live(path: string, isKept = false): Promise<void> {
  await withBrokers({ count: 1, durability: 'os', homeOf: () => homeOf(path) }, async (brokers) => {
    const broker = brokers.get(1);
    await broker.assign(
      [0, 1, 2].map((partition) => assignment(partition, isKept)),
      new Map(),
    );
    for (let n = 0; n < RECORDS; n++) for (const partition of [0, 1]) brokers.append(partition, 1, 1_000);
    await brokers.settle();
    await broker.close();
  });
  assert.ok(existsSync(join(path, MARKER)));
  await sleep(TICK_MS);
}

interface Start {
  readonly opening: ReplicaOpening;
  readonly found: Opening;
  /** Whether a file of the log was opened. */
  readonly hasLooked: boolean;
}

async function open(path: string, partition = 0, topicId = TOPIC_ID): Promise<Start> {
  const opening = new ReplicaOpening(
    { id: 1, durability: 'os', home: homeOf(path) },
    threadSurroundings,
    () => {},
    undefined,
  );
  opening.expect(1);
  const found = await opening.open(assignment(partition, true, topicId));
  const hasLooked = opening.files.size > 0;
  opening.files.closeAll();
  return { opening, found, hasLooked };
}

const logFile = (path: string, partition = 0): string =>
  join(path, `t-${partition}`, '00000000000000000000.log');

function flipByte(file: string, position: number): void {
  const descriptor = openSync(file, 'r+');
  writeSync(descriptor, Buffer.from([readFileSync(file)[position] ^ 1]), 0, 1, position);
  closeSync(descriptor);
}

test('after a clean end no file of a log is opened, and all of it is known', () =>
  withDirectory(async (path) => {
    await live(path);
    for (const partition of [0, 1, 2]) {
      cpSync(join(path, MARKER), join(path, 'kept-marker'));
      cpSync(join(path, CLOSED), join(path, 'kept-closed'));
      const { found, hasLooked } = await open(path, partition);
      renameSync(join(path, 'kept-marker'), join(path, MARKER));
      const looked = await open(path, partition);
      assert.equal([hasLooked, looked.hasLooked], [false, partition < 2], `partition ${partition}`);
      assert.equal(found.opened, looked.found.opened);
      assert.equal([found.opened.leo, found.opened.hwm], partition < 2 ? [RECORDS, RECORDS] : [0, 0]);
      renameSync(join(path, 'kept-closed'), join(path, CLOSED));
      writeFileSync(join(path, MARKER), '{"version":0,"brokerEpoch":0}');
    }
  }));

test('it is believed once: the first start takes it away with the marker', () =>
  withDirectory(async (path) => {
    await live(path);
    assert.ok(existsSync(join(path, CLOSED)));
    await open(path);
    assert.equal([existsSync(join(path, CLOSED)), existsSync(join(path, MARKER))], [false, false]);
  }));

test('without the marker it is not believed', () =>
  withDirectory(async (path) => {
    await live(path);
    rmSync(join(path, MARKER));
    assert.ok((await open(path)).hasLooked);
    assert.not.ok(existsSync(join(path, CLOSED)));
  }));

test('one of an earlier end speaks for no log that was written to since', () =>
  withDirectory(async (path) => {
    await live(path);
    copyFileSync(join(path, CLOSED), join(path, 'earlier'));
    await live(path, true);
    renameSync(join(path, 'earlier'), join(path, CLOSED));
    const { found, hasLooked } = await open(path);
    assert.equal([hasLooked, found.opened.leo], [true, 2 * RECORDS]);
  }));

test('where recovery points were put back from a copy, the log is looked at', () =>
  withDirectory(async (path) => {
    await live(path);
    const file = join(path, 'recovery-point-offset-checkpoint');
    writeFileSync(file, readFileSync(file, 'utf8').replace(`t 0 ${RECORDS}`, 't 0 7'));
    assert.ok((await open(path)).hasLooked);
  }));

test('a damaged checkpoint of recovery points is believed no more than before', () =>
  withDirectory(async (path) => {
    await live(path);
    writeFileSync(join(path, 'recovery-point-offset-checkpoint'), 'x');
    const { found, hasLooked } = await open(path);
    assert.equal([hasLooked, found.opened.leo], [true, RECORDS]);
  }));

const touches: Readonly<Record<string, (path: string) => void>> = {
  'a byte of its segment is another one': (path) => flipByte(logFile(path), 300),
  'a byte is another one, and the time was set back': (path) => {
    const { atime, mtime } = statSync(logFile(path));
    flipByte(logFile(path), 300);
    utimesSync(logFile(path), atime, mtime);
  },
  'bytes were added to its segment': (path) => appendFileSync(logFile(path), 'x'),
  'its segment was cut': (path) => truncateSync(logFile(path), 100),
  'its segment was replaced by a copy': (path) => {
    copyFileSync(logFile(path), join(path, 'copy'));
    renameSync(join(path, 'copy'), logFile(path));
  },
  'another file has come': (path) => writeFileSync(join(path, 't-0', 'new'), ''),
  'an index is gone': (path) => rmSync(logFile(path).replace('.log', '.index')),
  'its epochs were written anew': (path) =>
    writeFileSync(join(path, 't-0', 'leader-epoch-checkpoint'), '0\n1\n7 3\n'),
  'its directory is another': (path) => {
    renameSync(join(path, 't-0'), join(path, 't-9'));
    renameSync(join(path, 't-1'), join(path, 't-0'));
  },
  'all of it was copied': (path) => {
    cpSync(join(path, 't-0'), join(path, 't-9'), { recursive: true });
    rmSync(join(path, 't-0'), { recursive: true });
    renameSync(join(path, 't-9'), join(path, 't-0'));
  },
};

for (const [what, touch] of Object.entries(touches)) {
  test(`a log is looked at where ${what}, and only that one`, () =>
    withDirectory(async (path) => {
      await live(path);
      touch(path);
      const opening = new ReplicaOpening(
        { id: 1, durability: 'os', home: homeOf(path) },
        threadSurroundings,
        () => {},
        undefined,
      );
      opening.expect(2);
      if (existsSync(join(path, 't-1'))) {
        await opening.open(assignment(1, true));
        assert.is(opening.files.size, 0, 'nobody has touched this one');
      }
      await opening.open(assignment(0, true));
      assert.ok(opening.files.size > 0);
      opening.files.closeAll();
    }));
}

test('a log that is gone is missed at the start', () =>
  withDirectory(async (path) => {
    await live(path);
    rmSync(join(path, 't-0'), { recursive: true });
    const { found } = await open(path);
    assert.is(found.opened.state, 'damaged');
    assert.match(found.opened.error ?? '', /t-0 is missing/);
  }));

test('a directory that says it is of another topic is refused as ever', () =>
  withDirectory(async (path) => {
    await live(path);
    const { found } = await open(path, 0, OTHER_ID);
    assert.is(found.opened.state, 'damaged');
    assert.match(found.opened.error ?? '', /belongs to another topic 't'/);
  }));

test('a first segment that is gone is missed as long as it is known where the log began', () =>
  withDirectory(async (path) => {
    const table = join(path, 'log-start-offset-checkpoint');
    const unsettling: readonly [state: string, change: () => void][] = [
      ['damaged', () => {}],
      ['online', () => rmSync(table)],
      ['online', () => writeFileSync(table, '0\n1\n')],
      ['online', () => rmSync(join(path, MARKER))],
    ];
    for (const [state, change] of unsettling) {
      await live(path);
      rmSync(logFile(path));
      change();
      const { found } = await open(path);
      assert.is(found.opened.state, state);
      if (state === 'damaged') {
        assert.match(found.opened.error ?? '', /from offset 0 on: .* its first segment begins at \d+/);
        assert.is((await open(path)).found.opened.state, 'damaged');
      } else assert.ok(found.opened.logStart > 0 && found.opened.leo === RECORDS);
      rmSync(path, { recursive: true });
      mkdirSync(path);
    }
  }));

test('what becomes unreadable after the start is told by the first read, and names the file', () =>
  withDirectory(async (path) => {
    await live(path);
    const { found } = await open(path);
    rmSync(logFile(path));
    const log = found.replica === undefined ? undefined : segmentLogOf(found.replica);
    assert.throws(
      () => log?.read(0, 100, RECORDS),
      (error: Error) => /open .*t-0\/00000000000000000000\.log: ENOENT/.test(error.message),
    );
  }));

test('after a start that believed it, the next clean end leaves one that is true', () =>
  withDirectory(async (path) => {
    await live(path);
    for (let round = 2; round <= 4; round++) {
      await live(path, true);
      cpSync(path, `${path}-copy`, { recursive: true });
      try {
        const copied = await open(`${path}-copy`);
        assert.equal([copied.hasLooked, copied.found.opened.leo], [true, round * RECORDS]);
      } finally {
        rmSync(`${path}-copy`, { recursive: true });
      }
    }
    const { found, hasLooked } = await open(path);
    assert.equal([hasLooked, found.opened.leo, found.opened.lastEpoch], [false, 4 * RECORDS, 1]);
  }));

test.run();
