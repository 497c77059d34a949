// The whole state of a node. Functions beside this file change it; `role` and what belongs to it only roles.ts.
import { assert } from './assert.ts';
import { ConfigurationHistory, emptyConfiguration, isVoter } from './configuration.ts';
import type { RaftOptions } from './options.ts';
import type { Progress } from './progress.ts';
import { RaftLog } from './raft-log.ts';
import type { Configuration, Entry, HardState, Member, Role, Snapshot } from './types.ts';

/** A change of voters that this leader carries out. There is one at a time. */
export type VoterChange =
  | {
      /** The new voter catches up; it has no vote, and the log says nothing of it. */
      readonly phase: 'catching-up';
      readonly id: number;
      readonly voter: Member;
      readonly deadlineMs: number;
      /** A round is over when the voter has what was there at its beginning; a short one shows that it keeps up. */
      readonly roundTarget: number;
      readonly roundBeganMs: number;
    }
  | {
      readonly phase: 'committing';
      readonly id: number;
      readonly index: number;
      /** Who leaves is sent the news of it before it is forgotten. */
      readonly leaving: Member | undefined;
    };

interface PendingRead {
  readonly id: number;
  /** The commit when it was asked for; undefined until an entry of the leader's term is committed. */
  readonly index: number | undefined;
  /** Answered when a majority has confirmed this round. */
  readonly round: number;
}

/** What a node has as long as it leads, made by becomeLeader and dropped with the leadership. */
export interface Reign {
  /** The first entry of the term. Until it is committed the leader does not know what else is. */
  readonly termStart: number;
  /** Everybody that the leader sends to: the other voters, and one that comes or goes. */
  readonly peers: Map<number, Progress>;
  heartbeatDueMs: number;
  /** The number of the latest round of heartbeats. */
  round: number;
  /** In the order of their rounds. */
  reads: PendingRead[];
  change: VoterChange | undefined;
  transfer:
    | { readonly id: number; readonly to: Member; readonly deadlineMs: number; isSent: boolean }
    | undefined;
  /** Of the entries above the commit. */
  uncommittedBytes: number;
}

export interface RaftSetup {
  readonly self: Member;
  readonly options: RaftOptions;
  /** Evenly spread over [0, 1). */
  readonly random: () => number;
  readonly nowMs: number;
  readonly hardState: HardState | undefined;
  readonly snapshot: Snapshot | undefined;
  readonly entries: readonly Entry[];
  readonly bootstrap: Configuration | undefined;
}

export class RaftState {
  readonly self: Member;
  readonly options: RaftOptions;
  readonly random: () => number;
  readonly log: RaftLog;
  readonly configurations: ConfigurationHistory;
  /** Written by roles.ts alone. */
  role: Role = 'observer';
  /** The latest term that the node has heard of. Never falls. Written by roles.ts alone, as is the vote. */
  term: number;
  vote: Member | undefined;
  /** Who leads in this term, as far as the node knows. */
  leader: Member | undefined;
  /** When the leader was last heard of. */
  leaderHeardMs = Number.NEGATIVE_INFINITY;
  /** When a voter that hears of no leader campaigns. */
  electionDueMs = Number.POSITIVE_INFINITY;
  /** Everything up to here is committed, and was put into `committed` or a snapshot. Never falls. */
  commit: number;
  /** The answers to a campaign. */
  readonly votes = new Map<number, boolean>();
  /** The campaign goes on at the wish of the last leader. */
  isTransfer = false;
  /** Set while the role is `leader`, and only then. */
  reign: Reign | undefined;
  /** Voters that the host knows to be dead, and that have sent nothing since. */
  readonly lostPeers = new Set<number>();
  /** The host ends: nothing new begins. */
  isClosing = false;
  nowMs: number;

  constructor(setup: RaftSetup) {
    this.self = setup.self;
    this.options = setup.options;
    this.random = setup.random;
    this.nowMs = setup.nowMs;
    this.log = new RaftLog(setup.snapshot, setup.entries);
    const base = setup.snapshot?.configuration ?? setup.bootstrap ?? emptyConfiguration;
    this.configurations = new ConfigurationHistory(this.log.snapshotIndex, base);
    for (const entry of setup.entries) {
      if (entry.index > this.log.snapshotIndex) this.configurations.append(entry);
    }
    this.term = setup.hardState?.term ?? 0;
    this.vote = setup.hardState?.vote;
    this.commit = this.log.snapshotIndex;
    assert(this.log.lastTerm <= this.term, 'the log has entries of a term that the hard state does not know');
  }

  get configuration(): Configuration {
    return this.configurations.latest;
  }

  get isVoter(): boolean {
    return isVoter(this.configuration, this.self);
  }

  /**
   * A node that the latest configuration leaves out may be needed until that is committed: nobody else may have the
   * entry that says so. It does not count its own vote then.
   */
  get isElectable(): boolean {
    return this.isVoter || this.configurations.isVoterSince(this.commit, this.self);
  }

  /** Somebody who leads was heard of so lately that nobody else needs to. */
  get hasLiveLeader(): boolean {
    if (this.leader === undefined) return false;
    return this.role === 'leader' || this.nowMs - this.leaderHeardMs < this.options.electionTimeoutMs;
  }

  /** Of each voter the value that the leader knows of it; `own` for itself. */
  valuesOfVoters(own: number, of: (peer: Progress) => number): number[] {
    const counted = this.configuration.voters;
    return counted.map(({ id }) => {
      if (id === this.self.id) return own;
      const peer = this.reign?.peers.get(id);
      assert(peer !== undefined, `the leader does not send to voter ${id}`);
      return of(peer);
    });
  }
}

/** What holds between two steps. Cheap, so that it is looked at after each. */
export function assertSound(state: RaftState): void {
  const { log, commit, role, reign } = state;
  assert(log.snapshotIndex <= commit && commit <= log.lastIndex, 'the commit lies outside the log');
  assert(log.lastTerm <= state.term, 'the log is ahead of the term');
  assert((role === 'leader') === (reign !== undefined), 'a reign without a leader, or the reverse');
  assert(role !== 'leader' || state.leader === state.self, 'a leader that does not know itself');
  assert(role !== 'leader' || log.lastTerm === state.term, 'a leader without an entry of its term');
  assert(role !== 'candidate' || state.vote === state.self, 'a candidate that voted for another');
  assert(
    role === 'leader' || (role === 'observer') !== state.isElectable,
    `${role} against the configuration`,
  );
  if (reign !== undefined) {
    assert(reign.termStart <= log.lastIndex, 'a reign begins after the log');
    assert(reign.transfer === undefined || reign.change?.phase !== 'catching-up', 'a transfer amid a change');
    for (const peer of reign.peers.values()) {
      assert(peer.match < peer.next && peer.match <= log.lastIndex, 'a peer is ahead of its leader');
      assert(peer.next <= log.lastIndex + 1, 'a peer was sent what is not there');
    }
  }
}
