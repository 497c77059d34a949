import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { TAIL_RING_BYTES } from '../../src/limits.ts';
import { assertReplicated, occupy, partitionOf, until, withCluster } from './fixtures.ts';

const value = new Uint8Array(10_000);
const hundred = Array(100).fill({ value });
const rounds = Math.ceil((2 * TAIL_RING_BYTES) / (hundred.length * value.length));

test('a follower that falls behind the ring reads the log, and ends with the same bytes', () =>
  withCluster({ brokers: 2, topicConfig: { 'retention.bytes': -1 } }, async (cluster, { threads }) => {
    const producer = cluster.producer({ acks: 1 });
    const counted = (name: 'laps' | 'catchUps' | 'corruptFrames'): number =>
      cluster.metrics().reduce((sum, { counters }) => sum + counters[name], 0);
    const { leader } = partitionOf(cluster);
    const follower = threads[2 - leader];
    let written = 0;
    for (let attempt = 0; attempt < 5 && counted('laps') === 0; attempt++) {
      occupy(follower);
      for (let round = 0; round < rounds; round++) {
        await producer.sendBatch('t', hundred);
        written += hundred.length;
      }
      await until('the follower has everything', () =>
        Object.values(partitionOf(cluster).leo).every((leo) => leo === written),
      );
    }
    assert.ok(counted('laps') > 0, 'nobody was lapped');
    assert.ok(counted('catchUps') > 0);
    await assertReplicated(cluster, written);
    await producer.sendBatch('t', hundred);
    await assertReplicated(cluster, written + hundred.length);
    assert.is(counted('corruptFrames'), 0);
  }));

test.run();
