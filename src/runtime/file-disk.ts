import { Buffer } from 'node:buffer';
import {
  close,
  closeSync,
  constants,
  fdatasync,
  fstatSync,
  fsync,
  ftruncateSync,
  mkdirSync,
  open,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
  writevSync,
} from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { SETTLE_NAMES_MS } from '../limits.ts';
import { type Disk, DiskError, type DiskFile, requireInside } from '../log/disk.ts';
import { systemClock } from './clock.ts';

/** What one system call takes on Linux and macOS; more is refused there. */
const PIECES_MAX = 1024;

/** The scratch buffer that reads share begins with this, and grows by doubling to what was asked. */
const SCRATCH_START_BYTES = 64 * 1024;

/** Windows has no such thing, and refuses to open directories. */
const HAS_DIRECTORY_SYNC = process.platform !== 'win32';

/** The operating system's refusals become DiskErrors; everything else is a programmer's error and stays what it is. */
function diskError(operation: string, path: string, error: unknown): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined) return error;
  return new DiskError(operation, path, code, error);
}

/** What the handles of one open file share: a descriptor, which lives until nobody uses it. */
class OpenNode {
  readonly #root: string;
  readonly #released: (node: OpenNode) => void;
  readonly descriptor: number;
  path: string;
  /** Kept here, because asking the system before every append would cost as much as the append. */
  size: number;
  /** Handles, and syncs that are under way: a descriptor that was closed meanwhile may be another file's by then. */
  #users = 0;

  constructor(root: string, path: string, descriptor: number, released: (node: OpenNode) => void) {
    this.#root = root;
    this.path = path;
    this.descriptor = descriptor;
    this.#released = released;
    this.size = fstatSync(descriptor).size;
  }

  get absolutePath(): string {
    return join(this.#root, this.path);
  }

  use(): void {
    this.#users += 1;
  }

  release(): void {
    this.#users -= 1;
    if (this.#users > 0) return;
    this.#released(this);
    try {
      closeSync(this.descriptor);
    } catch (error) {
      throw diskError('close', this.absolutePath, error);
    }
  }

  write(position: number, pieces: readonly Uint8Array[]): void {
    let at = position;
    try {
      if (pieces.length === 1) at += this.#writeOne(pieces[0], 0, at);
      else
        for (let first = 0; first < pieces.length; first += PIECES_MAX)
          at += this.#writeRun(pieces, first, at);
    } catch (error) {
      this.#askSize();
      throw diskError('write', this.absolutePath, error);
    }
    if (at > this.size && at > position) this.size = at;
  }

  /** After a failure nobody knows how many bytes were written, but the system knows how long the file is. */
  #askSize(): void {
    try {
      this.size = fstatSync(this.descriptor).size;
    } catch {
      // The failure that brought us here is the one to report.
    }
  }

  /** One system call as a rule: they are short only when the disk is full or the piece is enormous. */
  #writeOne(piece: Uint8Array, skip: number, position: number): number {
    let done = skip;
    while (done < piece.length) {
      const written = writeSync(this.descriptor, piece, done, piece.length - done, position + done - skip);
      if (written === 0) throw new DiskError('write', this.absolutePath, 'EIO');
      done += written;
    }
    return done - skip;
  }

  #writeRun(pieces: readonly Uint8Array[], first: number, position: number): number {
    const run = pieces.length <= PIECES_MAX ? pieces : pieces.slice(first, first + PIECES_MAX);
    let written = writevSync(this.descriptor, run, position);
    let total = 0;
    for (const piece of run) {
      const skip = Math.min(written, piece.length);
      written -= skip;
      total += skip;
      if (skip < piece.length) total += this.#writeOne(piece, skip, position + total);
    }
    return total;
  }

  readInto(target: Buffer, position: number, length: number): number {
    let done = 0;
    try {
      while (done < length) {
        const count = readSync(this.descriptor, target, done, length - done, position + done);
        if (count === 0) break;
        done += count;
      }
    } catch (error) {
      throw diskError('read', this.absolutePath, error);
    }
    return done;
  }

  truncate(size: number): void {
    try {
      ftruncateSync(this.descriptor, size);
    } catch (error) {
      throw diskError('truncate', this.absolutePath, error);
    }
    this.size = size;
  }

  sync(): Promise<void> {
    this.use();
    return new Promise((resolve, reject) => {
      fdatasync(this.descriptor, (failure) => {
        try {
          this.release();
          if (failure === null) resolve();
          else reject(diskError('sync', this.absolutePath, failure));
        } catch (error) {
          reject(error);
        }
      });
    });
  }
}

class OpenHandle implements DiskFile {
  readonly #node: OpenNode;
  readonly #scratch: (bytes: number) => Buffer;
  #isOpen = true;

  constructor(node: OpenNode, scratch: (bytes: number) => Buffer) {
    this.#node = node;
    this.#scratch = scratch;
    node.use();
  }

  get path(): string {
    return this.#node.path;
  }

  get size(): number {
    return this.#node.size;
  }

  write(position: number, pieces: readonly Uint8Array[]): void {
    this.#checked(position).write(position, pieces);
  }

  read(position: number, length: number): Buffer {
    const node = this.#checked(position);
    const wanted = Math.max(0, Math.min(length, node.size - position));
    const scratch = this.#scratch(wanted);
    return scratch.subarray(0, node.readInto(scratch, position, wanted));
  }

  truncate(size: number): void {
    this.#checked(size).truncate(size);
  }

  async sync(): Promise<void> {
    await this.#checked(0).sync();
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#node.release();
  }

  #checked(position: number): OpenNode {
    if (!this.#isOpen) throw new Error(`${this.#node.absolutePath} is used after it was closed`);
    if (!(position >= 0)) throw new Error(`${this.#node.absolutePath} has no position ${position}`);
    return this.#node;
  }
}

/** Open files by path. Thousands may be open, and each roll of a log renames: nobody looks through all of them for that. */
class OpenNodes {
  readonly #byPath = new Map<string, OpenNode>();
  /** By directory, how many are open below it. */
  readonly #below = new Map<string, number>();

  get(path: string): OpenNode | undefined {
    return this.#byPath.get(path);
  }

  add(node: OpenNode): void {
    this.#byPath.set(node.path, node);
    this.#count(node.path, 1);
  }

  delete(node: OpenNode): void {
    if (this.#byPath.get(node.path) !== node) return;
    this.#byPath.delete(node.path);
    this.#count(node.path, -1);
  }

  /** The file of that path, or those below the directory of that path. */
  under(path: string): readonly OpenNode[] {
    const node = this.#byPath.get(path);
    if (node !== undefined) return [node];
    if (!this.#below.has(path)) return [];
    return [...this.#byPath.values()].filter((other) => other.path.startsWith(`${path}/`));
  }

  #count(path: string, change: number): void {
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
      const directory = path.slice(0, end);
      const count = (this.#below.get(directory) ?? 0) + change;
      if (count === 0) this.#below.delete(directory);
      else this.#below.set(directory, count);
    }
  }
}

/** A directory of the file system. One thread owns it, and nobody else changes what lies in it. */
export class FileDisk implements Disk {
  readonly isVolatile = false;
  readonly isKept: boolean;
  readonly #root: string;
  /** By path, without those whose name was taken away while they were open. */
  readonly #open = new OpenNodes();
  #scratch: Buffer = Buffer.allocUnsafeSlow(SCRATCH_START_BYTES);
  /** Directories whose names are to settle, and what is under way for the last of them. */
  readonly #settling = new Map<string, Promise<void>>();
  #settlingTurn: Promise<void> = Promise.resolve();

  constructor(root: string, isKept = true) {
    this.isKept = isKept;
    if (!isAbsolute(root)) throw new Error(`a disk's directory must be an absolute path, not '${root}'`);
    this.#root = root;
  }

  open(path: string, mode?: 'create'): DiskFile {
    let node = this.#open.get(path);
    if (node === undefined) {
      node = this.#openNode(path, mode);
      this.#open.add(node);
    }
    return new OpenHandle(node, this.#scratchOf);
  }

  list(directory: string): string[] {
    const location = this.locate(directory);
    return this.#attempt('list', location, () => {
      const entries = readdirSync(location, { withFileTypes: true });
      return entries
        .map((entry) => {
          const isDirectory = entry.isSymbolicLink()
            ? (statSync(join(location, entry.name), { throwIfNoEntry: false })?.isDirectory() ?? false)
            : entry.isDirectory();
          return isDirectory ? `${entry.name}/` : entry.name;
        })
        .sort();
    });
  }

  makeDirectory(path: string): void {
    const location = this.locate(path);
    this.#attempt('make directory', location, () => mkdirSync(location, { recursive: true }));
  }

  rename(from: string, to: string): void {
    const [source, target] = [this.locate(from), this.locate(to)];
    this.#attempt(`rename ${source} to`, target, () => renameSync(source, target));
    if (from === to) return;
    this.#forget(to);
    for (const node of this.#open.under(from)) {
      this.#open.delete(node);
      node.path = to + node.path.slice(from.length);
      this.#open.add(node);
    }
  }

  remove(path: string): void {
    if (path === '') throw new Error('a disk cannot remove its own directory');
    const location = this.locate(path);
    this.#attempt('remove', location, () => rmSync(location, { recursive: true, force: true }));
    this.#forget(path);
  }

  settleDirectory(path: string): Promise<void> {
    let settled = this.#settling.get(path);
    if (settled === undefined) {
      if (this.#settling.size === 0) this.#settlingTurn = settling().then(() => this.#settling.clear());
      // One after the other: what the first brings to the device, others need not bring again.
      settled = this.#settlingTurn = this.#settlingTurn.then(() => this.syncDirectory(path));
      this.#settling.set(path, settled);
    }
    return settled;
  }

  syncDirectory(path: string): Promise<void> {
    const location = this.locate(path);
    if (!HAS_DIRECTORY_SYNC) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const fail = (error: unknown): void => reject(diskError('sync directory', location, error));
      open(location, constants.O_RDONLY | constants.O_DIRECTORY, (refusal, descriptor) => {
        if (refusal !== null) return fail(refusal);
        fsync(descriptor, (failure) => {
          close(descriptor, (error) => {
            if (failure !== null) fail(failure);
            else if (error) fail(error);
            else resolve();
          });
        });
      });
    });
  }

  locate(path: string): string {
    requireInside(path);
    return path === '' ? this.#root : join(this.#root, path);
  }

  #openNode(path: string, mode: 'create' | undefined): OpenNode {
    const location = this.locate(path);
    const flags = constants.O_RDWR | (mode === 'create' ? constants.O_CREAT : 0);
    return this.#attempt('open', location, () => {
      const descriptor = openSync(location, flags);
      try {
        return new OpenNode(this.#root, path, descriptor, this.#released);
      } catch (error) {
        closeSync(descriptor);
        throw error;
      }
    });
  }

  readonly #released = (node: OpenNode): void => this.#open.delete(node);

  readonly #scratchOf = (bytes: number): Buffer => {
    if (bytes > this.#scratch.length) {
      let length = this.#scratch.length;
      while (length < bytes) length *= 2;
      this.#scratch = Buffer.allocUnsafeSlow(length);
    }
    return this.#scratch;
  };

  /** The names are gone: whoever has such a file open keeps it, but the next one to open the path gets another. */
  #forget(path: string): void {
    for (const node of this.#open.under(path)) this.#open.delete(node);
  }

  #attempt<T>(operation: string, location: string, act: () => T): T {
    try {
      return act();
    } catch (error) {
      throw diskError(operation, location, error);
    }
  }
}

function settling(): Promise<void> {
  return new Promise((resolve) => {
    systemClock.schedule(SETTLE_NAMES_MS, resolve);
  });
}
