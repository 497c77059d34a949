import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { clusterConfig } from '../src/cluster-config.ts';
import { refusal } from './client/refusals.ts';

const ENABLE = 'auto.leader.rebalance.enable';
const INTERVAL = 'leader.imbalance.check.interval.seconds';

test("a cluster has Kafka's defaults where nothing was given", () => {
  assert.equal(clusterConfig(undefined), { rebalanceEveryMs: 300_000, topics: undefined });
  assert.is(clusterConfig({ [ENABLE]: undefined }).rebalanceEveryMs, 300_000);
});

test('what is given is taken, as it is or as text, and the rest is for topics', () => {
  assert.equal(clusterConfig({ [INTERVAL]: '7', 'retention.ms': 5, whatever: 1 }), {
    rebalanceEveryMs: 7_000,
    topics: { 'retention.ms': 5, whatever: 1 },
  });
  for (const off of [false, 'false']) assert.is(clusterConfig({ [ENABLE]: off }).rebalanceEveryMs, undefined);
  assert.is(clusterConfig({ [ENABLE]: 'true', [INTERVAL]: 1 }).rebalanceEveryMs, 1_000);
});

test('what makes no sense is refused with its bounds, and what is no configuration at all is left to topics', () => {
  for (const [name, wrong] of [
    [ENABLE, 'yes'],
    [ENABLE, 1],
    [INTERVAL, 0],
    [INTERVAL, 1.5],
  ] as const)
    assert.throws(() => clusterConfig({ [name]: wrong }), refusal('INVALID_CONFIG', /must be/));
  assert.equal(clusterConfig(7).topics, 7);
});

test.run();
