import { readFileSync } from 'node:fs';
import { runInNewContext } from 'node:vm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  describeProperties,
  type PropertyName,
  type TopicConfigInput,
  topicConfig,
  topicDefaults,
} from '../src/config.ts';
import { MESSAGE_DEFAULT_BYTES, MESSAGE_MAX_BYTES, SEGMENT_MIN_BYTES } from '../src/limits.ts';
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

test('every number keeps to its bounds, which the refusal names', () => {
  const any = Number.MAX_SAFE_INTEGER;
  const bounds: Record<string, readonly [min: number, max: number]> = {
    'delete.retention.ms': [0, any],
    'index.interval.bytes': [0, 2 ** 31 - 1],
    'max.compaction.lag.ms': [1, any],
    'max.message.bytes': [128, MESSAGE_MAX_BYTES],
    'min.compaction.lag.ms': [0, any],
    'min.insync.replicas': [1, 128],
    'producer.id.expiration.ms': [3_600_000, 2 ** 31 - 1],
    'replica.lag.max.messages': [-1, any],
    'replica.lag.time.max.ms': [500, any],
    'retention.bytes': [-1, any],
    'retention.ms': [-1, any],
    'segment.bytes': [SEGMENT_MIN_BYTES, 1024 * 1024 * 1024],
    'segment.ms': [1, any],
  };
  const numbers = describeProperties().filter(({ kind }) => kind === 'whole number');
  assert.equal(
    numbers.map(({ name }) => name),
    Object.keys(bounds),
  );
  for (const [name, [min, max]] of Object.entries(bounds)) {
    for (const value of [min, max]) {
      assert.is(value, topicConfig(anything({ [name]: value }))[name as PropertyName]);
      assert.is(value, topicConfig(anything({ [name]: ` ${value}` }))[name as PropertyName]);
    }
    const wrong = [
      min - 1,
      max + 1,
      min + 0.5,
      NaN,
      Infinity,
      '',
      '1e3',
      '0x80',
      '12.5',
      'many',
      `${min - 1}`,
    ];
    for (const value of [...wrong, null, true, 1n, {}, [128]]) {
      const sentence = new RegExp(`^'${name}' must be a whole number from ${min} to ${max}; got `);
      assert.throws(
        () => topicConfig(anything({ [name]: value })),
        refusal('INVALID_CONFIG', sentence),
        `${name} ${String(value)}`,
      );
    }
  }
});

test("Kafka's largest number means that there is no bound, where there need not be one", () => {
  const largest = '9223372036854775807';
  const config = topicConfig({ 'max.compaction.lag.ms': largest, 'retention.ms': largest });
  assert.is(config['max.compaction.lag.ms'], Number.MAX_SAFE_INTEGER);
  assert.is(config['retention.ms'], Number.MAX_SAFE_INTEGER);
  assert.throws(
    () => topicConfig({ 'segment.bytes': largest }),
    refusal('INVALID_CONFIG', /'segment.bytes' must be a whole number from/),
  );
});

test('a fraction lies between 0 and 1, as a number or in a string', () => {
  for (const [value, expected] of [
    [0, 0],
    [1, 1],
    [0.25, 0.25],
    ['0.75', 0.75],
    ['.5', 0.5],
    ['1', 1],
  ]) {
    const config = topicConfig(anything({ 'min.cleanable.dirty.ratio': value }));
    assert.is(config['min.cleanable.dirty.ratio'], expected);
  }
  for (const value of [-0.1, 1.1, NaN, '', '-0.1', '1.5', 'half', null, true, []]) {
    assert.throws(
      () => topicConfig(anything({ 'min.cleanable.dirty.ratio': value })),
      refusal('INVALID_CONFIG', /^'min.cleanable.dirty.ratio' must be a number from 0 to 1; got /),
      String(value),
    );
  }
});

test('a choice is one of those that the refusal names', () => {
  const refused: [string, unknown, RegExp][] = [
    [
      'message.timestamp.type',
      'createtime',
      /must be one of 'CreateTime', 'LogAppendTime'; got 'createtime'/,
    ],
    ['message.timestamp.type', 0, /must be one of 'CreateTime', 'LogAppendTime'; got 0/],
    ['compression.type', 'zstd', /'compression.type' must be 'producer'; got 'zstd'/],
    ['cleanup.policy', 'keep', /must be one of 'delete', 'compact', 'compact,delete'; got 'keep'/],
    ['cleanup.policy', '', /must be one of 'delete'/],
    ['cleanup.policy', [], /must be one of 'delete'/],
    ['cleanup.policy', ['delete', 1], /must be one of 'delete'/],
    ['cleanup.policy', 'delete,', /must be one of 'delete'/],
    ['cleanup.policy', 'delete,delete', /must be one of 'delete'.*; got 'delete,delete'/],
    ['cleanup.policy', ['compact', 'compact'], /must be one of 'delete'/],
  ];
  for (const [name, value, sentence] of refused) {
    assert.throws(() => topicConfig(anything({ [name]: value })), refusal('INVALID_CONFIG', sentence));
  }
  assert.is(
    topicConfig({ 'message.timestamp.type': 'LogAppendTime' })['message.timestamp.type'],
    'LogAppendTime',
  );
  assert.is(topicConfig({ 'compression.type': 'producer' })['compression.type'], 'producer');
});

test('both cleanup policies may be named in any order, in a string or an array', () => {
  for (const value of ['compact,delete', 'delete,compact', ' delete , compact ', ['delete', 'compact']]) {
    assert.is(topicConfig(anything({ 'cleanup.policy': value }))['cleanup.policy'], 'compact,delete');
  }
  assert.is(topicConfig({ 'cleanup.policy': ['compact'] })['cleanup.policy'], 'compact');
  assert.is(topicConfig({ 'cleanup.policy': 'delete' })['cleanup.policy'], 'delete');
});

test('two properties that contradict each other are refused, and both are named', () => {
  const base = topicConfig({ 'max.compaction.lag.ms': 1_000 });
  assert.throws(
    () => topicConfig({ 'min.compaction.lag.ms': 1_001 }, base),
    refusal(
      'INVALID_CONFIG',
      /'min.compaction.lag.ms' must not be above 'max.compaction.lag.ms'; .* 1001 and 1000/,
    ),
  );
  assert.is(topicConfig({ 'min.compaction.lag.ms': 1_000 }, base)['min.compaction.lag.ms'], 1_000);
});

test('memory is bounded by size, and disks by time', () => {
  const memory = topicDefaults('memory');
  assert.is(memory['retention.bytes'], 64 * 1024 * 1024);
  assert.is(memory['retention.ms'], -1);
  assert.is(memory['segment.bytes'], 4 * 1024 * 1024);
  for (const durability of ['os', 'fsync'] as const) {
    const disk = topicDefaults(durability);
    assert.is(disk['retention.bytes'], -1);
    assert.is(disk['retention.ms'], 7 * 24 * 3_600_000);
    assert.is(disk['segment.bytes'], 64 * 1024 * 1024);
    assert.equal(topicConfig({}, disk), disk);
  }
});

test('every default is a value that the property takes', () => {
  for (const durability of ['memory', 'os'] as const) {
    const defaults = topicDefaults(durability);
    assert.equal(topicConfig(defaults), defaults);
  }
});

test("README's table says what the table of properties says", () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const [, body] = /\| topic property \|[^\n]*\n\|[- |]*\n((?:\|[^\n]*\n)+)/.exec(readme) ?? [];
  assert.ok(body !== undefined, 'README.md has a table of topic properties');
  const rows = body
    .trimEnd()
    .split('\n')
    .map((row) => row.slice(1, -1).split(/(?<!\\)\|/))
    .map((cells) => cells.map((cell) => cell.trim()));
  const expected = describeProperties().map((property) => [
    `\`${property.name}\``,
    property.default,
    property.memoryDefault ?? '',
    property.values.replaceAll('|', '\\|'),
    property.help,
  ]);
  assert.equal(rows, expected);
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

test('a property that is like none is refused with where all are listed', () => {
  for (const name of ['compression.codec', 'x', 'toString', '__proto__x', 'constructor', 'hasOwnProperty']) {
    assert.throws(
      () => topicConfig(anything({ [name]: 1 })),
      refusal(
        'INVALID_CONFIG',
        /^Unknown configuration property '[^']+'\.( Did you mean '.+'\?| `npx tidemark topic-properties` lists .*\.)$/,
      ),
      name,
    );
  }
  assert.throws(
    () => topicConfig(anything({ zookeeper: 1 })),
    refusal('INVALID_CONFIG', /'zookeeper'\. `npx tidemark topic-properties` lists those/),
  );
});

test('what is no plain object is refused', () => {
  const lists = [[], [1], ['retention.ms', 1]];
  const entries = [
    new Map([['retention.ms', 1]]),
    new Set(),
    new Date(),
    /x/,
    new Uint8Array(1),
    new (class {})(),
  ];
  for (const input of [null, 1, 'min.insync.replicas=2', true, () => 1, ...lists, ...entries]) {
    assert.throws(() => topicConfig(anything(input)), refusal('INVALID_CONFIG', /must be a plain object/));
  }
  topicConfig(Object.assign(Object.create(null), { 'retention.ms': 1 }));
  topicConfig(runInNewContext("({ 'retention.ms': 1 })"));
});

test.run();
