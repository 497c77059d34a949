// Changes of topics whose fate is not known at first, and those whose turn does not come.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ErrorCode, TidemarkError } from '../../src/errors.ts';
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

interface Making {
  readonly changes: TopicChanges;
  /** What the broker was asked for. */
  readonly requests: string[];
}

/** A broker, and what comes of the replicas that are to be made; `refusal`: nothing can be taken back. */
function makingOf(assign: () => Promise<unknown>, refusal?: ErrorCode): Making {
  const written = new Set<string>();
  const requests: string[] = [];
  const request = ({ type }: { type: string }): Promise<void> => {
    requests.push(type);
    return Promise.resolve();
  };
  const partitions = [{ id: 0, partition: 0, replicas: [1] }];
  const cluster = {
    clock: systemClock,
    topics: {
      has: (name: string) => written.has(name),
      known: (name: string) => ({ name, topicId: 'id', config: {}, partitions }),
    },
    members: {
      all: [{ handle: { id: 1, state: 'running', isAlive: true, hasEnded: false, request } }],
      assign,
    },
    isLive: () => true,
    isEmptied: () => false,
    isClosing: () => refusal === 'CLOSED',
    settle: () => Promise.resolve(),
    submit: ({ type, name }: { type: string; name: string }) => {
      if (type === 'create-topic') written.add(name);
      else if (refusal !== undefined) return Promise.reject(new TidemarkError(refusal, 'Nobody leads.'));
      else written.delete(name);
      return Promise.resolve();
    },
  };
  return { changes: new TopicChanges(cluster as unknown as Cluster), requests };
}

const died = () => Promise.reject(new TidemarkError('BROKER_FAILED', 'A broker has died.'));

test('a topic that could not be made is taken back from its brokers too, and the error says that it is not there', async () => {
  const { changes, requests } = makingOf(died);
  const sentence = /^Topic 't' was not made, and is not there: A broker has died\. Create it again\.$/;
  await assertRefused(changes.create('t', 1, 1, {}, 5_000), 'BROKER_FAILED', sentence);
  assert.equal(requests, ['remove']);
});

test('a topic that could not be made and stays written down keeps what its brokers have, and may be there later', async () => {
  const { changes, requests } = makingOf(died, 'NOT_CONTROLLER');
  await assertRefused(
    changes.create('t', 1, 1, {}, 60),
    'REQUEST_TIMED_OUT',
    /'t' was not made in time, and may/,
  );
  assert.equal(requests, []);
});

test('a topic that could not be made and cannot be taken back at the end of the cluster stays written down', async () => {
  const { changes, requests } = makingOf(died, 'CLOSED');
  await assertRefused(changes.create('t', 1, 1, {}, 5_000), 'CLOSED', /the next start brings it/);
  assert.equal(requests, []);
});

test('a topic that nobody was there to make is made once more', async () => {
  const nobody = new Map([[2, new Map()]]);
  const somebody = new Map([[1, new Map([[0, { id: 0, state: 'online' }]])]]);
  const findings = [nobody, nobody, somebody];
  const { changes, requests } = makingOf(() => Promise.resolve(findings.shift()));
  await changes.create('t', 1, 1, {}, 5_000);
  assert.equal(findings, []);
  assert.equal(requests, ['remove', 'remove']);
});

test.run();
