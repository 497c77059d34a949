import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type TopicConfigInput, topicConfig } from '../../src/config.ts';
import { decodeClosedLogs, encodeClosedLogs, type NamedClosedLog } from '../../src/log/closed-logs.ts';
import { resumeLog } from '../../src/log/known-log.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { OpenFiles } from '../../src/log/open-files.ts';
import type { SegmentLog } from '../../src/log/segment-log.ts';
import { append, batchAt, bytesOf, DIRECTORY, fill, openTestLog, readAll, tryOpen } from './log-fixtures.ts';

const SMALL: TopicConfigInput = {
  'segment.bytes': 16_384,
  'retention.bytes': -1,
  'index.interval.bytes': 256,
};

function named(count: number): NamedClosedLog[] {
  return Array.from({ length: count }, (_, n) => ({
    directory: `t-${n}`,
    topicId: 'AAAAAAAAAAAAAAAAAAAAAA',
    stamp: [1, 2, 1_795_271_723_241.4348, 4, 5, 6.5],
    leo: 100 + n,
    segments: [
      { baseOffset: 7, bytes: 4_000, nextOffset: 60, maxTimestamp: 1_700_000_000_000 },
      { baseOffset: 60, bytes: 80, nextOffset: 100 + n, firstTimestamp: 5, maxTimestamp: 6 },
    ],
    epochs: [{ epoch: 3, startOffset: 7 }],
    spares: [`t-${n}/00000000000000000000.log.deleted`],
  }));
}

test('what was written down of closed logs is read again, also of none', () => {
  for (const count of [0, 1, 50])
    assert.equal(decodeClosedLogs(encodeClosedLogs(named(count))), named(count));
});

test('whatever bit is flipped, and wherever the file was cut, nothing of it is believed', () => {
  const whole = encodeClosedLogs(named(2));
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const bytes = Buffer.from(whole);
    bytes[bit >> 3] ^= 1 << (bit & 7);
    assert.equal(decodeClosedLogs(bytes), [], `bit ${bit}`);
  }
  for (let length = 0; length < whole.length; length++)
    assert.equal(decodeClosedLogs(whole.subarray(0, length)), [], `${length} bytes`);
  assert.equal(decodeClosedLogs(Buffer.concat([whole, whole])), []);
});

test('another version is not believed, although its checksum is right', () => {
  const bytes = encodeClosedLogs(named(1)).toString().replace('"version":1', '"version":2');
  assert.equal(decodeClosedLogs(Buffer.from(bytes)), []);
});

interface Closed {
  readonly disk: MemoryDisk;
  readonly written: Buffer;
  readonly resumed: SegmentLog;
  readonly files: OpenFiles;
}

/** A log of several segments and epochs that was closed, and goes on from what its end let know. */
async function closedLog(): Promise<Closed> {
  const disk = new MemoryDisk();
  const { log } = await openTestLog({ disk, config: SMALL });
  const batches = [
    ...fill(log, 30, { epoch: 0, valueBytes: 500 }),
    ...fill(log, 30, { epoch: 2, valueBytes: 500 }),
  ];
  const [closed] = decodeClosedLogs(encodeClosedLogs([{ ...named(1)[0], ...(await log.close()) }]));
  const files = new OpenFiles(disk, 100);
  const resumed = resumeLog(files, DIRECTORY, topicConfig(SMALL), 0, closed);
  return { disk, files, resumed, written: bytesOf(batches) };
}

const shapeOf = (log: SegmentLog): unknown => [
  log.logStart,
  log.leo,
  log.written,
  log.bytes,
  log.lastEpoch,
  log.recoveryPoint,
  [-1, 0, 1, 2, 3].map((epoch) => log.endOfEpoch(epoch)),
  log.sealed.map(({ baseOffset, nextOffset, bytes, maxTimestamp }) => [
    baseOffset,
    nextOffset,
    bytes,
    maxTimestamp,
  ]),
];

test('a log that goes on from what was written down is the one that opening it finds', async () => {
  const { disk, resumed, written } = await closedLog();
  const opened = await openTestLog({ disk, config: SMALL, isClean: true, recoveryPoint: resumed.leo });
  assert.ok(resumed.sealed.length > 2);
  assert.equal(shapeOf(resumed), shapeOf(opened.log));
  assert.equal(readAll(resumed), written);
  for (const timestamp of [0, 1_700_000_000_050, 1_700_000_000_179, 1_700_000_000_180]) {
    const found = resumed.offsetForTimestamp(timestamp, resumed.leo);
    assert.equal(found, opened.log.offsetForTimestamp(timestamp, resumed.leo));
  }
});

test('it opens no file before somebody reads or writes, and nothing of it is seen to be old', async () => {
  const { files, resumed } = await closedLog();
  resumed.retain(1_700_000_000_200);
  await resumed.store();
  assert.ok(files.size <= 1, 'at most the one whose first timestamp nobody had asked for');
  assert.ok(resumed.read(0, 100, resumed.leo) !== undefined);
  assert.ok(files.size > 0);
});

test('it is appended to, cut and closed like any other', async () => {
  const { disk, resumed, written } = await closedLog();
  const more = batchAt(resumed.leo, { epoch: 3 });
  append(resumed, more);
  resumed.flush();
  assert.equal(readAll(resumed), Buffer.concat([written, more.bytes]));
  resumed.truncateTo(more.base);
  assert.equal(readAll(resumed), written);
  assert.is(resumed.lastEpoch, 2);
  resumed.truncateTo(90);
  assert.equal([resumed.leo, resumed.lastEpoch], [90, 0]);
  fill(resumed, 20, { epoch: 5 });
  await resumed.close();
  const { log, cuts } = await tryOpen({ disk, config: SMALL });
  assert.equal([cuts, log?.leo, log?.lastEpoch], [[], 150, 5]);
});

test('indexes that are wrong are found out at their first use', async () => {
  const { disk, resumed, written } = await closedLog();
  for (const name of disk.list(DIRECTORY).filter((each) => each.endsWith('index'))) {
    const file = disk.open(`${DIRECTORY}/${name}`);
    if (file.size > 0) file.write(0, [Buffer.alloc(file.size, 0x55)]);
    file.close();
  }
  assert.equal(readAll(resumed, 100, 1), readAll(resumed, 100));
  assert.equal(readAll(resumed), written);
});

test.run();
