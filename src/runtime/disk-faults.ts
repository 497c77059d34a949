import type { Buffer } from 'node:buffer';
import { Sleeper } from '../../native-free/sharedarraybuffer-utils/index.ts';
import { SLOW_DISK_MS } from '../limits.ts';
import { type Disk, DiskError, type DiskFile } from '../log/disk.ts';
import type { DiskCondition } from '../types.ts';
import type { Clock } from './surroundings.ts';
import { pause } from './timers.ts';

/** What a disk is like at the moment, for all that have it or one of its files. */
interface Affliction {
  condition: DiskCondition;
  readonly clock: Clock;
}

const afflictions = new WeakMap<Disk, Affliction>();
const sleeper = new Sleeper(new Int32Array(new SharedArrayBuffer(4)), 0);

/**
 * Lets a disk be like this from now on. It takes the place of the disk's own methods, so that one which nobody ever has
 * afflicted costs nothing, not even a call. Files that are open stay what they are, and are to be opened again.
 */
export function afflict(disk: Disk, clock: Clock, condition: DiskCondition): void {
  const before = afflictions.get(disk);
  if (before !== undefined) {
    before.condition = condition;
    return;
  }
  const state: Affliction = { clock, condition };
  afflictions.set(disk, state);
  const { open, list, makeDirectory, rename, remove, syncDirectory, settleDirectory } = bound(disk);
  const opened: Disk['open'] = (path, mode) => {
    if (state.condition !== 'full' || mode === undefined) return open(path, mode);
    try {
      return open(path);
    } catch (error) {
      // A disk that is full takes no further name.
      const isNew = error instanceof DiskError && error.code === 'ENOENT';
      throw isNew ? new DiskError('open', disk.locate(path), 'ENOSPC') : error;
    }
  };
  disk.open = (path, mode) => {
    meet(state, 'open', disk.locate(path));
    return new AfflictedFile(opened(path, mode), state, disk);
  };
  disk.list = (directory) => {
    meet(state, 'list', disk.locate(directory));
    return list(directory);
  };
  disk.makeDirectory = (path) => {
    meet(state, 'make directory', disk.locate(path));
    if (state.condition === 'full') throw new DiskError('make directory', disk.locate(path), 'ENOSPC');
    makeDirectory(path);
  };
  disk.rename = (from, to) => {
    meet(state, 'rename', disk.locate(from));
    rename(from, to);
  };
  disk.remove = (path) => {
    meet(state, 'remove', disk.locate(path));
    remove(path);
  };
  disk.syncDirectory = async (path) => {
    await meetLater(state, 'sync directory', disk.locate(path));
    await syncDirectory(path);
  };
  disk.settleDirectory = async (path) => {
    await meetLater(state, 'sync directory', disk.locate(path));
    await settleDirectory(path);
  };
}

/** The methods that a disk has of its own. */
function bound(disk: Disk): Omit<Disk, 'isVolatile' | 'isKept' | 'locate'> {
  return {
    open: disk.open.bind(disk),
    list: disk.list.bind(disk),
    makeDirectory: disk.makeDirectory.bind(disk),
    rename: disk.rename.bind(disk),
    remove: disk.remove.bind(disk),
    syncDirectory: disk.syncDirectory.bind(disk),
    settleDirectory: disk.settleDirectory.bind(disk),
  };
}

/** A slow device blocks the thread, as the system does whose page cache is full of what it still has to write. */
function meet({ condition }: Affliction, operation: string, location: string): void {
  if (condition === 'failing') throw new DiskError(operation, location, 'EIO');
  if (condition === 'slow') sleeper.sleepSync(() => false, SLOW_DISK_MS);
}

async function meetLater(
  { condition, clock }: Affliction,
  operation: string,
  location: string,
): Promise<void> {
  if (condition === 'failing') throw new DiskError(operation, location, 'EIO');
  if (condition === 'slow') await pause(clock, SLOW_DISK_MS);
}

class AfflictedFile implements DiskFile {
  readonly #file: DiskFile;
  readonly #state: Affliction;
  readonly #disk: Disk;

  constructor(file: DiskFile, state: Affliction, disk: Disk) {
    this.#file = file;
    this.#state = state;
    this.#disk = disk;
  }

  get path(): string {
    return this.#file.path;
  }

  get size(): number {
    return this.#file.size;
  }

  expect(bytes: number): void {
    this.#file.expect?.(bytes);
  }

  write(position: number, pieces: readonly Uint8Array[]): void {
    this.#meet('write');
    let end = position;
    for (const piece of pieces) end += piece.length;
    this.#requireRoom('write', end);
    this.#file.write(position, pieces);
  }

  read(position: number, length: number): Buffer {
    this.#meet('read');
    return this.#file.read(position, length);
  }

  truncate(size: number): void {
    this.#meet('truncate');
    this.#requireRoom('truncate', size);
    this.#file.truncate(size);
  }

  async sync(): Promise<void> {
    // Begun before anything else may be written, which it says nothing about.
    const synced = this.#file.sync();
    await Promise.all([synced, meetLater(this.#state, 'sync', this.#disk.locate(this.path))]);
  }

  close(): void {
    this.#file.close();
  }

  #meet(operation: string): void {
    meet(this.#state, operation, this.#disk.locate(this.path));
  }

  /** What a file has already it may keep and write over. */
  #requireRoom(operation: string, end: number): void {
    if (this.#state.condition === 'full' && end > this.size)
      throw new DiskError(operation, this.#disk.locate(this.path), 'ENOSPC');
  }
}
