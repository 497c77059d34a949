import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Configuration, Member, Message } from '../../src/core/raft/index.ts';
import { ProposalError, Voter, type VoterSetup, type VoterStore } from '../../src/runtime/voter.ts';
import { settled, TestMachine } from './quorum-fixtures.ts';

function member(id: number): Member {
  return { id, directoryId: `directory-${id}` };
}

/** Persists at once, or when the test says so. */
class HeldStore implements VoterStore {
  readonly state = { hardState: undefined, snapshot: undefined, entries: [], cuts: [] };
  isHeld = false;
  isReleased = false;
  #waiting: { resolve: () => void; reject: (cause: unknown) => void }[] = [];

  async persist(): Promise<void> {
    if (!this.isHeld) return;
    await new Promise<void>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
    });
  }

  letGo(cause?: Error): void {
    this.isHeld = false;
    for (const { resolve, reject } of this.#waiting.splice(0)) {
      if (cause === undefined) resolve();
      else reject(cause);
    }
  }

  async close(): Promise<void> {
    this.release();
  }

  release(): void {
    this.isReleased = true;
  }
}

class TestVoter {
  readonly store = new HeldStore();
  readonly machine = new TestMachine();
  readonly sent: Message[] = [];
  readonly failures: unknown[] = [];
  readonly voter: Voter;
  nowMs = 0;

  constructor(voters: readonly number[] = [1], setup: Partial<VoterSetup> = {}) {
    const bootstrap: Configuration = { voters: voters.map(member) };
    this.voter = new Voter({
      self: member(1),
      store: this.store,
      machine: this.machine,
      bootstrap,
      random: () => 0.5,
      nowMs: () => this.nowMs,
      send: (message) => this.sent.push(message),
      stepped: () => undefined,
      failed: (_voter, cause) => this.failures.push(cause),
      ...setup,
    });
  }

  /** The one voter there is leads. */
  async lead(): Promise<this> {
    this.voter.handle({ kind: 'campaign' });
    await settled();
    assert.ok(this.voter.isLeader);
    return this;
  }

  propose(text: string, after?: number): Promise<unknown> {
    return this.voter.propose(Buffer.from(text), after);
  }
}

/** `reason`, with a question mark behind it where the outcome is not known. */
async function refusalOf(outcome: Promise<unknown>): Promise<string> {
  try {
    await outcome;
  } catch (error) {
    if (error instanceof ProposalError) return `${error.reason}${error.isUnknown ? '?' : ''}`;
    throw error;
  }
  return 'none';
}

async function uncaughtDuring(act: () => Promise<void>): Promise<string[]> {
  const uncaught: string[] = [];
  const events = ['uncaughtException', 'unhandledRejection'] as const;
  const before = events.map((event) => process.listeners(event as 'uncaughtException'));
  for (const event of events) {
    process.removeAllListeners(event);
    process.on(event, (error) => uncaught.push(`${event}: ${(error as Error).message}`));
  }
  try {
    await act();
    await settled();
  } finally {
    for (const [n, event] of events.entries()) {
      process.removeAllListeners(event);
      for (const listener of before[n]) process.on(event as 'uncaughtException', listener);
    }
  }
  return uncaught;
}

test('of two proposals that were decided on the same log one is made, and the other is known not to be', async () => {
  const { voter, machine, propose, store } = bound(await new TestVoter().lead());
  store.isHeld = true;
  const busy = propose('busy');
  await settled();
  // Both wait while the voter is at its disk.
  const last = voter.node.lastIndex;
  const [first, second] = [propose('first', last), refusalOf(propose('second', last))];
  store.letGo();
  await Promise.all([busy, first]);
  assert.is(await second, 'OVERTAKEN');
  assert.equal(machine.texts, ['busy', 'first']);
});

test('a proposal is answered once it is applied, also by a voter that commits it in the same step', async () => {
  const { machine, propose } = bound(await new TestVoter().lead());
  await propose('a');
  assert.equal(machine.texts, ['a']);
});

test('a change of voters is answered once everything before it is applied', async () => {
  const { voter, machine, propose } = bound(await new TestVoter([1, 2], {}));
  // Alone of two it cannot lead; with the vote of the other it can.
  const grant = (isPreVote: boolean): void =>
    voter.handle({
      kind: 'message',
      message: { kind: 'vote-response', from: member(2), to: member(1), term: 1, isPreVote, isGranted: true },
    });
  const accept = (index: number): void =>
    voter.handle({
      kind: 'message',
      message: {
        kind: 'append-response',
        from: member(2),
        to: member(1),
        term: 1,
        isAccepted: true,
        index,
        conflictTerm: 0,
        conflictIndex: 0,
      },
    });
  voter.handle({ kind: 'campaign' });
  await settled();
  grant(true);
  await settled();
  grant(false);
  await settled();
  accept(1);
  await settled();
  const proposed = propose('a');
  const removed = voter.removeVoter(member(2)).then((place) => ({ place, texts: [...machine.texts] }));
  await settled();
  accept(3);
  await proposed;
  const { place, texts } = await removed;
  assert.is(place.index, 3);
  assert.equal(texts, ['a']);
});

test('a proposal that came with the winning vote and was overthrown in the same step is answered', async () => {
  const { voter, propose } = bound(new TestVoter([1, 2, 3]));
  const vote = (isPreVote: boolean): Message => ({
    kind: 'vote-response',
    from: member(2),
    to: member(1),
    term: 1,
    isPreVote,
    isGranted: true,
  });
  voter.handle({ kind: 'campaign' });
  await settled();
  voter.handle({ kind: 'message', message: vote(true) });
  await settled();
  assert.is(voter.node.role, 'candidate');
  voter.handle({ kind: 'message', message: vote(false) });
  const proposed = refusalOf(propose('a'));
  voter.handle({
    kind: 'message',
    message: { kind: 'heartbeat', from: member(3), to: member(1), term: 7, commit: 0, round: 1 },
  });
  await settled();
  assert.is(voter.node.term, 7);
  assert.is(await Promise.race([proposed, settled().then(() => 'no answer')]), 'LEADERSHIP_LOST?');
});

test('of a voter that is killed, what waited is known not to be made, and what was begun is not known', async () => {
  const { voter, store, propose } = bound(await new TestVoter().lead());
  store.isHeld = true;
  const begun = refusalOf(propose('begun'));
  await settled();
  const waiting = refusalOf(propose('waiting'));
  const killed = voter.kill();
  store.letGo();
  await killed;
  assert.is(await begun, 'LEADERSHIP_LOST?');
  assert.is(await waiting, 'NOT_LEADER');
  assert.ok(store.isReleased);
});

test('a voter whose disk fails tells so once, and what waited is known not to be made', async () => {
  const { voter, store, propose, failures } = bound(await new TestVoter().lead());
  store.isHeld = true;
  const begun = refusalOf(propose('begun'));
  await settled();
  const waiting = refusalOf(propose('waiting'));
  store.letGo(new Error('EIO'));
  assert.is(await begun, 'LEADERSHIP_LOST?');
  assert.is(await waiting, 'NOT_LEADER');
  assert.equal(failures.map(String), ['Error: EIO']);
  assert.ok(store.isReleased);
  await voter.close();
  assert.is(failures.length, 1);
});

test('a disk that fails under a voter that was killed is nobody’s news', async () => {
  const { voter, store, propose, failures } = bound(await new TestVoter().lead());
  store.isHeld = true;
  const begun = refusalOf(propose('begun'));
  await settled();
  const killed = voter.kill();
  store.letGo(new Error('EIO'));
  await killed;
  assert.is(await begun, 'LEADERSHIP_LOST?');
  assert.equal(failures, []);
});

test('what throws in those who are told surfaces by itself, and the voter goes on', async () => {
  let isFaulty = false;
  const test = await new TestVoter([1], {
    stepped: () => {
      if (isFaulty) throw new Error('stepped');
    },
    failed: () => {
      throw new Error('failed');
    },
  }).lead();
  const uncaught = await uncaughtDuring(async () => {
    isFaulty = true;
    await test.propose('a');
    await settled();
    isFaulty = false;
    await test.propose('b');
    test.store.isHeld = true;
    const lost = refusalOf(test.propose('c'));
    await settled();
    test.store.letGo(new Error('EIO'));
    await lost;
    await test.voter.close();
  });
  assert.equal(uncaught, ['uncaughtException: stepped', 'uncaughtException: failed']);
  assert.equal(test.machine.texts, ['a', 'b']);
});

test('a tick that waits comes after the answers that came meanwhile', async () => {
  const { voter, store, test } = bound(new TestVoter([1, 2]));
  const from = { from: member(2), to: member(1), term: 1 };
  voter.handle({ kind: 'campaign' });
  await settled();
  voter.handle({
    kind: 'message',
    message: { kind: 'vote-response', ...from, isPreVote: true, isGranted: true },
  });
  await settled();
  voter.handle({
    kind: 'message',
    message: { kind: 'vote-response', ...from, isPreVote: false, isGranted: true },
  });
  await settled();
  assert.ok(voter.isLeader);
  store.isHeld = true;
  const proposed = refusalOf(test.propose('a'));
  await settled();
  test.nowMs = 60_000;
  voter.handle({ kind: 'tick' });
  assert.is(voter.dueMs, Number.POSITIVE_INFINITY, 'one tick is enough');
  voter.handle({ kind: 'message', message: { kind: 'heartbeat-response', ...from, round: 1 } });
  store.letGo();
  await settled();
  assert.ok(voter.isLeader);
  await voter.kill();
  await proposed;
});

/** The parts of a fixture, free to be taken apart. */
function bound(test: TestVoter) {
  const { voter, store, machine, failures } = test;
  const propose = (text: string, after?: number): Promise<unknown> => test.propose(text, after);
  return { test, voter, store, machine, failures, propose };
}

test.run();
