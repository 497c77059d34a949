// Kafka's own log code wrote the snapshots in test/vectors/segments: what we read of them, and what we find in Kafka's
// batches without them, is what Kafka knew.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { topicConfig } from '../../src/config.ts';
import type { ProducerStates } from '../../src/core/producer-states.ts';
import { SNAPSHOT_SUFFIX } from '../../src/log/file-names.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { OpenFiles } from '../../src/log/open-files.ts';
import { openLog } from '../../src/log/open-log.ts';
import { decodeProducers, encodeProducers } from '../../src/log/producer-snapshot.ts';
import type { SegmentLog } from '../../src/log/segment-log.ts';
import type { ProducedBatch } from '../../src/types.ts';

type StoredFile = { readonly text?: string; readonly gzip?: string; readonly base64?: string };

const vectors = JSON.parse(
  readFileSync(new URL('../../../test/vectors/segments/kafka-3.9.1.json', import.meta.url), 'utf8'),
) as { readonly files: Readonly<Record<string, StoredFile>> };

const files = new Map(
  Object.entries(vectors.files).map(([path, { text, gzip, base64 = '' }]): [string, Buffer] => {
    if (text !== undefined) return [path, Buffer.from(text)];
    return [
      path,
      gzip === undefined ? Buffer.from(base64, 'base64') : gunzipSync(Buffer.from(gzip, 'base64')),
    ];
  }),
);
const snapshots = [...files].filter(([path]) => path.endsWith(SNAPSHOT_SUFFIX));

/** Kafka writes down the last batch of each. */
function lastOfEach(
  states: ProducerStates,
): [producerId: number, epoch: number, last: ProducedBatch | undefined][] {
  return [...states.entries()]
    .map(([id, { epoch, batches }]): [number, number, ProducedBatch | undefined] => [
      id,
      epoch,
      batches.at(-1),
    ])
    .sort(([one], [other]) => one - other);
}

/** The partition as Kafka left it, but for the snapshots. */
async function open(name: string): Promise<SegmentLog> {
  const disk = new MemoryDisk();
  disk.makeDirectory(name);
  for (const [path, bytes] of files) {
    if (!path.startsWith(`${name}/`) || path.endsWith(SNAPSHOT_SUFFIX)) continue;
    disk.open(path, 'create').write(0, [bytes]);
  }
  const policy = name === 'table-0' ? 'compact' : 'delete';
  const { log } = await openLog(new OpenFiles(disk, 100), {
    directory: name,
    isClean: true,
    wasPowerLost: false,
    recoveryPoint: Number.MAX_SAFE_INTEGER,
    logStart: 0,
    config: topicConfig({ 'cleanup.policy': policy, 'segment.bytes': 65_536 }),
  });
  return log as SegmentLog;
}

test('the vectors hold snapshots with a producer, and some without any', () => {
  const sizes = snapshots.map(([, bytes]) => decodeProducers(bytes)?.states.size);
  assert.equal(new Set(sizes), new Set([0, 1]));
  assert.ok(snapshots.length > 8);
});

test("Kafka's batches say of producers what Kafka has written down at each offset", async () => {
  for (const [path, bytes] of snapshots) {
    const [name, file] = path.split('/');
    const found = decodeProducers(bytes);
    assert.is(found?.place, undefined);
    const log = await open(name);
    const ours = decodeProducers(log.producers.at(Number(file.slice(0, 20))));
    const expected = lastOfEach(found?.states as ProducerStates);
    assert.equal(lastOfEach(ours?.states as ProducerStates), expected, path);
  }
});

test("what we write of a producer is Kafka's, byte for byte, but for transactions and what stands behind", () => {
  for (const [path, bytes] of snapshots) {
    const { states } = decodeProducers(bytes) ?? {};
    const ours = encodeProducers(states as ProducerStates, { offset: 0, leaderEpoch: 0 });
    const theirs = Buffer.from(bytes);
    // Coordinator epoch and the first offset of a transaction under way: nobody here begins transactions yet.
    for (let at = 10; at < theirs.length; at += 46) {
      theirs.fill(0xff, at + 34, at + 46);
      // A marker has a timestamp of its own, and no batch here.
      if (theirs.readBigInt64BE(at + 14) < 0n) theirs.fill(0xff, at + 26, at + 34);
    }
    assert.ok(ours.subarray(6, theirs.length).equals(theirs.subarray(6)), path);
    assert.is(ours.readInt16BE(0), theirs.readInt16BE(0));
  }
});

test.run();
