import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Cluster, type ClusterOptions, connect } from '../../src/index.ts';
import { assertRefused } from '../client/refusals.ts';
import { assertReplicated, numbered, partitionOf, withCluster } from './fixtures.ts';

/** What a caller without types might pass. */
// biome-ignore lint/suspicious/noExplicitAny: the types are what is got around here.
const anything = (value: unknown): any => value;

test('a cluster is not started with bad options', async () => {
  const start = (options: unknown) => Cluster.start(anything(options));
  for (const options of [null, 3, 'memory']) {
    await assertRefused(start(options), 'INVALID_ARGUMENT', /options must be an object/);
  }
  await assertRefused(
    start({ broker: 3 }),
    'INVALID_ARGUMENT',
    /no option 'broker'\. Did you mean 'brokers'\?/,
  );
  await assertRefused(
    start({ durability: 'memory', toString: 1 }),
    'INVALID_ARGUMENT',
    /no option 'toString'/,
  );
  await assertRefused(
    start({ durability: 'memory', dataDir: './data' }),
    'INVALID_ARGUMENT',
    /writes no files.* leave it out/,
  );
  for (const dataDir of ['', 5, null]) {
    await assertRefused(start({ dataDir }), 'INVALID_ARGUMENT', /dataDir must be the path of a directory/);
  }
  await assertRefused(start({ dataDir: 'a\0b' }), 'INVALID_ARGUMENT', /dataDir holds a NUL byte/);
  await assertRefused(start({ onRecovery: 'yes' }), 'INVALID_ARGUMENT', /onRecovery must be a function/);
  await assertRefused(
    start({ durability: 'memory', listen: { port: 0 } }),
    'UNSUPPORTED',
    /no Kafka listener/,
  );
  await (await start({ durability: 'memory', listen: false })).close();
  await assertRefused(
    start({ durability: 'disk' }),
    'INVALID_ARGUMENT',
    /durability must be one of 'memory', 'os', 'fsync'/,
  );
  for (const brokers of [0, -1, 1.5, 101, '3', NaN, {}]) {
    await assertRefused(start({ durability: 'memory', brokers }), 'INVALID_ARGUMENT', /^brokers must be/);
  }
  for (const deliveryTimeoutMs of [0, -1, 0.5, '9']) {
    const options = { durability: 'memory', deliveryTimeoutMs };
    await assertRefused(start(options), 'INVALID_ARGUMENT', /^deliveryTimeoutMs must be/);
  }
  await assertRefused(
    start({ durability: 'memory', config: [] }),
    'INVALID_CONFIG',
    /must be a plain object/,
  );
  const config = { 'min.insync.replica': 1 };
  await assertRefused(
    start({ durability: 'memory', config }),
    'INVALID_CONFIG',
    /Did you mean 'min\.insync\.replicas'/,
  );
});

test("a cluster's configuration is its topics' default", async () => {
  const options: ClusterOptions = { brokers: 1, durability: 'memory', config: { 'max.message.bytes': 200 } };
  await using cluster = await Cluster.start(options);
  await cluster.admin.createTopic('small');
  await cluster.admin.createTopic('large', { config: { 'max.message.bytes': 2_000 } });
  const producer = cluster.producer();
  await assertRefused(
    producer.send('small', { value: 'x'.repeat(300) }),
    'MESSAGE_TOO_LARGE',
    /takes 3\d\d bytes.* 200\./,
  );
  assert.equal(await producer.send('large', { value: 'x'.repeat(300) }), { partition: 0, offset: 0 });
});

test('a topic is not created with bad arguments, and none is left half-created', () =>
  withCluster({ brokers: 2 }, async (cluster) => {
    const { admin } = cluster;
    for (const name of ['', '.', '..', 'a/b', 'a b', 'ä', 'x'.repeat(250), 5, null, undefined, {}]) {
      await assertRefused(admin.createTopic(anything(name)), 'INVALID_TOPIC_EXCEPTION', /must have 1 to 249/);
    }
    for (const partitions of [0, -1, 1.5, 10_001, '3', NaN]) {
      const created = admin.createTopic('u', { partitions: anything(partitions) });
      await assertRefused(created, 'INVALID_ARGUMENT', /^partitions must be/);
    }
    for (const replicationFactor of [0, -1, 1.5, '3']) {
      const created = admin.createTopic('u', { replicationFactor: anything(replicationFactor) });
      await assertRefused(created, 'INVALID_ARGUMENT', /^replicationFactor must be/);
    }
    await assertRefused(
      admin.createTopic('u', { replicationFactor: 3 }),
      'INVALID_REPLICATION_FACTOR',
      /needs as many brokers; 2 are running/,
    );
    await assertRefused(
      admin.createTopic('u', { config: anything({ 'segment.bytes': 1 }) }),
      'INVALID_CONFIG',
    );
    for (const wrong of [[], new Map(), new Date()]) {
      const created = admin.createTopic('u', { config: anything(wrong) });
      await assertRefused(
        created,
        'INVALID_CONFIG',
        /config must be a plain object.*; got (an empty array|Map|Date)/,
      );
    }
    await assertRefused(admin.createTopic('t'), 'TOPIC_ALREADY_EXISTS', /'t' exists already/);
    const both = await Promise.allSettled([admin.createTopic('twice'), admin.createTopic('twice')]);
    assert.equal(
      both.map(({ status }) => status),
      ['fulfilled', 'rejected'],
    );
    assert.equal(
      cluster.status().topics.map(({ name }) => name),
      ['t', 'twice'],
    );
    await admin.createTopic('u', { partitions: 2 });
    await cluster.producer().send('u', { value: 'v' });
  }));

for (const durability of ['memory', 'os'] as const) {
  test(`${durability}: a topic cannot take the place of the metadata, whoever asks for it`, () =>
    withCluster({ brokers: 1, durability }, async (cluster) => {
      const client = await connect(cluster.handle);
      for (const { admin } of [cluster, client]) {
        const created = admin.createTopic('__cluster_metadata');
        await assertRefused(created, 'INVALID_TOPIC_EXCEPTION', /is that of the cluster's own metadata/);
      }
      await client.close();
      await cluster.admin.createTopic('u');
    }));
}

test('names may have up to 249 characters, and many topics can be created at once', () =>
  withCluster({}, async (cluster) => {
    await cluster.admin.createTopic('x'.repeat(249));
    const names = Array.from({ length: 20 }, (_, n) => `topic-${n}`);
    await Promise.all(names.map((name) => cluster.admin.createTopic(name, { partitions: 3 })));
    const producer = cluster.producer();
    await Promise.all(names.map((name) => producer.sendBatch(name, numbered(30))));
    for (const name of names) await assertReplicated(cluster, 30, name);
  }));

test('more partitions than a chunk of the table holds find their places', () =>
  withCluster({ brokers: 2 }, async (cluster) => {
    await cluster.admin.createTopic('wide', { partitions: 1_500 });
    const producer = cluster.producer();
    const records = Array.from({ length: 3_000 }, (_, n) => ({ key: `${n}`, value: `${n}` }));
    const places = await producer.sendBatch('wide', records);
    assert.ok(new Set(places.map(({ partition }) => partition)).size > 1_000);
    await assertReplicated(cluster, 3_000, 'wide');
  }));

test('a bad record is refused, and the producer goes on', () =>
  withCluster({}, async (cluster) => {
    const producer = cluster.producer();
    const good = producer.send('t', { value: 'good' });
    await assertRefused(
      producer.send('t', anything({ key: 5, value: 'v' })),
      'INVALID_RECORD',
      /record's key/,
    );
    await assertRefused(producer.send('t', anything({ value: {} })), 'INVALID_RECORD', /record's value/);
    await assertRefused(producer.send('t', anything(undefined)), 'INVALID_RECORD');
    await assertRefused(producer.sendBatch('t', [{ value: 'v' }, anything('v')]), 'INVALID_RECORD');
    const misspelt = anything({ value: 'v', kee: 'k' });
    await assertRefused(
      producer.send('t', misspelt),
      'INVALID_RECORD',
      /no field 'kee'\. Did you mean 'key'/,
    );
    await assertRefused(producer.sendBatch('t', [misspelt]), 'INVALID_RECORD', /no field 'kee'/);
    await assertRefused(
      producer.send('t', { value: new Uint8Array(2_000_000) }),
      'MESSAGE_TOO_LARGE',
      /takes 2000\d{3} bytes, and the topic's max\.message\.bytes is 1048588/,
    );
    await assertRefused(
      producer.send('nope', { value: 'v' }),
      'UNKNOWN_TOPIC_OR_PARTITION',
      /no topic 'nope'.*Create it first/,
    );
    await assertRefused(
      producer.send(anything(undefined), { value: 'v' }),
      'INVALID_ARGUMENT',
      /named by a string/,
    );
    assert.equal(await good, { partition: 0, offset: 0 });
    assert.equal(await producer.send('t', { value: 'good too' }), { partition: 0, offset: 1 });
    assert.is(partitionOf(cluster).hwm, 2);
  }));

test('what can be no name of a topic is refused as such, and not with the advice to create it', () =>
  withCluster({ brokers: 1 }, async (cluster) => {
    const { admin } = cluster;
    const client = await connect(cluster.handle);
    const [own, attached] = [cluster.producer(), client.producer()];
    const calls: ((name: string) => Promise<unknown>)[] = [
      (name) => own.send(name, { value: 'v' }),
      (name) => attached.send(name, { value: 'v' }),
      (name) => cluster.read(name, { partition: 0, offset: 0 }),
      (name) => client.read(name, { partition: 0, offset: 0 }),
      (name) => cluster.inspect(name, { broker: 1, partition: 0 }),
      (name) => admin.deleteRecords(name, { 0: 0 }),
    ];
    for (const call of calls)
      for (const name of ['', '../x', 'a/b'])
        await assertRefused(call(name), 'INVALID_TOPIC_EXCEPTION', /^A topic's name must have 1 to 249 /);
    for (const none of [null, 5]) {
      const got = new RegExp(`; got ${none}\\.$`);
      await assertRefused(admin.deleteRecords(anything(none), { 0: 0 }), 'INVALID_ARGUMENT', got);
      const reassigned = admin.reassign(anything(none), { replicationFactor: 2 });
      await assertRefused(
        reassigned,
        'INVALID_ARGUMENT',
        /^reassign takes the name of a topic, or an array of/,
      );
    }
    await client.close();
  }));

test('the exact bound of max.message.bytes is taken by the broker too', () =>
  withCluster({ topicConfig: { 'max.message.bytes': 1_000 } }, async (cluster) => {
    const producer = cluster.producer();
    const room = 1_000 - 61 - 2 - 3 - 1 - 2 - 1;
    assert.equal(await producer.send('t', { value: new Uint8Array(room) }), { partition: 0, offset: 0 });
    await assertRefused(
      producer.send('t', { value: new Uint8Array(room + 1) }),
      'MESSAGE_TOO_LARGE',
      /1001 bytes/,
    );
    await producer.sendBatch('t', numbered(100, 300));
    await assertReplicated(cluster, 101);
  }));

test('a read with bad arguments is refused', () =>
  withCluster({ replicationFactor: 2 }, async (cluster) => {
    const read = (options: unknown, topic = 't') => cluster.read(topic, anything(options));
    const wrong: Record<string, unknown[]> = {
      offset: [-1, 1.5, '0', NaN, undefined, 2 ** 53],
      partition: [-1, 0.5, '0', undefined],
      maxBytes: [0, -1, 1.5, '9', null],
      waitMs: [-1, 1.5, '9', 2 ** 31, Infinity, null],
      timeoutMs: [0, '9', null],
      broker: [0, 1.5, '1', NaN, null, [1]],
    };
    for (const [name, values] of Object.entries(wrong)) {
      for (const value of values) {
        const options = { partition: 0, offset: 0, [name]: value };
        await assertRefused(read(options), 'INVALID_ARGUMENT', new RegExp(`^${name} must be`));
      }
    }
    await assertRefused(read(undefined), 'INVALID_ARGUMENT');
    await assertRefused(
      read({ partition: 1, offset: 0 }),
      'UNKNOWN_TOPIC_OR_PARTITION',
      /no partition 1; it has 1/,
    );
    await assertRefused(read({ partition: 0, offset: 0 }, 'nope'), 'UNKNOWN_TOPIC_OR_PARTITION');
    const { replicas } = partitionOf(cluster);
    for (const broker of [1, 2, 3, 4].filter((id) => !replicas.includes(id))) {
      await assertRefused(read({ partition: 0, offset: 0, broker }), 'INVALID_ARGUMENT', /holds no replica/);
    }
  }));

test('only replicas that exist can be looked into', () =>
  withCluster({ replicationFactor: 1 }, async (cluster) => {
    for (const options of [
      { broker: 2, partition: 0 },
      { broker: 9, partition: 0 },
      { broker: 1, partition: 1 },
    ]) {
      await assertRefused(cluster.inspect('t', options), 'UNKNOWN_TOPIC_OR_PARTITION', /holds no replica/);
    }
    await assertRefused(cluster.inspect('nope', { broker: 1, partition: 0 }), 'UNKNOWN_TOPIC_OR_PARTITION');
    const empty = await cluster.inspect('t', { broker: 1, partition: 0 });
    assert.equal(
      [empty.logStart, empty.leo, empty.hwm, empty.bytes.length, empty.nextOffset],
      [0, 0, 0, 0, 0],
    );
  }));

test('bad producer options are refused at once', () =>
  withCluster({ brokers: 1 }, async (cluster) => {
    for (const options of [
      { acks: 2 },
      { acks: 'ALL' },
      { batchBytes: 0 },
      { bufferBytes: -1 },
      { maxBlockMs: 'x' },
      { acks: null },
      { idempotent: null },
      { bufferBytes: null },
      { maxBlockMs: null },
      { batchBytes: null },
    ]) {
      assert.throws(() => cluster.producer(anything(options)), /must be/);
    }
  }));

test('what is no id of a broker is refused in a sentence that says what is wanted, and nothing is changed', () =>
  withCluster({}, async (cluster) => {
    const calls: ((id: number) => Promise<unknown>)[] = [
      (id) => cluster.stopBroker(id),
      (id) => cluster.startBroker(id),
      (id) => cluster.removeBroker(id),
      (id) => cluster.removeBroker(id, { reassign: true }),
      (id) => cluster.faults.kill(id),
      (id) => cluster.faults.restart(id),
      (id) => cluster.faults.pause(id),
      (id) => cluster.faults.resume(id),
      (id) => cluster.faults.disk(id, 'sound'),
      (id) => cluster.faults.isolate([2, id]),
    ];
    for (const call of calls) {
      for (const [id, got] of [
        ['1', "'1'"],
        [1.5, '1.5'],
        [NaN, 'NaN'],
        [0, '0'],
        [null, 'null'],
        [undefined, 'undefined'],
        [[1], 'an array of 1'],
      ] as const) {
        const sentence = `the id of a broker must be a whole number of at least 1; got ${got}.`;
        const refused = await assertRefused(call(anything(id)), 'INVALID_ARGUMENT');
        assert.is(refused.message, sentence);
      }
    }
    for (const ids of [[], 2, '2', null])
      await assertRefused(
        cluster.faults.isolate(anything(ids)),
        'INVALID_ARGUMENT',
        /in a list such as \[2, 3\]; got (an empty array|2|'2'|null)\./,
      );
    assert.equal(
      cluster.status().brokers.map(({ state }) => state),
      ['running', 'running', 'running'],
    );
  }));

test('null is no default: whoever means one leaves the option out', () =>
  withCluster({}, async (cluster) => {
    const { admin } = cluster;
    const none = anything(null);
    for (const [call, sentence] of [
      [() => admin.createTopic('u', { partitions: none }), /^partitions must be .*; got null\.$/],
      [() => admin.electLeaders({ type: none }), /^type must be one of 'preferred', 'unclean'; got null\.$/],
      [() => admin.electLeaders({ topics: none }), /^topics must be .*; got null\.$/],
      [() => admin.alterTopicConfig('t', { remove: none }), /^remove must be .*; got null\.$/],
      [
        () => cluster.removeBroker(2, { reassign: none }),
        /^reassign must be one of true, false; got null\.$/,
      ],
      [() => cluster.removeBroker(2, { timeoutMs: none }), /^timeoutMs must be .*; got null\.$/],
      [() => cluster.inspect('t', { broker: 1, partition: 0, offset: none }), /^offset must be .* null\.$/],
      [
        () => cluster.inspect('t', { broker: 1, partition: 0, maxBytes: none }),
        /^maxBytes must be .* null\.$/,
      ],
      [() => Cluster.start({ durability: none }), /^durability must be one of .*; got null\.$/],
      [() => Cluster.start({ deliveryTimeoutMs: none }), /^deliveryTimeoutMs must be .*; got null\.$/],
    ] as const)
      await assertRefused(call(), 'INVALID_ARGUMENT', sentence);
    assert.equal(await admin.listTopics(), ['t']);
  }));

test('what is wrong in a list, or in the names of an object, is shown', () =>
  withCluster({}, async ({ admin }) => {
    const wrong = anything(['t', 5]);
    await assertRefused(
      admin.electLeaders({ topics: wrong }),
      'INVALID_ARGUMENT',
      /names of topics; got 5 in it/,
    );
    await assertRefused(
      admin.alterTopicConfig('t', { remove: wrong }),
      'INVALID_ARGUMENT',
      /names of properties; got 5 in it/,
    );
    await assertRefused(admin.reassign([]), 'INVALID_ARGUMENT', /got an empty array/);
    for (const racks of [{ one: 'a' }, { '': 'a' }, { '1.0': 'a' }, { 0: 'a' }, { ' 1': 'a' }])
      await assertRefused(
        Cluster.start({ racks: anything(racks) }),
        'INVALID_ARGUMENT',
        new RegExp(`under the ids of brokers, .*; got the id '${Object.keys(racks)[0]}'`),
      );
  }));

test('what is no handle is refused', async () => {
  for (const handle of [null, undefined, 5, {}, { clusterId: 'x' }]) {
    await assertRefused(connect(anything(handle)), 'INVALID_ARGUMENT', /takes a cluster's handle/);
  }
});

test('a misspelt option is refused wherever options are taken', () =>
  withCluster({}, async (cluster) => {
    const misspelt: [unknown, RegExp][] = [
      [() => cluster.admin.createTopic('u', anything({ partition: 3 })), /Did you mean 'partitions'/],
      [() => cluster.admin.createTopic('u', anything(null)), /must be an object/],
      [async () => cluster.producer(anything({ ack: 1 })), /Did you mean 'acks'/],
      [async () => cluster.producer(anything(null)), /must be an object/],
      [() => cluster.read('t', anything({ partition: 0, ofset: 0 })), /Did you mean 'offset'/],
      [() => cluster.read('t', anything(undefined)), /must be an object/],
      [() => cluster.inspect('t', anything(undefined)), /must be an object/],
      [
        () => cluster.inspect('t', { broker: 1, partition: 0, offset: -1.5 }),
        /offset must be a whole number/,
      ],
      [
        () => cluster.inspect('t', { broker: 1, partition: 0, maxBytes: 0 }),
        /maxBytes must be a whole number/,
      ],
      [() => cluster.inspect('t', { broker: 1, partition: -1 }), /partition must be a whole number/],
      [() => cluster.inspect('t', anything({ broker: '1', partition: 0 })), /broker must be a whole number/],
      [() => cluster.inspect('t', anything({})), /broker must be a whole number/],
    ];
    for (const [call, sentence] of misspelt) {
      await assertRefused((call as () => Promise<unknown>)(), 'INVALID_ARGUMENT', sentence);
    }
    assert.is(cluster.status().topics.length, 1);
  }));

test('a cluster may give its producers more time than those can use that number their batches', () =>
  withCluster({ deliveryTimeoutMs: 7_200_000 }, async (cluster) => {
    await cluster.producer().send('t', { value: 'v' });
    const options = { deliveryTimeoutMs: 7_200_000 };
    await assertRefused(
      (async () => cluster.producer(options))(),
      'INVALID_ARGUMENT',
      /at most 3600000.*idempotent false/,
    );
    await cluster.producer({ ...options, idempotent: false }).send('t', { value: 'v' });
  }));

test('headers that are no plain object, and records that are none, are refused rather than lost', () =>
  withCluster({}, async (cluster) => {
    const producer = cluster.producer();
    for (const headers of [new Map([['a', 'b']]), new Set(), 'a', 5]) {
      const record = { value: 'v', headers: anything(headers) };
      await assertRefused(producer.send('t', record), 'INVALID_RECORD', /headers must be/);
    }
    for (const record of [new Uint8Array(3), ['v'], 'v', null]) {
      await assertRefused(
        producer.send('t', anything(record)),
        'INVALID_RECORD',
        /must be an object with a value/,
      );
    }
    assert.is(partitionOf(cluster).hwm, 0);
  }));

test.run();
