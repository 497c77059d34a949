// One node of Raft, without clock, timers, randomness or I/O: events in, effects out. See RaftOutput in events.ts for
// what a host owes it.
import { assert } from './assert.ts';
import { campaign, loseVoter, mayCampaign, onTimeoutNow, onVoteRequest, onVoteResponse } from './election.ts';
import { newOutput, type RaftEvent, type RaftOutput } from './events.ts';
import { onAppend, onHeartbeat, onSnapshot } from './follower.ts';
import {
  leaderDueMs,
  losePeer,
  propose,
  read,
  resumeLeader,
  settleLeader,
  tickLeader,
  transfer,
} from './leader.ts';
import { addVoter, removeVoter } from './membership.ts';
import type { Message } from './messages.ts';
import { checkedOptions, type RaftOptions } from './options.ts';
import { assertSound, RaftState } from './raft-state.ts';
import { onAppendResponse, onHeartbeatResponse } from './replication.ts';
import { becomeFollower, followConfiguration, restartElectionTimer } from './roles.ts';
import { compact } from './storage.ts';
import {
  type Configuration,
  type Entry,
  type HardState,
  isSameMember,
  type Member,
  type Role,
  type Snapshot,
} from './types.ts';

export interface RaftNodeSetup {
  readonly self: Member;
  readonly options?: Partial<RaftOptions>;
  /** Evenly spread over [0, 1); with the same one and the same events a node does the same. */
  readonly random: () => number;
  readonly nowMs: number;
  /** What was persisted, as it was persisted. Left out: nothing. */
  readonly hardState?: HardState | undefined;
  readonly snapshot?: Snapshot | undefined;
  readonly entries?: readonly Entry[];
  /**
   * The voters with which the cluster began. It holds as long as neither a snapshot nor an entry says otherwise; give
   * it to directories that were made together with the cluster, and never to one that replaces a lost one: such a one
   * has to be added.
   */
  readonly bootstrap?: Configuration | undefined;
}

export interface PeerProgress {
  readonly member: Member;
  readonly isVoter: boolean;
  readonly state: 'probe' | 'replicate' | 'snapshot';
  readonly match: number;
  readonly next: number;
  /** -Infinity: the host said that it is dead. */
  readonly heardMs: number;
}

export class RaftNode {
  readonly self: Member;
  readonly #state: RaftState;

  constructor(setup: RaftNodeSetup) {
    this.self = setup.self;
    this.#state = new RaftState({
      self: setup.self,
      options: checkedOptions(setup.options),
      random: setup.random,
      nowMs: setup.nowMs,
      hardState: setup.hardState,
      snapshot: setup.snapshot,
      entries: setup.entries ?? [],
      bootstrap: setup.bootstrap,
    });
    becomeFollower(this.#state, this.#state.term, undefined, newOutput());
    assertSound(this.#state);
  }

  /** Takes one event and adds its effects to `out`, whose contract binds the host. */
  step(event: RaftEvent, out: RaftOutput): void {
    const state = this.#state;
    assert(event.nowMs >= state.nowMs, `the clock goes back from ${state.nowMs} to ${event.nowMs}`);
    state.nowMs = event.nowMs;
    dispatch(state, event, out);
    if (state.reign !== undefined) settleLeader(state, out);
    followConfiguration(state, out);
    assertSound(state);
  }

  /** When a tick has something to do. It moves with every step. */
  get dueMs(): number {
    const state = this.#state;
    if (state.role === 'leader') return leaderDueMs(state);
    return mayCampaign(state) ? state.electionDueMs : Number.POSITIVE_INFINITY;
  }

  get role(): Role {
    return this.#state.role;
  }

  get term(): number {
    return this.#state.term;
  }

  get vote(): Member | undefined {
    return this.#state.vote;
  }

  /** Who leads in this term, as far as the node knows. */
  get leader(): Member | undefined {
    return this.#state.leader;
  }

  get commit(): number {
    return this.#state.commit;
  }

  get firstIndex(): number {
    return this.#state.log.firstIndex;
  }

  get lastIndex(): number {
    return this.#state.log.lastIndex;
  }

  get snapshotIndex(): number {
    return this.#state.log.snapshotIndex;
  }

  /** The latest of the log, committed or not. */
  get configuration(): Configuration {
    return this.#state.configuration;
  }

  get isVoter(): boolean {
    return this.#state.isVoter;
  }

  /** Undefined where the log has no such entry, or has dropped it. */
  termAt(index: number): number | undefined {
    return this.#state.log.termAt(index);
  }

  entryAt(index: number): Entry {
    return this.#state.log.entryAt(index);
  }

  /** What a leader knows of the others; nobody else knows anything. */
  progress(): PeerProgress[] {
    const { reign, configuration } = this.#state;
    return [...(reign?.peers.values() ?? [])].map(({ member, state, match, next, heardMs }) => {
      const isVoter = configuration.voters.some((voter) => isSameMember(voter, member));
      return { member, isVoter, state, match, next, heardMs };
    });
  }
}

function dispatch(state: RaftState, event: RaftEvent, out: RaftOutput): void {
  switch (event.kind) {
    case 'tick':
      if (state.role === 'leader') tickLeader(state, out);
      else if (mayCampaign(state) && state.nowMs >= state.electionDueMs) campaign(state, out);
      return;
    case 'message':
      receive(state, event.message, out);
      return;
    case 'propose':
      propose(state, event.id, event.data, out);
      return;
    case 'read':
      read(state, event.id, out);
      return;
    case 'add-voter':
      addVoter(state, event.id, event.voter, out);
      return;
    case 'remove-voter':
      removeVoter(state, event.id, event.voter, out);
      return;
    case 'transfer':
      transfer(state, event.id, event.to, out);
      return;
    case 'compact':
      compact(state, event.index, event.data, out);
      return;
    case 'peer-lost':
      state.lostPeers.add(event.peer);
      if (state.role === 'leader') losePeer(state, event.peer, out);
      else loseVoter(state, event.peer);
      return;
    case 'resumed':
      resume(state, out);
      return;
    case 'campaign':
      if (mayCampaign(state)) campaign(state, out);
      return;
    case 'close':
      state.isClosing = true;
      return;
  }
}

function resume(state: RaftState, out: RaftOutput): void {
  if (state.role === 'leader') {
    resumeLeader(state, out);
    return;
  }
  if (state.leader !== undefined) state.leaderHeardMs = state.nowMs;
  restartElectionTimer(state);
}

function receive(state: RaftState, message: Message, out: RaftOutput): void {
  if (!isSameMember(message.to, state.self)) return;
  state.lostPeers.delete(message.from.id);
  if (message.kind === 'vote-request') {
    onVoteRequest(state, message, out);
    return;
  }
  if (message.term < state.term) {
    answerStale(state, message, out);
    return;
  }
  // A pre-vote is granted for a term that nobody has entered.
  const isOfNoTerm = message.kind === 'vote-response' && message.isPreVote && message.isGranted;
  if (message.term > state.term && !isOfNoTerm) {
    becomeFollower(state, message.term, isFromLeader(message) ? message.from : undefined, out);
  }
  deliver(state, message, out);
}

function isFromLeader({ kind }: Message): boolean {
  return kind === 'append' || kind === 'heartbeat' || kind === 'snapshot';
}

/** A leader of an earlier term learns that it is none; what else is late says nothing. */
function answerStale(state: RaftState, message: Message, out: RaftOutput): void {
  if (!isFromLeader(message)) return;
  const { self, term } = state;
  out.messages.push({ kind: 'heartbeat-response', from: self, to: message.from, term, round: 0 });
}

function deliver(state: RaftState, message: Message, out: RaftOutput): void {
  switch (message.kind) {
    case 'vote-response':
      onVoteResponse(state, message, out);
      return;
    case 'append':
      onAppend(state, message, out);
      return;
    case 'append-response':
      onAppendResponse(state, message);
      return;
    case 'heartbeat':
      onHeartbeat(state, message, out);
      return;
    case 'heartbeat-response':
      onHeartbeatResponse(state, message);
      return;
    case 'snapshot':
      onSnapshot(state, message, out);
      return;
    case 'timeout-now':
      onTimeoutNow(state, out);
      return;
    case 'vote-request':
      return;
  }
}
