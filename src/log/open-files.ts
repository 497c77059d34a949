import { type Disk, DiskError, type DiskFile } from './disk.ts';

interface OpenFile {
  readonly file: DiskFile;
  /** Since it was last looked at as one that could be closed. */
  isUsed: boolean;
}

/**
 * The files that a broker's logs keep open, at most so many: one that was not used lately is closed for the next. What
 * get() gives may be closed by any later call for another path, so it is used at once and never kept.
 *
 * A file may be closed while bytes that were written to it are not on the device yet. Nothing is lost by that: a sync
 * covers all that the system holds of a file, whoever wrote it, and so also by a file that was opened anew. Who wants
 * bytes to be durable asks get() for the path again and syncs that. A sync under way is not disturbed by the closing.
 */
export class OpenFiles {
  readonly disk: Disk;
  readonly #max: number;
  readonly #files = new Map<string, OpenFile>();
  /** Of the most recently used file, which is asked for again and again: that changes no order. '' is none. */
  #latestPath = '';
  #latest: DiskFile | undefined;

  constructor(disk: Disk, max: number) {
    if (!(max >= 1)) throw new Error(`at least one file must be allowed open, not ${max}`);
    this.disk = disk;
    this.#max = max;
  }

  get size(): number {
    return this.#files.size;
  }

  /** ENOENT where the file is missing. */
  get(path: string): DiskFile {
    return path === this.#latestPath && this.#latest !== undefined ? this.#latest : this.#use(path);
  }

  /** Makes the file if it is missing. */
  create(path: string): DiskFile {
    return path === this.#latestPath && this.#latest !== undefined ? this.#latest : this.#use(path, 'create');
  }

  /** Closes the file: before it is removed, or handed to somebody else. */
  forget(path: string): void {
    if (this.#files.has(path)) this.#close(path);
  }

  /** To be called after the disk has renamed a file: it stays open, under its new name. */
  renamed(from: string, to: string): void {
    if (from === to) return;
    // What had the name before is on its way out of the disk.
    this.forget(to);
    const file = this.#files.get(from);
    if (file === undefined) return;
    this.#files.delete(from);
    this.#files.set(to, file);
    if (this.#latestPath === from) this.#latestPath = to;
  }

  closeAll(): void {
    for (const path of [...this.#files.keys()]) this.#close(path);
  }

  #use(path: string, mode?: 'create'): DiskFile {
    let open = this.#files.get(path);
    if (open === undefined) {
      // Before it is opened, so that there are never more than allowed.
      if (this.#files.size >= this.#max) this.#closeUnused();
      open = { file: this.#open(path, mode), isUsed: false };
      this.#files.set(path, open);
    } else open.isUsed = true;
    this.#latestPath = path;
    this.#latest = open.file;
    return open.file;
  }

  /** One that was used since its last turn gets another: so nobody who uses a file has to put it in another place. */
  #closeUnused(): void {
    for (const [path, open] of this.#files) {
      if (!open.isUsed) {
        this.#close(path);
        return;
      }
      open.isUsed = false;
      this.#files.delete(path);
      this.#files.set(path, open);
    }
  }

  /** Others share the process's descriptors: where they have run out, this cache is where some can be spared. */
  #open(path: string, mode: 'create' | undefined): DiskFile {
    try {
      return this.disk.open(path, mode);
    } catch (error) {
      const isOut = error instanceof DiskError && (error.code === 'EMFILE' || error.code === 'ENFILE');
      if (!isOut || this.#files.size === 0) throw error;
    }
    const spared = [...this.#files.keys()].slice(0, Math.ceil(this.#files.size / 2));
    for (const open of spared) this.#close(open);
    return this.disk.open(path, mode);
  }

  #close(path: string): void {
    const open = this.#files.get(path);
    this.#files.delete(path);
    if (path === this.#latestPath) {
      this.#latestPath = '';
      this.#latest = undefined;
    }
    open?.file.close();
  }
}
