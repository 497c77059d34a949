// What the core works on. All of it is immutable once made: the nodes of a process share these objects.

/** A voter: a broker, and the directory that holds its log. A directory that was lost takes its vote with it. */
export interface Member {
  readonly id: number;
  readonly directoryId: string;
}

/** Who votes. The latest one in a node's log holds for it, committed or not. */
export interface Configuration {
  readonly voters: readonly Member[];
}

/**
 * - `data`: what somebody proposed, opaque to the core.
 * - `noop`: the beginning of a leader's term; its data is empty.
 * - `config`: data holds a Configuration (configuration.ts).
 */
export type EntryKind = 'data' | 'noop' | 'config';

/** For whoever reads entries from a disk. */
export function isEntryKind(value: string): value is EntryKind {
  return value === 'data' || value === 'noop' || value === 'config';
}

export interface Entry {
  /** Consecutive, from 1. */
  readonly index: number;
  /** Of the leader that made the entry. Never falls along the log. */
  readonly term: number;
  readonly kind: EntryKind;
  readonly data: Uint8Array;
}

/** The state of the host's machine after the entry `index`, and the configuration that held there. */
export interface Snapshot {
  readonly index: number;
  readonly term: number;
  readonly configuration: Configuration;
  readonly data: Uint8Array;
}

/** What a node may never forget: a term never falls, and a term's vote never changes once it is given. */
export interface HardState {
  readonly term: number;
  readonly vote: Member | undefined;
}

/**
 * - `observer`: no voter by its own log. It follows a leader that sends to it, and never campaigns.
 * - `pre-candidate`: asks whether it would be elected, without a new term.
 */
export type Role = 'observer' | 'follower' | 'pre-candidate' | 'candidate' | 'leader';

export function isSameMember(one: Member | undefined, other: Member | undefined): boolean {
  return one?.id === other?.id && one?.directoryId === other?.directoryId;
}
