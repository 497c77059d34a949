/** For what only a fault in a program can break: always on, and it ends the node, which is safer than going on. */
export function assert(holds: boolean, sentence: string): asserts holds {
  if (!holds) throw new Error(`raft: this may never happen: ${sentence}`);
}
