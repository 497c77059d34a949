// Random schedules over a small cluster, with what has to hold looked at after every step. `SEED=7` runs one schedule,
// `SEEDS=1000` more of them.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Entry, Message, RaftOptions, RaftOutput } from '../../../src/core/raft/index.ts';
import { seededRandom } from '../../log/seeded-random.ts';
import { bytes, cutOff, member, RaftCluster, type TestHost, text } from './raft-cluster.ts';

const SEEDS = Number(process.env.SEEDS ?? 200);
const MOVES = 1_000;
const NODES = [1, 2, 3, 4, 5];

/** Small bounds, so that each of them is met. */
const TIGHT: Partial<RaftOptions> = {
  appendMaxEntries: 3,
  appendMaxBytes: 40,
  inFlightMaxEntries: 6,
  inFlightMaxBytes: 80,
  uncommittedMaxEntries: 12,
  uncommittedMaxBytes: 200,
  readsMax: 8,
  tailEntries: 4,
  catchUpLimitMs: 2_000,
};

function show({ index, term, kind, data }: Entry): string {
  return `${index}/${term} ${kind} ${text(data)}`;
}

/** What no node may ever contradict. */
class Truth {
  /** By index. */
  readonly committed: string[] = [];
  readonly leaders = new Map<number, number>();
  /** By read id: what was committed anywhere when it was asked for. */
  readonly reads = new Map<number, number>();

  get end(): number {
    return Math.max(0, this.committed.length - 1);
  }

  /** Runs before the host carries the output out. */
  see(host: TestHost, { committed, reads, messages, persist }: RaftOutput): void {
    const { raft, self } = host;
    for (const entry of committed) {
      const known = this.committed[entry.index];
      if (known === undefined) this.committed[entry.index] = show(entry);
      else assert.is(show(entry), known, `node ${self.id} commits something else`);
    }
    for (const { id, index } of reads) {
      assert.ok(index >= (this.reads.get(id) ?? 0), `read ${id} misses what was committed before`);
    }
    if (raft.role === 'leader') this.#seeLeader(host);
    const hardState = persist.hardState ?? host.store.hardState;
    for (const message of messages) {
      const isPreVote = 'isPreVote' in message && message.isPreVote;
      if (!isPreVote)
        assert.ok(message.term <= (hardState?.term ?? 0), 'a term is told before it is persisted');
      if (message.kind !== 'vote-response' || isPreVote || !message.isGranted) continue;
      assert.equal(hardState, { term: message.term, vote: message.to }, 'a vote is told and not persisted');
    }
  }

  #seeLeader({ raft, self }: TestHost): void {
    const known = this.leaders.get(raft.term);
    assert.is(known ?? self.id, self.id, `two leaders in term ${raft.term}`);
    if (known !== undefined) return;
    this.leaders.set(raft.term, self.id);
    for (let index = raft.firstIndex; index <= this.end; index++) {
      const own = index <= raft.lastIndex ? show(raft.entryAt(index)) : 'nothing';
      assert.is(
        own,
        this.committed[index],
        `leader ${self.id} of term ${raft.term} lacks what was committed`,
      );
    }
  }
}

class Schedule {
  readonly truth = new Truth();
  readonly cluster: RaftCluster;
  readonly #random: (below: number) => number;
  readonly #generation = new Map<number, number>();
  readonly #mayWipe: boolean;
  #isCut: (message: Message) => boolean = () => false;
  #id = 0;

  constructor(seed: number) {
    this.#random = seededRandom(seed + 10_000);
    this.#mayWipe = seed % 4 === 3;
    this.cluster = new RaftCluster({
      seed,
      options: TIGHT,
      observe: (host, out) => this.truth.see(host, out),
    });
    const voters = [1, 3, 5, 3, 2][seed % 5];
    this.cluster.start(...NODES.slice(0, voters));
    for (const id of NODES.slice(voters)) this.cluster.add(member(id));
  }

  run(): void {
    for (let move = 0; move < MOVES; move++) this.#move();
    this.#isCut = () => false;
    if (!this.#mayWipe) this.#heal();
  }

  get #up(): number[] {
    return NODES.filter((id) => this.cluster.host(id).node !== undefined);
  }

  #pick<Item>(items: readonly Item[]): Item {
    return items[this.#random(items.length)];
  }

  #move(): void {
    const { cluster } = this;
    const chance = this.#random(1_000);
    if (chance < 620) this.#deliverSome();
    else if (chance < 770) this.#tick();
    else if (chance < 970) this.#request();
    else this.#disturb();
    for (const [id, host] of cluster.hosts) if (host.node !== undefined) this.#compare(id, host);
  }

  #compare(id: number, { raft, store }: TestHost): void {
    assert.is(store.end - 1, raft.lastIndex, `the store of ${id} ends elsewhere`);
    assert.is(store.firstIndex, raft.firstIndex, `the store of ${id} begins elsewhere`);
    assert.is(store.snapshot?.index ?? 0, raft.snapshotIndex);
    assert.is(store.hardState?.term ?? 0, raft.term);
  }

  #deliverSome(): void {
    const { network } = this.cluster;
    for (let left = 1 + this.#random(4); left > 0 && network.length > 0; left--) {
      // Mostly in order; sometimes late, twice or never.
      const at = this.#random(10) < 8 ? 0 : this.#random(network.length);
      const message = this.#random(30) === 0 ? network[at] : network.splice(at, 1)[0];
      if (this.#random(25) > 0 && !this.#isCut(message)) this.cluster.deliver(message);
    }
    if (network.length > 300) network.splice(0, 200);
  }

  #tick(): void {
    const { cluster } = this;
    cluster.nowMs += this.#random(100) / 2;
    for (const id of this.#up) {
      if (cluster.raft(id).dueMs <= cluster.nowMs) cluster.step(id, { kind: 'tick' });
    }
  }

  #request(): void {
    const { cluster } = this;
    const up = this.#up;
    if (up.length === 0) return;
    const leaders = up.filter((id) => cluster.raft(id).role === 'leader');
    const to = this.#pick(leaders.length > 0 && this.#random(5) > 0 ? leaders : up);
    const id = ++this.#id;
    const chance = this.#random(100);
    if (chance < 60) {
      const data = bytes(`${id}`.padEnd(this.#random(30), '.'));
      cluster.step(to, { kind: 'propose', id, data });
    } else if (chance < 75) {
      this.truth.reads.set(id, this.truth.end);
      cluster.step(to, { kind: 'read', id });
    } else if (chance < 85) this.#compact(to);
    else if (chance < 93) this.#changeVoters(to, id);
    else if (chance < 97) cluster.step(to, { kind: 'transfer', id, to: this.#pick(NODES) });
    else cluster.step(to, { kind: 'campaign' });
  }

  #compact(to: number): void {
    const { index, snapshot } = this.cluster.host(to).machine;
    if (index > 0) this.cluster.step(to, { kind: 'compact', index, data: snapshot });
  }

  #changeVoters(to: number, id: number): void {
    const { cluster } = this;
    const { voters } = cluster.raft(to).configuration;
    const peer = this.#pick(NODES);
    const known = voters.find((voter) => voter.id === peer);
    if (known === undefined) cluster.step(to, { kind: 'add-voter', id, voter: cluster.host(peer).self });
    else cluster.step(to, { kind: 'remove-voter', id, voter: known });
  }

  #disturb(): void {
    const { cluster } = this;
    const id = this.#pick(NODES);
    const isUp = cluster.host(id).node !== undefined;
    const chance = this.#random(100);
    if (!isUp) cluster.restart(id);
    else if (chance < 40) {
      cluster.crash(id);
      if (this.#random(2) === 0) {
        for (const other of this.#up) cluster.step(other, { kind: 'peer-lost', peer: id });
      }
      if (this.#mayWipe && this.#random(3) === 0) this.#wipe(id);
    } else if (chance < 60) {
      const ids = NODES.filter(() => this.#random(2) === 0);
      this.#isCut = this.#random(3) === 0 ? ({ to }) => ids.includes(to.id) : cutOff(...ids);
    } else if (chance < 80) this.#isCut = () => false;
    else if (chance < 90) cluster.step(id, { kind: 'peer-lost', peer: this.#pick(NODES) });
    else cluster.step(id, { kind: 'resumed' });
  }

  #wipe(id: number): void {
    const generation = (this.#generation.get(id) ?? 0) + 1;
    if (generation > 2) return;
    this.#generation.set(id, generation);
    this.cluster.add(member(id, generation));
  }

  /** With everybody up and nothing lost there is a leader again, and all voters agree. */
  #heal(): void {
    const { cluster } = this;
    for (const id of NODES) if (cluster.host(id).node === undefined) cluster.restart(id);
    cluster.pass(10_000);
    const leaders = NODES.filter((id) => cluster.raft(id).role === 'leader');
    assert.is(leaders.length, 1, `${leaders.length} leaders after everything was healed`);
    const leader = cluster.raft(leaders[0]);
    cluster.step(leaders[0], { kind: 'propose', id: 0, data: bytes('last') });
    cluster.pass(1_000);
    assert.is(leader.commit, leader.lastIndex);
    for (const { id } of leader.configuration.voters) {
      assert.equal(cluster.host(id).machine.applied, cluster.host(leaders[0]).machine.applied);
    }
  }
}

test('no schedule of losses, crashes, cuts and changes of voters breaks a promise', () => {
  const only = process.env.SEED;
  const seeds = only === undefined ? Array.from({ length: SEEDS }, (_, seed) => seed) : [Number(only)];
  let committed = 0;
  let terms = 0;
  for (const seed of seeds) {
    const schedule = new Schedule(seed);
    try {
      schedule.run();
    } catch (error) {
      (error as Error).message = `SEED=${seed}: ${(error as Error).message}`;
      throw error;
    }
    committed += schedule.truth.end;
    terms += schedule.truth.leaders.size;
  }
  // A schedule in which nothing happens would show nothing.
  assert.ok(committed > 20 * seeds.length, `${committed} entries committed`);
  assert.ok(terms > 3 * seeds.length, `${terms} leaders`);
});

test.run();
