// Adding and removing voters, one at a time: any two majorities of neighbouring configurations share a voter.
import { assert } from './assert.ts';
import { encodeConfiguration, isVoter, votersWith, votersWithout } from './configuration.ts';
import type { RaftError, RaftOutput } from './events.ts';
import { Progress } from './progress.ts';
import type { RaftState, VoterChange } from './raft-state.ts';
import { replicateTo } from './replication.ts';
import { refusal, refuse } from './results.ts';
import { appendOwn } from './storage.ts';
import type { Configuration, Member } from './types.ts';

export function addVoter(state: RaftState, id: number, voter: Member, out: RaftOutput): void {
  const { configuration, log, nowMs, options, reign } = state;
  const isKnown = configuration.voters.some((other) => other.id === voter.id);
  const error = changeRefusal(state) ?? (isKnown ? 'DUPLICATE_VOTER' : undefined);
  if (error !== undefined || reign === undefined) {
    refuse(state, out, id, error ?? 'NOT_LEADER');
    return;
  }
  reign.peers.set(voter.id, new Progress(voter, options, log.lastIndex, nowMs));
  reign.change = {
    phase: 'catching-up',
    id,
    voter,
    deadlineMs: nowMs + options.catchUpLimitMs,
    roundTarget: log.lastIndex,
    roundBeganMs: nowMs,
  };
}

export function removeVoter(state: RaftState, id: number, voter: Member, out: RaftOutput): void {
  const { configuration } = state;
  const error =
    changeRefusal(state) ??
    (isVoter(configuration, voter) ? undefined : 'VOTER_NOT_FOUND') ??
    (configuration.voters.length === 1 ? 'LAST_VOTER' : undefined);
  if (error !== undefined) {
    refuse(state, out, id, error);
    return;
  }
  changeVoters(state, id, votersWithout(configuration, voter), voter, out);
}

/** Why voters cannot change now, if so. */
function changeRefusal(state: RaftState): RaftError | undefined {
  const { reign, commit, configurations } = state;
  const error = refusal(state);
  if (error !== undefined || reign === undefined) return error ?? 'NOT_LEADER';
  const isUnsettled = commit < reign.termStart || configurations.latestIndex > commit;
  if (isUnsettled || reign.change !== undefined || reign.transfer !== undefined) return 'BUSY';
  return undefined;
}

function changeVoters(
  state: RaftState,
  id: number,
  configuration: Configuration,
  leaving: Member | undefined,
  out: RaftOutput,
): void {
  assert(state.reign !== undefined, 'voters are changed by somebody who does not lead');
  const { index } = appendOwn(state, 'config', encodeConfiguration(configuration), out);
  state.reign.change = { phase: 'committing', id, index, leaving };
}

/** Goes on with the change under way. True if the configuration is another now, which may commit more. */
export function settleChange(state: RaftState, out: RaftOutput): boolean {
  const change = state.reign?.change;
  if (change === undefined) return false;
  if (change.phase === 'catching-up') return settleCatchUp(state, change, out);
  if (change.index <= state.commit) finishChange(state, change, out);
  return false;
}

function settleCatchUp(
  state: RaftState,
  change: VoterChange & { phase: 'catching-up' },
  out: RaftOutput,
): boolean {
  const { reign, nowMs, log, options } = state;
  const peer = reign?.peers.get(change.voter.id);
  assert(reign !== undefined && peer !== undefined, 'nobody sends to a voter that is to catch up');
  if (peer.match < change.roundTarget) return false;
  if (nowMs - change.roundBeganMs >= options.electionTimeoutMs) {
    reign.change = { ...change, roundTarget: log.lastIndex, roundBeganMs: nowMs };
    return false;
  }
  changeVoters(state, change.id, votersWith(state.configuration, change.voter), undefined, out);
  return true;
}

function finishChange(
  state: RaftState,
  { id, leaving }: VoterChange & { phase: 'committing' },
  out: RaftOutput,
): void {
  const { reign } = state;
  assert(reign !== undefined, 'a change of voters ends without a leader');
  reign.change = undefined;
  out.results.push({ kind: 'done', id });
  const peer = leaving === undefined ? undefined : reign.peers.get(leaving.id);
  if (peer === undefined) return;
  replicateTo(state, peer, out);
  reign.peers.delete(peer.member.id);
}

/** A voter that does not catch up is not added. */
export function expireChange(state: RaftState, out: RaftOutput): void {
  const { reign, nowMs } = state;
  const change = reign?.change;
  if (reign === undefined || change?.phase !== 'catching-up' || nowMs < change.deadlineMs) return;
  reign.peers.delete(change.voter.id);
  reign.change = undefined;
  refuse(state, out, change.id, 'TIMED_OUT');
}
