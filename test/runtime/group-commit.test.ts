import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { topicConfig } from '../../src/config.ts';
import { Replica } from '../../src/core/replica.ts';
import { SYNCS_MAX } from '../../src/limits.ts';
import { GroupCommit } from '../../src/runtime/group-commit.ts';
import type { PartitionLog } from '../../src/types.ts';
import { diskFull } from '../log/staged-log.ts';

/** A log of which only its end and its syncs matter. */
interface SyncedLog {
  logStart: number;
  written: number;
  readonly ends: (() => void)[];
  readonly fails: ((error: Error) => void)[];
}

interface Played {
  readonly groups: GroupCommit;
  /** What was settled, and where groups ended. */
  readonly events: string[];
  readonly errors: unknown[];
}

function play(): Played {
  const events: string[] = [];
  const errors: unknown[] = [];
  const groups = new GroupCommit(
    (replica, end) => events.push(`${replica.id} to ${end}`),
    () => events.push('end'),
    (error) => errors.push(error),
  );
  return { groups, events, errors };
}

function replicaOf(id: number): { replica: Replica; log: SyncedLog } {
  const log: SyncedLog & { sync(): Promise<number> } = {
    logStart: 0,
    written: 0,
    ends: [],
    fails: [],
    sync() {
      const end = log.written;
      return new Promise((resolve, reject) => {
        log.ends.push(() => resolve(end));
        log.fails.push(reject);
      });
    },
  };
  const info = { id, topic: 't', partition: id, replicas: [1], isr: [1], leader: 1, epoch: 0 };
  return { replica: new Replica(info, topicConfig({}), log as unknown as PartitionLog, 1), log };
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

test('one group is under way at a time, and all that is wanted meanwhile goes with the next', async () => {
  const { groups, events } = play();
  const one = replicaOf(1);
  const two = replicaOf(2);
  one.log.written = 5;
  groups.want(one.replica);
  groups.begin();
  assert.is(groups.isSyncing, true);
  for (let n = 6; n < 10; n++) {
    one.log.written = n;
    two.log.written = n;
    groups.want(one.replica);
    groups.want(two.replica);
    groups.begin();
  }
  assert.is(one.log.ends.length, 1);
  assert.is(two.log.ends.length, 0);
  one.log.ends[0]();
  await turn();
  assert.equal(events, ['1 to 5', 'end']);
  assert.equal([one.log.ends.length, two.log.ends.length], [2, 1]);
  one.log.ends[1]();
  await turn();
  assert.is(events.length, 2, 'a group ends as a whole');
  two.log.ends[0]();
  await turn();
  assert.equal(events.slice(2), ['1 to 9', '2 to 9', 'end']);
  assert.is(groups.isSyncing, false);
});

test('the syncs of a group run together, but never more than the pool has threads', async () => {
  const { groups, events } = play();
  const all = Array.from({ length: 3 * SYNCS_MAX }, (_, id) => replicaOf(id));
  for (const { replica } of all) groups.want(replica);
  groups.begin();
  let ended = 0;
  while (ended < all.length) {
    const running = all.filter(({ log }) => log.ends.length > 0);
    assert.is(running.length, Math.min(all.length, ended + SYNCS_MAX));
    all[ended++].log.ends[0]();
    await turn();
  }
  assert.is(events.length, all.length + 1);
});

test('without anything that is wanted no group begins', () => {
  const { groups, events } = play();
  groups.begin();
  assert.is(groups.isSyncing, false);
  assert.equal(events, []);
});

test('a log that went back during a sync is told nothing of it, the others are', async () => {
  const { groups, events } = play();
  const one = replicaOf(1);
  const two = replicaOf(2);
  for (const { replica, log } of [one, two]) {
    log.written = 9;
    groups.want(replica);
  }
  groups.begin();
  one.log.written = 4;
  one.replica.restart();
  one.log.written = 12;
  one.log.ends[0]();
  two.log.ends[0]();
  await turn();
  assert.equal(events, ['2 to 9', 'end']);
});

test('after a sync that failed nothing is settled and nothing is synced any more', async () => {
  const { groups, events, errors } = play();
  const one = replicaOf(1);
  const two = replicaOf(2);
  groups.want(one.replica);
  groups.want(two.replica);
  groups.begin();
  const error = diskFull();
  one.log.fails[0](error);
  await turn();
  two.log.fails[0](diskFull());
  await turn();
  assert.equal(errors, [error]);
  assert.equal(events, []);
  assert.is(groups.isSyncing, false);
  groups.want(one.replica);
  groups.begin();
  assert.is(one.log.ends.length, 1);
});

test('the sync of a replica that is gone may fail, and the others go on', async () => {
  const { groups, events, errors } = play();
  const [gone, other] = [replicaOf(1), replicaOf(2)];
  for (const { replica, log } of [gone, other]) {
    log.written = 9;
    groups.want(replica);
  }
  groups.begin();
  gone.replica.becomeOffline();
  gone.log.fails[0](diskFull());
  other.log.ends[0]();
  await turn();
  assert.equal(errors, []);
  assert.ok(events.includes('2 to 9'));
  groups.want(other.replica);
  groups.begin();
  assert.is(other.log.ends.length, 2, 'the next group goes on');
});

test('whoever closes is told nothing any more', async () => {
  const { groups, events, errors } = play();
  const { replica, log } = replicaOf(1);
  groups.want(replica);
  groups.begin();
  groups.close();
  log.ends[0]();
  await turn();
  assert.equal(events, []);
  assert.equal(errors, []);
});

test('a log that went back during its sync is synced again, though nothing is appended to it', async () => {
  const { groups, events } = play();
  const { replica, log } = replicaOf(1);
  log.written = 9;
  groups.want(replica);
  groups.begin();
  await turn();
  log.written = 7;
  replica.restart();
  log.ends[0]();
  await turn();
  await turn();
  assert.is(log.ends.length, 2);
  log.ends[1]();
  await turn();
  await turn();
  assert.equal(events, ['end', '1 to 7', 'end']);
});

test.run();
