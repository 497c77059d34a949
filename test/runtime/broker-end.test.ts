// What a broker writes down when it ends, after starts that went well, went wrong, or were cut short.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { topicConfig } from '../../src/config.ts';
import type { Broker } from '../../src/runtime/broker.ts';
import type { OpenedReplica, PartitionAssignment } from '../../src/runtime/directory.ts';
import { withBrokers } from './broker-fixtures.ts';
import { withDirectory } from './directory-fixtures.ts';

const TOPIC_ID = 'AAAAAAAAAAAAAAAAAAAAAA';
const MARKER = '.kafka_cleanshutdown';
const TABLES = [
  'recovery-point-offset-checkpoint',
  'log-start-offset-checkpoint',
  'replication-offset-checkpoint',
  'cleaner-offset-checkpoint',
];

function assignments(count: number, isKept: boolean, changes: object = {}): PartitionAssignment[] {
  return Array.from({ length: count }, (_, partition) => ({
    info: {
      id: partition,
      topic: 't',
      partition,
      replicas: [1],
      isr: [1],
      leader: 1,
      epoch: isKept ? 1 : 0,
      ...changes,
    },
    config: topicConfig({}),
    topicId: TOPIC_ID,
    isKept,
  }));
}

/** One life of a broker on a directory; the test lets it end. */
function withBroker(path: string, run: (broker: Broker) => Promise<void>): Promise<void> {
  const homeOf = () => ({ path, isTemporary: false, wasPowerLost: false });
  return withBrokers({ count: 1, durability: 'os', homeOf }, (brokers) => run(brokers.get(1)));
}

/** Three partitions, left as a process that was killed leaves them. */
async function killed(path: string): Promise<void> {
  await withBroker(path, async (broker) => {
    await broker.assign(assignments(3, false), new Map());
    await broker.close();
  });
  assert.ok(hasMarker(path), 'a broker that opened all it was asked for ends clean');
  rmSync(join(path, MARKER));
  // Bytes that no broker would write by itself, so that one that writes is found out.
  writeFileSync(join(path, TABLES[2]), '0\n1\nt 0 7\n');
}

function hasMarker(path: string): boolean {
  return existsSync(join(path, MARKER));
}

function tables(path: string): (string | undefined)[] {
  const names = readdirSync(path);
  return TABLES.map((name) => (names.includes(name) ? readFileSync(join(path, name), 'utf8') : undefined));
}

test('a broker that was asked for nothing leaves its files as they were', () =>
  withDirectory(async (path) => {
    await killed(path);
    const before = tables(path);
    await withBroker(path, (broker) => broker.close());
    assert.equal([hasMarker(path), tables(path)], [false, before]);
    writeFileSync(join(path, MARKER), '{"version":0,"brokerEpoch":0}');
    await withBroker(path, async (broker) => {
      await broker.assign(assignments(3, true, { replicas: [2], isr: [2], leader: 2 }), new Map());
      await broker.close();
    });
    assert.equal([hasMarker(path), tables(path)], [true, before]);
  }));

test('a broker that could not read its tables does not end clean, and leaves them as they were', () =>
  withDirectory(async (path) => {
    await killed(path);
    writeFileSync(join(path, TABLES[0]), readFileSync(join(path, TABLES[0]), 'utf8').replace(/^0/, '1'));
    const before = tables(path);
    await withBroker(path, async (broker) => {
      const [{ status }] = await Promise.allSettled([broker.assign(assignments(3, true), new Map())]);
      assert.is(status, 'rejected');
      await broker.close();
    });
    assert.equal([hasMarker(path), tables(path)], [false, before]);
  }));

test('a broker whose disk refused the first of its logs does not end clean', () =>
  withDirectory(async (path) => {
    await killed(path);
    rmSync(join(path, 't-0'), { recursive: true });
    mkdirSync(join(path, 't-0', 'leader-epoch-checkpoint'), { recursive: true });
    const before = tables(path);
    await withBroker(path, async (broker) => {
      const [opened] = await broker.assign(assignments(1, true), new Map());
      assert.is(opened.state, 'offline');
      await broker.close();
    });
    assert.equal([hasMarker(path), tables(path)[2]], [false, before[2]]);
  }));

test('a broker that is closed while it opens its logs ends the one at hand, and the next start opens all', () =>
  withDirectory(async (path) => {
    await killed(path);
    await withBroker(path, async (broker) => {
      const assigned = broker.assign(assignments(3, true), new Map());
      const [{ status }] = await Promise.allSettled([assigned, broker.close()]);
      assert.is(status, 'rejected', 'nothing says that all was opened');
      assert.is(broker.replicas.filter(Boolean).length, 1, 'the log at hand is opened, and no further one');
    });
    assert.not.ok(hasMarker(path));
    assert.match(tables(path)[2] ?? '', /^t 0 /m);
    let opened: readonly OpenedReplica[] = [];
    await withBroker(path, async (broker) => {
      opened = await broker.assign(assignments(3, true), new Map());
      await broker.close();
    });
    assert.equal(
      opened.map(({ state }) => state),
      ['online', 'online', 'online'],
    );
    assert.ok(hasMarker(path));
  }));

test.run();
