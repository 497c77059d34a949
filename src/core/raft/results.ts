import type { RaftError, RaftOutput } from './events.ts';
import type { RaftState } from './raft-state.ts';

export function refuse(state: RaftState, out: RaftOutput, id: number, error: RaftError): void {
  const { leader, self } = state;
  const other = leader === undefined || leader.id === self.id ? undefined : leader.id;
  out.results.push({ kind: 'refused', id, error, leader: other });
}

/** Why a request of the host finds no leader here that could take it, if so. */
export function refusal({ role, isClosing }: RaftState): RaftError | undefined {
  if (isClosing) return 'SHUTTING_DOWN';
  if (role !== 'leader') return 'NOT_LEADER';
  return undefined;
}
