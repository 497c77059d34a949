import type { Replica } from '../core/replica.ts';
import { SYNCS_MAX } from '../limits.ts';

/** A replica, and the end of what a sync has made durable of it. */
interface Synced {
  readonly replica: Replica;
  readonly restarts: number;
  end: number;
}

/**
 * One flush of the device at a time: logs that are written meanwhile go with the next one, however many records that
 * is. Nothing here blocks; completions arrive on the event loop. A sync that failed is never tried again: what the
 * system could not write it may have forgotten, and a second call would not say so.
 */
export class GroupCommit {
  readonly #settled: (replica: Replica, end: number) => void;
  readonly #finished: () => void;
  readonly #failed: (error: unknown) => void;
  readonly #wanted = new Set<Replica>();
  #state: 'idle' | 'syncing' | 'ended' = 'idle';
  /** The group under way, or the last one. */
  #group: Promise<unknown> = Promise.resolve();

  /** `settled` is called for each log of a group, then `finished` once. */
  constructor(
    settled: (replica: Replica, end: number) => void,
    finished: () => void,
    failed: (error: unknown) => void,
  ) {
    this.#settled = settled;
    this.#finished = finished;
    this.#failed = failed;
  }

  get isSyncing(): boolean {
    return this.#state === 'syncing';
  }

  /** What is written of this log goes with the next group. */
  want(replica: Replica): void {
    this.#wanted.add(replica);
  }

  /** Begins a group of all that are wanted, unless one is under way: then they go when it has ended. */
  begin(): void {
    if (this.#state !== 'idle' || this.#wanted.size === 0) return;
    this.#state = 'syncing';
    const wanted = [...this.#wanted].filter(({ state }) => state === 'online');
    const group = wanted.map((replica) => ({ replica, restarts: replica.restarts, end: 0 }));
    this.#wanted.clear();
    const synced = syncAll(group);
    this.#group = synced.catch(() => undefined);
    synced.then(
      () => this.#end(group),
      (error) => {
        this.close();
        this.#failed(error);
      },
    );
  }

  /** Resolves when the group that is under way has ended: replicas that are offline are in none that comes after. */
  async rested(): Promise<void> {
    await this.#group;
  }

  /** Nobody is told anything any more. */
  close(): void {
    this.#state = 'ended';
    this.#wanted.clear();
  }

  #end(group: readonly Synced[]): void {
    if (this.#state === 'ended') return;
    this.#state = 'idle';
    for (const { replica, restarts, end } of group) {
      if (replica.restarts === restarts) this.#settled(replica, end);
      // Its log has gone back meanwhile: what that sync was worth nobody knows.
      else if (replica.state === 'online' && replica.log.written > replica.stable) this.want(replica);
    }
    // What came meanwhile is on its way to the device before anybody is told about this group.
    this.begin();
    this.#finished();
  }
}

/** The syncs of a group run side by side, as many as the system's threads take at once. */
async function syncAll(group: Synced[]): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < group.length) {
      const each = group[next++];
      try {
        each.end = await each.replica.log.sync();
      } catch (error) {
        // Its files may have gone with it: nobody waits for it any more, and the disk is none the worse.
        if (each.replica.state === 'online') throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(SYNCS_MAX, group.length) }, work));
}
