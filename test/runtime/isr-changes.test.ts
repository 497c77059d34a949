// Who leaves and enters an ISR, decided on real metadata, and announced to brokers that the test plays.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { topicConfig } from '../../src/config.ts';
import type { Command } from '../../src/core/metadata/commands.ts';
import type { BrokerHandle } from '../../src/runtime/broker-handle.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import type { ControlRequest } from '../../src/runtime/directory.ts';
import { IsrChanges } from '../../src/runtime/isr-changes.ts';
import { PartitionChanges } from '../../src/runtime/partition-changes.ts';
import { ReplicaMoves } from '../../src/runtime/replica-moves.ts';
import { Topics } from '../../src/runtime/topics.ts';
import { TestCluster } from '../core/metadata/fixtures.ts';

const PARTITION = 0;
const FOLLOWER = 2;

/** A broker's life, of which only what it hears matters. */
class PlayedBroker {
  readonly isAlive = true;
  readonly id: number;
  readonly life: number;
  /** ISRs, as it was told of them. */
  readonly heard: number[][] = [];
  /** What it answers to the next questions whether a follower may come in; then it agrees. */
  readonly answers: (() => Promise<boolean>)[] = [];
  asked = 0;

  constructor(id: number, life: number) {
    this.id = id;
    this.life = life;
  }

  request(request: ControlRequest): Promise<unknown> {
    if (request.type === 'reform') this.heard.push(...request.partitions.map(({ isr }) => [...isr]));
    if (request.type !== 'admit') return Promise.resolve([]);
    this.asked += 1;
    return this.answers.shift()?.() ?? Promise.resolve(true);
  }

  get handle(): BrokerHandle {
    return this as unknown as BrokerHandle;
  }
}

class Scene {
  readonly metadata = new TestCluster();
  readonly brokers = new Map([1, 2, 3].map((id) => [id, new PlayedBroker(id, id)]));
  readonly isr: IsrChanges;
  readonly #changes: PartitionChanges;

  constructor() {
    this.metadata.createTopic();
    const topics = new Topics(() => this.metadata.image, topicConfig({}), false);
    topics.show('t');
    const cluster = {
      clock: systemClock,
      topics,
      submit: (command: Command) => this.#submit(command),
      metadataOffset: () => this.metadata.image.offset,
      alive: () => [...this.brokers.values()].map(({ handle }) => handle),
      greet: () => {},
      mended: () => {},
      shown: () => {},
      moves: new ReplicaMoves({ clock: systemClock, topics, threads: () => [], opened: () => {} }),
    };
    this.#changes = new PartitionChanges(cluster);
    this.isr = new IsrChanges(
      // The process lasts as long as it waits.
      { ...systemClock, schedule: systemClock.scheduleKept },
      topics,
      this.#changes,
      (id) => this.brokers.get(id)?.handle,
      (id) => this.metadata.epochOf(id),
    );
  }

  get leader(): PlayedBroker {
    return this.brokers.get(1) as PlayedBroker;
  }

  get members(): readonly number[] {
    return this.metadata.partition().isr;
  }

  get(id: number): BrokerHandle {
    return (this.brokers.get(id) as PlayedBroker).handle;
  }

  shrink(followers: readonly number[], leader = this.leader.handle, epoch = 0): Promise<void> {
    return this.isr.shrink(leader, PARTITION, epoch, followers);
  }

  expand(follower = this.get(FOLLOWER)): Promise<void> {
    return this.isr.expand(follower, PARTITION);
  }

  reassign(replicas: readonly number[]): Promise<void> {
    const targets = [{ topic: 't', partition: 0, replicas }];
    return this.#changes.change(() => ({ type: 'reassign', targets, throttle: undefined }));
  }

  /** It is told of all that it holds, changed or not. */
  welcome(welcomed: BrokerHandle): Promise<void> {
    return this.#changes.change(() => undefined, { welcomed });
  }

  async #submit(command: Command): Promise<unknown> {
    await Promise.resolve();
    const before = this.metadata.entries.length;
    const { image } = this.metadata;
    const answer = this.metadata.run(command);
    for (const records of this.metadata.entries.slice(before)) this.#changes.written(records, image);
    return answer;
  }
}

test('a follower that its leader names leaves the ISR: written down first, and then announced', async () => {
  const scene = new Scene();
  await scene.shrink([FOLLOWER]);
  assert.equal(scene.members, [1, 3]);
  assert.equal(scene.leader.heard, [[1, 3]]);
  assert.equal(scene.brokers.get(FOLLOWER)?.heard, [[1, 3]]);
});

test('the leader itself stays, whatever it says of itself', async () => {
  const scene = new Scene();
  await scene.shrink([1, 2, 3]);
  assert.equal(scene.members, [1]);
});

test('what a stale leader says of its followers counts for nothing', async () => {
  const scene = new Scene();
  await scene.shrink([2], scene.get(3));
  await scene.shrink([2], scene.leader.handle, 1);
  await scene.shrink([2], new PlayedBroker(1, 9).handle);
  scene.metadata.fence(1);
  scene.metadata.unfence(1);
  await scene.shrink([3]);
  assert.equal(scene.metadata.standing(), [2, [2, 3]]);
});

test('a follower that has caught up comes back: its leader agrees first, and then it is written down', async () => {
  const scene = new Scene();
  await scene.shrink([FOLLOWER]);
  scene.leader.answers.push(() => Promise.resolve(false));
  await scene.expand();
  assert.is(scene.leader.asked, 2);
  assert.equal(scene.members, [1, 2, 3]);
  assert.equal(scene.leader.heard.at(-1), [1, 2, 3]);
});

test('LESSONS 13: a replica of an earlier life does not come back, though its leader agrees (KIP-841, KIP-903)', async () => {
  const scene = new Scene();
  await scene.shrink([FOLLOWER]);
  const before = scene.get(FOLLOWER);
  scene.leader.answers.push(async () => {
    // Meanwhile its thread has died, and another has begun, perhaps without what the first one had.
    scene.metadata.register(FOLLOWER);
    scene.metadata.unfence(FOLLOWER);
    scene.brokers.set(FOLLOWER, new PlayedBroker(FOLLOWER, 9));
    return true;
  });
  await scene.expand(before);
  assert.equal(scene.members, [1, 3]);
  await scene.expand(before);
  assert.is(scene.leader.asked, 1);
  await scene.expand();
  assert.equal(scene.members, [1, 2, 3]);
});

test('a leader that waits for a follower in vain is told to wait no more', async () => {
  const scene = new Scene();
  await scene.shrink([FOLLOWER]);
  const told = scene.leader.heard.length;
  scene.leader.answers.push(async () => {
    scene.brokers.delete(FOLLOWER);
    return true;
  });
  await scene.expand();
  assert.equal(scene.members, [1, 3]);
  assert.equal(scene.leader.heard.slice(told), [[1, 3]]);
});

test('a follower that the partition has left meanwhile is asked about no more, and its leader waits for it no more', async () => {
  const scene = new Scene();
  await scene.shrink([FOLLOWER]);
  scene.leader.answers.push(async () => {
    await scene.reassign([1, 3]);
    return true;
  });
  await scene.expand();
  assert.is(scene.leader.asked, 1);
  assert.equal(scene.members, [1, 3]);
  // Once as a replica that goes, and once more behind the answer.
  assert.equal(scene.leader.heard.slice(-2), [
    [1, 3],
    [1, 3],
  ]);
});

test('one that the leader has named meanwhile, and waits for no more, is asked about once more', async () => {
  const scene = new Scene();
  await scene.shrink([FOLLOWER]);
  scene.leader.answers.push(async () => {
    // The partition does not change by it, but what the leader has just agreed to it has forgotten.
    await scene.shrink([FOLLOWER]);
    return true;
  });
  await scene.expand();
  assert.is(scene.leader.asked, 2);
  assert.equal(scene.members, [1, 2, 3]);
});

test('a leader that was told of everything since it agreed is asked once more', async () => {
  const scene = new Scene();
  await scene.shrink([FOLLOWER]);
  scene.leader.answers.push(async () => {
    // As after a start, or a hang: nothing has changed, and what it hears is that it waits for nobody besides.
    await scene.welcome(scene.leader.handle);
    return true;
  });
  await scene.expand();
  assert.is(scene.leader.asked, 2);
  assert.equal(scene.members, [1, 2, 3]);
});

test('a partition that has changed since its leader agreed is asked about once more', async () => {
  const scene = new Scene();
  await scene.shrink([FOLLOWER, 3]);
  scene.leader.answers.push(async () => {
    await scene.expand(scene.get(3));
    return true;
  });
  await scene.expand();
  assert.is(scene.leader.asked, 3);
  assert.equal(scene.members, [1, 2, 3]);
});

test('nobody comes in while what is damaged of it is taken out', async () => {
  const scene = new Scene();
  await scene.isr.without(FOLLOWER, PARTITION, async () => {
    assert.equal(scene.members, [1, 3]);
    await scene.expand();
    assert.equal(scene.members, [1, 3]);
  });
  await scene.expand();
  assert.equal(scene.members, [1, 2, 3]);
});

test.run();
