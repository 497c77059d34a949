// What a host of the core sees of it. Begin with RaftOutput in events.ts.
export {
  clearOutput,
  hasToPersist,
  newOutput,
  type Persist,
  type RaftError,
  type RaftEvent,
  type RaftOutput,
} from './events.ts';
export type { Message } from './messages.ts';
export { defaultRaftOptions, type RaftOptions } from './options.ts';
export { RaftNode } from './raft-node.ts';
export {
  type Configuration,
  type Entry,
  type HardState,
  isEntryKind,
  isSameMember,
  type Member,
  type Snapshot,
} from './types.ts';
