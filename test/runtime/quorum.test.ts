import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { defaultRaftOptions, type Persist } from '../../src/core/raft/index.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import { ProposalError, type Voter, type VoterStore } from '../../src/runtime/voter.ts';
import { FaultyDisk } from '../log/faulty-disk.ts';
import { openStore, settled, TestMachine, TestQuorum } from './quorum-fixtures.ts';

/** Whoever waits for a silence waits for one to two timeouts, and may have to try again. */
const ELECTION_MS = 3 * defaultRaftOptions.electionTimeoutMs;

async function refusalOf(outcome: Promise<unknown>): Promise<ProposalError> {
  try {
    await outcome;
  } catch (error) {
    if (error instanceof ProposalError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

test('three voters elect a leader, and every one of them applies what is proposed, in order', async () => {
  const { quorum, clock, propose, texts, leaderId } = bound(await new TestQuorum(3).startAll());
  assert.ok(leaderId() !== undefined);
  const places = Promise.all(['a', 'b', 'c'].map(propose));
  await clock.pass(100);
  await places;
  await clock.pass(500);
  for (const id of [1, 2, 3]) assert.equal(texts(id), ['a', 'b', 'c'], `voter ${id}`);
  await quorum.close();
});

test('one voter leads at once, without waiting for the silence of others', async () => {
  const test = new TestQuorum(1);
  await test.start(test.member(1));
  test.quorum.elect();
  for (let turn = 0; turn < 10; turn++) await settled();
  assert.is(test.leaderId, 1);
  assert.is(test.clock.nowMs(), 0);
  await test.propose('a');
  assert.equal(test.texts(1), ['a']);
  await test.quorum.close();
});

test('when the leading voter dies another leads within 100 ms, with everything that was committed', async () => {
  const test = await new TestQuorum(3).startAll();
  const proposed = test.propose('before');
  await test.clock.pass(50);
  await proposed;
  const dead = test.leaderId as number;
  const diedAtMs = test.clock.nowMs();
  test.quorum.kill(dead);
  const next = test.propose('after');
  await test.clock.pass(100);
  await next;
  assert.ok(test.clock.nowMs() - diedAtMs <= 100);
  assert.is.not(test.leaderId, dead);
  assert.equal(test.texts(test.leaderId as number), ['before', 'after']);
  await test.quorum.close();
});

test('with two of three voters dead a proposal times out, and the next one is made once a voter has returned', async () => {
  const test = await new TestQuorum(3).startAll();
  const [first, second] = [1, 2, 3].filter((id) => id !== test.leaderId);
  test.quorum.kill(first);
  test.quorum.kill(second);
  const refused = refusalOf(test.propose('lost?', 1_000));
  await test.clock.pass(1_500);
  assert.is((await refused).reason.replace('LEADERSHIP_LOST', 'TIMED_OUT'), 'TIMED_OUT');
  await test.start(test.member(first));
  const proposed = test.propose('back');
  await test.clock.pass(ELECTION_MS);
  await proposed;
  const texts = test.texts(first);
  assert.is(texts.at(-1), 'back');
  await test.quorum.close();
});

test('a thread that stood still for five seconds elects nobody anew', async () => {
  const test = await new TestQuorum(3).startAll();
  const leader = test.quorum.leader?.voter;
  const term = leader?.node.term;
  test.clock.stall(5_000);
  await test.clock.pass(1_000);
  assert.is(test.quorum.leader?.voter, leader);
  assert.is(leader?.node.term, term);
  await test.quorum.close();
});

test('a thread that stood still, for however long, deposes nobody', async () => {
  const { electionTimeoutMs } = defaultRaftOptions;
  for (let share = 0; share <= 2; share += 0.05) {
    const test = await new TestQuorum(3).startAll();
    const leader = test.quorum.leader?.voter as Voter;
    const { term } = leader.node;
    // Just before it would have been heard of again.
    await test.clock.pass(leader.dueMs - test.clock.nowMs() - 1);
    test.clock.stall(share * electionTimeoutMs);
    await test.clock.pass(2 * electionTimeoutMs);
    assert.is(test.quorum.leader?.voter, leader, `after ${share} timeouts`);
    assert.is(leader.node.term, term, `after ${share} timeouts`);
    await test.quorum.close();
  }
});

test('what arrives after a stall before the timer does finds nobody impatient', async () => {
  const test = await new TestQuorum(3).startAll();
  const leader = test.quorum.leader?.voter as Voter;
  const { term } = leader.node;
  test.clock.stall(5_000);
  for (const id of [1, 2, 3]) test.quorum.voter(id)?.handle({ kind: 'tick' });
  await settled();
  await test.clock.pass(5_000);
  assert.is(test.quorum.leader?.voter, leader);
  assert.is(leader.node.term, term);
  await test.quorum.close();
});

/** Voters whose disks take their time. */
async function withSlowDisks(delayMs: () => number): Promise<TestQuorum> {
  const test = new TestQuorum(3);
  for (const id of [1, 2, 3]) {
    const member = test.member(id);
    const store = await openStore(new MemoryDisk(), member);
    const persist = async (given: Persist): Promise<void> => {
      await store.persist(given);
      await new Promise<void>((resolve) => test.clock.schedule(delayMs(), resolve));
    };
    const slow: VoterStore = {
      state: store.state,
      persist,
      close: () => store.close(),
      release: () => store.release(),
    };
    test.quorum.start({ member, store: slow, machine: new TestMachine() });
  }
  test.quorum.elect();
  await test.clock.pass(5_000);
  return test;
}

test('syncs of hundreds of milliseconds are slow, and nothing else', async () => {
  for (const delayMs of [50, 150, 400]) {
    const test = await withSlowDisks(() => delayMs);
    const leader = test.quorum.leader?.voter as Voter;
    const { term } = leader.node;
    for (let n = 0; n < 10; n++) {
      const proposed = test.propose(`entry ${n}`);
      await test.clock.pass(3 * delayMs);
      await proposed;
    }
    assert.is(leader.node.term, term);
    assert.is(test.quorum.leader?.voter, leader);
    await Promise.all([test.quorum.close(), test.clock.pass(5_000)]);
  }
});

test('a leader that is cut off steps down though its disk is never at rest', async () => {
  let delayMs = 0;
  const test = await withSlowDisks(() => delayMs);
  const leader = test.quorum.leader?.voter as Voter;
  delayMs = 10;
  test.isLinked = (from, to) => from !== leader.self.id && to !== leader.self.id;
  const cutMs = test.clock.nowMs();
  while (leader.isLeader && test.clock.nowMs() - cutMs < 10_000) {
    leader.propose(Buffer.from('more')).catch(() => undefined);
    await test.clock.pass(4);
  }
  assert.ok(test.clock.nowMs() - cutMs < 3_000, `${test.clock.nowMs() - cutMs} ms`);
  await Promise.all([test.quorum.close(), test.clock.pass(5_000)]);
});

test('closing waits for every voter, also where one fails, and nobody can begin afterwards', async () => {
  const test = new TestQuorum(3);
  const disks = [1, 2, 3].map((seed) => new FaultyDisk({ seed }));
  for (const [n, disk] of disks.entries()) test.disks.set(n + 1, disk);
  await test.startAll();
  disks[0].fail({ kind: 'any', nth: 1, code: 'EIO', always: true });
  for (const disk of disks) disk.holdSyncs();
  let isClosed = false;
  const closed = test.quorum.close().then(
    () => 'closed',
    (error: unknown) => String(error),
  );
  void closed.then(() => {
    isClosed = true;
  });
  await settled();
  await settled();
  assert.not(isClosed, 'the others are still at work');
  for (const disk of disks) disk.releaseSyncs();
  await test.clock.pass(1_000);
  assert.match(await closed, /EIO/);
  let isReleased = false;
  const store: VoterStore = {
    state: { hardState: undefined, snapshot: undefined, entries: [], cuts: [] },
    persist: async () => undefined,
    close: async () => undefined,
    release: () => {
      isReleased = true;
    },
  };
  const begin = (): void => test.quorum.start({ member: test.member(1), store, machine: new TestMachine() });
  assert.throws(begin, /the quorum is closed/);
  assert.ok(isReleased);
});

test('a leader that nobody hears steps down, and rejoins without a new election', async () => {
  const test = await new TestQuorum(3).startAll();
  const old = test.leaderId as number;
  test.isLinked = (from, to) => from !== old && to !== old;
  await test.clock.pass(ELECTION_MS);
  const next = test.leaderId as number;
  assert.is.not(next, old);
  assert.not(test.quorum.voter(old)?.isLeader, 'the isolated leader has stepped down');
  const { term } = test.quorum.voter(next)?.node ?? { term: -1 };
  test.isLinked = () => true;
  await test.clock.pass(2_000);
  assert.is(test.leaderId, next);
  assert.is(test.quorum.voter(next)?.node.term, term);
  await test.quorum.close();
});

test('a voter starts again with what it had persisted, after a crash that forgets what was not synced', async () => {
  const test = new TestQuorum(3);
  const disks = [1, 2, 3].map((id) => {
    const disk = new FaultyDisk({ seed: id });
    test.disks.set(id, disk);
    return disk;
  });
  await test.startAll();
  for (let n = 0; n < 30; n++) {
    const proposed = test.propose(`entry ${n}`);
    await test.clock.pass(50);
    await proposed;
  }
  for (const id of [1, 2, 3]) test.quorum.kill(id);
  for (const [n, disk] of disks.entries()) test.disks.set(n + 1, disk.crash());
  for (const id of [1, 2, 3]) await test.start(test.member(id));
  const proposed = test.propose('again');
  await test.clock.pass(ELECTION_MS);
  await proposed;
  const expected = [...Array.from({ length: 30 }, (_, n) => `entry ${n}`), 'again'];
  assert.equal(test.texts(test.leaderId as number), expected);
  await test.quorum.close();
});

test('a voter whose disk refuses a write ends, says so, and the others go on', async () => {
  const test = new TestQuorum(3);
  const disk = new FaultyDisk();
  test.disks.set(2, disk);
  await test.startAll();
  disk.fail({ kind: 'write', nth: 1, code: 'EIO', always: true });
  const proposed = test.propose('a');
  await test.clock.pass(1_000);
  await proposed.catch(() => undefined);
  const again = test.propose('b');
  await test.clock.pass(1_000);
  await again;
  assert.equal(
    test.failures.map(({ id }) => id),
    [2],
  );
  assert.match(String(test.failures[0].cause), /EIO/);
  assert.equal(
    test.quorum.members.map(({ id }) => id),
    [1, 3],
  );
  assert.is(test.texts(1).at(-1), 'b');
  await test.quorum.close();
});

test('a directory that was lost is no voter until it has been added again, with a snapshot where the log is gone', async () => {
  const test = await new TestQuorum(3).startAll();
  const lost = [1, 2, 3].find((id) => id !== test.leaderId) as number;
  test.quorum.kill(lost);
  test.disks.delete(lost);
  const fresh = test.member(lost, 2);
  await test.start(fresh);
  const proposed = test.propose('without it');
  await test.clock.pass(1_000);
  await proposed;
  assert.equal(test.texts(lost), [], 'nobody sends to a directory that is no voter');
  const removed = test.quorum.ask(5_000, (leader) => leader.removeVoter(test.member(lost)));
  await test.clock.pass(1_000);
  await removed;
  const added = test.quorum.ask(5_000, (leader) => leader.addVoter(fresh));
  await test.clock.pass(2_000);
  await added;
  assert.equal(test.texts(lost), ['without it']);
  assert.ok(test.quorum.voter(lost)?.node.isVoter);
  await test.quorum.close();
});

test('a leader whose only other voter is known to be dead steps down, rather than to take the thread for stalled', async () => {
  const test = await new TestQuorum(3).startAll();
  const leader = test.leaderId as number;
  const [dead, leaving] = [1, 2, 3].filter((id) => id !== leader);
  void test.quorum.kill(dead);
  const removed = refusalOf(test.quorum.ask(1_500, (voter) => voter.removeVoter(test.member(leaving))));
  await test.clock.pass(2_000);
  assert.ok((await removed).isUnknown);
  assert.is(test.leaderId, undefined);
  await test.start(test.member(dead));
  await test.clock.pass(ELECTION_MS);
  assert.ok(test.leaderId !== undefined);
  await test.quorum.close();
});

test('who votes is known while nobody leads', async () => {
  const test = await new TestQuorum(3).startAll();
  await test.start(test.member(4));
  const ids = (): number[] => test.quorum.configuration.voters.map(({ id }) => id);
  assert.equal(ids(), [1, 2, 3]);
  for (const id of [1, 2, 3]) if (id !== 3) void test.quorum.kill(id);
  await test.clock.pass(10_000);
  assert.is(test.leaderId, undefined);
  assert.equal(ids(), [1, 2, 3], 'neither those that run, nor one that only listens');
  await test.quorum.close();
});

/** The functions of a fixture, free to be taken apart. */
function bound(test: TestQuorum) {
  return {
    quorum: test.quorum,
    clock: test.clock,
    propose: (text: string) => test.propose(text),
    texts: (id: number) => test.texts(id),
    leaderId: () => test.leaderId,
  };
}

test.run();
