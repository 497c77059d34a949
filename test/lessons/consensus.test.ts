// What broke in others' metadata (LESSONS 15 to 18).
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Message, Persist } from '../../src/core/raft/index.ts';
import { MemoryDisk } from '../../src/log/memory-disk.ts';
import type { Voter, VoterStore } from '../../src/runtime/voter.ts';
import { outcomeOf } from '../client/refusals.ts';
import { seededRandom } from '../log/seeded-random.ts';
import { withBrokers } from '../runtime/broker-fixtures.ts';
import { openStore, settled, TestMachine, TestQuorum } from '../runtime/quorum-fixtures.ts';
import { assertReplicated, numbered, partitionOf, withCluster } from '../threads/fixtures.ts';

test('LESSONS 15: nobody who produces waits for the metadata: records are committed while nothing can be decided', () =>
  withCluster({}, async (cluster) => {
    const producer = cluster.producer({ acks: 'all' });
    await producer.send('t', { value: '0' });
    await cluster.faults.isolate([1, 2, 3]);
    const proposed = outcomeOf(cluster.admin.createTopic('u', { timeoutMs: 1_000 }));
    await producer.sendBatch('t', numbered(1_000, 0, 1));
    assert.is(partitionOf(cluster).hwm, 1_001);
    assert.is(((await proposed) as { code?: string }).code, 'NOT_CONTROLLER');
    await cluster.faults.heal();
    await assertReplicated(cluster, 1_001);
  }));

test('LESSONS 15: what most voters have not persisted is neither applied nor acknowledged', async () => {
  const played = new TestQuorum(3);
  const held: (() => void)[] = [];
  let areHeld = false;
  for (const id of [1, 2, 3]) {
    const member = played.member(id);
    const store = await openStore(new MemoryDisk(), member);
    const persist = async (given: Persist): Promise<void> => {
      if (areHeld) await new Promise<void>((resolve) => held.push(resolve));
      await store.persist(given);
    };
    const slow: VoterStore = {
      state: store.state,
      persist,
      close: () => store.close(),
      release: () => store.release(),
    };
    played.quorum.start({ member, store: slow, machine: new TestMachine() });
  }
  played.quorum.elect();
  await played.clock.pass(5_000);
  areHeld = true;
  let isAcknowledged = false;
  const proposed = played.propose('a').then(() => {
    isAcknowledged = true;
  });
  await played.clock.pass(500);
  assert.ok(held.length > 0);
  // One of three.
  held.shift()?.();
  await played.clock.pass(100);
  assert.is(isAcknowledged, false);
  for (const id of [1, 2, 3]) assert.equal(played.texts(id), []);
  areHeld = false;
  for (const release of held.splice(0)) release();
  await played.clock.pass(500);
  await proposed;
  for (const id of [1, 2, 3]) assert.equal(played.texts(id), ['a']);
  await played.quorum.close();
});

test('LESSONS 16: producing writes nothing to the metadata, whatever its acks', () =>
  withCluster({ partitions: 3 }, async (cluster) => {
    const { offset } = cluster.status().quorum;
    for (const acks of [0, 1, 'all'] as const) {
      const producer = cluster.producer({ acks });
      await producer.sendBatch('t', numbered(5_000, 100));
      await producer.close();
    }
    // Blocks of producer ids are asked for once in a thousand producers, and not by records.
    assert.ok(cluster.status().quorum.offset - offset <= 1);
  }));

test('LESSONS 16: of two sides of a broken network one decides, and what the other would have is never made', async () => {
  const played = await new TestQuorum(3).startAll();
  const before = played.quorum.leader?.voter as Voter;
  const old = before.self.id;
  played.isLinked = (from, to) => (from === old) === (to === old);
  const lost = before.propose(Buffer.from('of the minority')).then(
    () => 'made',
    () => 'not made',
  );
  await played.clock.pass(10_000);
  assert.is(await lost, 'not made');
  assert.is(before.isLeader, false);
  const proposed = played.propose('of the majority');
  await played.clock.pass(1_000);
  await proposed;
  assert.equal(played.texts(old), []);
  played.isLinked = () => true;
  await played.clock.pass(5_000);
  for (const id of [1, 2, 3]) assert.equal(played.texts(id), ['of the majority']);
  await played.quorum.close();
});

test('LESSONS 17: messages that are late, doubled and out of order do not drive the terms up', async () => {
  const draw = seededRandom(17);
  let receive = (_message: Message): void => undefined;
  let deliver = (_delayMs: number, _act: () => void): void => undefined;
  const played = new TestQuorum(3, {
    send: (message) => {
      for (let copies = 1 + draw(2); copies > 0; copies--) deliver(draw(300), () => receive(message));
    },
  });
  deliver = (delayMs, act) => played.clock.schedule(delayMs, act);
  receive = (message) => played.quorum.receive(message);
  await played.startAll();
  await played.clock.pass(5_000);
  const leading = (): Voter => {
    const { leader } = played.quorum;
    if (leader === undefined) throw new Error('no voter leads');
    return leader.voter;
  };
  const { term } = leading().node;
  for (let n = 0; n < 20; n++) {
    const proposed = played.propose(`entry ${n}`);
    await played.clock.pass(5_000);
    await proposed;
  }
  assert.is(leading().node.term, term);
  await played.quorum.close();
});

test('LESSONS 17: a voter that comes and goes a hundred times costs no term', async () => {
  const played = await new TestQuorum(3).startAll();
  const { voter } = played.quorum.leader as { voter: Voter };
  const { term } = voter.node;
  const other = (voter.self.id % 3) + 1;
  for (let n = 0; n < 100; n++) {
    played.isLinked = (from, to) => from !== other && to !== other;
    await played.clock.pass(5_000);
    played.isLinked = () => true;
    await played.clock.pass(1_000);
  }
  assert.is(played.quorum.leader?.voter, voter);
  assert.is(voter.node.term, term);
  await played.quorum.close();
});

test('LESSONS 18: voters that have lost their leader do not ask for votes all at once, again and again', async () => {
  const played = await new TestQuorum(5).startAll();
  for (let n = 0; n < 20; n++) {
    const { voter } = played.quorum.leader as { voter: Voter };
    const { id } = voter.self;
    const { term } = voter.node;
    played.isLinked = (from, to) => from !== id && to !== id;
    await played.clock.pass(12_000);
    const next = played.quorum.leader?.voter as Voter;
    assert.is.not(next.self.id, id);
    assert.ok(next.node.term <= term + 2, `from term ${term} to ${next.node.term}`);
    played.isLinked = () => true;
    await played.clock.pass(5_000);
  }
  await played.quorum.close();
});

test('LESSONS 18: a follower whose leader cannot serve it yet asks again after a pause, and not at once', () =>
  withBrokers({}, async (brokers) => {
    // The second takes the first for the leader, which does not know yet that it is.
    const partition = brokers.addPartition({}, { 1: { leader: -1 } });
    brokers.get(2).readLog(brokers.replica(2, partition));
    const untilMs = performance.now() + 300;
    while (performance.now() < untilMs) {
      brokers.get(1).pass();
      brokers.get(2).pass();
      await settled();
    }
    const { catchUps } = brokers.counters(2);
    assert.ok(catchUps >= 2 && catchUps <= 10, `asked ${catchUps} times in 300 ms`);
  }));

test.run();
