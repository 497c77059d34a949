// Every change of a node's log and commit, and what the host has to do for it.
import { assert } from './assert.ts';
import type { RaftOutput } from './events.ts';
import type { RaftState } from './raft-state.ts';
import type { Entry, EntryKind, Snapshot } from './types.ts';

/** An entry of this leader. It replicates and commits when the step ends. */
export function appendOwn(state: RaftState, kind: EntryKind, data: Uint8Array, out: RaftOutput): Entry {
  assert(state.reign !== undefined, 'somebody appends who does not lead');
  const entry: Entry = { index: state.log.lastIndex + 1, term: state.term, kind, data };
  append(state, entry, out);
  state.reign.uncommittedBytes += data.length;
  return entry;
}

function append({ log, configurations }: RaftState, entry: Entry, out: RaftOutput): void {
  log.append(entry);
  configurations.append(entry);
  out.persist.entries.push(entry);
}

/** What the leader sent, which follows an entry that matches. Drops what contradicts it, and nothing else. */
export function appendReceived(state: RaftState, entries: readonly Entry[], out: RaftOutput): void {
  const { log } = state;
  for (const entry of entries) {
    const isConflict = entry.index <= log.lastIndex && log.termAt(entry.index) !== entry.term;
    if (isConflict) truncateFrom(state, entry.index, out);
    if (entry.index > log.lastIndex) append(state, entry, out);
  }
}

function truncateFrom(state: RaftState, index: number, out: RaftOutput): void {
  assert(index > state.commit, `entry ${index} is committed and would be dropped`);
  state.log.truncateFrom(index);
  if (state.configurations.latestIndex >= index) state.configurations.truncateFrom(index);
  // Entries of the same output are not written yet: those the host never sees.
  const { persist } = out;
  const pendingFrom = persist.entries[0]?.index ?? Number.POSITIVE_INFINITY;
  if (index > pendingFrom) {
    persist.entries.length = index - pendingFrom;
    return;
  }
  persist.entries.length = 0;
  if (index === persist.restartAt) return;
  persist.truncateFrom = Math.min(index, persist.truncateFrom ?? index);
}

export function commitTo(state: RaftState, index: number, out: RaftOutput): void {
  assert(index <= state.log.lastIndex, `${index} is committed and not here`);
  for (let at = state.commit + 1; at <= index; at++) {
    const entry = state.log.entryAt(at);
    out.committed.push(entry);
    if (state.reign !== undefined) state.reign.uncommittedBytes -= entry.data.length;
  }
  state.commit = Math.max(state.commit, index);
}

/** The leader's snapshot. A log that has its last entry has all of it, and keeps what follows. */
export function install(state: RaftState, snapshot: Snapshot, out: RaftOutput): void {
  const { log, configurations } = state;
  if (snapshot.index <= state.commit) return;
  if (log.termAt(snapshot.index) === snapshot.term) {
    commitTo(state, snapshot.index, out);
    return;
  }
  log.restart(snapshot);
  configurations.restart(snapshot.index, snapshot.configuration);
  state.commit = snapshot.index;
  const { persist } = out;
  persist.snapshot = snapshot;
  persist.restartAt = snapshot.index + 1;
  persist.truncateFrom = undefined;
  persist.entries.length = 0;
  persist.firstIndex = undefined;
  // The snapshot holds what these would have done.
  out.committed.length = 0;
  out.snapshot = snapshot;
}

/** The host's snapshot of what it has applied. */
export function compact(state: RaftState, index: number, data: Uint8Array, out: RaftOutput): void {
  const { log, configurations } = state;
  if (index <= log.snapshotIndex) return;
  assert(index <= state.commit, `a snapshot of ${index} holds what is not committed`);
  const pendingFrom = out.persist.entries[0]?.index ?? Number.POSITIVE_INFINITY;
  assert(index < pendingFrom, `a snapshot of ${index} holds what is not persisted`);
  const term = log.termAt(index);
  assert(term !== undefined, `a snapshot of ${index}, which the log has dropped`);
  const snapshot: Snapshot = { index, term, configuration: configurations.at(index), data };
  const firstIndex = Math.max(log.firstIndex, index + 1 - state.options.tailEntries);
  log.compact(snapshot, firstIndex);
  configurations.compact(index);
  out.persist.snapshot = snapshot;
  out.persist.firstIndex = firstIndex;
}
