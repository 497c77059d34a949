// Nodes of the core with a store, a machine and a network that keep the contract of RaftOutput, and nothing more.
import * as assert from 'uvu/assert';
import {
  type Configuration,
  clearOutput,
  type Entry,
  type HardState,
  isSameMember,
  type Member,
  type Message,
  newOutput,
  type Persist,
  type RaftEvent,
  RaftNode,
  type RaftOptions,
  type RaftOutput,
  type Snapshot,
} from '../../../src/core/raft/index.ts';
import { seededRandom } from '../../log/seeded-random.ts';

/** The times that tests name, whatever the defaults are. */
const timing = { electionTimeoutMs: 200, heartbeatMs: 40 };

export type WithoutTime<Event> = Event extends unknown ? Omit<Event, 'nowMs'> : never;
export type TestEvent = WithoutTime<RaftEvent>;

export function member(id: number, generation = 0): Member {
  return { id, directoryId: `directory-${id}${'ABC'[generation]}` };
}

export function votersOf(...ids: number[]): Configuration {
  return { voters: ids.map((id) => member(id)) };
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function text(data: Uint8Array): string {
  return new TextDecoder().decode(data);
}

/** What a node finds again after a crash. */
class TestStore {
  hardState: HardState | undefined;
  snapshot: Snapshot | undefined;
  firstIndex = 1;
  entries: Entry[] = [];

  persist({ hardState, snapshot, restartAt, truncateFrom, entries, firstIndex }: Persist): void {
    if (hardState !== undefined) {
      const { term, vote } = this.hardState ?? { term: 0, vote: undefined };
      assert.ok(hardState.term >= term, 'a term falls');
      if (hardState.term === term && vote !== undefined) assert.ok(isSameMember(vote, hardState.vote));
      this.hardState = hardState;
    }
    if (snapshot !== undefined) this.snapshot = snapshot;
    if (restartAt !== undefined) {
      assert.is(restartAt, (this.snapshot?.index ?? 0) + 1);
      this.firstIndex = restartAt;
      this.entries = [];
    }
    if (truncateFrom !== undefined) {
      assert.ok(truncateFrom <= this.end && truncateFrom >= this.firstIndex, 'a truncation outside the log');
      this.entries.length = truncateFrom - this.firstIndex;
    }
    for (const entry of entries) {
      assert.is(entry.index, this.end);
      this.entries.push(entry);
    }
    if (firstIndex !== undefined) {
      assert.ok(firstIndex >= this.firstIndex && firstIndex <= (this.snapshot?.index ?? 0) + 1);
      this.entries.splice(0, firstIndex - this.firstIndex);
      this.firstIndex = firstIndex;
    }
  }

  get end(): number {
    return this.firstIndex + this.entries.length;
  }
}

/** A machine that remembers everything it was given. */
class TestMachine {
  applied: string[] = [];
  index = 0;

  restore({ index, data }: Snapshot): void {
    assert.ok(index > this.index, 'a snapshot takes the machine back');
    this.applied = JSON.parse(text(data));
    this.index = index;
  }

  apply({ index, term, kind, data }: Entry): void {
    assert.is(index, this.index + 1);
    this.index = index;
    this.applied.push(`${index}/${term} ${kind}${kind === 'data' ? ` ${text(data)}` : ''}`);
  }

  get snapshot(): Uint8Array {
    return bytes(JSON.stringify(this.applied));
  }
}

export class TestHost {
  readonly self: Member;
  readonly store = new TestStore();
  machine = new TestMachine();
  /** Undefined while it is down. */
  node: RaftNode | undefined;

  constructor(self: Member) {
    this.self = self;
  }

  get raft(): RaftNode {
    assert.ok(this.node !== undefined, `node ${this.self.id} is down`);
    return this.node as RaftNode;
  }
}

export interface ClusterOptions {
  readonly options?: Partial<RaftOptions>;
  readonly seed?: number;
  /** Sees each output before the host carries it out. */
  readonly observe?: (host: TestHost, out: RaftOutput) => void;
}

export class RaftCluster {
  readonly hosts = new Map<number, TestHost>();
  network: Message[] = [];
  nowMs = 0;
  readonly #options: ClusterOptions;
  readonly #random: () => number;
  #bootstrap: Configuration = { voters: [] };
  readonly #out = newOutput();
  /** Results and reads that the hosts were told of, as they came. */
  readonly told: string[] = [];

  constructor(options: ClusterOptions = {}) {
    const random = seededRandom(options.seed ?? 1);
    this.#random = () => random(1 << 20) / (1 << 20);
    this.#options = options;
  }

  /** Nodes with these ids that vote from the beginning. */
  start(...ids: number[]): this {
    this.#bootstrap = votersOf(...ids);
    for (const id of ids) this.add(member(id), true);
    return this;
  }

  /** A node that nobody knows yet, in an empty directory. */
  add(self: Member, isBootstrap = false): TestHost {
    const host = new TestHost(self);
    this.hosts.set(self.id, host);
    this.#boot(host, isBootstrap);
    return host;
  }

  #boot(host: TestHost, isBootstrap: boolean): void {
    const { hardState, snapshot, entries } = host.store;
    host.machine = new TestMachine();
    if (snapshot !== undefined) host.machine.restore(snapshot);
    host.node = new RaftNode({
      self: host.self,
      options: { ...timing, ...this.#options.options },
      random: this.#random,
      nowMs: this.nowMs,
      hardState,
      snapshot,
      entries,
      bootstrap: isBootstrap ? this.#bootstrap : undefined,
    });
  }

  crash(id: number): void {
    this.host(id).node = undefined;
    this.network = this.network.filter(({ to, from }) => to.id !== id && from.id !== id);
  }

  restart(id: number): void {
    const host = this.host(id);
    this.#boot(
      host,
      this.#bootstrap.voters.some((voter) => isSameMember(voter, host.self)),
    );
  }

  host(id: number): TestHost {
    const host = this.hosts.get(id);
    assert.ok(host !== undefined, `there is no node ${id}`);
    return host as TestHost;
  }

  raft(id: number): RaftNode {
    return this.host(id).raft;
  }

  step(id: number, ...events: TestEvent[]): void {
    const host = this.host(id);
    const out = this.#out;
    clearOutput(out);
    for (const event of events) host.raft.step({ ...event, nowMs: this.nowMs } as RaftEvent, out);
    this.#options.observe?.(host, out);
    host.store.persist(out.persist);
    this.network.push(...out.messages);
    if (out.snapshot !== undefined) host.machine.restore(out.snapshot);
    for (const entry of out.committed) host.machine.apply(entry);
    for (const { id: read, index } of out.reads) {
      assert.ok(host.machine.index >= index, 'a read that the machine cannot answer');
      this.told.push(`${id}: read ${read} at ${index}`);
    }
    for (const result of out.results) {
      if (result.kind === 'appended')
        this.told.push(`${id}: ${result.id} appended at ${result.index}/${result.term}`);
      else if (result.kind === 'done') this.told.push(`${id}: ${result.id} done`);
      else this.told.push(`${id}: ${result.id} refused ${result.error} leader=${result.leader ?? '-'}`);
    }
  }

  /** Takes what was told since the last time. */
  takeTold(): string[] {
    return this.told.splice(0);
  }

  deliver(message: Message): void {
    if (this.hosts.get(message.to.id)?.node !== undefined)
      this.step(message.to.id, { kind: 'message', message });
  }

  /** Delivers everything, and what comes of it, in order; what `isLost` is true of is not. */
  settle(isLost: (message: Message) => boolean = () => false): void {
    for (let left = 100_000; this.network.length > 0; left--) {
      assert.ok(left > 0, 'the nodes never stop talking');
      const message = this.network.shift() as Message;
      if (!isLost(message)) this.deliver(message);
    }
  }

  /** Lets time pass in small steps, with ticks where they are due, and everything delivered. */
  pass(ms: number, isLost?: (message: Message) => boolean): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      this.settle(isLost);
      const up = [...this.hosts.values()].filter(({ node }) => node !== undefined);
      const dueMs = Math.min(...up.map(({ raft }) => raft.dueMs));
      if (dueMs > endMs) break;
      this.nowMs = Math.max(this.nowMs, dueMs);
      for (const { self, raft } of up) if (raft.dueMs <= this.nowMs) this.step(self.id, { kind: 'tick' });
    }
    this.nowMs = endMs;
  }

  /** Makes one of them the leader, and everybody know it. */
  elect(id: number): this {
    this.step(id, { kind: 'campaign' });
    this.settle();
    assert.is(this.raft(id).role, 'leader');
    return this;
  }
}

/** Messages between these, in either direction, are lost. */
export function cutOff(...ids: number[]): (message: Message) => boolean {
  return ({ from, to }) => ids.includes(from.id) !== ids.includes(to.id);
}

export interface LoneSetup {
  readonly id?: number;
  readonly voters?: readonly number[];
  readonly term?: number;
  /** The terms of the entries from index 1 on. */
  readonly terms?: readonly number[];
  readonly options?: Partial<RaftOptions>;
}

/** One node without others: the test says everything that the others would. */
export class LoneNode {
  readonly node: RaftNode;
  nowMs = 0;

  constructor({ id = 1, voters = [1, 2, 3], term, terms = [], options }: LoneSetup = {}) {
    this.node = new RaftNode({
      self: member(id),
      options: { ...timing, ...options },
      random: () => 0.5,
      nowMs: 0,
      hardState: { term: term ?? terms.at(-1) ?? 0, vote: undefined },
      entries: terms.map((term, at) => entry(at + 1, term)),
      bootstrap: votersOf(...voters),
    });
  }

  step(...events: TestEvent[]): RaftOutput {
    const out = newOutput();
    for (const event of events) this.node.step({ ...event, nowMs: this.nowMs } as RaftEvent, out);
    return out;
  }

  /** A message from another, to this one unless it says otherwise. */
  hear(from: number, message: WithoutTime<MessageBody>): RaftOutput {
    const envelope = { from: member(from), to: this.node.self };
    return this.step({ kind: 'message', message: { ...envelope, ...message } as Message });
  }

  append(
    from: number,
    term: number,
    prev: readonly [number, number],
    terms: readonly number[],
    commit = 0,
  ): RaftOutput {
    const [prevIndex, prevTerm] = prev;
    const entries = terms.map((own, at) => entry(prevIndex + 1 + at, own));
    return this.hear(from, { kind: 'append', term, prevIndex, prevTerm, entries, commit });
  }

  /** Another has what it was sent, up to `index`. */
  accept(from: number, index: number): RaftOutput {
    const { term } = this.node;
    return this.hear(from, {
      kind: 'append-response',
      term,
      isAccepted: true,
      index,
      conflictTerm: 0,
      conflictIndex: 0,
    });
  }

  requestVote(from: number, term: number, last: readonly [number, number], isTransfer = false): RaftOutput {
    const [lastIndex, lastTerm] = last;
    return this.hear(from, { kind: 'vote-request', term, isPreVote: false, isTransfer, lastIndex, lastTerm });
  }

  /** Makes it the leader of the next term, by the vote of 2 (of which there has to be one). */
  lead(): RaftOutput {
    this.step({ kind: 'campaign' });
    const { term } = this.node;
    this.hear(2, { kind: 'vote-response', term: term + 1, isPreVote: true, isGranted: true });
    return this.hear(2, { kind: 'vote-response', term: term + 1, isPreVote: false, isGranted: true });
  }
}

type MessageBody = Message extends infer Each
  ? Each extends unknown
    ? Omit<Each, 'from' | 'to'>
    : never
  : never;

export function entry(index: number, term: number): Entry {
  return { index, term, kind: 'data', data: bytes(`${index}/${term}`) };
}

/** Whether a fault of a program was noticed, by its sentence. */
export function isFault(pattern: RegExp): (error: Error) => boolean {
  return ({ message }) => message.startsWith('raft: this may never happen') && pattern.test(message);
}
