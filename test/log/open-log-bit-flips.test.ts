// time limit: 120 s
// Two thousand times a bit of a log, an index or an epoch file is flipped. Damage may cost what it hits, if it is seen:
// nobody is given a record that is not what was written, or not at its offset, and nothing goes missing in silence.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { crc32c } from '../../native-free/crc32c/index.ts';
import { CRC_FROM, readCrc } from '../../src/log/record-batch.ts';
import { DamagedSegmentError } from '../../src/log/segment.ts';
import type { SegmentLog } from '../../src/log/segment-log.ts';
import { FaultyDisk } from './faulty-disk.ts';
import { DIRECTORY, fill, type ModelBatch, openTestLog, tryOpen } from './log-fixtures.ts';
import { seededRandom } from './seeded-random.ts';

const FLIPS = 2_000;

/** What becomes of a batch that somebody reads: as a client does who checks its checksum. */
function judge(log: SegmentLog, batch: ModelBatch): 'as written' | 'seen' | string {
  try {
    const extent = log.read(batch.base, 1, log.leo);
    if (extent === undefined) return 'nothing is there';
    const bytes = Buffer.from(extent.bytes.subarray(extent.from, extent.to));
    if (crc32c(bytes.subarray(CRC_FROM)) !== readCrc(bytes, 0)) return 'seen';
    const [expected, found] = [Buffer.from(batch.bytes), bytes];
    // The leader epoch lies outside of the checksum, and tells a reader nothing.
    expected.copy(found, 12, 12, 16);
    return found.equals(expected) ? 'as written' : 'it is another batch';
  } catch (error) {
    if (error instanceof DamagedSegmentError) return 'seen';
    throw error;
  }
}

test('of two thousand flipped bits none is taken for what was written', async () => {
  const disk = new FaultyDisk();
  const { log } = await openTestLog({ disk });
  const written: ModelBatch[] = [];
  for (const epoch of [1, 4, 5]) {
    log.beginEpoch(epoch);
    written.push(...fill(log, 60, { epoch, valueBytes: 100 }));
  }
  const epochs = [1, 4, 5].map((epoch) => log.endOfEpoch(epoch));
  await log.close();
  const random = seededRandom(7);
  const files = disk.files();
  const outcomes = new Map<string, number>();
  const count = (outcome: string): unknown => outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  for (let flip = 0; flip < FLIPS; flip++) {
    const hit = disk.clone();
    const path = files[random(files.length)];
    const bit = random((hit.snapshot().get(path) as Buffer).length * 8);
    hit.flipBit(path, bit);
    const isClean = flip % 2 === 0;
    const label = `bit ${bit} of ${path}, ${isClean ? 'clean' : 'unclean'} start`;
    const opened = await tryOpen({ disk: hit, isClean });
    if (opened.log === undefined) {
      assert.ok(opened.damage?.file.startsWith(DIRECTORY), label);
      count('refused');
      continue;
    }
    const cut = opened.cuts[0]?.fromOffset ?? Number.POSITIVE_INFINITY;
    if (cut === Number.POSITIVE_INFINITY) assert.is(opened.log.leo, log.leo, label);
    for (const batch of written) {
      if (batch.next > cut) continue;
      const outcome = judge(opened.log, batch);
      assert.ok(outcome === 'as written' || outcome === 'seen', `${label}, offset ${batch.base}: ${outcome}`);
      if (outcome === 'seen') count('seen by the reader');
    }
    if (cut !== Number.POSITIVE_INFINITY) count('cut and reported');
    else
      assert.equal(
        [1, 4, 5].map((epoch) => opened.log?.endOfEpoch(epoch)),
        epochs,
        label,
      );
  }
  for (const outcome of ['refused', 'seen by the reader', 'cut and reported'])
    assert.ok((outcomes.get(outcome) ?? 0) > 0, `${outcome}: ${outcomes.get(outcome)}`);
});

test.run();
