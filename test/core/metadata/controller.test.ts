import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { apply } from '../../../src/core/metadata/apply.ts';
import type { Command } from '../../../src/core/metadata/commands.ts';
import { decide, decideAll } from '../../../src/core/metadata/controller.ts';
import { emptyImage } from '../../../src/core/metadata/image.ts';
import { TidemarkError } from '../../../src/errors.ts';
import { TestCluster, TestWorld, uuidOf } from './fixtures.ts';

test('a cluster is created once', () => {
  const cluster = new TestCluster(0);
  assert.is(cluster.image.clusterId, 'test');
  assert.equal(cluster.recordsOf({ type: 'create-cluster', clusterId: 'test' }), []);
  const other = { type: 'create-cluster', clusterId: 'other' } as const;
  cluster.refuses(other, 'INVALID_ARGUMENT', /metadata of cluster test, and not of other/);
  for (const clusterId of ['', 'a b', 'x'.repeat(65), 7]) {
    cluster.refuses({ type: 'create-cluster', clusterId } as Command, 'INVALID_ARGUMENT', /id of a cluster/);
  }
});

test('before there is a cluster, nothing can be asked of it', () => {
  const decision = decide(emptyImage, { type: 'create-topic', name: 't' }, new TestWorld());
  assert.is(decision.refusal?.code, 'INVALID_ARGUMENT');
  assert.equal(decision.records, []);
});

test('commands together see what those before them have left, and those that are refused leave nothing', () => {
  const cluster = new TestCluster(3);
  const commands: Command[] = [
    { type: 'create-topic', name: 'a' },
    { type: 'create-topic', name: 'a' },
    { type: 'create-partitions', topic: 'a', count: 2 },
    { type: 'delete-topic', name: 'b' },
    { type: 'create-topic', name: 'b' },
  ];
  const { records, decisions } = decideAll(cluster.image, commands, cluster.world);
  assert.equal(
    decisions.map(({ refusal }) => (refusal as TidemarkError | undefined)?.code),
    [undefined, 'TOPIC_ALREADY_EXISTS', undefined, 'UNKNOWN_TOPIC_OR_PARTITION', undefined],
  );
  assert.is(cluster.image.topicCount, 0);
  const after = apply(cluster.image, records, cluster.image.offset + 1, 1);
  assert.equal(after.topic('a')?.partitions, [0, 1]);
  assert.equal(after.topic('b')?.partitions, [2]);
});

test('a fault of the program is no refusal', () => {
  const world = new TestWorld();
  world.newUuid = () => {
    throw new RangeError('no more randomness');
  };
  const { image } = new TestCluster(1);
  assert.throws(() => decide(image, { type: 'create-topic', name: 't' }, world), /no more randomness/);
});

test('a fault in one of several commands is its own, and leaves nothing', () => {
  const { image, world } = new TestCluster(1);
  let isFirst = true;
  const { newUuid } = world;
  world.newUuid = () => {
    if (!isFirst) return newUuid.call(world);
    isFirst = false;
    throw new RangeError('no more randomness');
  };
  const commands: Command[] = [
    { type: 'create-topic', name: 'a' },
    { type: 'create-topic', name: 'b' },
  ];
  const { records, decisions } = decideAll(image, commands, world);
  assert.instance(decisions[0].refusal, RangeError);
  assert.is(decisions[1].refusal, undefined);
  assert.equal(
    records.map(({ type }) => type),
    ['topic', 'partition'],
  );
});

/** One of each kind, which could be decided on. */
function soundCommands(cluster: TestCluster): Command[] {
  const { epoch } = cluster.image.broker(1) ?? { epoch: -1 };
  const { id, epoch: leaderEpoch, partitionEpoch } = cluster.image.partitionOf('t', 0) ?? { id: -1 };
  const ofBroker = { broker: 1, epoch };
  const introduced = { broker: 9, directoryId: uuidOf('nine'), rack: 'r' };
  return [
    { type: 'create-cluster', clusterId: 'test' },
    { type: 'register-broker', ...introduced },
    { type: 'start-cluster', brokers: [introduced], found: new Map() },
    { type: 'fence-broker', ...ofBroker },
    { type: 'unfence-broker', ...ofBroker },
    { type: 'shut-down-broker', ...ofBroker },
    { type: 'remove-broker', broker: 3 },
    { type: 'create-topic', name: 'n', partitions: 1, replicationFactor: 1, config: {}, validateOnly: false },
    { type: 'create-topic', name: 'n', assignments: [[1, 2]] },
    { type: 'delete-topic', name: 't' },
    { type: 'create-partitions', topic: 't', count: 2, assignments: [[1]], validateOnly: false },
    { type: 'alter-topic-config', topic: 't', set: { 'retention.ms': 1 }, remove: ['segment.bytes'] },
    { type: 'alter-broker-config', broker: -1, set: { 'retention.ms': 1 }, remove: ['segment.bytes'] },
    {
      type: 'alter-isr',
      ...ofBroker,
      partition: id,
      leaderEpoch: leaderEpoch as number,
      partitionEpoch: partitionEpoch as number,
      isr: [ofBroker],
    },
    { type: 'elect-leader', topic: 't', partition: 0 },
    { type: 'end-reassignments' },
    { type: 'balance-leaders' },
    { type: 'allocate-producer-ids', ...ofBroker },
  ];
}

const JUNK: readonly unknown[] = [
  null,
  -1,
  0.5,
  Number.NaN,
  '',
  'length',
  '__proto__',
  true,
  7n,
  Symbol('s'),
  {},
  [],
  [null],
  [[null]],
  [[]],
  [{}],
  new Map(),
  () => 1,
];

test('whatever stands in a command, it is decided on or refused with a code', () => {
  const cluster = new TestCluster(3);
  cluster.run({ type: 'create-topic', name: 't', assignments: [[1]] });
  let refused = 0;
  const mangled: unknown[] = [...JUNK, { type: 'no-such-command' }];
  for (const command of soundCommands(cluster)) {
    for (const name of Object.keys(command)) {
      const { [name as 'type']: _, ...without } = command;
      mangled.push(without);
      for (const junk of JUNK) mangled.push({ ...command, [name]: junk });
    }
  }
  for (const command of mangled) {
    const label = `${(command as Command | null)?.type?.toString()} ${Object.entries(command ?? {}).map(([name, value]) => `${name} ${String(value)}`)}`;
    try {
      const { refusal, records } = decide(cluster.image, command as Command, cluster.world);
      if (refusal === undefined) continue;
      assert.instance(refusal, TidemarkError);
      assert.equal(records, []);
      refused += 1;
    } catch (error) {
      assert.unreachable(`${label}: ${(error as Error).stack}`);
    }
  }
  assert.ok(refused > 300, `${refused} refused`);
});

test('a command that names nothing is refused for good, and not to be tried again', () => {
  const cluster = new TestCluster(1);
  for (const type of ['delete-topic', 'create-topic', 'alter-topic-config', 'elect-leader'] as const)
    cluster.refuses({ type } as Command, 'INVALID_TOPIC_EXCEPTION');
  cluster.refuses({ type: 'remove-broker' } as Command, 'BROKER_ID_NOT_REGISTERED');
  const assignments = [[null]] as unknown as number[][];
  cluster.refuses({ type: 'create-topic', name: 'a', assignments }, 'INVALID_REPLICA_ASSIGNMENT');
});

test.run();
