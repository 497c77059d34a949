// What a broker holds after a topic's creation that failed elsewhere, and was tried again.
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { topicConfig } from '../../src/config.ts';
import type { Durability } from '../../src/index.ts';
import { DiskError } from '../../src/log/disk.ts';
import type { PartitionAssignment } from '../../src/runtime/directory.ts';
import { FileDisk } from '../../src/runtime/file-disk.ts';
import { newUuid } from '../../src/runtime/uuid.ts';
import { type Brokers, withBrokers } from './broker-fixtures.ts';
import { withDirectory } from './directory-fixtures.ts';

const TOPIC_IDS = [newUuid(), newUuid()];

/** Partition 0 of 't', in the attempt of that number: its ids are used once. */
function attempt(id: number, isKept = false): PartitionAssignment {
  const info = {
    id,
    topic: 't',
    partition: 0,
    replicas: [1],
    isr: [1],
    leader: 1,
    epoch: isKept ? 1 : 0,
  };
  return { info, config: topicConfig({}), topicId: TOPIC_IDS[id], isKept };
}

function withBroker(
  path: string,
  durability: Durability,
  run: (brokers: Brokers) => Promise<void>,
): Promise<void> {
  const homeOf = () => ({ path, isTemporary: false, wasPowerLost: false });
  return withBrokers({ count: 1, durability, homeOf }, run);
}

/** Both attempts, where the first has left a log with written and staged batches, and the second takes three. */
async function makeTwice(brokers: Brokers): Promise<void> {
  const broker = brokers.get(1);
  await broker.assign([attempt(0)], new Map());
  const first = brokers.replica(1, 0);
  brokers.append(0);
  await brokers.settle();
  brokers.appendStaged(0);
  await broker.assign([attempt(1)], new Map());
  assert.equal([broker.replicas[0], first.state], [undefined, 'offline']);
  for (let n = 0; n < 3; n++) brokers.append(1);
  assert.equal([brokers.replica(1, 1).log.written, first.log.written], [3, 1]);
}

for (const durability of ['os', 'fsync'] as const) {
  test(`a partition that is made again has its directory to itself, with durability ${durability}`, () =>
    withDirectory(async (path) => {
      let bytes: Buffer = Buffer.alloc(0);
      await withBroker(path, durability, async (brokers) => {
        await makeTwice(brokers);
        bytes = brokers.bytes(1, 1);
        await brokers.get(1).close();
        assert.equal(brokers.notices, []);
      });
      assert.is(readdirSync(path).filter((name) => name.endsWith('-stray')).length, 1);
      await withBroker(path, durability, async (brokers) => {
        const [opened] = await brokers.get(1).assign([attempt(1, true)], new Map());
        assert.equal([opened.state, opened.leo], ['online', 3]);
        assert.ok(brokers.bytes(1, 1).equals(bytes));
        await brokers.get(1).close();
      });
    }));
}

test('a replica whose log is being mended goes by what was heard last', () =>
  withDirectory((path) => {
    const homeOf = (id: number) => ({ path: join(path, `${id}`), isTemporary: false, wasPowerLost: false });
    for (const id of [1, 2]) mkdirSync(homeOf(id).path);
    return withBrokers({ count: 2, durability: 'os', homeOf }, async (brokers) => {
      const broker = brokers.get(2);
      const { info, ...rest } = attempt(0, true);
      const reign = (epoch: number) => ({ ...info, replicas: [1, 2], isr: [1], epoch });
      // Its directory is empty, and the partition was written: all that it had is lost.
      const [opened] = await broker.assign([{ info: reign(1), ...rest }], new Map());
      assert.is(opened.state, 'damaged');
      const answers = await Promise.all([broker.reform([reign(2)]), broker.reform([reign(3)])]);
      assert.equal(
        answers.flat().map(({ state }) => state),
        ['online'],
      );
      assert.is(broker.replicas[0]?.info.epoch, 3);
    });
  }));

test('of two attempts that overlap the later one stays', () =>
  withDirectory((path) =>
    withBroker(path, 'os', async (brokers) => {
      const broker = brokers.get(1);
      await Promise.all([broker.assign([attempt(0)], new Map()), broker.assign([attempt(1)], new Map())]);
      assert.equal(
        broker.replicas.map((replica) => replica?.state),
        [undefined, 'online'],
      );
      brokers.append(1);
      await broker.close();
      assert.equal(brokers.notices, []);
    }),
  ));

test('many partitions are made with one sync of what holds them, and others have their turn meanwhile', () =>
  withDirectory((path) =>
    withBroker(path, 'os', async (brokers) => {
      const { syncDirectory } = FileDisk.prototype;
      let syncs = 0;
      let turns = 0;
      FileDisk.prototype.syncDirectory = function (this: FileDisk, directory: string) {
        if (directory === '') syncs += 1;
        return syncDirectory.call(this, directory);
      };
      const turn = (): void => {
        turns += 1;
        next = setImmediate(turn);
      };
      let next = setImmediate(turn);
      try {
        const made = Array.from({ length: 200 }, (_, id) => {
          const { info, ...rest } = attempt(0);
          return { ...rest, info: { ...info, id, partition: id } };
        });
        // With the first the broker takes up its directory.
        await brokers.get(1).assign(made.splice(0, 1), new Map());
        syncs = 0;
        const opened = await brokers.get(1).assign(made, new Map());
        assert.equal([opened.length, opened.every(({ state }) => state === 'online')], [199, true]);
      } finally {
        clearImmediate(next);
        FileDisk.prototype.syncDirectory = syncDirectory;
      }
      assert.is(syncs, 1);
      assert.ok(turns >= 5, `${turns} turns`);
    }),
  ));

test('what is heard of a partition while its log is being made holds once it is there', () =>
  withDirectory((path) =>
    withBroker(path, 'os', async (brokers) => {
      const broker = brokers.get(1);
      const made = Array.from({ length: 100 }, (_, id) => {
        const { info, ...rest } = attempt(0);
        return { ...rest, info: { ...info, id, partition: id } };
      });
      const making = broker.assign(made, new Map());
      await new Promise((resolve) => setImmediate(resolve));
      const news = made.map(({ info }) => ({ ...info, epoch: 4, leader: -1, isr: [] }));
      await broker.reform(news);
      await making;
      const epochs = new Set(made.map(({ info: { id } }) => brokers.replica(1, id).info.epoch));
      assert.equal([...epochs], [4]);
    }),
  ));

test('a replica that is about to end hears nothing more: the news is for the one that comes in its place', () =>
  withDirectory((path) =>
    withBroker(path, 'os', async (brokers) => {
      const broker = brokers.get(1);
      const { info, ...rest } = attempt(0);
      const followed = { ...info, replicas: [1, 2], isr: [1, 2], leader: 2 };
      await broker.assign([{ ...rest, info: followed }], new Map());
      const before = brokers.replica(1, 0);
      // Another log that is being made holds up the end of this one.
      const { syncDirectory } = FileDisk.prototype;
      let goOn = (): void => undefined;
      const held = new Promise<void>((resolve) => {
        goOn = resolve;
      });
      FileDisk.prototype.syncDirectory = () => held;
      const other = { ...followed, id: 1, partition: 1, isr: [2], adding: [1] };
      const made = broker.add([{ ...rest, info: other }]);
      const ended = broker.remove([0], true);
      const back = { ...followed, epoch: 1, isr: [2], adding: [1] };
      const added = broker.add([{ ...rest, info: back }]);
      await broker.reform([back]);
      await broker.reform([{ ...back, epoch: 2 }]);
      FileDisk.prototype.syncDirectory = syncDirectory;
      goOn();
      await Promise.all([made, ended, added]);
      assert.is(before.info.epoch, 0);
      assert.is.not(brokers.replica(1, 0), before);
      assert.is(brokers.replica(1, 0).info.epoch, 2);
    }),
  ));

test('where that sync fails none of them is there', () =>
  withDirectory((path) =>
    withBroker(path, 'os', async (brokers) => {
      const { syncDirectory } = FileDisk.prototype;
      FileDisk.prototype.syncDirectory = () => Promise.reject(new DiskError('fsync', path, 'EIO'));
      try {
        const [first, ...rest] = await brokers.get(1).assign([attempt(0)], new Map());
        assert.equal([first.state, rest.length], ['offline', 0]);
      } finally {
        FileDisk.prototype.syncDirectory = syncDirectory;
      }
      assert.equal(
        brokers.notices.map(({ notice }) => notice),
        ['disk-failed'],
      );
    }),
  ));

test.run();
