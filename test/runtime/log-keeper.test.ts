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

const assigned = {
  info: { id: 0, topic: 't', partition: 0, replicas: [1], isr: [1], leader: 1, epoch: 0 },
  topicId: 'AAAAAAAAAAAAAAAAAAAAAA',
};

interface Written {
  readonly config: TopicConfigInput;
  readonly rounds: number;
  /** A round: so many batches, each with a record of so many bytes. */
  readonly batches: number;
  readonly valueBytes: number;
}

/** How many index files a log has that was written to and looked after, round by round. */
async function indexFiles({ config, rounds, batches, valueBytes }: Written): Promise<number[]> {
  const found: number[] = [];
  await withDirectory(async (path) => {
    const clock = new PlayedClock();
    const homeOf = () => ({ path, isTemporary: false, wasPowerLost: false });
    await withBrokers({ count: 1, durability: 'os', homeOf, clock }, async (brokers) => {
      await brokers.get(1).assign([{ ...assigned, config: topicConfig(config), isKept: false }], new Map());
      for (let round = 0; round < rounds; round++) {
        for (let n = 0; n < batches; n++) brokers.append(0, 1, valueBytes);
        await brokers.settle();
        clock.pass(CHECKPOINT_EVERY_MS);
        await sleep(50);
        found.push(readdirSync(join(path, 't-0')).filter((name) => name.endsWith('.index')).length);
      }
    });
  });
  return found;
}

/** Segments of four batches each. */
function segmentsARound(segments: number, config: TopicConfigInput): Promise<number[]> {
  const small = { 'segment.bytes': 16_384, ...config };
  return indexFiles({ config: small, rounds: 4, batches: 4 * segments, valueBytes: 3_900 });
}

test('a log that keeps little makes no files for segments that it drops soon', async () => {
  assert.equal(await segmentsARound(3, { 'retention.bytes': 32_768 }), [0, 0, 0, 0]);
});

test('a log that keeps more has its sealed segments stored, so that the next start need not look at them', async () => {
  const found = await segmentsARound(5, { 'retention.bytes': -1 });
  assert.ok(found[0] >= 3 && found[3] > found[0], `${found}`);
});

test('a few small segments wait for more, and are stored with them', async () => {
  const found = await segmentsARound(2, { 'retention.bytes': -1 });
  assert.is(found[0], 0);
  assert.ok(found[3] > 0, `${found}`);
});

test('what a replica was told of producers outlives a kill, though it has sealed nothing yet', () =>
  withDirectory(async (path) => {
    const homeOf = () => ({ path, isTemporary: false, wasPowerLost: false });
    const assignment = { ...assigned, config: topicConfig({}) };
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
  const found = await indexFiles({
    config: { 'segment.ms': 1_000 },
    rounds: 20,
    batches: 1,
    valueBytes: 100,
  });
  assert.ok((found.at(-1) as number) >= 8, `${found}`);
});

test('a broker has its turns while very many logs are looked after', () =>
  withDirectory(async (path) => {
    const homeOf = () => ({ path, isTemporary: true, wasPowerLost: false });
    const clock = new PlayedClock();
    await withBrokers({ count: 1, durability: 'os', homeOf, clock }, async (brokers) => {
      const partitions = Array.from({ length: 100 }, (_, id) => ({
        info: { ...assigned.info, id, partition: id },
        topicId: assigned.topicId,
        config: topicConfig({}),
        isKept: false,
      }));
      await brokers.get(1).assign(partitions, new Map());
      let turns = 0;
      clock.turn = () => {
        turns++;
        return sleep(0);
      };
      clock.pass(CHECKPOINT_EVERY_MS);
      await sleep(100);
      assert.ok(turns >= 10, `${turns}`);
    });
  }));

test('a broker has its turns while very many segments of one log are stored', () =>
  withDirectory(async (path) => {
    const homeOf = () => ({ path, isTemporary: false, wasPowerLost: false });
    const clock = new PlayedClock();
    await withBrokers({ count: 1, durability: 'os', homeOf, clock }, async (brokers) => {
      const config = topicConfig({ 'segment.bytes': 16_384, 'retention.bytes': -1 });
      await brokers.get(1).assign([{ ...assigned, config, isKept: false }], new Map());
      for (let n = 0; n < 120; n++) brokers.append(0, 1, 15_000);
      await brokers.settle();
      /** Indexes that are there in each turn. */
      const seen: number[] = [];
      clock.turn = () => {
        seen.push(readdirSync(join(path, 't-0')).filter((name) => name.endsWith('.index')).length);
        return sleep(0);
      };
      clock.pass(CHECKPOINT_EVERY_MS);
      for (let waited = 0; (seen.at(-1) ?? 0) < 110 && waited < 5_000; waited += 20) await sleep(20);
      assert.ok((seen.at(-1) as number) >= 110, `${seen}`);
      for (const [n, count] of seen.entries()) assert.ok(count - (seen[n - 1] ?? 0) <= 4, `${seen}`);
    });
  }));

test.run();
