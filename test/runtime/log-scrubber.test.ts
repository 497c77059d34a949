// Which segments are checked, and when: a pool that only writes down what it is asked stands where the real one would.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { topicConfig } from '../../src/config.ts';
import type { Replica } from '../../src/core/replica.ts';
import type { SegmentLog } from '../../src/log/segment-log.ts';
import type { BackgroundClient } from '../../src/runtime/background-client.ts';
import type { CareHost, CareTools } from '../../src/runtime/log-care.ts';
import { LogScrubber } from '../../src/runtime/log-scrubber.ts';
import { segmentLogOf } from '../../src/runtime/replica-opening.ts';
import type { SegmentDamages } from '../../src/runtime/segment-damages.ts';
import { withBrokers } from './broker-fixtures.ts';
import { withDirectory } from './directory-fixtures.ts';
import { PlayedClock } from './surroundings-fixtures.ts';

const INTERVAL_MS = 60_000;
const REST_MS = 50;

interface Scene {
  readonly log: SegmentLog;
  /** Those that were checked, by the offsets where they begin. */
  readonly checked: number[];
  busy: boolean;
  /** So many rests of the scrubber, after a look from outside. */
  look(rests: number): Promise<void>;
  append(batches: number): Promise<void>;
}

/** A log of six segments with a batch each, the last of which is written to. */
async function withScrubber(run: (scene: Scene) => Promise<void>): Promise<void> {
  await withDirectory(async (path) => {
    const clock = new PlayedClock();
    const homeOf = () => ({ path, isTemporary: false, wasPowerLost: false });
    await withBrokers({ count: 1, durability: 'os', homeOf, clock }, async (brokers) => {
      const info = { id: 0, topic: 't', partition: 0, replicas: [1], isr: [1], leader: 1, epoch: 0 };
      const config = topicConfig({ 'segment.bytes': 16_384 });
      const assigned = { info, topicId: 'AAAAAAAAAAAAAAAAAAAAAA', config, isKept: false };
      await brokers.get(1).assign([assigned], new Map());
      const replica: Replica = brokers.replica(1, 0);
      const log = segmentLogOf(replica) as SegmentLog;
      const checked: number[] = [];
      const background = {
        run: (request: { segment: { baseOffset: number } }) => {
          checked.push(request.segment.baseOffset);
          return Promise.resolve(undefined);
        },
      } as unknown as BackgroundClient;
      const host = {
        id: 1,
        clock,
        replicas: [replica],
        diskFailed: assert.unreachable,
      } as unknown as CareHost;
      const settings = {
        everyMs: 1,
        compactionBytesPerSecond: 1,
        scrubBytesPerSecond: 1,
        scrubIntervalMs: INTERVAL_MS,
      };
      const damages = { isKnown: () => false } as unknown as SegmentDamages;
      const tools = { root: path, background, settings, damages };
      const scrubber = new LogScrubber(host, tools as unknown as CareTools & typeof tools);
      const scene: Scene = {
        log,
        checked,
        busy: false,
        look: async (rests) => {
          scrubber.start(() => scene.busy);
          for (let n = 0; n <= rests; n++) {
            for (let turn = 0; turn < 10; turn++) await Promise.resolve();
            if (n < rests) clock.pass(REST_MS);
          }
        },
        append: async (batches) => {
          for (let n = 0; n < batches; n++) brokers.append(0, 1, 12_000);
          await brokers.settle();
        },
      };
      await scene.append(6);
      try {
        await run(scene);
      } finally {
        await scrubber.close();
      }
    });
  });
}

test('sealed segments are checked one after the other, the oldest first, and the active one is not', () =>
  withScrubber(async ({ log, checked, look }) => {
    assert.is(log.segments.length, 6);
    await look(8);
    assert.equal(checked, [0, 1, 2, 3, 4]);
  }));

test('a segment that comes has its turn after those that are due already, and none twice in an interval', () =>
  withScrubber(async ({ checked, look, append }) => {
    await look(1);
    await append(1);
    await look(8);
    assert.equal(checked, [0, 1, 2, 3, 4, 5]);
  }));

test('a log that is busy keeps its turn until it is free', () =>
  withScrubber(async (scene) => {
    await scene.look(1);
    scene.busy = true;
    await scene.look(3);
    assert.equal(scene.checked, [0, 1]);
    scene.busy = false;
    await scene.look(8);
    assert.equal(scene.checked, [0, 1, 2, 3, 4]);
  }));

test('what is gone, or written to again, since it was found due is passed over', () =>
  withScrubber(async ({ log, checked, look }) => {
    await look(1);
    log.truncateTo(4);
    await look(8);
    assert.equal(checked, [0, 1, 2]);
  }));

test.run();
