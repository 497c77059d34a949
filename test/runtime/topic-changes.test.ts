// Changes of topics whose fate is not known at first, and those whose turn does not come.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { TidemarkError } from '../../src/errors.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { TopicChanges } from '../../src/runtime/topic-changes.ts';
import { assertRefused } from '../client/refusals.ts';

type Cluster = ConstructorParameters<typeof TopicChanges>[0];

/** One topic, no broker, and a quorum that does not answer in time; `decided` says what came of what it was asked. */
function changesOf(decided: (written: Set<string>) => Promise<void>): {
  changes: TopicChanges;
  gone: string[];
} {
  const written = new Set(['t']);
  const gone: string[] = [];
  const topics = {
    has: (name: string) => written.has(name),
    known: (name: string) => (written.has(name) ? { name, topicId: 'id', partitions: [] } : undefined),
    hide: () => undefined,
  };
  const cluster = {
    clock: systemClock,
    topics,
    members: { all: [] },
    submit: () => Promise.reject(new TidemarkError('REQUEST_TIMED_OUT', 'Nobody knows.')),
    decided: () => decided(written),
    gone: (name: string) => gone.push(name),
  };
  return { changes: new TopicChanges(cluster as unknown as Cluster), gone };
}

test('a change that turns out to be written down is seen through, however often nobody knows', async () => {
  let looks = 0;
  const { changes, gone } = changesOf(async (written) => {
    if (++looks < 3) throw new TidemarkError('NOT_CONTROLLER', 'Nobody leads.');
    written.delete('t');
  });
  await changes.delete('t', 5_000);
  assert.is(looks, 3);
  assert.equal(gone, ['t']);
});

test('a change that turns out not to be written down has failed as was said first', async () => {
  const { changes, gone } = changesOf(() => Promise.resolve());
  await assertRefused(changes.delete('t', 5_000), 'REQUEST_TIMED_OUT', /Nobody knows/);
  assert.equal(gone, []);
});

test('whoever waits is answered in time, and a change behind one that is not through is not begun', async () => {
  const { changes, gone } = changesOf(() => new Promise(() => undefined));
  const first = assertRefused(changes.delete('t', 50), 'REQUEST_TIMED_OUT', /goes on/);
  const second = assertRefused(changes.delete('t', 60), 'NOT_CONTROLLER', /Nothing was changed/);
  await Promise.all([first, second]);
  assert.equal(gone, []);
});

test.run();
