// What a node does that hears of a leader of its term.
import { assert } from './assert.ts';
import type { RaftOutput } from './events.ts';
import type { AppendRequest, Heartbeat, SnapshotRequest } from './messages.ts';
import type { RaftState } from './raft-state.ts';
import { becomeFollower, restartElectionTimer } from './roles.ts';
import { appendReceived, commitTo, install } from './storage.ts';
import { isSameMember, type Member } from './types.ts';

/** The sender was elected in this term, and nobody else can have been. */
function hearLeader(state: RaftState, leader: Member, out: RaftOutput): void {
  assert(state.role !== 'leader', `${leader.id} and this node both lead in term ${state.term}`);
  assert(
    state.leader === undefined || isSameMember(state.leader, leader),
    `${state.leader?.id} and ${leader.id} both lead in term ${state.term}`,
  );
  const isCandidate = state.role === 'candidate' || state.role === 'pre-candidate';
  if (isCandidate || state.leader === undefined) becomeFollower(state, state.term, leader, out);
  state.leaderHeardMs = state.nowMs;
  restartElectionTimer(state);
}

export function onAppend(state: RaftState, message: AppendRequest, out: RaftOutput): void {
  const { log, self, term } = state;
  hearLeader(state, message.from, out);
  const lastNew = message.prevIndex + message.entries.length;
  if (lastNew <= state.commit) {
    respond(state, message.from, state.commit, out);
    return;
  }
  // What is committed is the same everywhere: an old message is taken up from there.
  const isBelowCommit = message.prevIndex < state.commit;
  const entries = isBelowCommit ? message.entries.slice(state.commit - message.prevIndex) : message.entries;
  const isMatch = isBelowCommit || log.termAt(message.prevIndex) === message.prevTerm;
  if (!isMatch) {
    const conflict = log.conflictAt(message.prevIndex);
    out.messages.push({
      kind: 'append-response',
      from: self,
      to: message.from,
      term,
      isAccepted: false,
      index: message.prevIndex,
      conflictTerm: conflict.term,
      conflictIndex: conflict.index,
    });
    return;
  }
  appendReceived(state, entries, out);
  // The log may hold more behind lastNew, of which nobody has said that it is the leader's.
  const commit = Math.min(message.commit, lastNew);
  if (commit > state.commit) commitTo(state, commit, out);
  respond(state, message.from, lastNew, out);
}

/** Up to `index` this log is the leader's. */
function respond({ self, term }: RaftState, leader: Member, index: number, out: RaftOutput): void {
  out.messages.push({
    kind: 'append-response',
    from: self,
    to: leader,
    term,
    isAccepted: true,
    index,
    conflictTerm: 0,
    conflictIndex: 0,
  });
}

export function onHeartbeat(state: RaftState, message: Heartbeat, out: RaftOutput): void {
  const { self, term } = state;
  hearLeader(state, message.from, out);
  if (message.commit > state.commit) commitTo(state, message.commit, out);
  out.messages.push({
    kind: 'heartbeat-response',
    from: self,
    to: message.from,
    term,
    round: message.round,
  });
}

export function onSnapshot(state: RaftState, message: SnapshotRequest, out: RaftOutput): void {
  hearLeader(state, message.from, out);
  install(state, message.snapshot, out);
  respond(state, message.from, state.commit, out);
}
