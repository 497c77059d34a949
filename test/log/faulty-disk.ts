// A disk that fails as it is told, and that forgets what was not synced. All of it follows from a seed.
import { Buffer } from 'node:buffer';
import { type Disk, DiskError, type DiskFile, requireInside } from '../../src/log/disk.ts';
import { type Capture, Inode, type Loss, PAGE_BYTES } from './faulty-inode.ts';
import { Directory, type Edit, type Entry, Names } from './faulty-names.ts';
import { type Random, seededRandom } from './seeded-random.ts';

export type OperationKind =
  | 'open'
  | 'read'
  | 'write'
  | 'truncate'
  | 'sync'
  | 'list'
  | 'makeDirectory'
  | 'rename'
  | 'remove'
  | 'syncDirectory';

export interface Fault {
  /** 'any' is every kind but the two that only look, read and list. */
  readonly kind: OperationKind | 'any';
  /** 1 is the next operation of this kind. */
  readonly nth: number;
  readonly code: string;
  /** That one and all after it; otherwise that one alone. */
  readonly always?: boolean;
}

export interface FaultyDiskOptions {
  readonly seed?: number;
  /** A sync resolves after so many turns of the event loop. */
  readonly syncTurns?: number;
  /** Called before every operation: the moment to crash the disk, look at what is left, and go on with this one. */
  readonly observe?: (kind: OperationKind, path: string) => void;
}

interface LastWrite {
  readonly inode: Inode;
  readonly position: number;
  readonly before: Buffer;
  readonly sizeBefore: number;
  readonly end: number;
}

/** In one of so many writes the system writes back some of what is dirty without being asked. */
const WRITES_PER_WRITE_BACK = 4;

/** What a read gave is overwritten with this once it is no longer valid, so that whoever kept it sees it. */
const INVALID_BYTE = 0xdd;

export class FaultyDisk implements Disk {
  readonly isVolatile = false;
  readonly isKept = true;
  readonly #random: Random;
  readonly #options: FaultyDiskOptions;
  #names = new Names();
  readonly #handles = new Set<FaultyFile>();
  readonly #counts = new Map<string, number>();
  #faults: { fault: Fault; left: number }[] = [];
  #held: (() => void)[] | undefined;
  #lastRead: { inode: Inode; bytes: Buffer } | undefined;
  #lastWrite: LastWrite | undefined;

  constructor(options: FaultyDiskOptions = {}) {
    this.#options = options;
    this.#random = seededRandom(options.seed ?? 1);
  }

  // What tests ask of it.

  /** Operations so far, those that failed too. */
  count(kind: OperationKind | 'any'): number {
    return this.#counts.get(kind) ?? 0;
  }

  fail(fault: Fault): void {
    this.#faults.push({ fault, left: fault.nth });
  }

  /** Takes all faults away. */
  heal(): void {
    this.#faults = [];
  }

  /** From now on syncs wait for releaseSyncs. */
  holdSyncs(): void {
    this.#held ??= [];
  }

  get heldSyncs(): number {
    return this.#held?.length ?? 0;
  }

  /** Lets the device take the oldest of the syncs that wait; all of them, and all later ones, without a number. */
  releaseSyncs(count = Number.POSITIVE_INFINITY): void {
    for (const release of this.#held?.splice(0, count) ?? []) release();
    if (count === Number.POSITIVE_INFINITY) this.#held = undefined;
  }

  /** The disk as it may look after a power cut at this moment; every call, another way. This one stays as it is. */
  crash(): FaultyDisk {
    const loss: Loss = (['kept', 'lost', 'mixed', 'mixed'] as const)[this.#random(4)];
    const pending = this.#names.pendingCount;
    const kept = [0, pending, this.#random(pending + 1), this.#random(pending + 1)][this.#random(4)];
    const after = this.#successor();
    after.#names = this.#names.crashed(kept, (inode) => inode.crashed(loss, this.#random));
    return after;
  }

  /**
   * The disk after the process was killed at this moment: all that was written, synced or not. With 'cut', it was killed
   * in the middle of the last operation, if that was a write: it ends at some page's boundary, or never began.
   */
  kill(last: 'whole' | 'cut' = 'whole'): FaultyDisk {
    const after = this.#successor();
    const copies = new Map<Entry, Entry>();
    after.#names = this.#names.clone(copies);
    const inode = this.#lastWrite && copies.get(this.#lastWrite.inode);
    if (last === 'cut' && inode instanceof Inode) this.#cutLastWrite(this.#lastWrite as LastWrite, inode);
    return after;
  }

  /** The same disk once more, which goes its own way; nothing is open there. */
  clone(): FaultyDisk {
    return this.kill();
  }

  files(): string[] {
    return this.#names.files().map(([path]) => path);
  }

  snapshot(): Map<string, Buffer> {
    return new Map(this.#names.files().map(([path, inode]) => [path, Buffer.from(inode.bytes)]));
  }

  /** The bit is wrong from now on, on the device too, and nothing tells. */
  flipBit(path: string, bit: number): void {
    const entry = this.#names.find(path.split('/'));
    if (!(entry instanceof Inode)) throw new Error(`there is no file ${path}`);
    entry.flipBit(bit);
  }

  // What logs ask of it.

  open(path: string, mode?: 'create'): DiskFile {
    requireInside(path);
    this.#refuse('open', path);
    const { directory, name } = this.#placeOf('open', path);
    let entry = name === '' ? directory : directory.entries.get(name);
    if (entry === undefined) {
      if (mode !== 'create') throw new DiskError('open', path, 'ENOENT');
      entry = new Inode();
      this.#names.change({ directory, name, entry });
    }
    if (entry instanceof Directory) throw new DiskError('open', path, 'EISDIR');
    const file = new FaultyFile(this, path, entry);
    this.#handles.add(file);
    return file;
  }

  list(directory: string): string[] {
    requireInside(directory);
    this.#refuse('list', directory);
    const { entries } = this.#directory('list', directory, directory.split('/'));
    return [...entries].map(([name, entry]) => (entry instanceof Directory ? `${name}/` : name)).sort();
  }

  makeDirectory(path: string): void {
    requireInside(path);
    this.#refuse('makeDirectory', path);
    let directory = this.#names.root;
    for (const name of path === '' ? [] : path.split('/')) {
      let entry = directory.entries.get(name);
      if (entry === undefined) {
        entry = new Directory();
        this.#names.change({ directory, name, entry });
      }
      if (entry instanceof Inode) throw new DiskError('make directory', path, 'EEXIST');
      directory = entry;
    }
  }

  rename(from: string, to: string): void {
    requireInside(from);
    requireInside(to);
    this.#refuse('rename', from);
    const [source, target] = [this.#placeOf('rename', from), this.#placeOf('rename', to)];
    const entry = source.directory.entries.get(source.name);
    if (entry === undefined) throw new DiskError('rename', from, 'ENOENT');
    const before = target.directory.entries.get(target.name);
    if (before === entry) return;
    if (to.startsWith(`${from}/`)) throw new DiskError('rename', from, 'EINVAL');
    if (entry instanceof Directory) {
      if (before instanceof Inode) throw new DiskError('rename', to, 'ENOTDIR');
      if (before !== undefined && before.entries.size > 0) throw new DiskError('rename', to, 'ENOTEMPTY');
    } else if (before instanceof Directory) throw new DiskError('rename', to, 'EISDIR');
    if (before instanceof Inode) this.#invalidate(before);
    this.#names.change({ ...source, entry: undefined }, { ...target, entry });
    this.#handlesBelow(to).forEach((file) => {
      file.isNamed = false;
    });
    for (const file of this.#handlesBelow(from)) file.path = to + file.path.slice(from.length);
  }

  remove(path: string): void {
    requireInside(path);
    if (path === '') throw new Error('a disk cannot remove its own directory');
    this.#refuse('remove', path);
    const names = path.split('/');
    const name = names.pop() as string;
    const directory = this.#names.find(names);
    if (!(directory instanceof Directory)) return;
    const entry = directory.entries.get(name);
    if (entry === undefined) return;
    this.#removeEntry({ directory, name, entry });
    this.#handlesBelow(path).forEach((file) => {
      file.isNamed = false;
    });
  }

  settleDirectory(path: string): Promise<void> {
    return this.syncDirectory(path);
  }

  async syncDirectory(path: string): Promise<void> {
    requireInside(path);
    const code = this.#takeFault('syncDirectory', path);
    const directory = this.#directory('sync directory', path, path.split('/'));
    const settle = this.#names.captureDirectory(directory);
    await this.#device(() => {
      if (code !== undefined) throw new DiskError('sync directory', path, code);
      settle();
    });
  }

  locate(path: string): string {
    return `faulty:${path}`;
  }

  // What its files ask of it.

  writeTo(file: FaultyFile, inode: Inode, position: number, pieces: readonly Uint8Array[]): void {
    const bytes = Buffer.concat(pieces);
    const code = this.#takeFault('write', file.path);
    // A disk that is full has taken what it had room for.
    const length = code === undefined ? bytes.length : this.#random(bytes.length + 1);
    this.#invalidate(inode);
    const before = Buffer.from(inode.bytes.subarray(position, position + length));
    this.#lastWrite = { inode, position, before, sizeBefore: inode.size, end: position + length };
    inode.write(position, bytes.subarray(0, length));
    if (this.#random(WRITES_PER_WRITE_BACK) === 0) inode.writeBack(this.#random);
    if (code !== undefined) throw new DiskError('write', file.path, code);
  }

  readFrom(file: FaultyFile, inode: Inode, position: number, length: number): Buffer {
    this.#refuse('read', file.path);
    this.#invalidate();
    const bytes = Buffer.from(inode.bytes.subarray(position, position + length));
    this.#lastRead = { inode, bytes };
    return bytes;
  }

  truncateTo(file: FaultyFile, inode: Inode, size: number): void {
    this.#refuse('truncate', file.path);
    this.#invalidate(inode);
    inode.truncate(size);
  }

  async syncFile(file: FaultyFile, inode: Inode): Promise<void> {
    const code = this.#takeFault('sync', file.path);
    const capture: Capture = inode.capture();
    await this.#device(() => {
      if (code === undefined) return inode.settle(capture);
      inode.settleInPart(capture, this.#random);
      throw new DiskError('sync', file.path, code);
    });
  }

  closed(file: FaultyFile): void {
    this.#handles.delete(file);
  }

  #successor(): FaultyDisk {
    // Nobody observes it: a test that recovers a crashed copy at every operation would never end.
    return new FaultyDisk({ ...this.#options, observe: undefined, seed: this.#random(2 ** 31) });
  }

  #cutLastWrite({ position, before, sizeBefore, end }: LastWrite, inode: Inode): void {
    const cuts = [position];
    for (let page = Math.floor(position / PAGE_BYTES) + 1; page * PAGE_BYTES < end; page++)
      cuts.push(page * PAGE_BYTES);
    const cut = cuts[this.#random(cuts.length)];
    inode.write(cut, before.subarray(cut - position));
    inode.truncate(Math.max(sizeBefore, cut === position ? 0 : cut));
  }

  async #device(settle: () => void): Promise<void> {
    for (let turn = 0; turn < (this.#options.syncTurns ?? 0); turn++)
      await new Promise((resolve) => setImmediate(resolve));
    const held = this.#held;
    if (held === undefined) return settle();
    await new Promise<void>((resolve, reject) => {
      held.push(() => {
        try {
          settle();
          resolve();
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  #refuse(kind: OperationKind, path: string): void {
    const code = this.#takeFault(kind, path);
    if (code !== undefined) throw new DiskError(kind, path, code);
  }

  /** Counts the operation; the code with which it is to fail, or undefined. */
  #takeFault(kind: OperationKind, path: string): string | undefined {
    this.#options.observe?.(kind, path);
    // Whoever goes on has seen the write end: it can no longer be cut.
    this.#lastWrite = undefined;
    const changes = kind !== 'read' && kind !== 'list';
    for (const name of changes ? [kind, 'any'] : [kind])
      this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
    let code: string | undefined;
    for (const waiting of this.#faults) {
      const { fault } = waiting;
      if (fault.kind !== kind && !(fault.kind === 'any' && changes)) continue;
      waiting.left -= 1;
      if (waiting.left === 0 || (fault.always === true && waiting.left < 0)) code ??= fault.code;
    }
    this.#faults = this.#faults.filter(({ fault, left }) => left > 0 || fault.always === true);
    return code;
  }

  /** What was read may not be used any more: of this file, or whatever it was. */
  #invalidate(inode?: Inode): void {
    if (this.#lastRead === undefined || (inode !== undefined && this.#lastRead.inode !== inode)) return;
    this.#lastRead.bytes.fill(INVALID_BYTE);
    this.#lastRead = undefined;
  }

  /** One name after the other, as a system does it: what a directory holds goes first. */
  #removeEntry({ directory, name, entry }: Edit): void {
    if (entry instanceof Inode) this.#invalidate(entry);
    else
      for (const [below, inner] of [...(entry?.entries ?? [])])
        this.#removeEntry({ directory: entry as Directory, name: below, entry: inner });
    this.#names.change({ directory, name, entry: undefined });
  }

  #handlesBelow(path: string): FaultyFile[] {
    return [...this.#handles].filter(
      (file) => file.isNamed && (file.path === path || file.path.startsWith(`${path}/`)),
    );
  }

  #directory(operation: string, path: string, names: readonly string[]): Directory {
    const entry = path === '' ? this.#names.root : this.#names.find(names);
    if (entry === undefined) throw new DiskError(operation, path, 'ENOENT');
    if (entry instanceof Inode) throw new DiskError(operation, path, 'ENOTDIR');
    return entry;
  }

  #placeOf(operation: string, path: string): { directory: Directory; name: string } {
    const names = path.split('/');
    const name = names.pop() as string;
    return { directory: this.#directory(operation, path, names), name };
  }
}

class FaultyFile implements DiskFile {
  readonly #disk: FaultyDisk;
  readonly #inode: Inode;
  path: string;
  /** Until its name is removed, or another file's. */
  isNamed = true;
  #isOpen = true;

  constructor(disk: FaultyDisk, path: string, inode: Inode) {
    this.#disk = disk;
    this.path = path;
    this.#inode = inode;
  }

  get size(): number {
    return this.#inode.size;
  }

  write(position: number, pieces: readonly Uint8Array[]): void {
    this.#check(position);
    this.#disk.writeTo(this, this.#inode, position, pieces);
  }

  read(position: number, length: number): Buffer {
    this.#check(position);
    return this.#disk.readFrom(this, this.#inode, position, length);
  }

  truncate(size: number): void {
    this.#check(size);
    this.#disk.truncateTo(this, this.#inode, size);
  }

  async sync(): Promise<void> {
    this.#check(0);
    await this.#disk.syncFile(this, this.#inode);
  }

  close(): void {
    this.#isOpen = false;
    this.#disk.closed(this);
  }

  #check(position: number): void {
    if (!this.#isOpen) throw new Error(`${this.path} is used after it was closed`);
    if (!(position >= 0)) throw new Error(`${this.path} has no position ${position}`);
  }
}
