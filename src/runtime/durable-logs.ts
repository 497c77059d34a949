import type { Replica } from '../core/replica.ts';
import { DiskError } from '../log/disk.ts';
import type { Durability } from '../types.ts';
import { GroupCommit } from './group-commit.ts';
import type { PartitionTable } from './partition-table.ts';

/** What the broker is told about its logs. */
interface LogsOwner {
  /** The replica's stable end has moved, and its LEO is published. */
  settled(replica: Replica): void;
  /** Outside of any pass: the ends of a group of logs have moved. */
  synced(): void;
  diskFailed(error: DiskError): void;
}

/**
 * The way of appended batches to durability, for all logs of a broker: staged, written, with fsync also synced, and
 * only then published as the replica's LEO. With memory and os a written batch is as durable as was asked.
 */
export class DurableLogs {
  readonly #table: PartitionTable;
  readonly #owner: LogsOwner;
  /** Undefined where nobody waits for a device. */
  readonly #groups: GroupCommit | undefined;
  readonly #staged: Replica[] = [];

  constructor(durability: Durability, table: PartitionTable, owner: LogsOwner) {
    this.#table = table;
    this.#owner = owner;
    if (durability !== 'fsync') return;
    this.#groups = new GroupCommit(
      (replica, end) => this.#settle(replica, end),
      () => owner.synced(),
      (error) => this.failed(error),
    );
  }

  /** Whether a completion is to be expected on the event loop. */
  get isSyncing(): boolean {
    return this.#groups?.isSyncing === true;
  }

  /** Its log has been appended to. */
  stage(replica: Replica): void {
    if (replica.isStaged) return;
    replica.isStaged = true;
    this.#staged.push(replica);
  }

  /** Writes what is staged, of all logs. False where a ring's writer was faster: of those logs nothing was kept. */
  flush(): boolean {
    if (this.#staged.length === 0) return true;
    let isWhole = true;
    for (const replica of this.#staged) {
      replica.isStaged = false;
      if (replica.state === 'online' && !this.#write(replica)) isWhole = false;
    }
    this.#staged.length = 0;
    this.#groups?.begin();
    return isWhole;
  }

  /** The log was opened, has gone back, or begins elsewhere: its LEO is published anew. */
  restarted(replica: Replica): void {
    replica.restart();
    this.#table.storeLogStart(replica.id, replica.log.logStart);
    this.#table.storeEnd(replica.id, replica.stable, replica.log.lastEpoch);
  }

  /** What a log threw: a DiskError is the disk's, and anything else a programmer's, which ends the thread. */
  failed(error: unknown): void {
    if (!(error instanceof DiskError)) throw error;
    this.close();
    this.#owner.diskFailed(error);
  }

  /** Resolves when no sync is under way that began before. */
  async rested(): Promise<void> {
    await this.#groups?.rested();
  }

  close(): void {
    this.#groups?.close();
  }

  #write(replica: Replica): boolean {
    const { log } = replica;
    let isWhole = true;
    try {
      isWhole = log.flush();
    } catch (error) {
      this.failed(error);
      return true;
    }
    if (!isWhole) replica.taken.truncateTo(log.leo);
    if (this.#groups === undefined) this.#settle(replica, log.written);
    else if (log.written > replica.stable) this.#groups.want(replica);
    return isWhole;
  }

  #settle(replica: Replica, end: number): void {
    if (end === replica.stable || replica.state !== 'online') return;
    replica.settleTo(end);
    // Publishes the batches: they are as durable as was asked before the LEO says so.
    this.#table.storeEnd(replica.id, end, replica.log.lastEpoch);
    this.#owner.settled(replica);
  }
}
