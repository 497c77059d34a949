// What goes into a step, and what comes out of it.
import type { Message } from './messages.ts';
import type { Entry, HardState, Member, Snapshot } from './types.ts';

/** `nowMs`: a monotonic clock of the node. `id`: the host's name for a request, by which its result comes back. */
export type RaftEvent = { readonly nowMs: number } & (
  | { readonly kind: 'tick' }
  | { readonly kind: 'message'; readonly message: Message }
  | { readonly kind: 'propose'; readonly id: number; readonly data: Uint8Array }
  | { readonly kind: 'read'; readonly id: number }
  | { readonly kind: 'add-voter'; readonly id: number; readonly voter: Member }
  | { readonly kind: 'remove-voter'; readonly id: number; readonly voter: Member }
  | { readonly kind: 'transfer'; readonly id: number; readonly to: number }
  /** The host's snapshot of its machine after `index`, which it has applied. */
  | { readonly kind: 'compact'; readonly index: number; readonly data: Uint8Array }
  /** The host knows that this voter is dead. What it sends later makes it alive again. */
  | { readonly kind: 'peer-lost'; readonly peer: number }
  /** The host itself stood still: no time has passed that would say anything about others. */
  | { readonly kind: 'resumed' }
  /** Asks for an election without waiting for a time-out: at the first start, say. */
  | { readonly kind: 'campaign' }
  /** From now on requests of the host are refused, and no campaign begins. */
  | { readonly kind: 'close' }
);

/**
 * Why a request was not carried out. Nothing has changed by it, but with LEADERSHIP_LOST: there the outcome of a
 * change of voters is not known.
 */
export type RaftError =
  | 'NOT_LEADER'
  | 'BUSY'
  | 'SHUTTING_DOWN'
  | 'DUPLICATE_VOTER'
  | 'VOTER_NOT_FOUND'
  | 'LAST_VOTER'
  | 'TIMED_OUT'
  | 'LEADERSHIP_LOST';

/**
 * - `appended`: a proposal has a place in the log of the leader. It has succeeded once the entry with this index comes
 *   by in `committed` with the same term, and has failed for good once an entry with this index and another term does. A
 *   snapshot that covers the index, or the loss of leadership, tells neither.
 * - `done`: an added or removed voter, committed; a transfer, once the target campaigns.
 * - `refused`: with the leader's id where it is known and is another.
 */
export type RaftResult =
  | { readonly kind: 'appended'; readonly id: number; readonly index: number; readonly term: number }
  | { readonly kind: 'done'; readonly id: number }
  | {
      readonly kind: 'refused';
      readonly id: number;
      readonly error: RaftError;
      readonly leader: number | undefined;
    };

/** What has to be as durable as was asked before anything else is done. Undefined, or no entries: nothing to do. */
export interface Persist {
  /** 1. Replaces the term and the vote. */
  hardState: HardState | undefined;
  /** 2. Replaces the snapshot. */
  snapshot: Snapshot | undefined;
  /**
   * 3. The log is emptied and begins anew at this index, which is the snapshot's and one more. A store that ends between
   * 2 and 3 does it when it is opened again: a log without an entry of the snapshot's index and term is void.
   */
  restartAt: number | undefined;
  /** 4. Entries from this index on are dropped. */
  truncateFrom: number | undefined;
  /** 5. These are appended. */
  entries: Entry[];
  /** 6. Once the snapshot is durable, entries below this index may be dropped, at leisure. */
  firstIndex: number | undefined;
}

/**
 * The effects of one step, or of several in a row into the same object. The host carries them out in this order:
 *
 * 1. `persist`, in the order of its fields; and waits until it is durable. A node whose persisting fails is stepped
 *    no more: what it says otherwise would not be true.
 * 2. `messages` are sent, in order. None has to arrive.
 * 3. `snapshot` replaces the host's machine; then `committed` is applied, in order.
 * 4. `reads` and `results` are answered: a read when the machine has applied its index, which by now it has.
 *
 * Then it calls `clearOutput`, and only then steps again: events that come meanwhile wait, and are stepped together.
 * The core counts its own entries and votes as persisted as soon as they stand in `persist`: nothing of what it says
 * on the strength of them leaves the host before they are.
 *
 * Whether the node leads, and in which term, the host reads from the node after each step.
 */
export interface RaftOutput {
  readonly persist: Persist;
  readonly messages: Message[];
  snapshot: Snapshot | undefined;
  readonly committed: Entry[];
  /** The leader was one when the read was asked for, and everything up to `index` was committed then. */
  readonly reads: { readonly id: number; readonly index: number }[];
  readonly results: RaftResult[];
}

export function newOutput(): RaftOutput {
  return {
    persist: {
      hardState: undefined,
      snapshot: undefined,
      restartAt: undefined,
      truncateFrom: undefined,
      entries: [],
      firstIndex: undefined,
    },
    messages: [],
    snapshot: undefined,
    committed: [],
    reads: [],
    results: [],
  };
}

export function clearOutput(out: RaftOutput): void {
  const { persist } = out;
  persist.hardState = undefined;
  persist.snapshot = undefined;
  persist.restartAt = undefined;
  persist.truncateFrom = undefined;
  persist.entries.length = 0;
  persist.firstIndex = undefined;
  out.messages.length = 0;
  out.snapshot = undefined;
  out.committed.length = 0;
  out.reads.length = 0;
  out.results.length = 0;
}

/** Whether the host has anything to make durable before it sends: if not, it need not wait for a device. */
export function hasToPersist({ persist }: RaftOutput): boolean {
  return (
    persist.hardState !== undefined ||
    persist.snapshot !== undefined ||
    persist.restartAt !== undefined ||
    persist.truncateFrom !== undefined ||
    persist.entries.length > 0
  );
}
