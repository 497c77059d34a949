// Brokers that come and go, each with memory of its own for every life.
// time limit: 90 s
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { topicDefaults } from '../../src/config.ts';
import { Coordinator } from '../../src/runtime/coordinator.ts';
import { openDataDirectory } from '../../src/runtime/data-directory.ts';

async function withCoordinator(
  brokers: number,
  run: (coordinator: Coordinator) => Promise<void>,
): Promise<void> {
  const directory = await openDataDirectory(undefined, 'memory', brokers);
  const config = topicDefaults('memory');
  const coordinator = await Coordinator.start({
    durability: 'memory',
    directory,
    brokers,
    controllers: undefined,
    config,
  });
  try {
    await run(coordinator);
  } finally {
    await coordinator.close();
  }
}

test('sixty restarts leave the shared memory as large as the first ones', () =>
  withCoordinator(2, async (coordinator) => {
    const { client } = await coordinator.attachments.attach();
    await coordinator.topicChanges.create('t', 3, 2, {});
    let early = 0;
    for (let n = 0; n < 60; n++) {
      const broker = 1 + (n % 2);
      await coordinator.lives.kill(broker);
      await coordinator.lives.start(broker);
      await coordinator.attachments.link(client, broker);
      if (n === 9) early = coordinator.arena.buffer.byteLength;
    }
    assert.is(coordinator.arena.buffer.byteLength, early);
  }));

test('brokers that are added and removed leave nothing behind', () =>
  withCoordinator(1, async (coordinator) => {
    let early = 0;
    for (let n = 0; n < 30; n++) {
      assert.is(await coordinator.lives.add(), 2);
      assert.is(await coordinator.lives.remove(2), undefined);
      if (n === 4) early = coordinator.arena.buffer.byteLength;
    }
    assert.is(coordinator.arena.buffer.byteLength, early);
    assert.equal(coordinator.members.ids, [1]);
  }));

test.run();
