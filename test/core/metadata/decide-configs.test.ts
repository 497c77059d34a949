import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Command } from '../../../src/core/metadata/commands.ts';
import { configOfTopic } from '../../../src/core/metadata/topic-config.ts';
import { TestCluster } from './fixtures.ts';

function altering(part: object): Command {
  return { type: 'alter-topic-config', topic: 't', ...part } as Command;
}

function clusterWith(config: object = {}): TestCluster {
  const cluster = new TestCluster(2);
  cluster.run({ type: 'create-topic', name: 't', config: { ...config } });
  return cluster;
}

test("a topic's properties are set and removed, and the others stay", () => {
  const cluster = clusterWith({ 'retention.ms': 5, 'segment.ms': 7 });
  cluster.run(altering({ set: { 'max.message.bytes': '4096', 'segment.ms': 9 }, remove: ['retention.ms'] }));
  assert.equal(cluster.image.topic('t')?.config, { 'max.message.bytes': 4_096, 'segment.ms': 9 });
  assert.equal(cluster.image.topic('t')?.partitions, [0]);
});

test('what changes nothing brings no records', () => {
  const cluster = clusterWith({ 'retention.ms': 5 });
  for (const part of [
    {},
    { set: { 'retention.ms': '5' } },
    { remove: ['segment.ms'] },
    { set: { 'segment.ms': undefined } },
    { set: { 'segment.ms': 4 }, validateOnly: true },
  ]) {
    assert.equal(cluster.recordsOf(altering(part)), [], JSON.stringify(part));
  }
});

test('changes that cannot be are refused', () => {
  const cluster = clusterWith({ 'min.compaction.lag.ms': 5 });
  cluster.refuses(altering({ topic: 'u' }), 'UNKNOWN_TOPIC_OR_PARTITION');
  const wrong: [object, RegExp][] = [
    [{ set: { 'retention.mss': 1 } }, /Did you mean 'retention.ms'/],
    [{ set: { 'segment.bytes': 1 } }, /'segment.bytes' must be/],
    [{ set: { 'max.compaction.lag.ms': 4 } }, /must not be above/],
    [{ set: 7 }, /must be a plain object/],
    [{ remove: ['retention.mss'] }, /Did you mean 'retention.ms'/],
    [{ remove: [7] }, /Unknown configuration property 7/],
    [{ remove: 'retention.ms' }, /must be a list of names/],
    [{ set: { 'retention.ms': 1 }, remove: ['retention.ms'] }, /cannot be set and removed/],
    [{ remove: ['toString'] }, /Unknown configuration property 'toString'/],
  ];
  for (const [part, sentence] of wrong) cluster.refuses(altering(part), 'INVALID_CONFIG', sentence);
});

test('what all brokers are given holds for topics that were given nothing else', () => {
  const cluster = clusterWith({ 'retention.ms': 5 });
  cluster.run({
    type: 'alter-broker-config',
    broker: -1,
    set: { 'retention.ms': 1, 'segment.ms': 2 },
  });
  const config = configOfTopic(cluster.image, 't', cluster.world.defaults);
  assert.is(config['retention.ms'], 5);
  assert.is(config['segment.ms'], 2);
  assert.is(config['min.insync.replicas'], 1);
});

test('a broker is given a configuration, and loses it', () => {
  const cluster = clusterWith();
  cluster.run({ type: 'alter-broker-config', broker: 2, set: { 'segment.ms': 2 } });
  assert.equal(cluster.image.brokerConfig(2), { 'segment.ms': 2 });
  assert.equal(cluster.image.brokerConfig(1), {});
  cluster.run({ type: 'alter-broker-config', broker: 2, remove: ['segment.ms'] });
  assert.equal(cluster.image.brokerConfig(2), {});
  const again: Command = { type: 'alter-broker-config', broker: 2, remove: ['segment.ms'] };
  assert.equal(cluster.recordsOf(again), []);
  const trial: Command = {
    type: 'alter-broker-config',
    broker: 2,
    set: { 'segment.ms': 3 },
    validateOnly: true,
  };
  assert.equal(cluster.recordsOf(trial), []);
});

test('configurations of brokers that cannot be are refused', () => {
  const cluster = clusterWith({ 'min.compaction.lag.ms': 5 });
  const altered = (part: object) => ({ type: 'alter-broker-config', broker: -1, ...part }) as Command;
  cluster.refuses(altered({ broker: 9 }), 'BROKER_ID_NOT_REGISTERED', /No broker 9/);
  cluster.refuses(altered({ set: { nonsense: 1 } }), 'INVALID_CONFIG');
  const lag = altered({ set: { 'max.compaction.lag.ms': 4 } });
  cluster.refuses(lag, 'INVALID_CONFIG', /does not go with the configuration of topic 't'/);
});

test.run();
