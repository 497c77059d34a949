import type { Replica } from '../core/replica.ts';
import { decodePartitionMetadata, PARTITION_METADATA_FILE, readDecoded } from '../log/checkpoint-files.ts';
import { DiskError } from '../log/disk.ts';
import { partitionDirectory, REMOVED_SUFFIX } from '../log/file-names.ts';
import type { DurableLogs } from './durable-logs.ts';
import type { LogKeeper } from './log-keeper.ts';
import type { ReplicaOpening } from './replica-opening.ts';
import { segmentLogOf } from './replica-opening.ts';

interface RemovalHost {
  readonly isDiskFailed: boolean;
  diskFailed(error: unknown): void;
}

/**
 * Takes the files of deleted replicas away: their directory gets another name at once, so that a topic of the same name
 * finds room, and is emptied in the background. What a crash leaves of that has the name still, and goes after the start.
 */
export class ReplicaRemoval {
  readonly #host: RemovalHost;
  readonly #opening: ReplicaOpening;
  readonly #keeper: LogKeeper;
  readonly #logs: DurableLogs;
  /** Directories that are to be emptied, one after the other. */
  readonly #waiting: string[] = [];
  #emptying: Promise<void> | undefined;
  #state: 'open' | 'closed' = 'open';

  constructor(host: RemovalHost, opening: ReplicaOpening, keeper: LogKeeper, logs: DurableLogs) {
    this.#host = host;
    this.#opening = opening;
    this.#keeper = keeper;
    this.#logs = logs;
  }

  /** What an earlier run, or life, did not get done. */
  sweep(): void {
    const { disk } = this.#opening;
    if (disk.isVolatile) return;
    try {
      for (const name of disk.list(''))
        if (name.endsWith(`${REMOVED_SUFFIX}/`)) this.#empty(name.slice(0, -1));
    } catch (error) {
      // Whoever opens a log there tells it better.
      if (!(error instanceof DiskError)) throw error;
    }
  }

  /** Directories that are known to be of deleted topics, or of others' replicas, unless they say that they are something else. */
  discard(directories: ReadonlyMap<string, string>): void {
    const { disk } = this.#opening;
    if (disk.isVolatile) return;
    try {
      const there = new Set(disk.list(''));
      for (const [directory, topicId] of directories) {
        if (!there.has(`${directory}/`)) continue;
        const path = `${directory}/${PARTITION_METADATA_FILE}`;
        if (readDecoded(disk, path, decodePartitionMetadata) === topicId) this.#rename(directory);
      }
    } catch {
      // What cannot be read or renamed is in nobody's way: a new partition of that name puts it aside.
    }
  }

  /**
   * Resolves when their directories have other names, and no checkpoint speaks of them. They are offline by then, and nobody finds them any more. `faulty`
   * are those that could not be opened, as for discard.
   */
  async remove(replicas: readonly Replica[], faulty: ReadonlyMap<string, string>): Promise<void> {
    // Whatever works on their files comes to an end first: what it would meet then is no fault of the disk.
    for (const replica of replicas) {
      const log = segmentLogOf(replica);
      if (log !== undefined) await this.#keeper.care.leave(log);
    }
    await this.#keeper.rested();
    await this.#logs.rested();
    if (this.#host.isDiskFailed) return;
    this.discard(faulty);
    try {
      for (const { info } of replicas) this.#rename(partitionDirectory(info.topic, info.partition));
      await this.#keeper.saveForgotten();
    } catch (error) {
      this.#host.diskFailed(error);
    }
  }

  /** What is left is for the next start. */
  async close(): Promise<void> {
    this.#state = 'closed';
    await this.#emptying;
  }

  #rename(directory: string): void {
    const { files, disk } = this.#opening;
    this.#opening.forget(directory);
    const removed = `${this.#opening.surroundings.newUuid()}${REMOVED_SUFFIX}`;
    try {
      for (const name of disk.list(directory)) files.forget(`${directory}/${name}`);
      disk.rename(directory, removed);
    } catch (error) {
      // Where no record was ever written there may be no directory.
      if (error instanceof DiskError && error.code === 'ENOENT') return;
      throw error;
    }
    this.#empty(removed);
  }

  #empty(directory: string): void {
    this.#waiting.push(directory);
    this.#emptying ??= this.#run().finally(() => {
      this.#emptying = undefined;
    });
  }

  /** A file at a time: removing a large one takes milliseconds. */
  async #run(): Promise<void> {
    const { disk } = this.#opening;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      try {
        for (const name of disk.list(next)) {
          await this.#opening.surroundings.clock.turn();
          if (this.#state === 'closed') return;
          disk.remove(`${next}/${name.replace(/\/$/, '')}`);
        }
        disk.remove(next);
      } catch (error) {
        // It is in nobody's way, and tried again after the next start.
        if (!(error instanceof DiskError)) throw error;
      }
    }
  }
}
