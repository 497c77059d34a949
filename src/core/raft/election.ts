import { encodeConfiguration, isVoter } from './configuration.ts';
import type { RaftOutput } from './events.ts';
import type { VoteRequest, VoteResponse } from './messages.ts';
import { majorityOf } from './quorum.ts';
import type { RaftState } from './raft-state.ts';
import {
  becomeCandidate,
  becomeFollower,
  becomeLeader,
  becomePreCandidate,
  campaignSoon,
  giveVote,
  restartElectionTimer,
} from './roles.ts';
import { appendOwn } from './storage.ts';
import { isSameMember } from './types.ts';

/** A voter may ask for an election; an observer, a leader and a node that ends do not. */
export function mayCampaign({ role, isClosing }: RaftState): boolean {
  return role !== 'observer' && role !== 'leader' && !isClosing;
}

/** Asks first whether anybody would vote for this node, so that one that was cut off does not drive up the term. */
export function campaign(state: RaftState, out: RaftOutput): void {
  becomePreCandidate(state);
  requestVotes(state, out);
  tally(state, out);
}

function stand(state: RaftState, isTransfer: boolean, out: RaftOutput): void {
  becomeCandidate(state, isTransfer, out);
  requestVotes(state, out);
  tally(state, out);
}

function requestVotes(state: RaftState, out: RaftOutput): void {
  const { log, self } = state;
  const isPreVote = state.role === 'pre-candidate';
  for (const voter of state.configuration.voters) {
    if (isSameMember(voter, self)) continue;
    out.messages.push({
      kind: 'vote-request',
      from: self,
      to: voter,
      term: isPreVote ? state.term + 1 : state.term,
      isPreVote,
      isTransfer: state.isTransfer,
      lastIndex: log.lastIndex,
      lastTerm: log.lastTerm,
    });
  }
}

function tally(state: RaftState, out: RaftOutput): void {
  const { voters } = state.configuration;
  const granted = voters.filter(({ id }) => state.votes.get(id) === true).length;
  const refused = voters.filter(({ id }) => state.votes.get(id) === false).length;
  if (granted >= majorityOf(voters.length)) {
    if (state.role === 'pre-candidate') stand(state, false, out);
    else lead(state, out);
  } else if (refused >= majorityOf(voters.length)) {
    becomeFollower(state, state.term, undefined, out);
  } else if (state.role === 'candidate' && isSplit(state)) {
    campaignSoon(state);
  }
}

/** No vote is to come any more: all others have voted, or are dead. */
function isSplit({ configuration, votes, lostPeers }: RaftState): boolean {
  return configuration.voters.every(({ id }) => votes.has(id) || lostPeers.has(id));
}

/** Another one is dead. Who followed it, or waited for its vote alone, need not wait for its silence. */
export function loseVoter(state: RaftState, id: number): void {
  const isLeader = state.leader?.id === id;
  if (isLeader) state.leader = undefined;
  if (isLeader || (state.role === 'candidate' && isSplit(state))) campaignSoon(state);
}

function lead(state: RaftState, out: RaftOutput): void {
  becomeLeader(state);
  // The first entry of all says who votes, so that every log can answer for itself.
  if (state.log.lastIndex === 0) {
    appendOwn(state, 'config', encodeConfiguration(state.configuration), out);
  } else {
    appendOwn(state, 'noop', new Uint8Array(0), out);
  }
}

/**
 * Anybody who asks is answered, voter or not by the log of this node: the log may be behind, and the candidate counts by
 * its own.
 */
export function onVoteRequest(state: RaftState, message: VoteRequest, out: RaftOutput): void {
  if (message.isPreVote) {
    answerPreVote(state, message, out);
    return;
  }
  const isNeedless = isLedByAnother(state, message) && !message.isTransfer;
  if (message.term > state.term) {
    if (isNeedless) return;
    endOwnTransfer(state, message, out);
    becomeFollower(state, message.term, undefined, out);
  }
  const isCurrent = message.term === state.term;
  const isVoteFree = state.vote === undefined || isSameMember(state.vote, message.from);
  const isUpToDate = state.log.isUpToDate(message.lastIndex, message.lastTerm);
  const isGranted = isCurrent && isVoteFree && isUpToDate && !isNeedless;
  if (isGranted) {
    if (state.role === 'pre-candidate') becomeFollower(state, state.term, undefined, out);
    giveVote(state, message.from, out);
    restartElectionTimer(state);
  }
  respond(state, message, isGranted, state.term, out);
}

/**
 * Whoever asks for votes of a later term leads no more, whatever was heard of it a moment ago. Of this term it has been elected
 * in the meantime, and a vote for it changes nothing.
 */
function isLedByAnother({ hasLiveLeader, leader }: RaftState, { from }: VoteRequest): boolean {
  return hasLiveLeader && leader !== undefined && !isSameMember(leader, from);
}

function answerPreVote(state: RaftState, message: VoteRequest, out: RaftOutput): void {
  const isNewer = message.term > state.term;
  const isUpToDate = state.log.isUpToDate(message.lastIndex, message.lastTerm);
  const isGranted = isNewer && isUpToDate && !isLedByAnother(state, message);
  respond(state, message, isGranted, isGranted ? message.term : state.term, out);
}

function respond(
  { self }: RaftState,
  request: VoteRequest,
  isGranted: boolean,
  term: number,
  out: RaftOutput,
): void {
  const { from, isPreVote } = request;
  out.messages.push({ kind: 'vote-response', from: self, to: from, term, isPreVote, isGranted });
}

/** The target of this leader's transfer campaigns: that is all a transfer can do. */
function endOwnTransfer({ reign }: RaftState, { from, isTransfer }: VoteRequest, out: RaftOutput): void {
  const transfer = reign?.transfer;
  if (reign === undefined || transfer === undefined) return;
  if (!isTransfer || !isSameMember(transfer.to, from)) return;
  out.results.push({ kind: 'done', id: transfer.id });
  reign.transfer = undefined;
}

export function onVoteResponse(state: RaftState, message: VoteResponse, out: RaftOutput): void {
  const asked = message.isPreVote ? 'pre-candidate' : 'candidate';
  if (state.role !== asked || !isVoter(state.configuration, message.from)) return;
  const grantedTerm = message.isPreVote ? state.term + 1 : state.term;
  if (message.isGranted && message.term !== grantedTerm) return;
  state.votes.set(message.from.id, message.isGranted);
  tally(state, out);
}

export function onTimeoutNow(state: RaftState, out: RaftOutput): void {
  if (mayCampaign(state)) stand(state, true, out);
}
