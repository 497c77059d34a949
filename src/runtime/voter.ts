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

/** Why a proposal has no known success. `isUnknown`: it may have been made all the same, now or later. */
export class ProposalError extends Error {
  override readonly name = 'ProposalError';
  readonly reason: RaftError;
  readonly isUnknown: boolean;

  constructor(reason: RaftError, isUnknown: boolean) {
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
  #queue: PlainEvent[] = [];
  #sequence = 0;
  /** Bytes that were applied since the last snapshot. */
  #appliedBytes = 0;
  #applied: number;
  #state: 'running' | 'closing' | 'ended' = 'running';
  #pumping: Promise<void> | undefined;

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

  /** When it wants a tick, if nothing else happens. One that is at work says so when it has stepped. */
  get dueMs(): number {
    const isIdle = this.isRunning && this.#pumping === undefined;
    return isIdle ? this.node.dueMs : Number.POSITIVE_INFINITY;
  }

  handle(event: PlainEvent): void {
    if (this.#state === 'ended') return;
    this.#queue.push(event);
    // Whoever calls may be in the midst of a step of another voter: this one's begins afterwards.
    this.#pumping ??= Promise.resolve().then(() => this.#pump());
  }

  /** Resolves once the entry is committed and applied here; rejects with a ProposalError. */
  propose(data: Uint8Array): Promise<Place> {
    return this.#ask((id) => ({ kind: 'propose', id, data }));
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
    this.#end('NOT_LEADER');
    await this.#pumping;
    this.#setup.store.release();
  }

  /** Ends in good order: what was begun is persisted. */
  async close(): Promise<void> {
    if (this.#state !== 'running') return;
    this.handle({ kind: 'close' });
    this.#state = 'closing';
    while (this.#pumping !== undefined) await this.#pumping;
    this.#end('SHUTTING_DOWN');
    await this.#setup.store.close();
  }

  #ask(eventOf: (id: number) => PlainEvent): Promise<Place> {
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
      while (this.#queue.length > 0 && this.#state !== 'ended') await this.#step();
    } catch (cause) {
      this.#end('LEADERSHIP_LOST');
      this.#setup.store.release();
      this.#setup.failed(this, cause);
    } finally {
      this.#pumping = undefined;
      if (this.#state !== 'ended') this.#setup.stepped(this);
    }
  }

  async #step(): Promise<void> {
    const { node } = this;
    const out = this.#out;
    const { term, role } = node;
    const events = this.#queue;
    this.#queue = [];
    const nowMs = this.#setup.nowMs();
    for (const event of events) node.step({ ...event, nowMs } as RaftEvent, out);
    if (hasToPersist(out) || out.persist.firstIndex !== undefined) {
      await this.#setup.store.persist(out.persist);
      if (this.#state === 'ended') return;
    }
    for (const message of out.messages) this.#setup.send(message);
    this.#answerResults(out);
    this.#apply(out);
    if (role === 'leader' && (node.role !== 'leader' || node.term !== term)) this.#forsake();
    clearOutput(out);
    this.#compact();
  }

  #answerResults({ results }: RaftOutput): void {
    for (const result of results) {
      const request = this.#requests.get(result.id);
      if (request === undefined) continue;
      this.#requests.delete(result.id);
      switch (result.kind) {
        case 'appended':
          this.#placed.set(result.index, { term: result.term, request });
          break;
        case 'done':
          request.resolve({ index: this.#applied, term: this.node.term });
          break;
        case 'refused':
          request.reject(new ProposalError(result.error, result.error === 'LEADERSHIP_LOST'));
      }
    }
  }

  #apply({ snapshot, committed, reads }: RaftOutput): void {
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
    for (const { id, index } of reads) {
      const request = this.#requests.get(id);
      this.#requests.delete(id);
      request?.resolve({ index, term: this.node.term });
    }
  }

  /** It leads no more. What it had appended may yet be committed by another one, or be dropped. */
  #forsake(): void {
    for (const { request } of this.#placed.values())
      request.reject(new ProposalError('LEADERSHIP_LOST', true));
    this.#placed.clear();
  }

  #compact(): void {
    const everyEntries = this.#setup.snapshotEveryEntries ?? SNAPSHOT_EVERY_ENTRIES;
    const isDue =
      this.#applied - this.node.snapshotIndex >= everyEntries || this.#appliedBytes >= SNAPSHOT_EVERY_BYTES;
    if (!isDue || this.#state !== 'running') return;
    this.#appliedBytes = 0;
    this.handle({ kind: 'compact', index: this.#applied, data: this.#setup.machine.snapshot() });
  }

  #end(reason: RaftError): void {
    this.#state = 'ended';
    this.#queue = [];
    for (const request of this.#requests.values()) request.reject(new ProposalError(reason, true));
    this.#requests.clear();
    for (const { request } of this.#placed.values()) request.reject(new ProposalError(reason, true));
    this.#placed.clear();
  }
}
