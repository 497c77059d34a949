// What the simulator shows of itself to its checkers, each of which looks after one invariant.
import type { Entry, Member, Message, Persist, Snapshot } from '../../src/core/raft/index.ts';
import type { QuorumState } from '../../src/log/quorum-store.ts';
import type { Place, Voter } from '../../src/runtime/voter.ts';
import type { Call } from './call.ts';
import type { DurableModel } from './durable-model.ts';
import type { SimMachine } from './sim-machine.ts';

export interface NodeView {
  readonly id: number;
  readonly member: Member;
  /** Undefined while it is down, or still opens its files. */
  readonly voter: Voter | undefined;
  readonly machine: SimMachine | undefined;
  /** What its directory has to hold. */
  readonly durable: DurableModel;
}

export interface WorldView {
  readonly nowMs: number;
  readonly nodes: readonly NodeView[];
  /** Those whom the leader knows as voters; nobody while there is no leader. */
  voters(): readonly NodeView[];
  /** The model of a directory, whether anybody still has it or not. */
  durableOf(member: Member): DurableModel | undefined;
  /** The first violation ends the run. */
  violate(invariant: string, detail: string): void;
}

export interface Observer {
  /** What must hold, in a sentence. */
  readonly invariant: string;
  /** A voter has read its files; it does not run yet. */
  opened?(node: NodeView, state: QuorumState): void;
  persisted?(node: NodeView, persist: Persist): void;
  sent?(node: NodeView, message: Message): void;
  /** `voter` is undefined for a snapshot with which a voter begins. */
  applied?(node: NodeView, entry: Entry): void;
  installed?(node: NodeView, snapshot: Snapshot): void;
  compacted?(node: NodeView, index: number, data: Uint8Array): void;
  stepped?(node: NodeView, voter: Voter): void;
  called?(call: Call): void;
  /** Of a request of a client, which has succeeded. */
  succeeded?(call: Call, place: Place): void;
  failed?(call: Call, isUnknown: boolean): void;
  /** All faults have ended, and time was given to recover. */
  ended?(): void;
}

export function nameOf({ id, directoryId }: Member): string {
  return `${id}${directoryId.slice(-1)}`;
}
