import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { topicDefaults } from '../../src/config.ts';
import type { Command } from '../../src/core/metadata/commands.ts';
import type { MetadataImage } from '../../src/core/metadata/image.ts';
import { defaultRaftOptions } from '../../src/core/raft/index.ts';
import { TidemarkError } from '../../src/errors.ts';
import type { Disk } from '../../src/log/disk.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { Controller } from '../../src/runtime/controller.ts';
import { newUuid } from '../../src/runtime/uuid.ts';
import type { Voter } from '../../src/runtime/voter.ts';
import { isSameImage } from '../core/metadata/same-image.ts';
import { FaultyDisk } from '../log/faulty-disk.ts';
import { seededRandom } from '../log/seeded-random.ts';
import { openStore, settled, TestClock } from './quorum-fixtures.ts';

function codeOf(error: unknown): string {
  return error instanceof TidemarkError ? error.code : String(error);
}

interface Beginning {
  readonly disks?: readonly Disk[];
  readonly directoryIds?: readonly string[];
  readonly snapshotEveryEntries?: number;
}

interface Published {
  readonly offset: number;
  readonly records: number | undefined;
}

/** Whoever waits for a silence waits for one to two timeouts, and may have to try again. */
const ELECTION_MS = 3 * defaultRaftOptions.electionTimeoutMs;

class TestController {
  readonly clock = new TestClock();
  readonly disks: readonly Disk[];
  readonly published: Published[] = [];
  readonly controller: Controller;
  readonly #directoryIds: readonly string[];
  isLinked = (): boolean => true;
  /** What a listener does when something is committed. */
  listen: () => void = () => undefined;

  constructor(voters: number, { disks = [], directoryIds = [], snapshotEveryEntries }: Beginning = {}) {
    const draw = seededRandom(3);
    this.disks = Array.from({ length: voters }, (_, n) => disks[n] ?? new MemoryDisk());
    this.#directoryIds = this.disks.map((_, n) => directoryIds[n] ?? newUuid());
    this.controller = new Controller({
      clock: this.clock,
      random: () => draw(1 << 20) / (1 << 20),
      bootstrap: { voters: this.#directoryIds.map((directoryId, n) => ({ id: n + 1, directoryId })) },
      isLinked: () => this.isLinked(),
      snapshotEveryEntries,
      failed: (_voter, cause) => {
        throw cause;
      },
      context: {
        isAlive: () => true,
        isEmptied: () => false,
        hasLog: () => true,
        logEnd: () => ({ leo: 0, lastEpoch: 0 }),
        newUuid,
        defaults: topicDefaults('os'),
      },
      published: ({ offset }, _before, records) => {
        this.published.push({ offset, records: records?.length });
        this.listen();
      },
    });
  }

  get image(): MetadataImage {
    return this.controller.image;
  }

  get directoryIds(): readonly string[] {
    return this.#directoryIds;
  }

  async startVoter(id: number): Promise<void> {
    const member = { id, directoryId: this.#directoryIds[id - 1] };
    this.controller.start({ member, store: await openStore(this.disks[id - 1], member) });
  }

  async start(): Promise<this> {
    for (let id = 1; id <= this.disks.length; id++) await this.startVoter(id);
    this.controller.quorum.elect();
    await this.clock.pass(2_000);
    return this;
  }

  async startCluster(brokers = 3): Promise<this> {
    await this.done(this.controller.submit({ type: 'create-cluster', clusterId: 'test' }));
    const introduced = Array.from({ length: brokers }, (_, n) => ({
      broker: n + 1,
      directoryId: this.#directoryIds[n] ?? newUuid(),
      rack: null,
    }));
    await this.done(this.controller.submit({ type: 'start-cluster', brokers: introduced, found: new Map() }));
    return this;
  }

  /** Lets time pass until it is settled. */
  async done<T>(answer: Promise<T>, limitMs = 60_000): Promise<T> {
    let isSettled = false;
    const settled = (): void => {
      isSettled = true;
    };
    answer.then(settled, settled);
    for (let passedMs = 0; !isSettled && passedMs < limitMs; passedMs += 10) await this.clock.pass(10);
    return answer;
  }

  createTopic(name: string, limitMs?: number): Promise<unknown> {
    return this.controller.submit({ type: 'create-topic', name, partitions: 2 }, limitMs);
  }
}

test('commands of one turn go into one entry, and each gets its own answer', async () => {
  const test = await (await new TestController(3).start()).startCluster();
  const { offset } = test.image;
  const answers = Promise.allSettled([
    test.createTopic('a'),
    test.createTopic('b'),
    test.createTopic('a'),
    test.createTopic('no/path'),
  ]);
  const [a, b, again, illegal] = await test.done(answers);
  assert.is(test.image.offset, offset + 1);
  assert.is(a.status, 'fulfilled');
  assert.is(b.status, 'fulfilled');
  assert.is(codeOf((again as PromiseRejectedResult).reason), 'TOPIC_ALREADY_EXISTS');
  assert.is(codeOf((illegal as PromiseRejectedResult).reason), 'INVALID_TOPIC_EXCEPTION');
  assert.equal(
    test.image.topics().map(({ name }) => name),
    ['a', 'b'],
  );
  await test.controller.close();
});

test('what is published is every entry, once and in order, whoever leads', async () => {
  const test = await (await new TestController(3).start()).startCluster();
  for (let n = 0; n < 5; n++) {
    await test.done(test.createTopic(`topic-${n}`));
    const leader = test.controller.quorum.leader?.voter.self.id as number;
    test.controller.quorum.kill(leader);
    await test.startVoter(leader);
  }
  assert.is(test.image.topicCount, 5);
  const offsets = test.published.map(({ offset }) => offset);
  assert.equal(
    offsets,
    offsets.map((_, n) => 1 + n),
  );
  assert.ok(test.published.every(({ records }) => records !== undefined));
  await test.controller.close();
});

test('two of three voters dead: refused within the time limit, retriable, and made once one is back', async () => {
  const test = await (await new TestController(3).start()).startCluster();
  test.controller.quorum.kill(1);
  test.controller.quorum.kill(2);
  const calledAtMs = test.clock.nowMs();
  const first = await test.done(
    test.createTopic('maybe', 1_000).catch((error) => error),
    5_000,
  );
  assert.ok(['NOT_CONTROLLER', 'REQUEST_TIMED_OUT'].includes(codeOf(first)));
  assert.ok(test.clock.nowMs() - calledAtMs <= 1_100);
  const second = await test.done(
    test.createTopic('never', 1_000).catch((error) => error),
    5_000,
  );
  assert.is(codeOf(second), 'NOT_CONTROLLER');
  assert.ok((second as { retriable: boolean }).retriable);
  assert.match((second as Error).message, /1 of its 3 voters run, and it needs 2/);
  await test.startVoter(2);
  await test.done(test.createTopic('back'), ELECTION_MS);
  assert.ok(test.image.topic('back') !== undefined);
  assert.is(test.image.topic('never'), undefined);
  await test.controller.close();
});

test('a change whose outcome was not known is part of what the next one is decided on', async () => {
  const test = await (await new TestController(3).start()).startCluster();
  test.isLinked = () => false;
  const unknown = await test.done(
    test.createTopic('a', 50).catch((error) => error),
    5_000,
  );
  assert.is(codeOf(unknown), 'REQUEST_TIMED_OUT');
  test.isLinked = () => true;
  const again = await test.done(test.createTopic('a').catch((error) => error));
  assert.ok(test.image.topic('a') !== undefined);
  // Either the first one was made, and this one was refused for it, or this one was made.
  if (again instanceof Error) assert.is(codeOf(again), 'TOPIC_ALREADY_EXISTS');
  await test.controller.close();
});

test('a change whose time is over while it waits was not made, and others wait on', async () => {
  const test = await (await new TestController(3).start()).startCluster();
  test.controller.quorum.kill(1);
  test.controller.quorum.kill(2);
  await test.clock.pass(1_000);
  const beganMs = test.clock.nowMs();
  const patient = test.createTopic('patient', 30_000);
  await test.clock.pass(5);
  const hasty = await test.done(test.createTopic('hasty', 1_000).catch((error) => error));
  assert.is(codeOf(hasty), 'NOT_CONTROLLER');
  const tookMs = test.clock.nowMs() - beganMs;
  assert.ok(tookMs >= 1_000 && tookMs <= 1_050, `${tookMs} ms`);
  await test.startVoter(1);
  await test.done(patient);
  assert.is(test.image.topic('hasty'), undefined);
  assert.ok(test.image.topic('patient') !== undefined);
  await test.controller.close();
});

test('of two changes of one entry each has its own time', async () => {
  const test = await (await new TestController(3).start()).startCluster();
  test.isLinked = () => false;
  const beganMs = test.clock.nowMs();
  const patient = test.createTopic('patient', 30_000);
  const hasty = await test.done(test.createTopic('hasty', 50).catch((error) => error));
  assert.is(codeOf(hasty), 'REQUEST_TIMED_OUT');
  assert.ok(test.clock.nowMs() - beganMs <= 60);
  test.isLinked = () => true;
  await test.done(patient);
  // It was in the same entry: that nobody waited for it any more changes nothing.
  assert.ok(test.image.topic('hasty') !== undefined);
  await test.controller.close();
});

test('when the outcome is not known, only what was decided before anything changed is answered', async () => {
  const test = await (await new TestController(3).start()).startCluster();
  const leader = test.controller.quorum.leader?.voter.self.id as number;
  test.isLinked = () => false;
  const answers = Promise.allSettled([
    test.createTopic('no/path'),
    test.createTopic('a'),
    test.createTopic('a'),
    test.createTopic('no/path'),
  ]);
  await test.clock.pass(100);
  test.controller.quorum.kill(leader);
  const codes = (await test.done(answers)).map((each) => codeOf((each as PromiseRejectedResult).reason));
  assert.equal(codes, [
    'INVALID_TOPIC_EXCEPTION',
    'REQUEST_TIMED_OUT',
    'REQUEST_TIMED_OUT',
    'REQUEST_TIMED_OUT',
  ]);
  test.isLinked = () => true;
  await test.done(test.createTopic('b'));
  assert.is(test.image.topic('a'), undefined, 'nobody else had the entry');
  await test.controller.close();
});

test('a change that is timed out and made all the same does not spoil the next one', async () => {
  const disk = new FaultyDisk();
  const test = await (
    await new TestController(1, { disks: [disk], snapshotEveryEntries: 5 }).start()
  ).startCluster();
  const voter = test.controller.quorum.voter(1);
  for (let n = 0; (voter?.applied ?? 0) - (voter?.node.snapshotIndex ?? 0) < 4; n++)
    await test.done(test.createTopic(`topic-${n}`));
  // The entry that brings the snapshot about, and then the snapshot, which the next proposal has to wait for.
  const last = test.createTopic('last');
  let isMade = false;
  last.then(() => {
    isMade = true;
  });
  disk.holdSyncs();
  for (let turn = 0; !isMade && turn < 100; turn++) {
    await settled();
    disk.releaseSyncs(1);
  }
  await settled();
  assert.is(disk.heldSyncs, 1, 'the snapshot is on its way');
  const first = await test.done(test.createTopic('a', 50).catch((error) => error));
  assert.is(codeOf(first), 'REQUEST_TIMED_OUT');
  const second = test.createTopic('a').catch((error) => error);
  await test.clock.pass(100);
  disk.releaseSyncs();
  assert.is(codeOf(await test.done(second)), 'TOPIC_ALREADY_EXISTS');
  await test.controller.close();
});

test('while the leader takes nothing, a change is tried again now and then, and not in every turn', async () => {
  const disks = [1, 2, 3].map((seed) => new FaultyDisk({ seed, syncTurns: 2 }));
  const test = await (await new TestController(3, { disks }).start()).startCluster();
  const leader = test.controller.quorum.leader?.voter as Voter;
  const other = [1, 2, 3].find((id) => id !== leader.self.id) as number;
  let proposals = 0;
  const propose = leader.propose.bind(leader);
  leader.propose = (data, after) => {
    proposals += 1;
    if (proposals > 1_000) throw new Error('it spins');
    return propose(data, after);
  };
  const moved = leader.transfer(other);
  const made = test.createTopic('a', 5_000);
  await test.done(Promise.all([moved, made]));
  assert.ok(proposals < 10, `${proposals} proposals`);
  assert.ok(test.image.topic('a') !== undefined);
  await test.controller.close();
});

test('a malformed command is refused by itself, and those beside it are made', async () => {
  const test = await (await new TestController(3).start()).startCluster();
  const mangled: unknown[] = [
    { type: 'delete-topic' },
    { type: 'create-topic', name: 'x', assignments: [[null]] },
    { type: 'no-such-command' },
    null,
  ];
  for (const [n, command] of mangled.entries()) {
    const answers = Promise.allSettled([
      test.createTopic(`before-${n}`),
      test.controller.submit(command as Command),
      test.createTopic(`after-${n}`),
    ]);
    const [before, refused, after] = await test.done(answers);
    assert.equal([before.status, after.status], ['fulfilled', 'fulfilled']);
    assert.instance((refused as PromiseRejectedResult).reason, TidemarkError);
  }
  await test.controller.close();
});

test('a listener that throws is heard of, and no voter ends by it', async () => {
  const test = await (await new TestController(3).start()).startCluster();
  const uncaught: unknown[] = [];
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => uncaught.push(error));
  try {
    test.listen = () => {
      throw new Error('the listener fails');
    };
    await test.done(test.createTopic('a'));
    test.listen = () => undefined;
    await test.done(test.createTopic('b'));
  } finally {
    process.removeAllListeners('uncaughtException');
    for (const listener of listeners) process.on('uncaughtException', listener);
  }
  assert.equal(uncaught.map(String), ['Error: the listener fails']);
  assert.is(test.controller.quorum.members.length, 3);
  await test.controller.close();
});

test('a close waits for what is under way, but not for ever', async () => {
  const test = await (await new TestController(3).start()).startCluster();
  const made = test.createTopic('a');
  await settled();
  const closed = test.controller.close();
  await test.done(closed);
  await made;
  const cut = await (await new TestController(3).start()).startCluster();
  cut.isLinked = () => false;
  const stuck = cut.createTopic('a').catch((error) => error);
  await cut.clock.pass(10);
  const waiting = cut.createTopic('b').catch((error) => error);
  await cut.done(cut.controller.close(), 5_000);
  assert.is(codeOf(await stuck), 'REQUEST_TIMED_OUT');
  assert.is(codeOf(await waiting), 'CLOSED');
});

test('ten thousand topics are there again after a start, from a snapshot and what follows it', async () => {
  const test = await (await new TestController(3).start()).startCluster();
  for (let n = 0; n < 10_000; n += 250) {
    const some = Array.from({ length: 250 }, (_, k) => test.createTopic(`topic-${n + k}`));
    await test.done(Promise.all(some));
  }
  const before = test.image;
  await test.controller.close();
  const again = new TestController(3, test);
  const startedMs = performance.now();
  await again.start();
  assert.ok(performance.now() - startedMs < 5_000);
  await again.done(again.createTopic('topic-0').catch(() => undefined));
  assert.is(again.image.topicCount, 10_000);
  assert.equal(again.image.topic('topic-77'), before.topic('topic-77'));
  const { offset, term } = again.image;
  assert.ok(offset >= before.offset && term >= before.term);
  assert.is(again.image.fields.nextPartition, before.fields.nextPartition);
  for (const { machine } of [again.controller.quorum.leader].filter((each) => each !== undefined))
    assert.ok(isSameImage(machine.image, again.image));
  await again.controller.close();
});

test('after close every command is refused, and one that waits for a leader too', async () => {
  const test = new TestController(3);
  const waiting = test.createTopic('a').catch((error) => error);
  const closed = test.controller.close();
  assert.is(codeOf(await test.done(waiting)), 'CLOSED');
  await closed;
  assert.is(codeOf(await test.createTopic('b').catch((error) => error)), 'CLOSED');
});

test.run();
