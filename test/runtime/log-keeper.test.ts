import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type TopicConfigInput, topicConfig } from '../../src/config.ts';
import { CHECKPOINT_EVERY_MS } from '../../src/limits.ts';
import { withBrokers } from './broker-fixtures.ts';
import { withDirectory } from './directory-fixtures.ts';
import { PlayedClock } from './surroundings-fixtures.ts';

/** How many index files a log has that was written to and looked after, round by round. */
async function indexFiles(config: TopicConfigInput, segmentsARound: number): Promise<number[]> {
  const found: number[] = [];
  await withDirectory(async (path) => {
    const clock = new PlayedClock();
    const homeOf = () => ({ path, isTemporary: false, wasPowerLost: false });
    await withBrokers({ count: 1, durability: 'os', homeOf, clock }, async (brokers) => {
      const info = { id: 0, topic: 't', partition: 0, replicas: [1], isr: [1], leader: 1, epoch: 0 };
      const kept = topicConfig({ 'segment.bytes': 16_384, ...config });
      await brokers
        .get(1)
        .assign([{ info, config: kept, topicId: 'AAAAAAAAAAAAAAAAAAAAAA', isKept: false }], new Map());
      for (let round = 0; round < 4; round++) {
        for (let n = 0; n < 4 * segmentsARound; n++) brokers.append(0, 1, 3_900);
        await brokers.settle();
        clock.pass(CHECKPOINT_EVERY_MS);
        await sleep(50);
        found.push(readdirSync(join(path, 't-0')).filter((name) => name.endsWith('.index')).length);
      }
    });
  });
  return found;
}

test('a log that keeps little makes no files for segments that it drops soon', async () => {
  assert.equal(await indexFiles({ 'retention.bytes': 32_768 }, 3), [0, 0, 0, 0]);
});

test('a log that keeps more has its sealed segments stored, so that the next start need not look at them', async () => {
  const found = await indexFiles({ 'retention.bytes': -1 }, 5);
  assert.ok(found[0] >= 3 && found[3] > found[0], `${found}`);
});

test('a few small segments wait for more', async () => {
  assert.equal((await indexFiles({ 'retention.bytes': -1 }, 2)).slice(0, 1), [0]);
});

test.run();
