import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { apply } from '../../../src/core/metadata/apply.ts';
import type { Command } from '../../../src/core/metadata/commands.ts';
import { decide } from '../../../src/core/metadata/controller.ts';
import { decodeRecords } from '../../../src/core/metadata/decode-records.ts';
import { emptyImage, type MetadataImage, recordsOf } from '../../../src/core/metadata/image.ts';
import { encodeRecords, type MetadataRecord } from '../../../src/core/metadata/records.ts';
import { directoryOf, TestCluster, type TestWorld, uuidOf } from './fixtures.ts';
import { InvariantChecker } from './invariants.ts';
import { isSameImage } from './same-image.ts';

/** A command whose details depend on the image that it meets. Some of them can only be refused. */
interface Step {
  readonly what: keyof typeof makers;
  readonly broker: number;
  readonly name: string;
  readonly numbers: readonly number[];
  /** Whether its epochs are those of the image. */
  readonly isCurrent: boolean;
  /** Whether a broker comes with the directory that it had. */
  readonly isKept: boolean;
}

type Maker = (image: MetadataImage, step: Step) => Command;

const NAMES = ['a', 'b', 'c', 'not a name'];

const makers = {
  register: (_, step) => ({ type: 'register-broker', ...introduced(step, step.broker) }),
  start: (image, step) => {
    const brokers = [1, 2, 3, 4, 5].filter((id) => ((step.numbers[0] >> id) & 1) === 1);
    const found = new Map(
      image.partitions().map((partition) => [partition.id, foundOf(partition.replicas, step.numbers)]),
    );
    return { type: 'start-cluster', brokers: brokers.map((id) => introduced(step, id)), found };
  },
  fence: (image, step) => ({ type: 'fence-broker', ...ofBroker(image, step) }),
  unfence: (image, step) => ({ type: 'unfence-broker', ...ofBroker(image, step) }),
  shutDown: (image, step) => ({ type: 'shut-down-broker', ...ofBroker(image, step) }),
  remove: (_, { broker }) => ({ type: 'remove-broker', broker }),
  createTopic: (_, { name, numbers: [partitions, factor] }) => ({
    type: 'create-topic',
    name,
    partitions: partitions % 5,
    replicationFactor: factor % 6,
  }),
  assign: (_, { name, numbers, broker }) => ({
    type: 'create-topic',
    name,
    assignments: [[broker, numbers[0] % 7]],
    config: { 'retention.ms': numbers[1] - 20 },
  }),
  deleteTopic: (_, { name }) => ({ type: 'delete-topic', name }),
  createPartitions: (_, { name, numbers }) => ({
    type: 'create-partitions',
    topic: name,
    count: numbers[0] % 7,
  }),
  alterTopic: (_, { name, numbers: [first] }) => ({
    type: 'alter-topic-config',
    topic: name,
    set: { 'min.compaction.lag.ms': first },
    remove: first % 3 === 0 ? ['retention.ms'] : [],
  }),
  alterBroker: (_, { broker, numbers: [first] }) => ({
    type: 'alter-broker-config',
    broker: first % 2 === 0 ? broker : -1,
    set: { 'max.compaction.lag.ms': first },
  }),
  alterIsr: (image, step) => alterIsr(image, step),
  elect: (_, { name, numbers: [partition] }) => ({
    type: 'elect-leader',
    topic: name,
    partition: partition % 4,
  }),
  electUnclean: (_, { name, numbers: [partition] }) => ({
    type: 'elect-leader',
    topic: name,
    partition: partition % 4,
    election: 'unclean',
  }),
  reassign: (_, { name, numbers: [partition, first, second], isCurrent }) => ({
    type: 'reassign',
    targets: [
      { topic: name, partition: partition % 3, replicas: subset(first) },
      ...(isCurrent ? [] : [{ topic: name, partition: second % 4, replicas: subset(second) }]),
    ],
    ...(first % 4 === 0 ? { throttle: second } : undefined),
  }),
  /** To one that is in sync already, which ends at once if it can lead. */
  shrink: (image, { numbers: [which] }) => {
    const all = image.partitions();
    const { topic, partition, isr, leader } = all[which % Math.max(1, all.length)] ?? {
      topic: 'none',
      isr: [],
    };
    return {
      type: 'reassign',
      targets: [{ topic, partition, replicas: isr.filter((id) => id !== leader).slice(0, 1) }],
    } as Command;
  },
  cancel: (_, { name, numbers: [partition] }) => ({
    type: 'reassign',
    targets: [{ topic: name, partition: partition % 3, replicas: null }],
  }),
  endMoves: () => ({ type: 'end-reassignments' }),
  alterMinimum: (_, { name, broker, numbers: [first] }) =>
    first % 5 === 0
      ? { type: 'alter-broker-config', broker: -1, set: { 'min.insync.replicas': 1 + (broker % 3) } }
      : { type: 'alter-topic-config', topic: name, set: { 'min.insync.replicas': 1 + (first % 3) } },
  balance: () => ({ type: 'balance-leaders' }),
  producerIds: (image, step) => ({ type: 'allocate-producer-ids', ...ofBroker(image, step) }),
  createCluster: (_, { isCurrent }) => ({ type: 'create-cluster', clusterId: isCurrent ? 'test' : 'other' }),
} satisfies Record<string, Maker>;

/** Up to five brokers, in one order or the other. */
function subset(bits: number): number[] {
  const ids = [1, 2, 3, 4, 5].filter((id) => ((bits >> id) & 1) === 1);
  return bits % 2 === 0 ? ids : ids.reverse();
}

function introduced({ isKept, numbers }: Step, broker: number) {
  const directoryId = isKept ? directoryOf(broker) : uuidOf(`directory-${broker}-${numbers[1] % 2}`);
  return { broker, directoryId, rack: numbers[2] % 3 === 0 ? null : `rack-${numbers[2] % 2}` };
}

function ofBroker(image: MetadataImage, { broker, isCurrent }: Step) {
  return { broker, epoch: isCurrent ? (image.broker(broker)?.epoch ?? 0) : 0 };
}

function foundOf(replicas: readonly number[], numbers: readonly number[]) {
  const found = replicas.filter((id) => ((numbers[1] >> id) & 1) === 1);
  return found.map((broker) => ({ broker, leo: (numbers[2] * broker) % 5, lastEpoch: 0, hwm: 1 }));
}

function alterIsr(image: MetadataImage, { broker, isCurrent, numbers: [which, chosen] }: Step): Command {
  const partitions = image.partitions();
  const partition = partitions[which % Math.max(1, partitions.length)];
  const { id = 0, leader = broker, replicas = [], epoch = 0, partitionEpoch = 0 } = partition ?? {};
  const isr = replicas.filter((replica) => replica === leader || ((chosen >> replica) & 1) === 1);
  return {
    type: 'alter-isr',
    broker: leader === -1 ? broker : leader,
    epoch: image.broker(leader)?.epoch ?? 0,
    partition: id,
    leaderEpoch: isCurrent ? epoch : epoch + (chosen % 3) - 1,
    partitionEpoch: isCurrent ? partitionEpoch : partitionEpoch + (which % 3) - 1,
    isr: isr.map((each) => ({ broker: each, epoch: image.broker(each)?.epoch ?? 0 })),
    ...(chosen % 5 === 0 ? { losing: replicas.find((each) => !isr.includes(each)) } : undefined),
  };
}

const step: fc.Arbitrary<Step> = fc.record({
  what: fc.constantFrom(
    ...(Object.keys(makers) as Step['what'][]),
    'createTopic',
    'fence',
    'unfence',
    'alterIsr',
    'alterIsr',
    'reassign',
    'shrink',
    'endMoves',
    'cancel',
    'alterMinimum',
  ),
  broker: fc.integer({ min: 0, max: 6 }),
  name: fc.constantFrom(...NAMES),
  numbers: fc.array(fc.integer({ min: 0, max: 63 }), { minLength: 3, maxLength: 3 }),
  isCurrent: fc.integer({ min: 0, max: 4 }).map((n) => n > 0),
  isKept: fc.integer({ min: 0, max: 4 }).map((n) => n > 0),
});

/** Before each command: who is dead by then, and whose log is closed. */
const seldom = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(255) });
const moment = fc.record({ step, dead: seldom, closed: seldom });
type Moment = typeof moment extends fc.Arbitrary<infer Value> ? Value : never;

interface Run {
  readonly cluster: TestCluster;
  /** The image after each entry. */
  readonly images: readonly MetadataImage[];
  readonly refused: number;
}

type Look = (image: MetadataImage, command: Command, world: TestWorld) => void;

function shape(world: TestWorld, { dead, closed }: Moment): void {
  world.dead.clear();
  for (let id = 1; id < 6; id++) if ((dead >> id) & 1) world.dead.add(id);
  world.closedLogs.clear();
  for (let id = 0; id < 8; id++) if ((closed >> id) & 1) world.closedLogs.add(`${1 + (id % 3)} ${id}`);
}

function play(moments: readonly Moment[], look: Look = () => undefined): Run {
  const cluster = new TestCluster(4);
  const images: MetadataImage[] = [];
  let refused = 0;
  for (const moment of moments) {
    const { step: each } = moment;
    const { world } = cluster;
    shape(world, moment);
    const before = JSON.stringify(recordsOf(cluster.image));
    const command = makers[each.what](cluster.image, each);
    const decision = decide(cluster.image, command, world);
    assert.is(JSON.stringify(recordsOf(cluster.image)), before, 'a decision changed something');
    if (decision.refusal !== undefined) {
      refused += 1;
      assert.equal(decision.records, [], 'what is refused has no records');
    }
    cluster.commit(decision.records);
    if (decision.records.length > 0) {
      images.push(cluster.image);
      assert.is.not(JSON.stringify(recordsOf(cluster.image)), before, 'records that change nothing');
    }
    if (decision.refusal === undefined) look(cluster.image, command, world);
  }
  return { cluster, images, refused };
}

const moments = fc.array(moment, { minLength: 1, maxLength: 100, size: 'max' });

test('whatever is commanded, what must hold of the metadata holds', () => {
  fc.assert(
    fc.property(moments, (sequence) => {
      const checker = new InvariantChecker();
      play(sequence, (image, command, world) => checker.check(image, command, world));
    }),
    { numRuns: 400, includeErrorInReport: true },
  );
});

test('from any snapshot on, the log gives the same image, entry by entry and record by record', () => {
  fc.assert(
    fc.property(moments, fc.nat(), (sequence, where) => {
      const { cluster, images } = play(sequence);
      // What the fixture writes comes first.
      const written = cluster.entries.length - images.length;
      const all = [...cluster.entries.slice(0, written).map(() => undefined), ...images];
      const from = written - 1 + (where % (images.length + 1));
      const base = from < written ? replay(emptyImage, cluster.entries.slice(0, written)) : all[from];
      const snapshot = decodeRecords(encodeRecords(recordsOf(base as MetadataImage)), 'a snapshot');
      let loaded = apply(emptyImage, snapshot, from + 1, 1);
      assert.ok(isSameImage(loaded, base as MetadataImage), 'the snapshot is another image');
      for (let at = from + 1; at < cluster.entries.length; at++) {
        const records = decodeRecords(encodeRecords(cluster.entries[at]), 'an entry');
        assert.equal(records, cluster.entries[at]);
        for (const record of records) loaded = apply(loaded, [record], at + 1, 1);
        assert.ok(isSameImage(loaded, all[at] as MetadataImage), `entry ${at + 1} gives another image`);
      }
      const whole = replay(emptyImage, cluster.entries);
      assert.ok(isSameImage(whole, cluster.image), 'the whole log gives another image');
    }),
    { numRuns: 150, includeErrorInReport: true },
  );
});

function replay(image: MetadataImage, entries: readonly (readonly MetadataRecord[])[]): MetadataImage {
  return entries.reduce((before, records) => apply(before, records, before.offset + 1, 1), image);
}

test('the commands of these tests are taken and refused, each kind of them', () => {
  const taken = new Set<string>();
  const refused = new Set<string>();
  const sample = fc.sample(moments, { numRuns: 600, seed: 7 });
  for (const sequence of sample) {
    const cluster = new TestCluster(4);
    for (const moment of sequence) {
      const { step: each } = moment;
      shape(cluster.world, moment);
      const { records, refusal } = decide(
        cluster.image,
        makers[each.what](cluster.image, each),
        cluster.world,
      );
      cluster.commit(records);
      if (refusal !== undefined) refused.add(each.what);
      else if (records.length > 0) taken.add(each.what);
    }
  }
  const kinds = Object.keys(makers).sort();
  // There is a cluster already, and what is looked for everywhere is never refused.
  assert.equal(
    [...taken].sort(),
    kinds.filter((kind) => kind !== 'createCluster'),
  );
  assert.equal(
    [...refused].sort(),
    kinds.filter((kind) => kind !== 'balance' && kind !== 'endMoves'),
  );
});

test.run();
