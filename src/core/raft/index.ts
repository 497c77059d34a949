// What a host of the core sees of it. Begin with RaftOutput in events.ts.
export {
  clearOutput,
  hasToPersist,
  newOutput,
  type Persist,
  type RaftError,
  type RaftEvent,
  type RaftOutput,
  type RaftResult,
} from './events.ts';
export type { Message } from './messages.ts';
export { defaultRaftOptions, type RaftOptions } from './options.ts';
export { type PeerProgress, RaftNode, type RaftNodeSetup } from './raft-node.ts';
export {
  type Configuration,
  type Entry,
  type EntryKind,
  type HardState,
  isEntryKind,
  isSameMember,
  type Member,
  type Role,
  type Snapshot,
} from './types.ts';
