import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { topicDefaults } from '../../src/config.ts';
import { isSameImage, type MetadataImage } from '../../src/core/metadata/image.ts';
import { TidemarkError } from '../../src/errors.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { Controller } from '../../src/runtime/controller.ts';
import { newUuid } from '../../src/runtime/uuid.ts';
import { seededRandom } from '../log/seeded-random.ts';
import { openStore, TestClock } from './quorum-fixtures.ts';

function codeOf(error: unknown): string {
  return error instanceof TidemarkError ? error.code : String(error);
}

interface Published {
  readonly offset: number;
  readonly records: number | undefined;
}

class TestController {
  readonly clock = new TestClock();
  readonly disks: MemoryDisk[] = [];
  readonly published: Published[] = [];
  readonly controller: Controller;
  readonly #directoryIds: readonly string[];
  isLinked = (): boolean => true;

  constructor(voters: number, disks: readonly MemoryDisk[] = [], directoryIds: readonly string[] = []) {
    const draw = seededRandom(3);
    this.disks = Array.from({ length: voters }, (_, n) => disks[n] ?? new MemoryDisk());
    this.#directoryIds = this.disks.map((_, n) => directoryIds[n] ?? newUuid());
    this.controller = new Controller({
      clock: this.clock,
      random: () => draw(1 << 20) / (1 << 20),
      bootstrap: { voters: this.#directoryIds.map((directoryId, n) => ({ id: n + 1, directoryId })) },
      isLinked: () => this.isLinked(),
      failed: (_voter, cause) => {
        throw cause;
      },
      context: {
        isAlive: () => true,
        hasLog: () => true,
        newUuid,
        defaults: topicDefaults('os'),
      },
      published: ({ offset }, _before, records) => this.published.push({ offset, records: records?.length }),
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
    offsets.map((_, n) => offsets[0] + n),
  );
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
  await test.done(test.createTopic('back'));
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

test('ten thousand topics are there again after a start, from a snapshot and what follows it', async () => {
  const test = await (await new TestController(3).start()).startCluster();
  for (let n = 0; n < 10_000; n += 250) {
    const some = Array.from({ length: 250 }, (_, k) => test.createTopic(`topic-${n + k}`));
    await test.done(Promise.all(some));
  }
  const before = test.image;
  await test.controller.close();
  const again = new TestController(3, test.disks, test.directoryIds);
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
