import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type TopicConfigInput, topicConfig } from '../../src/config.ts';
import { ProducerStates } from '../../src/core/producer-states.ts';
import { CHECKPOINT_EVERY_MS } from '../../src/limits.ts';
import { encodeProducers } from '../../src/log/producer-snapshot.ts';
import { segmentLogOf } from '../../src/runtime/replica-opening.ts';
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

test('what a replica was told of producers outlives a kill, though it has sealed nothing yet', () =>
  withDirectory(async (path) => {
    const homeOf = () => ({ path, isTemporary: false, wasPowerLost: false });
    const info = { id: 0, topic: 't', partition: 0, replicas: [1], isr: [1], leader: 1, epoch: 0 };
    const assignment = { info, config: topicConfig({}), topicId: 'AAAAAAAAAAAAAAAAAAAAAA' };
    const clock = new PlayedClock();
    await withBrokers({ count: 1, durability: 'os', homeOf, clock }, async (brokers) => {
      await brokers.get(1).assign([{ ...assignment, isKept: false }], new Map());
      const told = new ProducerStates();
      const batch = { producerId: 7, producerEpoch: 0, firstSequence: 0, baseOffset: 90, nextOffset: 91 };
      told.note({ ...batch, timestamp: 1 });
      brokers.replica(1, 0).log.restartAt(100, encodeProducers(told, { offset: 100, leaderEpoch: 0 }));
      brokers.append(0, 3);
      await brokers.settle();
      clock.pass(CHECKPOINT_EVERY_MS);
      await sleep(50);
    });
    await withBrokers({ count: 1, durability: 'os', homeOf }, async (brokers) => {
      await brokers.get(1).assign([{ ...assignment, isKept: true }], new Map());
      const { states } = segmentLogOf(brokers.replica(1, 0))?.producers ?? {};
      assert.is(states?.judge(7, 0, 0, 1), 'duplicate');
      assert.is(states?.judge(7, 0, 1, 1), 'next');
    });
  }));

test('many small segments are stored, however few bytes they have', async () => {
  const found: number[] = [];
  await withDirectory(async (path) => {
    const clock = new PlayedClock();
    const homeOf = () => ({ path, isTemporary: false, wasPowerLost: false });
    await withBrokers({ count: 1, durability: 'os', homeOf, clock }, async (brokers) => {
      const info = { id: 0, topic: 't', partition: 0, replicas: [1], isr: [1], leader: 1, epoch: 0 };
      const config = topicConfig({ 'segment.ms': 1_000 });
      await brokers
        .get(1)
        .assign([{ info, config, topicId: 'AAAAAAAAAAAAAAAAAAAAAA', isKept: false }], new Map());
      for (let round = 0; round < 20; round++) {
        brokers.append(0, 1, 100);
        await brokers.settle();
        clock.pass(CHECKPOINT_EVERY_MS);
        await sleep(20);
        found.push(readdirSync(join(path, 't-0')).filter((name) => name.endsWith('.index')).length);
      }
    });
  });
  assert.ok((found.at(-1) as number) >= 8, `${found}`);
});

test.run();
