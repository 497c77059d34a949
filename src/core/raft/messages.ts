// What nodes say to each other. Messages may be lost, doubled, delayed and reordered.
import type { Entry, Member, Snapshot } from './types.ts';

interface Envelope {
  readonly from: Member;
  /** Whoever has the id, but not the directory, ignores the message. */
  readonly to: Member;
  /** The sender's term; in a pre-vote request and a granted pre-vote the term that the candidate would have. */
  readonly term: number;
}

export interface VoteRequest extends Envelope {
  readonly kind: 'vote-request';
  /** A question only: nobody's term or vote changes by it. */
  readonly isPreVote: boolean;
  /** The leader itself asked for this election: that it is alive is no reason against it. */
  readonly isTransfer: boolean;
  readonly lastIndex: number;
  readonly lastTerm: number;
}

export interface VoteResponse extends Envelope {
  readonly kind: 'vote-response';
  readonly isPreVote: boolean;
  readonly isGranted: boolean;
}

/** Entries that follow `prevIndex`; without any, a probe, or the news of a commit. */
export interface AppendRequest extends Envelope {
  readonly kind: 'append';
  readonly prevIndex: number;
  readonly prevTerm: number;
  readonly entries: readonly Entry[];
  /** The leader's; the receiver may commit what of it it has matched. */
  readonly commit: number;
}

export interface AppendResponse extends Envelope {
  readonly kind: 'append-response';
  readonly isAccepted: boolean;
  /** Accepted: up to here the sender's log is the leader's, and persisted. Refused: the `prevIndex` that did not fit. */
  readonly index: number;
  /** Refused: the term that the sender has at `index`, or 0 if its log ends before. */
  readonly conflictTerm: number;
  /** Refused: the first index of that term in its log, or where its log ends. */
  readonly conflictIndex: number;
}

/** Says that there is a leader, and asks who says so too. */
export interface Heartbeat extends Envelope {
  readonly kind: 'heartbeat';
  /** Never more than the leader knows the receiver to have. */
  readonly commit: number;
  readonly round: number;
}

export interface HeartbeatResponse extends Envelope {
  readonly kind: 'heartbeat-response';
  readonly round: number;
}

/** The answer is an append response. */
export interface SnapshotRequest extends Envelope {
  readonly kind: 'snapshot';
  readonly snapshot: Snapshot;
}

/** To the target of a transfer: be a candidate at once. */
export interface TimeoutNow extends Envelope {
  readonly kind: 'timeout-now';
}

export type Message =
  | VoteRequest
  | VoteResponse
  | AppendRequest
  | AppendResponse
  | Heartbeat
  | HeartbeatResponse
  | SnapshotRequest
  | TimeoutNow;
