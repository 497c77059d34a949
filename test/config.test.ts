import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type TopicConfigInput, topicConfig } from '../src/config.ts';
import { MESSAGE_DEFAULT_BYTES, MESSAGE_MAX_BYTES, SEGMENT_START_BYTES } from '../src/limits.ts';
import { refusal } from './client/refusals.ts';

/** What a caller without types might pass. */
const anything = (input: unknown): TopicConfigInput => input as TopicConfigInput;

test('nothing given means the defaults', () => {
  const config = topicConfig(undefined);
  assert.equal(config, topicConfig({}));
  assert.is(config['max.message.bytes'], MESSAGE_DEFAULT_BYTES);
  assert.is(config['min.insync.replicas'], 1);
});

test('what is given lies over the base, and the base stays as it was', () => {
  const base = topicConfig({ 'min.insync.replicas': 2, 'retention.bytes': -1 });
  const before = { ...base };
  const config = topicConfig({ 'min.insync.replicas': 3, 'segment.bytes': undefined }, base);
  assert.equal(config, { ...base, 'min.insync.replicas': 3 });
  assert.equal(base, before);
  assert.is(topicConfig(undefined, base), base);
});

test('every property keeps to its bounds, which the refusal names', () => {
  const bounds: Record<string, readonly [min: number, max: number]> = {
    'max.message.bytes': [128, MESSAGE_MAX_BYTES],
    'min.insync.replicas': [1, 128],
    'retention.bytes': [-1, Number.MAX_SAFE_INTEGER],
    'segment.bytes': [SEGMENT_START_BYTES, 1024 * 1024 * 1024],
  };
  assert.equal(Object.keys(topicConfig({})).sort(), Object.keys(bounds).sort());
  for (const [name, [min, max]] of Object.entries(bounds)) {
    for (const value of [min, max]) {
      assert.is(topicConfig(anything({ [name]: value }))[name as keyof TopicConfigInput], value);
    }
    for (const value of [min - 1, max + 1, min + 0.5, NaN, Infinity, '1', null, true, 1n, {}]) {
      const sentence = new RegExp(`^'${name}' must be a whole number from ${min} to ${max}; got `);
      assert.throws(
        () => topicConfig(anything({ [name]: value })),
        refusal('INVALID_CONFIG', sentence),
        `${name} ${String(value)}`,
      );
    }
  }
});

test('a misspelt property is refused with the one that was meant', () => {
  const meant: Record<string, string> = {
    'min.insync.replica': 'min.insync.replicas',
    'min.in.sync.replicas': 'min.insync.replicas',
    'max.mesage.bytes': 'max.message.bytes',
    'Retention.Bytes': 'retention.bytes',
    'segment.byte': 'segment.bytes',
  };
  for (const [name, right] of Object.entries(meant)) {
    assert.throws(
      () => topicConfig(anything({ [name]: 1 })),
      refusal(
        'INVALID_CONFIG',
        new RegExp(`Unknown configuration property '${name}'. Did you mean '${right}'`),
      ),
      name,
    );
  }
});

test('a property that is like none is refused without advice', () => {
  for (const name of ['compression.codec', 'x', 'toString', '__proto__x', 'constructor', 'hasOwnProperty']) {
    assert.throws(
      () => topicConfig(anything({ [name]: 1 })),
      refusal('INVALID_CONFIG', /^Unknown configuration property '[^']+'\.( Did you mean '.+'\?)?$/),
      name,
    );
  }
  assert.throws(
    () => topicConfig(anything({ zookeeper: 1 })),
    refusal('INVALID_CONFIG', /^Unknown configuration property 'zookeeper'\.$/),
  );
});

test('what is no object is refused', () => {
  for (const input of [null, 1, 'min.insync.replicas=2', true]) {
    assert.throws(() => topicConfig(anything(input)), refusal('INVALID_CONFIG', /must be an object/));
  }
});

test.run();
