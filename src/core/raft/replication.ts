// What a leader sends, what it makes of the answers, and what is committed by them.
import { assert } from './assert.ts';
import type { RaftOutput } from './events.ts';
import type { AppendRequest, AppendResponse, HeartbeatResponse } from './messages.ts';
import type { Progress } from './progress.ts';
import { reachedByMajority } from './quorum.ts';
import type { RaftState } from './raft-state.ts';
import { commitTo } from './storage.ts';
import { type Entry, isSameMember, type Member } from './types.ts';

/** Somebody that the leader sends to; undefined for anybody else who answers, such as a directory that was replaced. */
function heardPeer(state: RaftState, from: Member): Progress | undefined {
  const peer = state.reign?.peers.get(from.id);
  if (peer === undefined || !isSameMember(peer.member, from)) return undefined;
  peer.heardMs = state.nowMs;
  return peer;
}

export function onAppendResponse(state: RaftState, message: AppendResponse): void {
  const peer = heardPeer(state, message.from);
  if (peer === undefined) return;
  if (message.isAccepted) {
    assert(message.index <= state.log.lastIndex, `${message.from.id} has more than its leader`);
    peer.matched(message.index, state.nowMs);
    return;
  }
  if (!peer.isNews(message.index)) return;
  const conflict = { term: message.conflictTerm, index: message.conflictIndex };
  const next = state.log.nextAfter(conflict, message.index);
  peer.becomeProbe(Math.min(next, message.index));
}

export function onHeartbeatResponse(state: RaftState, message: HeartbeatResponse): void {
  const peer = heardPeer(state, message.from);
  if (peer === undefined) return;
  peer.confirmedRound = Math.max(peer.confirmedRound, message.round);
  peer.answeredHeartbeat(state.nowMs);
}

/** Commits what a majority of the voters has persisted; who has no vote is not asked. */
export function advanceCommit(state: RaftState, out: RaftOutput): void {
  const index = reachedByMajority(state.valuesOfVoters(state.log.lastIndex, ({ match }) => match));
  if (index <= state.commit) return;
  // An entry of an earlier term can be held by a majority and still be overwritten.
  if (state.log.termAt(index) !== state.term) return;
  commitTo(state, index, out);
}

/** Whether this leader has heard from a majority within an election timeout; if not, another may lead already. */
export function hasQuorum(state: RaftState): boolean {
  return state.nowMs < quorumEndsMs(state);
}

export function quorumEndsMs(state: RaftState): number {
  const heardMs = reachedByMajority(state.valuesOfVoters(Number.POSITIVE_INFINITY, (peer) => peer.heardMs));
  return heardMs + state.options.electionTimeoutMs;
}

export function startRound(state: RaftState, out: RaftOutput): void {
  const { reign, self, term, commit } = state;
  assert(reign !== undefined, 'heartbeats of somebody who does not lead');
  reign.round++;
  reign.heartbeatDueMs = state.nowMs + state.options.heartbeatMs;
  for (const { member, match } of reign.peers.values()) {
    out.messages.push({
      kind: 'heartbeat',
      from: self,
      to: member,
      term,
      commit: Math.min(commit, match),
      round: reign.round,
    });
  }
}

/** Answers the reads that a majority has confirmed, and asks for those that wait: one round is under way at a time. */
export function settleReads(state: RaftState, out: RaftOutput): void {
  const { reign } = state;
  assert(reign !== undefined, 'reads of somebody who does not lead');
  if (reign.reads.length === 0 || state.commit < reign.termStart) return;
  // Those that came before anything was certain come first, and all of them are certain now.
  if (reign.reads[0].index === undefined) {
    reign.reads = reign.reads.map(({ id }) => ({ id, index: state.commit, round: reign.round + 1 }));
  }
  answerReads(state, out);
  if (reign.reads.length === 0 || confirmedRound(state) < reign.round) return;
  startRound(state, out);
  answerReads(state, out);
}

function confirmedRound(state: RaftState): number {
  return reachedByMajority(state.valuesOfVoters(state.reign?.round ?? 0, (peer) => peer.confirmedRound));
}

function answerReads(state: RaftState, out: RaftOutput): void {
  const { reign } = state;
  const confirmed = confirmedRound(state);
  while (reign !== undefined && reign.reads.length > 0) {
    const { id, index, round } = reign.reads[0];
    if (index === undefined || round > confirmed) return;
    out.reads.push({ id, index });
    reign.reads.shift();
  }
}

export function replicateToAll(state: RaftState, out: RaftOutput): void {
  for (const peer of state.reign?.peers.values() ?? []) replicateTo(state, peer, out);
}

/** Sends whatever the peer lacks and may be sent now. */
export function replicateTo(state: RaftState, peer: Progress, out: RaftOutput): void {
  const { log, commit, options } = state;
  for (;;) {
    const room = Math.min(peer.roomEntries, options.appendMaxEntries);
    const hasEntries = room > 0 && peer.next <= log.lastIndex;
    if (!hasEntries && !peer.mayTell(commit)) return;
    const prevIndex = peer.next - 1;
    const prevTerm = log.termAt(prevIndex);
    if (prevTerm === undefined || peer.next < log.firstIndex) {
      sendSnapshot(state, peer, out);
      return;
    }
    const entries = hasEntries ? log.slice(peer.next, room, options.appendMaxBytes) : [];
    sendAppend(state, peer.member, prevIndex, prevTerm, entries, out);
    peer.sent(entries.length, bytesOf(entries), commit, state.nowMs);
  }
}

function bytesOf(entries: readonly Entry[]): number {
  return entries.reduce((bytes, { data }) => bytes + data.length, 0);
}

function sendAppend(
  { self, term, commit, options }: RaftState,
  to: Member,
  prevIndex: number,
  prevTerm: number,
  entries: readonly Entry[],
  out: RaftOutput,
): void {
  // Several events that are stepped together give one message.
  const at = out.messages.findLastIndex((message) => isSameMember(message.to, to));
  const last = out.messages[at];
  if (last?.kind === 'append' && last.term === term && last.prevIndex + last.entries.length === prevIndex) {
    const joined = [...last.entries, ...entries];
    if (joined.length <= options.appendMaxEntries && bytesOf(joined) <= options.appendMaxBytes) {
      out.messages[at] = { ...last, entries: joined, commit };
      return;
    }
  }
  const message: AppendRequest = {
    kind: 'append',
    from: self,
    to,
    term,
    prevIndex,
    prevTerm,
    entries,
    commit,
  };
  out.messages.push(message);
}

function sendSnapshot(state: RaftState, peer: Progress, out: RaftOutput): void {
  const { log, self, term } = state;
  const { snapshot } = log;
  assert(snapshot !== undefined, `entry ${peer.next} is neither in the log nor in a snapshot`);
  out.messages.push({ kind: 'snapshot', from: self, to: peer.member, term, snapshot });
  peer.becomeSnapshot(snapshot.index, state.nowMs);
}
