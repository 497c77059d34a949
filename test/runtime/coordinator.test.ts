// The start and the end of a cluster, where nothing else keeps the process.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { topicDefaults } from '../../src/config.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { Coordinator } from '../../src/runtime/coordinator.ts';
import { openDataDirectory } from '../../src/runtime/data-directory.ts';
import { processSurroundings } from '../../src/runtime/process-surroundings.ts';

test('the process is kept by a start before there are brokers, and by a close to its last step', async () => {
  /** Timers that keep the process. */
  const kept = new Set<object>();
  const clock = {
    ...systemClock,
    scheduleKept: (delayMs: number, callback: () => void) => {
      const timer = {};
      kept.add(timer);
      const cancel = systemClock.scheduleKept(delayMs, () => {
        kept.delete(timer);
        callback();
      });
      return () => {
        kept.delete(timer);
        cancel();
      };
    },
  };
  const directory = await openDataDirectory(undefined, 'memory', 1, undefined);
  const close = directory.close.bind(directory);
  const openSeat = directory.openSeat.bind(directory);
  let keptAtFirst = 0;
  let keptAtLast = 0;
  directory.openSeat = async (broker) => {
    const seat = await openSeat(broker);
    keptAtFirst = kept.size;
    return seat;
  };
  directory.close = () => {
    keptAtLast = kept.size;
    close();
  };
  const coordinator = await Coordinator.start({
    durability: 'memory',
    directory,
    brokers: 1,
    controllers: undefined,
    config: topicDefaults('memory'),
    surroundings: { ...processSurroundings, clock },
  });
  assert.ok(keptAtFirst > 0, 'a program that waits for its voters to agree would have ended');
  await coordinator.close();
  assert.ok(keptAtLast > 0, 'a program with nothing else to do would have ended');
  assert.is(kept.size, 0);
});

test.run();
