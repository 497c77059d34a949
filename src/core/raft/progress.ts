// What a leader knows of one peer, and what it may send to it.
import { assert } from './assert.ts';
import type { RaftOptions } from './options.ts';
import type { Member } from './types.ts';

/**
 * - `probe`: the leader does not know where the logs part; one message at a time, until an answer or a heartbeat's.
 * - `replicate`: it does; it sends ahead of the answers.
 * - `snapshot`: a snapshot is on the way, and nothing else.
 */
type ProgressState = 'probe' | 'replicate' | 'snapshot';

export class Progress {
  readonly member: Member;
  readonly #options: RaftOptions;
  #state: ProgressState = 'probe';
  /** Up to here the peer's log is the leader's, and persisted. Never falls. */
  #match = 0;
  /** What is sent next; entries between match and this are on the way. Always above match. */
  #next: number;
  /** A probe is on the way. */
  #isPaused = false;
  /** Appends on the way in the order of their indexes, with their bytes. Only in `replicate`. */
  #inFlight: { readonly lastIndex: number; readonly bytes: number }[] = [];
  #inFlightBytes = 0;
  /** When the snapshot was sent, or the peer last confirmed anything: the measure for sending again. */
  #movedMs: number;
  #snapshotIndex = 0;
  /** When the peer was last heard of in this term. -Infinity: the host said that it is dead. */
  heardMs: number;
  /** The latest round of heartbeats that the peer has answered. */
  confirmedRound = 0;
  /** The commit that the peer will have when it has all that was sent. */
  sentCommit = 0;

  constructor(member: Member, options: RaftOptions, lastIndex: number, nowMs: number) {
    this.member = member;
    this.#options = options;
    this.#next = lastIndex + 1;
    this.#movedMs = nowMs;
    this.heardMs = nowMs;
  }

  get state(): ProgressState {
    return this.#state;
  }

  get match(): number {
    return this.#match;
  }

  get next(): number {
    return this.#next;
  }

  /** How many entries may go on the way now; a probe carries as many as a message holds. */
  get roomEntries(): number {
    if (this.#state === 'probe') return this.#isPaused ? 0 : this.#options.appendMaxEntries;
    if (this.#state === 'snapshot' || this.#inFlightBytes >= this.#options.inFlightMaxBytes) return 0;
    return this.#options.inFlightMaxEntries - (this.#next - 1 - this.#match);
  }

  /** Whether a message without entries makes sense: a probe, or the news of a commit. */
  mayTell(commit: number): boolean {
    if (this.#state === 'probe') return !this.#isPaused;
    return this.#state === 'replicate' && Math.min(commit, this.#next - 1) > this.sentCommit;
  }

  becomeProbe(next: number): void {
    this.#reset('probe');
    this.#next = Math.max(next, this.#match + 1);
    this.sentCommit = Math.min(this.sentCommit, this.#match);
  }

  becomeReplicate(): void {
    this.#reset('replicate');
    this.#next = this.#match + 1;
    this.sentCommit = Math.min(this.sentCommit, this.#match);
  }

  becomeSnapshot(index: number, nowMs: number): void {
    this.#reset('snapshot');
    this.#snapshotIndex = index;
    this.#movedMs = nowMs;
  }

  #reset(state: ProgressState): void {
    this.#state = state;
    this.#isPaused = false;
    this.#inFlight = [];
    this.#inFlightBytes = 0;
    this.#snapshotIndex = 0;
  }

  sent(entries: number, bytes: number, commit: number, nowMs: number): void {
    assert(this.#state !== 'snapshot', 'an append overtakes a snapshot');
    if (this.#state === 'probe') {
      this.#isPaused = true;
      return;
    }
    if (entries > 0) {
      if (this.#inFlight.length === 0) this.#movedMs = nowMs;
      this.#next += entries;
      this.#inFlight.push({ lastIndex: this.#next - 1, bytes });
      this.#inFlightBytes += bytes;
    }
    this.sentCommit = Math.max(this.sentCommit, Math.min(commit, this.#next - 1));
  }

  /** The peer has everything up to `index`. Answers come in any order, and more than once. */
  matched(index: number, nowMs: number): void {
    const hasMoved = index > this.#match;
    // What a peer has persisted it keeps: an older answer takes nothing back.
    if (hasMoved) this.#match = index;
    if (hasMoved) this.#movedMs = nowMs;
    this.#next = Math.max(this.#next, this.#match + 1);
    if (this.#state === 'snapshot' && this.#match < this.#snapshotIndex) return;
    if (this.#state !== 'replicate') {
      this.becomeReplicate();
      return;
    }
    while (this.#inFlight.length > 0 && this.#inFlight[0].lastIndex <= this.#match) {
      this.#inFlightBytes -= this.#inFlight[0].bytes;
      this.#inFlight.shift();
    }
    assert(this.#inFlightBytes >= 0, 'more was answered for than was sent');
  }

  /** Whether a refusal of `rejectedIndex` is news; it may be an old one. */
  isNews(rejectedIndex: number): boolean {
    if (this.#state === 'replicate') return rejectedIndex > this.#match && rejectedIndex < this.#next;
    return this.#state === 'probe' && rejectedIndex === this.#next - 1;
  }

  /** The peer lives. What it has not answered for in a while was lost, and is sent again. */
  answeredHeartbeat(nowMs: number): void {
    this.#isPaused = false;
    const isOverdue = nowMs - this.#movedMs >= this.#options.electionTimeoutMs;
    const isWaiting = this.#state === 'snapshot' || this.#next - 1 > this.#match;
    if (isOverdue && isWaiting && this.#state !== 'probe') this.becomeProbe(this.#match + 1);
  }

  /** The host said that it is dead: what was on the way is lost, and its answers count for nothing. */
  lost(): void {
    this.heardMs = Number.NEGATIVE_INFINITY;
    if (this.#state !== 'probe') this.becomeProbe(this.#match + 1);
  }
}
