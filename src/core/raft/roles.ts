// The only places where a node's role, term and vote change.
import { assert } from './assert.ts';
import type { RaftOutput } from './events.ts';
import { Progress } from './progress.ts';
import type { RaftState } from './raft-state.ts';
import { refuse } from './results.ts';
import { isSameMember, type Member } from './types.ts';

/** A term or vote that somebody is told of has to be durable before. */
function saveHardState({ term, vote }: RaftState, out: RaftOutput): void {
  out.persist.hardState = { term, vote };
}

export function restartElectionTimer(state: RaftState): void {
  const { electionTimeoutMs } = state.options;
  state.electionDueMs = state.nowMs + electionTimeoutMs * (1 + state.random());
}

/** Where silence would say nothing new: a little, by chance, is left for the other voters. */
export function campaignSoon(state: RaftState): void {
  state.electionDueMs = state.nowMs + state.options.lostLeaderDelayMs * state.random();
}

/** A follower, or an observer if the node cannot be elected, of that term and leader (who may be unknown). */
export function becomeFollower(
  state: RaftState,
  term: number,
  leader: Member | undefined,
  out: RaftOutput,
): void {
  assert(term >= state.term, 'a term falls');
  state.leader = leader;
  if (state.reign !== undefined) endReign(state, out);
  state.role = state.isElectable ? 'follower' : 'observer';
  state.votes.clear();
  state.isTransfer = false;
  if (leader !== undefined) state.leaderHeardMs = state.nowMs;
  enterTerm(state, term, out);
  restartElectionTimer(state);
}

/** A node becomes or ceases to be a voter by what its log says. A leader that goes leads until that is committed. */
export function followConfiguration(state: RaftState, out: RaftOutput): void {
  if (state.role === 'leader' || (state.role === 'observer') !== state.isElectable) return;
  becomeFollower(state, state.term, state.leader, out);
}

function enterTerm(state: RaftState, term: number, out: RaftOutput): void {
  if (term === state.term) return;
  state.term = term;
  // A vote belongs to its term.
  state.vote = undefined;
  saveHardState(state, out);
}

/** Gives the term's only vote. */
export function giveVote(state: RaftState, candidate: Member, out: RaftOutput): void {
  assert(state.vote === undefined || isSameMember(state.vote, candidate), 'a second vote in a term');
  state.vote = candidate;
  saveHardState(state, out);
}

/** Asks whether an election would succeed. Changes neither term nor vote. */
export function becomePreCandidate(state: RaftState): void {
  assert(state.role === 'follower' || isCandidate(state), `a pre-candidate that was ${state.role}`);
  assert(state.isElectable, 'a pre-candidate that is no voter');
  state.role = 'pre-candidate';
  state.leader = undefined;
  state.isTransfer = false;
  state.votes.clear();
  state.votes.set(state.self.id, true);
  restartElectionTimer(state);
}

function isCandidate({ role }: RaftState): boolean {
  return role === 'pre-candidate' || role === 'candidate';
}

export function becomeCandidate(state: RaftState, isTransfer: boolean, out: RaftOutput): void {
  assert(state.role === 'follower' || isCandidate(state), `a candidate that was ${state.role}`);
  assert(state.isElectable, 'a candidate that is no voter');
  enterTerm(state, state.term + 1, out);
  giveVote(state, state.self, out);
  state.role = 'candidate';
  state.leader = undefined;
  state.isTransfer = isTransfer;
  state.votes.clear();
  state.votes.set(state.self.id, true);
  restartElectionTimer(state);
}

/** The caller appends the first entry of the term at once: without one a leader commits nothing. */
export function becomeLeader(state: RaftState): void {
  assert(state.role === 'candidate', `a leader that was ${state.role}`);
  const { log, nowMs, options, self } = state;
  const peers = new Map<number, Progress>();
  for (const voter of state.configuration.voters) {
    if (isSameMember(voter, self)) continue;
    const peer = new Progress(voter, options, log.lastIndex, nowMs);
    if (state.lostPeers.has(voter.id)) peer.lost();
    peers.set(voter.id, peer);
  }
  let uncommittedBytes = 0;
  for (let index = state.commit + 1; index <= log.lastIndex; index++) {
    uncommittedBytes += log.entryAt(index).data.length;
  }
  state.role = 'leader';
  state.leader = self;
  state.votes.clear();
  state.isTransfer = false;
  state.electionDueMs = Number.POSITIVE_INFINITY;
  state.reign = {
    termStart: log.lastIndex + 1,
    peers,
    heartbeatDueMs: nowMs + options.heartbeatMs,
    round: 0,
    reads: [],
    change: undefined,
    transfer: undefined,
    uncommittedBytes,
  };
}

/** Tells everybody who waits for this leader. */
function endReign(state: RaftState, out: RaftOutput): void {
  const { reign } = state;
  assert(reign !== undefined, 'a reign ends that was none');
  state.reign = undefined;
  for (const { id } of reign.reads) refuse(state, out, id, 'NOT_LEADER');
  if (reign.transfer !== undefined) refuse(state, out, reign.transfer.id, 'NOT_LEADER');
  const { change } = reign;
  if (change === undefined) return;
  refuse(state, out, change.id, change.phase === 'committing' ? 'LEADERSHIP_LOST' : 'NOT_LEADER');
}
