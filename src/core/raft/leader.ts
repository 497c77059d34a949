// What a leader does with requests, with time, and at the end of every step.
import { assert } from './assert.ts';
import type { RaftOutput } from './events.ts';
import { expireChange, settleChange } from './membership.ts';
import type { RaftState } from './raft-state.ts';
import {
  advanceCommit,
  hasQuorum,
  quorumEndsMs,
  replicateToAll,
  settleReads,
  startRound,
} from './replication.ts';
import { refusal, refuse } from './results.ts';
import { becomeFollower, campaignSoon } from './roles.ts';
import { appendOwn } from './storage.ts';
import { isSameMember } from './types.ts';

export function propose(state: RaftState, id: number, data: Uint8Array, out: RaftOutput): void {
  const error = refusal(state) ?? (isFull(state, data.length) ? 'BUSY' : undefined);
  if (error !== undefined) {
    refuse(state, out, id, error);
    return;
  }
  const { index, term } = appendOwn(state, 'data', data, out);
  out.results.push({ kind: 'appended', id, index, term });
}

/** Nothing is accepted amid a transfer, or while too much waits to be committed. What is large travels alone. */
function isFull({ reign, log, commit, options }: RaftState, bytes: number): boolean {
  assert(reign !== undefined, 'a proposal to somebody who does not lead');
  if (reign.transfer !== undefined || log.lastIndex - commit >= options.uncommittedMaxEntries) return true;
  return reign.uncommittedBytes > 0 && reign.uncommittedBytes + bytes > options.uncommittedMaxBytes;
}

export function read(state: RaftState, id: number, out: RaftOutput): void {
  const { reign, commit, options } = state;
  const error = refusal(state) ?? ((reign?.reads.length ?? 0) >= options.readsMax ? 'BUSY' : undefined);
  if (error !== undefined || reign === undefined) {
    refuse(state, out, id, error ?? 'NOT_LEADER');
    return;
  }
  const index = commit >= reign.termStart ? commit : undefined;
  reign.reads.push({ id, index, round: reign.round + 1 });
}

/** Hands leadership to another voter, once it has everything. */
export function transfer(state: RaftState, id: number, to: number, out: RaftOutput): void {
  const { reign, configuration, nowMs, options, self } = state;
  const target = configuration.voters.find((voter) => voter.id === to && voter.id !== self.id);
  const isBusy = reign !== undefined && (reign.transfer !== undefined || reign.change !== undefined);
  const error =
    refusal(state) ?? (isBusy ? 'BUSY' : undefined) ?? (target === undefined ? 'VOTER_NOT_FOUND' : undefined);
  if (error !== undefined || reign === undefined || target === undefined) {
    refuse(state, out, id, error ?? 'NOT_LEADER');
    return;
  }
  reign.transfer = { id, to: target, deadlineMs: nowMs + options.electionTimeoutMs, isSent: false };
}

function abandonTransfer(state: RaftState, out: RaftOutput): void {
  const { reign } = state;
  if (reign?.transfer === undefined) return;
  const { id } = reign.transfer;
  reign.transfer = undefined;
  refuse(state, out, id, 'TIMED_OUT');
}

function settleTransfer({ reign, log, self, term }: RaftState, out: RaftOutput): void {
  const handover = reign?.transfer;
  if (reign === undefined || handover === undefined || handover.isSent) return;
  if (reign.peers.get(handover.to.id)?.match !== log.lastIndex) return;
  out.messages.push({ kind: 'timeout-now', from: self, to: handover.to, term });
  handover.isSent = true;
}

/** Everything that follows from what has become known in this step, in the order in which one thing brings the next. */
export function settleLeader(state: RaftState, out: RaftOutput): void {
  do advanceCommit(state, out);
  while (settleChange(state, out));
  if (!state.isVoter && state.configurations.latestIndex <= state.commit) {
    leave(state, out);
    return;
  }
  settleTransfer(state, out);
  settleReads(state, out);
  replicateToAll(state, out);
}

/** This leader is no voter any more, and that is committed: the voter that has the most takes over. */
function leave(state: RaftState, out: RaftOutput): void {
  const { reign, self, term } = state;
  assert(reign !== undefined, 'somebody steps down who does not lead');
  replicateToAll(state, out);
  const [best] = [...reign.peers.values()].sort((one, other) => other.match - one.match);
  if (best !== undefined) out.messages.push({ kind: 'timeout-now', from: self, to: best.member, term });
  becomeFollower(state, term, undefined, out);
}

export function tickLeader(state: RaftState, out: RaftOutput): void {
  const { reign, nowMs } = state;
  assert(reign !== undefined, 'the clock of somebody who does not lead');
  if (!hasQuorum(state)) {
    becomeFollower(state, state.term, undefined, out);
    return;
  }
  if (reign.transfer !== undefined && nowMs >= reign.transfer.deadlineMs) abandonTransfer(state, out);
  expireChange(state, out);
  if (nowMs >= reign.heartbeatDueMs) startRound(state, out);
}

/** When the clock has something for this leader. */
export function leaderDueMs(state: RaftState): number {
  const { reign } = state;
  assert(reign !== undefined, 'the clock of somebody who does not lead');
  const { change, transfer: handover, heartbeatDueMs } = reign;
  const changeDueMs = change?.phase === 'catching-up' ? change.deadlineMs : Number.POSITIVE_INFINITY;
  const transferDueMs = handover?.deadlineMs ?? Number.POSITIVE_INFINITY;
  return Math.min(heartbeatDueMs, quorumEndsMs(state), changeDueMs, transferDueMs);
}

/** The voter is dead, and its answer need not be waited for; a majority is still one of all. */
export function losePeer(state: RaftState, id: number, out: RaftOutput): void {
  const { reign } = state;
  assert(reign !== undefined, 'a peer of somebody who does not lead');
  const peer = reign.peers.get(id);
  if (peer === undefined) return;
  peer.lost();
  if (reign.transfer !== undefined && isSameMember(reign.transfer.to, peer.member)) {
    abandonTransfer(state, out);
  }
  if (hasQuorum(state)) return;
  becomeFollower(state, state.term, undefined, out);
  // One that was dead may be back, and not have been heard yet.
  campaignSoon(state);
}

/** The host stood still, and nobody else's silence says anything. */
export function resumeLeader(state: RaftState, out: RaftOutput): void {
  const { reign, nowMs, options } = state;
  assert(reign !== undefined, 'the clock of somebody who does not lead');
  for (const peer of reign.peers.values()) {
    if (peer.heardMs !== Number.NEGATIVE_INFINITY) peer.heardMs = nowMs;
  }
  const { change, transfer: handover } = reign;
  if (handover !== undefined) {
    reign.transfer = { ...handover, deadlineMs: nowMs + options.electionTimeoutMs };
  }
  if (change?.phase === 'catching-up') {
    reign.change = { ...change, deadlineMs: nowMs + options.catchUpLimitMs, roundBeganMs: nowMs };
  }
  startRound(state, out);
}
