import { Buffer } from 'node:buffer';
import { copyBytes } from './copy.ts';
import { type Disk, DiskError, type DiskFile, requireInside } from './disk.ts';

/** A small file takes little: of a partition's files, most hold a few dozen bytes. */
const FILE_START_BYTES = 1024;

/** Freed buffers of each size that are kept: memory already mapped is several times cheaper than new memory. */
const POOLED_MAX = 8;

/** How many times larger than asked for a freed buffer may be: a file that has begun to grow mostly goes on growing. */
const LARGER_MAX = 4;

const NOTHING = Buffer.alloc(0);
const DONE = Promise.resolve();

class BufferPool {
  readonly #free = new Map<number, Buffer[]>();

  /** Of a power of two, and not zeroed. */
  take(bytes: number, path: string): Buffer {
    for (let size = bytes; size <= LARGER_MAX * bytes; size *= 2) {
      const kept = this.#free.get(size)?.pop();
      if (kept !== undefined) return kept;
    }
    try {
      return Buffer.allocUnsafeSlow(bytes);
    } catch (cause) {
      throw new DiskError('extend', path, 'ENOMEM', cause);
    }
  }

  give(buffer: Buffer): void {
    const kept = this.#free.get(buffer.length);
    if (kept === undefined) this.#free.set(buffer.length, [buffer]);
    else if (kept.length < POOLED_MAX) kept.push(buffer);
  }
}

/** What files and directories have in common: a name in a directory, from which their path follows. */
abstract class Node {
  name: string;
  /** Undefined for the root alone. What was removed keeps it, so that its path still tells where it was. */
  parent: DirectoryNode | undefined;

  constructor(name: string, parent: DirectoryNode | undefined) {
    this.name = name;
    this.parent = parent;
  }

  get path(): string {
    const above = this.parent?.path ?? '';
    return above === '' ? this.name : `${above}/${this.name}`;
  }

  abstract removed(): void;
}

class DirectoryNode extends Node {
  readonly entries = new Map<string, Node>();

  removed(): void {
    for (const entry of this.entries.values()) entry.removed();
    this.entries.clear();
  }
}

class FileNode extends Node {
  readonly #pool: BufferPool;
  bytes: Buffer = NOTHING;
  /** What lies beyond it in `bytes` is anything. */
  size = 0;
  handles = 0;
  /** Room for so many bytes is made when it begins to grow: to grow later is to copy all of it. */
  expectedBytes = 0;
  #isRemoved = false;

  constructor(name: string, parent: DirectoryNode, pool: BufferPool) {
    super(name, parent);
    this.#pool = pool;
  }

  /** Room for bytes up to `end`; what lies between the size and `from` becomes zeros. */
  reach(from: number, end: number): void {
    if (end > this.bytes.length) {
      const larger = this.#roomFor(end);
      this.bytes.copy(larger, 0, 0, this.size);
      if (this.bytes.length > 0) this.#pool.give(this.bytes);
      this.bytes = larger;
    }
    if (from > this.size) this.bytes.fill(0, this.size, from);
  }

  /** For all that is expected, or for as much as there has to be. */
  #roomFor(end: number): Buffer {
    let capacity = Math.max(FILE_START_BYTES, this.bytes.length);
    while (capacity < end) capacity *= 2;
    let expected = capacity;
    while (expected < this.expectedBytes) expected *= 2;
    try {
      return this.#pool.take(expected, this.path);
    } catch (error) {
      if (expected === capacity) throw error;
      this.expectedBytes = 0;
      return this.#pool.take(capacity, this.path);
    }
  }

  removed(): void {
    this.#isRemoved = true;
    this.#freeIfUnused();
  }

  closed(): void {
    this.handles -= 1;
    this.#freeIfUnused();
  }

  /** Whoever has the file open goes on using it, as with files on a disk. */
  #freeIfUnused(): void {
    if (!this.#isRemoved || this.handles > 0 || this.bytes.length === 0) return;
    this.#pool.give(this.bytes);
    this.bytes = NOTHING;
    this.size = 0;
  }
}

class MemoryFile implements DiskFile {
  readonly #node: FileNode;
  #isOpen = true;

  constructor(node: FileNode) {
    this.#node = node;
    node.handles += 1;
  }

  get path(): string {
    return this.#node.path;
  }

  get size(): number {
    return this.#node.size;
  }

  write(position: number, pieces: readonly Uint8Array[]): void {
    const node = this.#checked(position);
    let end = position;
    for (const piece of pieces) end += piece.length;
    if (end === position) return;
    if (end > node.bytes.length || position > node.size) node.reach(position, end);
    let at = position;
    for (const piece of pieces) {
      if (piece.length > 0) copyBytes(node.bytes, at, piece);
      at += piece.length;
    }
    if (end > node.size) node.size = end;
  }

  read(position: number, length: number): Buffer {
    const { bytes, size } = this.#checked(position);
    return bytes.subarray(Math.min(position, size), Math.min(position + length, size));
  }

  expect(bytes: number): void {
    this.#node.expectedBytes = bytes;
  }

  truncate(size: number): void {
    const node = this.#checked(size);
    if (size > node.size) node.reach(size, size);
    node.size = size;
  }

  sync(): Promise<void> {
    this.#checked(0);
    return DONE;
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#node.closed();
  }

  #checked(position: number): FileNode {
    if (!this.#isOpen) throw new Error(`${this.#node.path} is used after it was closed`);
    if (!(position >= 0)) throw new Error(`${this.#node.path} has no position ${position}`);
    return this.#node;
  }
}

/**
 * The disk of durability memory: files are buffers, reads hand out views of them, and nothing is ever lost but with the
 * process. One thread owns it.
 */
export class MemoryDisk implements Disk {
  readonly isVolatile = true;
  readonly isKept = false;
  readonly #root = new DirectoryNode('', undefined);
  readonly #pool = new BufferPool();

  open(path: string, mode?: 'create'): DiskFile {
    requireInside(path);
    const { directory, name } = this.#placeOf('open', path);
    let node = name === '' ? this.#root : directory.entries.get(name);
    if (node === undefined) {
      if (mode !== 'create') throw new DiskError('open', path, 'ENOENT');
      node = new FileNode(name, directory, this.#pool);
      directory.entries.set(name, node);
    }
    if (!(node instanceof FileNode)) throw new DiskError('open', path, 'EISDIR');
    return new MemoryFile(node);
  }

  list(directory: string): string[] {
    requireInside(directory);
    const names: string[] = [];
    for (const [name, node] of this.#directory('list', directory).entries)
      names.push(node instanceof DirectoryNode ? `${name}/` : name);
    return names.sort();
  }

  makeDirectory(path: string): void {
    requireInside(path);
    let directory = this.#root;
    for (const name of path === '' ? [] : path.split('/')) {
      const node = directory.entries.get(name) ?? new DirectoryNode(name, directory);
      if (!(node instanceof DirectoryNode)) throw new DiskError('make directory', path, 'EEXIST');
      directory.entries.set(name, node);
      directory = node;
    }
  }

  rename(from: string, to: string): void {
    requireInside(from);
    requireInside(to);
    const source = this.#placeOf('rename', from);
    const target = this.#placeOf('rename', to);
    const node = source.directory.entries.get(source.name);
    if (node === undefined) throw new DiskError('rename', from, 'ENOENT');
    const before = target.directory.entries.get(target.name);
    if (before === node) return;
    if (`${to}/`.startsWith(`${from}/`)) throw new DiskError('rename', from, 'EINVAL');
    if (node instanceof DirectoryNode) {
      if (before instanceof FileNode) throw new DiskError('rename', to, 'ENOTDIR');
      if (before instanceof DirectoryNode && before.entries.size > 0)
        throw new DiskError('rename', to, 'ENOTEMPTY');
    } else if (before instanceof DirectoryNode) throw new DiskError('rename', to, 'EISDIR');
    before?.removed();
    source.directory.entries.delete(source.name);
    target.directory.entries.set(target.name, node);
    node.name = target.name;
    node.parent = target.directory;
  }

  remove(path: string): void {
    requireInside(path);
    if (path === '') throw new Error('a disk cannot remove its own directory');
    const place = this.#find(path.split('/').slice(0, -1));
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (!(place instanceof DirectoryNode)) return;
    place.entries.get(name)?.removed();
    place.entries.delete(name);
  }

  settleDirectory(path: string): Promise<void> {
    return this.syncDirectory(path);
  }

  async syncDirectory(path: string): Promise<void> {
    requireInside(path);
    this.#directory('sync directory', path);
  }

  locate(path: string): string {
    return `memory:${path}`;
  }

  #find(names: readonly string[]): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of names) {
      if (!(node instanceof DirectoryNode)) return node;
      node = node.entries.get(name);
    }
    return node;
  }

  #directory(operation: string, path: string, names = path.split('/')): DirectoryNode {
    const node = path === '' ? this.#root : this.#find(names);
    if (node === undefined) throw new DiskError(operation, path, 'ENOENT');
    if (!(node instanceof DirectoryNode)) throw new DiskError(operation, path, 'ENOTDIR');
    return node;
  }

  #placeOf(operation: string, path: string): { directory: DirectoryNode; name: string } {
    const names = path.split('/');
    const name = names.pop() as string;
    return { directory: this.#directory(operation, path, names), name };
  }
}
