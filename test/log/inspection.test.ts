import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeEpochs, encodeOffsets } from '../../src/log/checkpoint-files.ts';
import { inspectBrokerFiles, inspectPartition, knownPartitions } from '../../src/log/inspection.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { flip, get, put, writePartition } from './partition-fixtures.ts';

const strict = { gapsAllowed: false };

function problemsOf(disk: MemoryDisk, gapsAllowed = false): string[] {
  const { problems } = inspectPartition(disk, 't-0', { gapsAllowed });
  return problems.map(({ file, position, sentence }) => `${file} ${position ?? '-'} ${sentence}`);
}

test('a partition as a clean stop leaves it has nothing wrong, and is counted', () => {
  const disk = new MemoryDisk();
  const written = writePartition(disk);
  let done = 0;
  const found = inspectPartition(disk, 't-0', { ...strict, progress: (bytes) => (done += bytes) });
  assert.equal(found.problems, []);
  assert.equal(
    found.segments.map(({ batches, records, nextOffset, lastEpoch }) => [
      batches,
      records,
      nextOffset,
      lastEpoch,
    ]),
    [
      [6, 18, 18, 0],
      [6, 18, 36, 1],
      [6, 18, 54, 2],
    ],
  );
  assert.is(
    done,
    written.reduce((sum, { bytes }) => sum + bytes.length, 0),
  );
});

test('indexes that are missing are no problem, and neither is the room that Kafka makes in them', () => {
  const disk = new MemoryDisk();
  const [first, second] = writePartition(disk);
  disk.remove(first.path.replace('.log', '.index'));
  for (const suffix of ['.index', '.timeindex']) {
    const path = second.path.replace('.log', suffix);
    put(disk, path, Buffer.concat([get(disk, path), Buffer.alloc(1200)]));
  }
  assert.equal(problemsOf(disk), []);
});

test('every flipped bit of an index is seen', () => {
  const disk = new MemoryDisk();
  const [segment] = writePartition(disk, { segments: 1, batches: 12 });
  for (const suffix of ['.index', '.timeindex']) {
    const path = segment.path.replace('.log', suffix);
    const sound = get(disk, path);
    assert.ok(sound.length >= 24, suffix);
    let unseen = 0;
    for (let bit = 0; bit < sound.length * 8; bit++) {
      put(disk, path, sound);
      flip(disk, path, bit >> 3, 1 << (bit & 7));
      const problems = problemsOf(disk);
      // An offset that is a little too high, or in the midst of its batch, leads to the same batch all the same.
      if (problems.length === 0) unseen += 1;
      else assert.ok(problems[0].startsWith(`${path} `) && problems[0].includes('The index is wrong: '));
    }
    assert.ok(unseen <= 3 * (sound.length / 8), `${unseen} of ${sound.length * 8} bits of ${suffix}`);
    put(disk, path, sound.subarray(0, -1));
    assert.match(problemsOf(disk)[0], /the file ends within an entry/);
    put(disk, path, sound);
  }
});

test('an index that leads past the batches is wrong', () => {
  const disk = new MemoryDisk();
  const [segment] = writePartition(disk, { segments: 1 });
  const entry = (a: number, b: number): Buffer => {
    const bytes = Buffer.alloc(8);
    bytes.writeInt32BE(a);
    bytes.writeInt32BE(b, 4);
    return bytes;
  };
  const path = segment.path.replace('.log', '.index');
  put(disk, path, entry(5, 77));
  assert.match(problemsOf(disk)[0], /no batch begins at byte 77/);
  put(disk, path, entry(5, segment.bytes.length));
  assert.match(problemsOf(disk)[0], /no batch begins at byte/);
  put(disk, path, entry(2, segment.positions[1]));
  assert.match(problemsOf(disk)[0], /offset 2 lies before byte \d+, whose batch begins at 3/);
  put(disk, path, entry(500, segment.positions[1]));
  assert.match(problemsOf(disk)[0], /offset 500 lies beyond the segment, which ends at 18/);
  put(disk, path, Buffer.concat([entry(7, segment.positions[1]), entry(8, segment.positions[2])]));
  assert.match(problemsOf(disk)[0], / 0 .*offset 6 and those before it lie behind byte/);
});

test('a torn end, a hole, and a missing segment are told with their place and their offsets', () => {
  const disk = new MemoryDisk();
  const [first, second, third] = writePartition(disk);
  put(disk, third.path, third.bytes.subarray(0, -10));
  assert.equal(problemsOf(disk), [
    `${third.path} ${third.positions[5]} The file ends within the batch that should begin at offset 51.`,
  ]);
  const [damage] = inspectPartition(disk, 't-0', strict).segments[2].damages;
  assert.is(damage.kind, 'end');
  assert.equal([damage.fromOffset, damage.toOffset], [51, 54]);
  put(disk, third.path, third.bytes);
  flip(disk, first.path, first.positions[2] + 100);
  assert.match(problemsOf(disk)[0], /The batch of offsets 6 to 8 does not match its CRC/);
  put(disk, first.path, first.bytes);
  disk.remove(second.path);
  for (const suffix of ['.index', '.timeindex']) {
    const index = second.path.replace('.log', suffix);
    assert.ok(problemsOf(disk, true).some((problem) => problem.startsWith(`${index} `)));
    disk.remove(index);
  }
  assert.equal(problemsOf(disk), [
    `${first.path} ${first.bytes.length} The segment ends at offset 18, and the next one begins at 36.`,
  ]);
  assert.equal(problemsOf(disk, true), []);
});

test('a first segment that is missing after a clean end of ours is told, and no other', () => {
  const disk = new MemoryDisk();
  const [first] = writePartition(disk, { directory: 'broker-1/t-0' });
  for (const suffix of ['.log', '.index', '.timeindex']) disk.remove(first.path.replace('.log', suffix));
  const problems = (gapsAllowed = false): string[] =>
    inspectPartition(disk, 'broker-1/t-0', { gapsAllowed }).problems.map(({ sentence }) => sentence);
  const starts = 'broker-1/log-start-offset-checkpoint';
  const [marker, closed] = ['broker-1/.kafka_cleanshutdown', 'broker-1/closed-logs-checkpoint'];
  put(disk, starts, encodeOffsets([]));
  assert.equal(problems(), []);
  put(disk, marker, Buffer.from('x'));
  assert.equal(problems(), []);
  put(disk, closed, Buffer.from('x'));
  // One of which the tables know nothing, as a voter's, may begin anywhere.
  assert.equal(problems(), []);
  put(
    disk,
    'broker-1/recovery-point-offset-checkpoint',
    encodeOffsets([{ topic: 't', partition: 0, offset: 54 }]),
  );
  const late = 'The log is known to begin at offset 0, and begins at 18: what lay before that is missing.';
  assert.equal([problems(), problems(true)], [[late], []]);
  put(disk, starts, encodeOffsets([{ topic: 't', partition: 0, offset: 18 }]));
  assert.equal(problems(), []);
  for (const table of [Buffer.from('0\n1\n'), undefined]) {
    disk.remove(starts);
    if (table !== undefined) put(disk, starts, table);
    assert.equal(problems(), []);
  }
  for (const path of [marker, closed]) disk.remove(path);
  // As a start has left it that missed the segment.
  disk.open(first.path, 'create').close();
  assert.equal(problems(), [late]);
});

test('a directory that is missing is told with what the checkpoints say of its log', () => {
  const disk = new MemoryDisk();
  disk.makeDirectory('broker-1');
  const table = (offset: number): Buffer => encodeOffsets([{ topic: 't', partition: 0, offset }]);
  assert.equal(knownPartitions(disk, 'broker-1'), []);
  put(disk, 'broker-1/recovery-point-offset-checkpoint', table(60));
  put(disk, 'broker-1/replication-offset-checkpoint', table(54));
  put(disk, 'broker-1/log-start-offset-checkpoint', table(18));
  assert.equal(
    knownPartitions(disk, 'broker-1').map(({ topic, partition }) => [topic, partition]),
    [['t', 0]],
  );
  const found = inspectPartition(disk, 'broker-1/t-0', strict);
  assert.equal([found.isMissing, found.endOffset, found.knownEnd], [true, 18, 54]);
  assert.equal(
    found.problems.map(({ sentence }) => sentence),
    ['The directory is missing, and its log is known to have gone up to 54.'],
  );
});

test('segments that overlap are told', () => {
  const disk = new MemoryDisk();
  const [first] = writePartition(disk, { segments: 2 });
  writePartition(disk, { segments: 1, baseOffset: 9 });
  assert.match(problemsOf(disk).join('\n'), /ends at offset 18, and the next one begins at 9/);
  assert.ok(problemsOf(disk).some((problem) => problem.startsWith(first.path)));
});

test('gaps are a problem only where the topic is not compacted', () => {
  const disk = new MemoryDisk();
  writePartition(disk, { segments: 1, gap: (batch) => (batch === 3 ? 5 : 0) });
  assert.match(problemsOf(disk)[0], /The batch begins at offset 14, where 9 was expected/);
  assert.equal(problemsOf(disk, true), []);
});

test('older bytes behind the end mark of the last segment, and in one that was recycled just now, are nothing', () => {
  const disk = new MemoryDisk();
  const [first, , last] = writePartition(disk);
  put(disk, last.path, Buffer.concat([last.bytes, Buffer.alloc(61), first.bytes]));
  assert.equal(problemsOf(disk), []);
  assert.is(inspectPartition(disk, 't-0', strict).segments[2].unusedBytes, 61 + first.bytes.length);
  put(disk, last.path, first.bytes);
  for (const suffix of ['.index', '.timeindex']) disk.remove(last.path.replace('.log', suffix));
  assert.equal(problemsOf(disk), []);
  // In the midst of a log the same bytes are no log.
  put(disk, last.path, last.bytes);
  put(disk, first.path, Buffer.concat([first.bytes.subarray(0, first.positions[2]), Buffer.alloc(61)]));
  assert.match(problemsOf(disk)[0], /Zeros follow the last batch, which ends at offset 6/);
});

test('an epoch that the checkpoint does not know is told, once', () => {
  const disk = new MemoryDisk();
  const [, , last] = writePartition(disk);
  flip(disk, last.path, last.positions[5] + 15, 64);
  assert.equal(problemsOf(disk), [
    `${last.path} ${last.positions[5]} The batch at offset 51 has leader epoch 66, and leader-epoch-checkpoint says 2.`,
  ]);
  put(disk, last.path, last.bytes);
  put(disk, 't-0/leader-epoch-checkpoint', encodeEpochs([{ epoch: 7, startOffset: 3 }]));
  assert.is(problemsOf(disk).length, 1);
});

test('small files that cannot be read are told with what was expected', () => {
  const disk = new MemoryDisk();
  writePartition(disk);
  put(disk, 't-0/leader-epoch-checkpoint', Buffer.from('0\n1\nx 0\n'));
  put(disk, 't-0/partition.metadata', Buffer.from('version: 0\n'));
  const found = inspectPartition(disk, 't-0', strict);
  assert.ok(found.areEpochsDamaged);
  assert.is(found.problems.length, 2);
  assert.match(found.problems[0].sentence, /line 3 should be/);
  put(disk, 'meta.properties', Buffer.from('version=9\n'));
  put(disk, 'replication-offset-checkpoint', Buffer.from('0\n2\nt 0 5\n'));
  const files = inspectBrokerFiles(disk, '').map(({ file }) => file);
  assert.equal(files, ['meta.properties', 'replication-offset-checkpoint']);
});

test('one segment can be looked at alone', () => {
  const disk = new MemoryDisk();
  const [first, second] = writePartition(disk);
  flip(disk, first.path, 100);
  const found = inspectPartition(disk, 't-0', { ...strict, segment: second.baseOffset });
  assert.is(found.segments.length, 1);
  assert.equal(found.problems, []);
});

test.run();
