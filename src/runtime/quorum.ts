import {
  type Configuration,
  defaultRaftOptions,
  isSameMember,
  type Member,
  type Message,
  type RaftOptions,
} from '../core/raft/index.ts';
import type { Clock } from './surroundings.ts';
import { type Machine, type Place, ProposalError, Voter, type VoterStore } from './voter.ts';

/** Between two looks for a leader, while a request waits for one. */
const LEADER_RETRY_MS = 5;

/** What of time the quorum has to do with. */
export type QuorumClock = Pick<Clock, 'nowMs' | 'schedule'>;

export interface QuorumSetup {
  readonly clock: QuorumClock;
  readonly random: () => number;
  readonly options?: Partial<RaftOptions>;
  /** The voters that the cluster began with. */
  readonly bootstrap: Configuration;
  /** Whether a message gets through at the moment. */
  readonly isLinked?: (from: number, to: number) => boolean;
  /** Whether this voter and whoever asks the quorum for something hear each other. */
  readonly isReachable?: (voter: number) => boolean;
  /** Takes every message instead of handing it over at once; what arrives comes in through receive(). */
  readonly send?: (message: Message) => void;
  /** Entries that a voter applies between two snapshots. */
  readonly snapshotEveryEntries?: number | undefined;
  /** Role, term or leader of some voter may have changed. */
  readonly changed: () => void;
  /** A voter could not persist what it said, and votes no more. */
  readonly failed: (voter: Member, cause: unknown) => void;
}

/** One voter's part. */
export interface Seat<M extends Machine = Machine> {
  readonly member: Member;
  readonly store: VoterStore;
  readonly machine: M;
}

/** The voters of a cluster's metadata, all in this thread, and the links between them. */
export class Quorum<M extends Machine = Machine> {
  readonly #setup: QuorumSetup;
  readonly #options: RaftOptions;
  readonly #voters = new Map<number, { readonly voter: Voter; readonly machine: M }>();
  #cancel: (() => void) | undefined;
  #dueMs = Number.POSITIVE_INFINITY;
  /**
   * When the timer should call back: not before it was set, however long ago something was due. The later that time is
   * looked at, the longer this thread stood still.
   */
  #expectedMs = Number.POSITIVE_INFINITY;
  #isClosed = false;

  constructor(setup: QuorumSetup) {
    this.#setup = setup;
    this.#options = { ...defaultRaftOptions, ...setup.options };
  }

  /**
   * A voter begins, with what it had persisted, or anew: then it has a say once it has been added. Where it cannot, its
   * files are let go.
   */
  start(seat: Seat<M>): void {
    const { member, store, machine } = seat;
    try {
      if (this.#isClosed) throw new Error(`voter ${member.id} cannot begin, because the quorum is closed`);
      if (this.#voters.has(member.id)) throw new Error(`voter ${member.id} runs already`);
      this.#voters.set(member.id, { voter: this.#voterOf(seat), machine });
    } catch (error) {
      store.release();
      throw error;
    }
    this.#schedule();
  }

  #voterOf({ member, store, machine }: Seat<M>): Voter {
    const { random, bootstrap, snapshotEveryEntries } = this.#setup;
    const isFounder = bootstrap.voters.some((voter) => isSameMember(voter, member));
    return new Voter({
      self: member,
      store,
      machine,
      bootstrap: isFounder ? bootstrap : undefined,
      options: this.#options,
      random,
      nowMs: () => this.#lookMs(),
      send: this.#setup.send ?? ((message) => this.receive(message)),
      snapshotEveryEntries,
      stepped: () => this.#stepped(),
      failed: (failed, cause) => {
        this.#lose(failed.self.id);
        this.#setup.failed(failed.self, cause);
      },
    });
  }

  /** All voters that will come are there: the one that knows most asks to lead, rather than to wait for a silence to end. */
  elect(): void {
    let best: Voter | undefined;
    for (const { voter } of this.#voters.values()) {
      if (!voter.node.isVoter || !this.#isReachable(voter)) continue;
      if (best === undefined || knowsMore(voter, best)) best = voter;
    }
    if (this.leader === undefined) best?.handle({ kind: 'campaign' });
  }

  /** A voter's broker is dead: it is as well, and the others are told. Resolves when its files can be opened again. */
  kill(id: number): Promise<void> {
    const ended = this.#voters.get(id)?.voter.kill();
    this.#lose(id);
    return ended ?? Promise.resolve();
  }

  /** Who votes: the leader's word, or else that of the longest log. */
  get configuration(): Configuration {
    let newest: Voter | undefined = this.leader?.voter;
    if (newest === undefined) {
      for (const { voter } of this.#voters.values())
        if (newest === undefined || voter.node.lastIndex > newest.node.lastIndex) newest = voter;
    }
    return newest?.node.configuration ?? this.#setup.bootstrap;
  }

  /** How many voters there are by that, how many of them run, and the brokers of the others. */
  census(): { readonly running: number; readonly voters: number; readonly absent: readonly number[] } {
    const { voters } = this.configuration;
    const isPresent = (each: Member): boolean => {
      const voter = this.#voters.get(each.id)?.voter;
      return voter !== undefined && isSameMember(each, voter.self) && this.#isReachable(voter);
    };
    const absent = voters.filter((each) => !isPresent(each));
    return {
      running: voters.length - absent.length,
      voters: voters.length,
      absent: absent.map(({ id }) => id),
    };
  }

  get members(): Member[] {
    return [...this.#voters.values()].map(({ voter }) => voter.self);
  }

  /** Who leads, of those that run and can be reached: with several that think so the one of the newest term. */
  get leader(): { readonly voter: Voter; readonly machine: M } | undefined {
    let found: { voter: Voter; machine: M } | undefined;
    for (const each of this.#voters.values()) {
      if (!each.voter.isLeader || !this.#isReachable(each.voter)) continue;
      if (found === undefined || each.voter.node.term > found.voter.node.term) found = each;
    }
    return found;
  }

  voter(id: number): Voter | undefined {
    return this.#voters.get(id)?.voter;
  }

  machine(id: number): M | undefined {
    return this.#voters.get(id)?.machine;
  }

  /** Hands a request to the leader, once there is one. Rejects with a ProposalError when the time is over. */
  async ask(limitMs: number, request: (leader: Voter) => Promise<Place>): Promise<Place> {
    const deadlineMs = this.#setup.clock.nowMs() + limitMs;
    for (;;) {
      const leader = await this.#leaderBy(deadlineMs);
      try {
        return await this.#within(deadlineMs, request(leader));
      } catch (error) {
        const isRetried = error instanceof ProposalError && error.reason === 'NOT_LEADER' && !error.isUnknown;
        if (!isRetried) throw error;
      }
      await this.#pause(LEADER_RETRY_MS);
    }
  }

  /** A message has arrived; one for nobody here is lost. */
  receive(message: Message): void {
    const { from, to } = message;
    if (this.#setup.isLinked?.(from.id, to.id) === false) return;
    this.#voters.get(to.id)?.voter.handle({ kind: 'message', message });
  }

  /** Resolves when no file is in use any more; rejects then if one could not be closed as it should. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancel?.();
    const closings = await Promise.allSettled([...this.#voters.values()].map(({ voter }) => voter.close()));
    this.#voters.clear();
    for (const closing of closings) if (closing.status === 'rejected') throw closing.reason;
  }

  /** One that is alone lives with whoever asks, and not with a broker. */
  #isReachable({ self, node }: Voter): boolean {
    return node.configuration.voters.length === 1 || this.#setup.isReachable?.(self.id) !== false;
  }

  async #leaderBy(deadlineMs: number): Promise<Voter> {
    for (;;) {
      if (this.#isClosed) throw new ProposalError('SHUTTING_DOWN', false);
      const found = this.leader;
      if (found !== undefined) return found.voter;
      if (this.#setup.clock.nowMs() >= deadlineMs) throw new ProposalError('TIMED_OUT', false);
      await this.#pause(LEADER_RETRY_MS);
    }
  }

  /** The answer, or a ProposalError when the time is over: then nobody knows. */
  #within(deadlineMs: number, answer: Promise<Place>): Promise<Place> {
    return new Promise((resolve, reject) => {
      const leftMs = Math.max(0, deadlineMs - this.#setup.clock.nowMs());
      const cancel = this.#setup.clock.schedule(leftMs, () => reject(new ProposalError('TIMED_OUT', true)));
      answer.then(resolve, reject).finally(cancel);
    });
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.#setup.clock.schedule(delayMs, resolve));
  }

  #lose(id: number): void {
    if (!this.#voters.delete(id)) return;
    for (const { voter } of this.#voters.values()) voter.handle({ kind: 'peer-lost', peer: id });
    // Of several that campaign at the same time none may win.
    this.elect();
  }

  #stepped(): void {
    this.#schedule();
    this.#setup.changed();
  }

  /** One timer for all of them: the earliest that any is due, and so often that it tells when this thread stands still. */
  #schedule(): void {
    if (this.#isClosed || this.#voters.size === 0) return;
    const nowMs = this.#setup.clock.nowMs();
    let dueMs = nowMs + this.#options.heartbeatMs;
    for (const { voter } of this.#voters.values()) dueMs = Math.min(dueMs, voter.dueMs);
    // An earlier one finds out by itself that it came too early.
    if (dueMs >= this.#dueMs) return;
    this.#cancel?.();
    this.#dueMs = dueMs;
    this.#expectedMs = Math.max(dueMs, nowMs);
    this.#cancel = this.#setup.clock.schedule(this.#expectedMs - nowMs, () => this.#tick());
  }

  #tick(): void {
    const nowMs = this.#lookMs();
    this.#dueMs = Number.POSITIVE_INFINITY;
    this.#expectedMs = Number.POSITIVE_INFINITY;
    this.#cancel = undefined;
    for (const { voter } of this.#voters.values()) if (voter.dueMs <= nowMs) voter.handle({ kind: 'tick' });
    this.#schedule();
  }

  /**
   * The time. Where it shows that this thread was busy with something else, that a leader was not heard meanwhile says
   * nothing about it, and all voters are told so before they see that time. Half a timeout is left for what was under
   * way before; whoever waits for less is not yet impatient.
   */
  #lookMs(): number {
    const nowMs = this.#setup.clock.nowMs();
    if (nowMs - this.#expectedMs <= this.#options.electionTimeoutMs / 2) return nowMs;
    this.#expectedMs = nowMs;
    if (this.leader === undefined) return nowMs;
    for (const { voter } of this.#voters.values()) voter.handle({ kind: 'resumed' });
    return nowMs;
  }
}

function knowsMore({ node: one }: Voter, { node: other }: Voter): boolean {
  const [oneTerm, otherTerm] = [one.termAt(one.lastIndex) ?? 0, other.termAt(other.lastIndex) ?? 0];
  return oneTerm > otherTerm || (oneTerm === otherTerm && one.lastIndex > other.lastIndex);
}
