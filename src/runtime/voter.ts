import {
  type Configuration,
  clearOutput,
  type Entry,
  hasToPersist,
  type Member,
  type Message,
  newOutput,
  type Persist,
  type RaftError,
  type RaftEvent,
  RaftNode,
  type RaftOptions,
  type RaftOutput,
  type Snapshot,
} from '../core/raft/index.ts';
import type { QuorumState } from '../log/quorum-store.ts';
import { throwLater } from './throw-later.ts';

/** Entries between two snapshots, and their bytes: whichever comes first. */
const SNAPSHOT_EVERY_ENTRIES = 10_000;
const SNAPSHOT_EVERY_BYTES = 8 << 20;

/** What the committed entries are applied to. */
export interface Machine {
  apply(entry: Entry): void;
  /** Replaces everything. */
  install(snapshot: Snapshot): void;
  /** The state after what was applied last. */
  snapshot(): Uint8Array;
}

export interface VoterStore {
  readonly state: QuorumState;
  persist(persist: Persist): Promise<void>;
  close(): Promise<void>;
  /** Lets go of the files, whatever is in them. */
  release(): void;
}

export interface VoterSetup {
  readonly self: Member;
  readonly store: VoterStore;
  readonly machine: Machine;
  readonly bootstrap: Configuration | undefined;
  readonly options?: Partial<RaftOptions>;
  /** Entries between two snapshots; fewer where they are large. */
  readonly snapshotEveryEntries?: number | undefined;
  readonly random: () => number;
  readonly nowMs: () => number;
  readonly send: (message: Message) => void;
  /** Role, term or leader may have changed, and with them when the next tick is due. */
  readonly stepped: (voter: Voter) => void;
  /** It has ended by itself: what it persists, or believes, cannot be relied on any more. */
  readonly failed: (voter: Voter, cause: unknown) => void;
}

/** OVERTAKEN: the log has gone on since the proposal was decided on. */
type ProposalReason = RaftError | 'OVERTAKEN';

/** Why a proposal has no known success. `isUnknown`: it may have been made all the same, now or later. */
export class ProposalError extends Error {
  override readonly name = 'ProposalError';
  readonly reason: ProposalReason;
  readonly isUnknown: boolean;

  constructor(reason: ProposalReason, isUnknown: boolean) {
    super(isUnknown ? `${reason}, and the outcome is not known` : reason);
    this.reason = reason;
    this.isUnknown = isUnknown;
  }
}

/** Where a proposal has been committed, and applied by this voter. */
export interface Place {
  readonly index: number;
  readonly term: number;
}

type Request = { readonly resolve: (place: Place) => void; readonly reject: (cause: unknown) => void };
/** An event before it is given its time. */
type PlainEvent<E = RaftEvent> = E extends unknown ? Omit<E, 'nowMs'> : never;
/** One that waits. `after`: where the log has to end for a proposal to be taken. */
type WaitingEvent = PlainEvent & { readonly after?: number | undefined };

/**
 * The host of one Raft node: gathers events, lets the node take them in one go, makes durable what it says has to be,
 * and only then sends, applies and answers. Events that come meanwhile wait.
 */
export class Voter {
  readonly self: Member;
  readonly node: RaftNode;
  readonly #setup: VoterSetup;
  readonly #out: RaftOutput = newOutput();
  readonly #requests = new Map<number, Request>();
  /** Proposals that have a place in the log, by index. */
  readonly #placed = new Map<number, { readonly term: number; readonly request: Request }>();
  #queue: WaitingEvent[] = [];
  /** A tick waits as well. It comes last: the answers that the queue holds may be what it would miss. */
  #isTickDue = false;
  #sequence = 0;
  /** Bytes that were applied since the last snapshot. */
  #appliedBytes = 0;
  #applied: number;
  #state: 'running' | 'closing' | 'ended' = 'running';
  #pumping: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(setup: VoterSetup) {
    const { self, store, machine, bootstrap, options = {}, random, nowMs } = setup;
    this.self = self;
    this.#setup = setup;
    this.node = new RaftNode({ ...store.state, self, bootstrap, options, random, nowMs: nowMs() });
    this.#applied = this.node.snapshotIndex;
    if (store.state.snapshot !== undefined) machine.install(store.state.snapshot);
  }

  get isRunning(): boolean {
    return this.#state === 'running';
  }

  get isLeader(): boolean {
    return this.isRunning && this.node.role === 'leader';
  }

  /** Up to here the machine has applied. */
  get applied(): number {
    return this.#applied;
  }

  /** When it wants a tick, at work or not: a disk that is never at rest would keep it from ever looking at the time. */
  get dueMs(): number {
    return this.isRunning && !this.#isTickDue ? this.node.dueMs : Number.POSITIVE_INFINITY;
  }

  handle(event: WaitingEvent): void {
    if (this.#state === 'ended') return;
    if (event.kind === 'tick') this.#isTickDue = true;
    // Before anything that came meanwhile: else that would be taken for having come late.
    else if (event.kind === 'resumed') this.#queue.unshift(event);
    else this.#queue.push(event);
    // Whoever calls may be in the midst of a step of another voter: this one's begins afterwards.
    this.#pumping ??= Promise.resolve().then(() => this.#pump());
  }

  /**
   * Resolves once the entry is committed and applied here; rejects with a ProposalError. With `after` it is refused
   * unless the log ends there when its turn comes: what was decided on an image is never applied to another one.
   */
  propose(data: Uint8Array, after?: number): Promise<Place> {
    return this.#ask((id) => ({ kind: 'propose', id, data, after }));
  }

  /** Resolves when the machine shows everything that was committed when this was asked. */
  read(): Promise<Place> {
    return this.#ask((id) => ({ kind: 'read', id }));
  }

  addVoter(voter: Member): Promise<Place> {
    return this.#ask((id) => ({ kind: 'add-voter', id, voter }));
  }

  removeVoter(voter: Member): Promise<Place> {
    return this.#ask((id) => ({ kind: 'remove-voter', id, voter }));
  }

  transfer(to: number): Promise<Place> {
    return this.#ask((id) => ({ kind: 'transfer', id, to }));
  }

  /**
   * Ends as a crash would: nothing more is sent or answered, and what is on its way to the disk may arrive or not.
   * Resolves when nothing is on its way any more, and the files are closed.
   */
  async kill(): Promise<void> {
    this.#end('NOT_LEADER', 'LEADERSHIP_LOST');
    await this.#pumping;
    // Whoever closes it has the files in use until then, and tells whether that has failed.
    await this.#closing?.catch(() => undefined);
    this.#setup.store.release();
  }

  /** Ends in good order: what was begun is persisted. */
  close(): Promise<void> {
    if (this.#state === 'running') this.#closing = this.#close();
    return this.#closing ?? Promise.resolve();
  }

  async #close(): Promise<void> {
    this.handle({ kind: 'close' });
    this.#state = 'closing';
    while (this.#pumping !== undefined) await this.#pumping;
    // Whatever ended it meanwhile lets go of the files.
    if (!this.#isClosing) return;
    this.#end('SHUTTING_DOWN', 'SHUTTING_DOWN');
    await this.#setup.store.close();
  }

  get #isClosing(): boolean {
    return this.#state === 'closing';
  }

  #ask(eventOf: (id: number) => WaitingEvent): Promise<Place> {
    if (this.#state !== 'running') return Promise.reject(new ProposalError('SHUTTING_DOWN', false));
    const id = ++this.#sequence;
    const answered = new Promise<Place>((resolve, reject) => {
      this.#requests.set(id, { resolve, reject });
    });
    this.handle(eventOf(id));
    return answered;
  }

  async #pump(): Promise<void> {
    try {
      while ((this.#queue.length > 0 || this.#isTickDue) && this.#state !== 'ended') {
        await this.#step();
        this.#tell(() => this.#setup.stepped(this));
      }
    } catch (cause) {
      const isNews = this.#state !== 'ended';
      this.#end('NOT_LEADER', 'LEADERSHIP_LOST');
      this.#setup.store.release();
      if (isNews) this.#tell(() => this.#setup.failed(this, cause));
    } finally {
      this.#pumping = undefined;
    }
  }

  /** What goes wrong with whoever listens is no fault of this voter, and says nothing of what it persists. */
  #tell(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      throwLater(error);
    }
  }

  async #step(): Promise<void> {
    const out = this.#out;
    // Looking at the clock may show that this thread stood still, and then that is the first of the events.
    const nowMs = this.#setup.nowMs();
    for (const event of this.#take()) this.#feed(event, nowMs);
    if (hasToPersist(out) || out.persist.firstIndex !== undefined) {
      await this.#setup.store.persist(out.persist);
      if (this.#state === 'ended') return;
    }
    for (const message of out.messages) this.#setup.send(message);
    this.#place(out);
    this.#apply(out);
    this.#answer(out);
    this.#forsake();
    clearOutput(out);
    this.#compact();
  }

  #take(): WaitingEvent[] {
    const events = this.#queue;
    if (this.#isTickDue) events.push({ kind: 'tick' });
    this.#queue = [];
    this.#isTickDue = false;
    return events;
  }

  #feed(event: WaitingEvent, nowMs: number): void {
    const { after } = event;
    if (event.kind === 'propose' && after !== undefined && after !== this.node.lastIndex) {
      this.#settle(event.id)?.reject(new ProposalError('OVERTAKEN', false));
      return;
    }
    this.node.step({ ...event, nowMs } as RaftEvent, this.#out);
  }

  #settle(id: number): Request | undefined {
    const request = this.#requests.get(id);
    this.#requests.delete(id);
    return request;
  }

  /** Proposals that wait for their entries from now on: those may be committed at once. */
  #place({ results }: RaftOutput): void {
    for (const result of results) {
      if (result.kind !== 'appended') continue;
      const request = this.#settle(result.id);
      if (request === undefined) continue;
      this.#placed.set(result.index, { term: result.term, request });
    }
  }

  #apply({ snapshot, committed }: RaftOutput): void {
    const { machine } = this.#setup;
    if (snapshot !== undefined) {
      machine.install(snapshot);
      this.#applied = snapshot.index;
      this.#appliedBytes = 0;
    }
    for (const entry of committed) {
      machine.apply(entry);
      this.#applied = entry.index;
      this.#appliedBytes += entry.data.length;
      const placed = this.#placed.get(entry.index);
      if (placed === undefined) continue;
      this.#placed.delete(entry.index);
      if (placed.term === entry.term) placed.request.resolve({ index: entry.index, term: entry.term });
      else placed.request.reject(new ProposalError('LEADERSHIP_LOST', false));
    }
  }

  #answer({ reads, results }: RaftOutput): void {
    const { term } = this.node;
    for (const { id, index } of reads) this.#settle(id)?.resolve({ index, term });
    for (const result of results) {
      if (result.kind === 'done') this.#settle(result.id)?.resolve({ index: this.#applied, term });
      if (result.kind !== 'refused') continue;
      const { id, error } = result;
      this.#settle(id)?.reject(new ProposalError(error, error === 'LEADERSHIP_LOST'));
    }
  }

  /** What was appended in a reign that is over may yet be committed by another leader, or be dropped. */
  #forsake(): void {
    const { role, term: reigning } = this.node;
    for (const [index, { term, request }] of this.#placed) {
      if (role === 'leader' && term === reigning) continue;
      this.#placed.delete(index);
      request.reject(new ProposalError('LEADERSHIP_LOST', true));
    }
  }

  #compact(): void {
    const everyEntries = this.#setup.snapshotEveryEntries ?? SNAPSHOT_EVERY_ENTRIES;
    const isDue =
      this.#applied - this.node.snapshotIndex >= everyEntries || this.#appliedBytes >= SNAPSHOT_EVERY_BYTES;
    if (!isDue || this.#state !== 'running') return;
    this.#appliedBytes = 0;
    this.handle({ kind: 'compact', index: this.#applied, data: this.#setup.machine.snapshot() });
  }

  /** `waiting`: what becomes of requests that nothing was done for; of all others nobody knows the outcome. */
  #end(waiting: RaftError, begun: RaftError): void {
    this.#state = 'ended';
    for (const event of this.#queue)
      if ('id' in event) this.#settle(event.id)?.reject(new ProposalError(waiting, false));
    this.#queue = [];
    this.#isTickDue = false;
    const placed = [...this.#placed.values()].map(({ request }) => request);
    for (const { reject } of [...this.#requests.values(), ...placed]) reject(new ProposalError(begun, true));
    this.#requests.clear();
    this.#placed.clear();
  }
}
